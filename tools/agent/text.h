/* SPDX-License-Identifier: Apache-2.0 */
/* What executables write, as the protocol can carry it. */
#ifndef CT_AGENT_TEXT_H
#define CT_AGENT_TEXT_H

#include <stddef.h>

/* Makes n bytes of whatever somebody wrote text that the protocol can carry, in
 * place: what is not UTF-8, and each NUL, becomes '?'.  A character that is cut
 * off at the end is left out.  Returns the length then. */
size_t text_clean(char *p, size_t n);

#endif
