/* SPDX-License-Identifier: Apache-2.0 */
/* The version of a daemon with a higher minor number, instead of
 * core/daemon/version.c: what upgrades go to and come from in tests. */
#include "config.h"

#include "daemon/version.h"

const char *
daemon_version(void)
{
	return LATER_VERSION;
}
