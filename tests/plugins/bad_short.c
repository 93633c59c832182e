/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its cleat_plugin is a few bytes. */
__attribute__((visibility("default"))) extern const int cleat_plugin;
const int cleat_plugin = 0x74616c63;
