/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to the server as JSON: made whole or not at all. */
#ifndef CT_AGENT_TEXT_H
#define CT_AGENT_TEXT_H

#include <stddef.h>

#include <jansson.h>

/* The JSON text of `o`, any value, to be freed with mem_free(); `o` is taken
 * over, NULL is fine.  NULL: none, or no memory. */
char *text_of_json(json_t *o);

/* Makes n bytes of whatever somebody wrote text that the protocol can carry, in
 * place: what is not UTF-8, and each NUL, becomes '?'.  A character that is cut
 * off at the end is left out.  Returns the length then. */
size_t text_clean(char *p, size_t n);

#endif
