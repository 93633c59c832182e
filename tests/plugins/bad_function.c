/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its cleat_plugin is code. */
__attribute__((visibility("default"))) void cleat_plugin(void);

void
cleat_plugin(void)
{
}
