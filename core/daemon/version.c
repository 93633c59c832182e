/* SPDX-License-Identifier: Apache-2.0 */
/* An object of its own: a test of upgrades links the same daemon with another
 * one (tests/bench/later_version.c). */
#include "config.h"

#include "daemon/version.h"

const char *
daemon_version(void)
{
	return PACKAGE_VERSION;
}
