/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a cipher list of OpenSSL's (ciphers(1)), as configurations of others
 * have it: names and keywords, "+" between what has to hold together, "!", "-"
 * and "+" in front, "@STRENGTH".  What of it can be spoken is tls/suites.h's to
 * judge.  Keywords do not touch suites of TLS 1.3, as there.  Any thread.
 */
#ifndef CT_TLS_SUITE_LIST_H
#define CT_TLS_SUITE_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "tls/suite_table.h"

#define SUITE_IN 1u			/* it is in the list at the end */
#define SUITE_NAMED 2u			/* put there by its name */
#define SUITE_OUT 4u			/* taken out, or killed */
#define SUITE_KILLED 8u			/* "!": cannot come again */

#define SUITE_LIST_TEXT_MAX 4096
#define SUITE_LIST_ODD_SIZE 256

struct suite_list {
	uint16_t in[SUITES_MAX];	/* indices in suite_table, best first */
	size_t n;
	uint8_t flags[SUITES_MAX];	/* by index */
	/* Words that mean nothing here, with ", " between. */
	char odd[SUITE_LIST_ODD_SIZE];
};

/* -EINVAL with why[TLS_WHY_SIZE]: it is too long, cannot be understood, or
 * wants a suite that does not exist. */
int suite_list_parse(const char *text, char *why, struct suite_list *ret);

#endif
