/* SPDX-License-Identifier: Apache-2.0 */
/* Cipher lists of OpenSSL's: whatever is taken is within the policy, and has
 * nothing that the list took out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tls/snapshot.h"
#include "tls/suite_list.h"
#include "tls/suites.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)

static void
check_list(const struct suite_list *l)
{
	size_t in = 0;

	for (size_t i = 0; i < suite_table_n; i++) {
		CHECK((l->flags[i] & SUITE_IN) == 0 ||
		    (l->flags[i] & SUITE_OUT) == 0);
		CHECK((l->flags[i] & SUITE_KILLED) == 0 ||
		    (l->flags[i] & SUITE_OUT) != 0);
		in += (l->flags[i] & SUITE_IN) != 0;
	}
	CHECK(in == l->n);
	for (size_t k = 0; k < l->n; k++) {
		CHECK(l->in[k] < suite_table_n);
		CHECK((l->flags[l->in[k]] & SUITE_IN) != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct tls_suites_spec spec = { .profile = "" };
	char why[TLS_WHY_SIZE] = "";
	struct tls_suites suites;
	struct suite_list list;
	char *text = malloc(n + 1);
	int r;

	CHECK(text != NULL);
	if (n > 0)
		memcpy(text, p, n);
	text[n] = '\0';
	r = suite_list_parse(text, why, &list);
	CHECK(r == 0 || (r == -EINVAL && why[0] != '\0'));
	if (r == 0)
		check_list(&list);
	spec.cipher_suite = text;
	why[0] = '\0';
	r = tls_suites_resolve(&spec, why, &suites);
	CHECK(r == 0 || (r == -EINVAL && why[0] != '\0'));
	if (r == 0)
		CHECK(tls_policy_check(suites.priority, why) == 0);
	free(text);
	return 0;
}
