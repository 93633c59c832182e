/* SPDX-License-Identifier: Apache-2.0 */
/* What a device says as JSON: made whole or not at all.  Any thread. */
#ifndef CT_CLIENT_JSON_TEXT_H
#define CT_CLIENT_JSON_TEXT_H

#include <jansson.h>

/* The text of `o`, any value, to be freed with mem_free(); `o` is taken over,
 * NULL is fine.  NULL: none, or no memory. */
char *json_text(json_t *o);

#endif
