/* SPDX-License-Identifier: Apache-2.0 */
/* What may be the id of an endpoint (doc/protocol.md).  Any thread. */
#ifndef CT_ID_H
#define CT_ID_H

#include <stdbool.h>

#define ID_MAX 128

/* 1 to 128 bytes of letters, digits and . _ : @ - ; so it can stand in topics,
 * logs and file names as it is. */
bool id_valid(const char *id);

#endif
