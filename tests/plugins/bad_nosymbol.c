/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a library, but no plugin. */
__attribute__((visibility("default"))) extern const int something;
const int something = 1;
