/* SPDX-License-Identifier: Apache-2.0 */
/* What may be an id, of which kind (doc/protocol.md).  Any thread. */
#ifndef CT_ID_H
#define CT_ID_H

#include <stdbool.h>

#define ID_MAX 128
#define ID_WORD_MAX 64
#define ID_GROUP_MAX 64

/* Of an endpoint: 1 to 128 bytes of letters, digits and . _ : @ - ; so it can
 * stand in topics, logs and file names as it is. */
bool id_valid(const char *id);
/* Of a command, or a verb: 1 to 64 bytes of letters, digits and . _ - */
bool id_word_valid(const char *word);
/* As an endpoint's, but up to 64 bytes, or none. */
bool id_group_valid(const char *group);

#endif
