/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says that it is.  Any thread. */
#ifndef CT_DAEMON_VERSION_H
#define CT_DAEMON_VERSION_H

/* PACKAGE_VERSION; lives for ever. */
const char *daemon_version(void);

#endif
