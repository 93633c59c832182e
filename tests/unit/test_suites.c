/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/suites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "base/mem.h"
#include "tls/library.h"
#include "tls/snapshot.h"
#include "tls/suite_list.h"

#define SEED "ALL:!aNULL:!eNULL:!LOW:!3DES:!MD5:!EXP:!PSK:!DSS:!RC4:!SEED" \
	":!ADH:!IDEA:!3DES:!SRP"
#define E128 "TLS_ECDHE_ECDSA_AES_128_GCM_SHA256"
#define E256 "TLS_ECDHE_ECDSA_AES_256_GCM_SHA384"
#define ECHA "TLS_ECDHE_ECDSA_CHACHA20_POLY1305"
#define R128 "TLS_ECDHE_RSA_AES_128_GCM_SHA256"
#define R256 "TLS_ECDHE_RSA_AES_256_GCM_SHA384"
#define RCHA "TLS_ECDHE_RSA_CHACHA20_POLY1305"
#define T128 "TLS_AES_128_GCM_SHA256"
#define T256 "TLS_AES_256_GCM_SHA384"
#define TCHA "TLS_CHACHA20_POLY1305_SHA256"
#define T13 T128 ", " T256 ", " TCHA
#define BOTH "TLS1.3, TLS1.2: "
#define ALL_SUITES BOTH T13 ", " E128 ", " E256 ", " ECHA ", " R128 ", " \
	R256 ", " RCHA

static char why[TLS_WHY_SIZE];
static struct tls_suites got;

static int
resolve(const char *profile, const char *priority, const char *list)
{
	const struct tls_suites_spec spec = { profile, priority, list };

	why[0] = '\0';
	memset(&got, 'x', sizeof(got));
	return tls_suites_resolve(&spec, why, &got);
}

/* The words of two lists with ", " are the same, in any order. */
static void
same_words(const char *what, const char *a, const char *b)
{
	char copy[TLS_LIST_SIZE], *word, *rest = copy;
	const char *at;
	size_t n;

	if (strlen(a) != strlen(b))
		fail_msg("%s: \"%s\" instead of \"%s\"", what, a, b);
	(void)snprintf(copy, sizeof(copy), "%s", a);
	while ((word = strtok_r(rest, " ,:", &rest)) != NULL) {
		n = strlen(word);
		for (at = b; (at = strstr(at, word)) != NULL; at++)
			if (at[n] == '\0' || strchr(" ,:", at[n]) != NULL)
				break;
		if (at == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", what, a, b);
	}
}

static void
test_profiles(void **state)
{
	(void)state;
	assert_int_equal(resolve(NULL, NULL, NULL), 0);
	same_words("default", got.list, ALL_SUITES);
	assert_string_equal(got.priority, tls_policy_default());
	assert_string_equal(got.dropped, "");
	assert_string_equal(got.extra, "");
	assert_int_equal(resolve("intermediate", "", ""), 0);
	same_words("intermediate", got.list, ALL_SUITES);
	assert_int_equal(resolve("modern", "", ""), 0);
	same_words("modern", got.list, "TLS1.3: " T13);
	assert_int_equal(resolve("custom", "", ""), -EINVAL);
	assert_non_null(strstr(why, "needs priority or cipher_suite"));
	assert_int_equal(resolve("old", "", ""), -EINVAL);
	assert_int_equal(resolve("modern", "NORMAL", ""), -EINVAL);
	assert_int_equal(resolve("custom", "NORMAL", "ALL"), -EINVAL);
	/* What failed left the result alone. */
	assert_int_equal(got.priority[0], 'x');
}

/* One list, what is spoken, and words that must be among the dropped. */
static const struct {
	const char *list, *spoken, *dropped;
} lists[] = {
	/* those that the forerunners' configurations have */
	{ SEED, ALL_SUITES, "DHE-RSA-AES256-GCM-SHA384" },
	{ SEED ":!kEDH", ALL_SUITES, "AES256-GCM-SHA384" },
	{ "ALL", ALL_SUITES, "DHE-RSA" },
	{ "DEFAULT", ALL_SUITES, "AES128-GCM-SHA256" },
	{ "DEFAULT:!kEDH", ALL_SUITES, "" },
	{ "HIGH:!aNULL:!MD5", ALL_SUITES, "CAMELLIA" },
	{ "HIGH:MEDIUM:LOW", ALL_SUITES, "DES-CBC-SHA" },
	{ "ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH", ALL_SUITES, "" },
	{ "ALL:!EXPORT:!LOW:!aNULL:!eNULL:!SSLv2", ALL_SUITES, "" },
	/* usual ones */
	{ "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM", ALL_SUITES,
	    "DHE-RSA-AES128-GCM-SHA256" },
	{ "EECDH+AESGCM", BOTH T128 ", " T256 ", " E128 ", " E256 ", " R128
	    ", " R256, "" },
	{ "kEECDH+aRSA+AESGCM", BOTH T128 ", " T256 ", " R128 ", " R256, "" },
	{ "ECDHE-RSA-AES256-GCM-SHA384", BOTH T256 ", " R256, "" },
	{ "ECDHE-ECDSA-CHACHA20-POLY1305", BOTH TCHA ", " ECHA, "" },
	{ "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", BOTH T128 ", " R128, "" },
	{ "TLSv1.2+ECDHE:!CHACHA20", BOTH T128 ", " T256 ", " E128 ", " E256
	    ", " R128 ", " R256, "ECDHE-RSA-AES128-SHA256" },
	{ "AES128+ECDHE+aRSA", BOTH T128 ", " R128, "ECDHE-RSA-AES128-SHA" },
	{ "ALL:!AES128", BOTH T256 ", " TCHA ", " E256 ", " ECHA ", " R256
	    ", " RCHA, "" },
	{ "ALL:-AES128", BOTH T256 ", " TCHA ", " E256 ", " ECHA ", " R256
	    ", " RCHA, "" },
	{ "ALL:!aRSA", BOTH T13 ", " E128 ", " E256 ", " ECHA, "" },
	{ "ECDSA", BOTH T13 ", " E128 ", " E256 ", " ECHA,
	    "ECDHE-ECDSA-AES256-SHA" },
	{ "FIPS:!3DES", BOTH T128 ", " T256 ", " E128 ", " E256 ", " R128 ", "
	    R256, "" },
	{ "SUITEB128", BOTH T128 ", " T256 ", " E128 ", " E256, "" },
	{ "SUITEB128ONLY", BOTH T128 ", " E128, "" },
	{ "SUITEB192", BOTH T256 ", " E256, "" },
	/* names of TLS 1.3 */
	{ "TLS_AES_256_GCM_SHA384", "TLS1.3: " T256, "" },
	{ "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
	    "TLS1.3: " T256 ", " TCHA, "" },
	{ "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384",
	    BOTH T256 ", " R256, "" },
	{ "ECDHE-RSA-AES256-GCM-SHA384:!TLS_AES_256_GCM_SHA384",
	    "TLS1.2: " R256, "" },
	/* other separators, words of no meaning, levels */
	{ "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305,",
	    BOTH T256 ", " TCHA ", " R256 ", " RCHA, "" },
	{ "ECDHE-RSA-AES256-GCM-SHA384;!NONSENSE", BOTH T256 ", " R256,
	    "!NONSENSE" },
	{ "ECDHE-RSA-AES256-GCM-SHA384:BLOWFISH", BOTH T256 ", " R256,
	    "BLOWFISH" },
	{ "DEFAULT@SECLEVEL=2", ALL_SUITES, "" },
	{ "ALL!ADH@STRENGTH", ALL_SUITES, "" },
	{ "DEFAULT:@SECLEVEL=2", ALL_SUITES, "" },
	{ "DEFAULT:@SECLEVEL=3", ALL_SUITES, "@SECLEVEL=3" },
	{ "GOST2012-GOST8912-GOST8912", NULL, "" },
	/* killed for ever, deleted for now */
	{ "!AES128:ALL:AES128", BOTH T256 ", " TCHA ", " E256 ", " ECHA ", "
	    R256 ", " RCHA, "" },
	{ "ALL:-AES128:ECDHE-RSA-AES128-GCM-SHA256:"
	    "ECDHE-ECDSA-AES128-GCM-SHA256",
	    ALL_SUITES, "" },
	{ "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384:!SHA1", BOTH T256
	    ", " R256, "" },
	/* nothing left */
	{ "", ALL_SUITES, "" },
	{ ":", NULL, "" },
	{ "RC4", NULL, "" },
	{ "ALL:!ALL", NULL, "" },
	{ "!ALL", NULL, "" },
	{ "kRSA", NULL, "" },
	{ "DHE", NULL, "" },
	{ "eNULL:aNULL", NULL, "" },
	{ "ECDHE+kRSA", NULL, "" },
	{ "ECDHE+SHA256", NULL, "" },
	{ "EXP", NULL, "" },
	{ "high", NULL, "" },
	/* by name, and not to be had */
	{ "AES128-SHA", NULL, "" },
	{ "ALL:AES128-SHA", NULL, "" },
	{ "DHE-RSA-AES256-GCM-SHA384", NULL, "" },
	{ "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-SHA384", NULL, "" },
	{ "TLS_AES_128_CCM_SHA256:TLS_AES_256_GCM_SHA384", NULL, "" },
	{ "RC4-MD5:ALL", NULL, "" },
	{ "ECDHE-RSA-AES128-GCM-SHA265", NULL, "" },
	{ "TLS_AES_512_GCM_SHA512", NULL, "" },
	/* not understood */
	{ "ALL:!", NULL, "" },
	{ "ALL:+", NULL, "" },
	{ "ECDHE++AESGCM", NULL, "" },
	{ "ECDHE+", NULL, "" },
	{ "!!RC4", NULL, "" },
};

static void
test_lists(void **state)
{
	int r;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		r = resolve("", "", lists[i].list);
		if ((r == 0) != (lists[i].spoken != NULL))
			fail_msg("%s: %d \"%s\" (%s)", lists[i].list, r, why,
			    r == 0 ? got.list : "");
		if (r != 0) {
			assert_int_equal(r, -EINVAL);
			assert_string_not_equal(why, "");
			continue;
		}
		same_words(lists[i].list, got.list, lists[i].spoken);
		if (strstr(got.dropped, lists[i].dropped) == NULL &&
		    strstr(got.dropped, " more") == NULL)
			fail_msg("%s: dropped %s", lists[i].list, got.dropped);
		assert_int_equal(tls_policy_check(got.priority, why), 0);
	}
}

static void
test_reasons_name_the_suite(void **state)
{
	static const struct {
		const char *list, *why;
	} bad[] = {
		{ "ALL:AES128-SHA", "AES128-SHA is not allowed" },
		{ "ECDHE-RSA-AES128-GCM-SHA265",
		    "did you mean \"ECDHE-RSA-AES128-GCM-SHA256\"?" },
		{ "RC4", "nothing is left of \"RC4\"" },
		{ "ALL:!", "not understood at" },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
		    ":!ECDHE-RSA-AES128-GCM-SHA256",
		    "cannot be had together" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(resolve("", "", bad[i].list), -EINVAL);
		if (strstr(why, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].list, why);
	}
	assert_int_equal(resolve("modern", "", "ECDHE-RSA-AES256-GCM-SHA384"),
	    -EINVAL);
	assert_non_null(strstr(why, "this profile"));
}

static void
test_profile_narrows_the_list(void **state)
{
	(void)state;
	assert_int_equal(resolve("modern", "", "ALL:!AES128"), 0);
	same_words("modern", got.list, "TLS1.3: " T256 ", " TCHA);
	assert_int_equal(resolve("modern", "", SEED), 0);
	same_words("modern seed", got.list, "TLS1.3: " T13);
	assert_int_equal(resolve("custom", "", "ECDHE+AESGCM+aRSA"), 0);
}

static void
test_order_is_the_lists(void **state)
{
	(void)state;
	assert_int_equal(resolve("", "", "ECDHE-RSA-CHACHA20-POLY1305:"
	    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"), 0);
	assert_string_equal(got.list, BOTH TCHA ", " T256 ", " T128 ", " RCHA
	    ", " R256 ", " R128);
	assert_int_equal(resolve("", "", "ECDHE+aRSA+AESGCM:@STRENGTH"), 0);
	assert_string_equal(got.list, BOTH T256 ", " T128 ", " R256 ", " R128);
	assert_int_equal(resolve("", "", "ECDHE+aRSA+AESGCM:+AES128"), 0);
	assert_string_equal(got.list, BOTH T256 ", " T128 ", " R256 ", " R128);
}

static void
test_what_comes_with_the_rest_is_told(void **state)
{
	(void)state;
	assert_int_equal(resolve("", "", "ECDHE-ECDSA-AES128-GCM-SHA256:"
	    "ECDHE-RSA-AES256-GCM-SHA384"), 0);
	same_words("extra", got.extra, "ECDHE-RSA-AES128-GCM-SHA256, "
	    "ECDHE-ECDSA-AES256-GCM-SHA384");
	/* Keywords give way instead of bringing back what was taken out. */
	assert_int_equal(resolve("", "",
	    "ECDHE+AESGCM:!ECDHE-RSA-AES128-GCM-SHA256"), 0);
	assert_null(strstr(got.list, R128));
	assert_string_equal(got.extra, "");
	assert_string_not_equal(got.dropped, "");
}

static void
test_priority_is_narrowed(void **state)
{
	(void)state;
	assert_int_equal(resolve("", "NORMAL", ""), 0);
	assert_int_equal(tls_policy_check(got.priority, why), 0);
	assert_non_null(strstr(got.dropped, "VERS-TLS1.1"));
	assert_non_null(strstr(got.dropped, "AES-128-CBC"));
	assert_non_null(strstr(got.list, T128));
	assert_non_null(strstr(got.list, R128));
	assert_int_equal(resolve("custom", "SECURE256", ""), 0);
	assert_null(strstr(got.list, T128));
	assert_int_equal(resolve("custom", "NORMAL:-VERS-TLS1.2", ""), 0);
	assert_null(strstr(got.list, "TLS1.2"));
	assert_int_equal(resolve("custom", "SECURE128:+SECURE192:"
	    "-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3", ""), 0);
	assert_int_equal(resolve("", tls_policy_default(), ""), 0);
	same_words("default", got.list, ALL_SUITES);
}

static void
test_priority_by_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"NORMAL:+VERS-TLS1.1", "NORMAL:+AES-128-CBC", "NORMAL:+SHA1",
		"NORMAL:+RSA", "NORMAL:+SIGN-RSA-SHA1", "NORMAL:+ANON-ECDH",
		"NORMAL:-VERS-ALL:+VERS-TLS1.0", "NORMAL:-CIPHER-ALL",
		"NORMAL:-VERS-ALL", "NONSENSE", "NORMAL:+NONSENSE",
		"NORMAL:-CIPHER-ALL:+3DES-CBC", "NONE",
	};
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (resolve("custom", bad[i], "") != -EINVAL || why[0] == 0)
			fail_msg("%s: %s", bad[i], why);
	}
	text = malloc(8001);
	assert_non_null(text);
	memset(text, 'A', 8000);
	text[8000] = '\0';
	assert_int_equal(resolve("custom", text, ""), -EINVAL);
	assert_int_equal(resolve("", "", text), -EINVAL);
	text[SUITE_LIST_TEXT_MAX] = '\0';
	assert_int_equal(resolve("", "", text), -EINVAL);
	free(text);
}

static void
test_fips_says_what_it_found(void **state)
{
	(void)state;
	assert_int_equal(tls_fips_judge(GNUTLS_FIPS140_STRICT, why), 0);
	assert_int_equal(tls_fips_judge(GNUTLS_FIPS140_DISABLED, why),
	    -ENOTSUP);
	assert_non_null(strstr(why, "mode is off"));
	assert_int_equal(tls_fips_judge(GNUTLS_FIPS140_LAX, why), -ENOTSUP);
	assert_non_null(strstr(why, "lax"));
	assert_int_equal(tls_fips_judge(GNUTLS_FIPS140_SELFTESTS, why),
	    -ENOTSUP);
	assert_int_equal(tls_fips_judge(99, why), -ENOTSUP);
	assert_int_equal(tls_fips_require(why),
	    gnutls_fips140_mode_enabled() == GNUTLS_FIPS140_STRICT ? 0 :
	    -ENOTSUP);
}

static void
test_short_memory_changes_nothing(void **state)
{
	unsigned long n;
	int r;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = resolve("", "", "ALL");
		if (mem_fail_nth(0) < n)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(got.list[0], 'x');
	}
	assert_int_equal(r, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_reasons_name_the_suite),
		cmocka_unit_test(test_profile_narrows_the_list),
		cmocka_unit_test(test_order_is_the_lists),
		cmocka_unit_test(test_what_comes_with_the_rest_is_told),
		cmocka_unit_test(test_priority_is_narrowed),
		cmocka_unit_test(test_priority_by_name_is_refused),
		cmocka_unit_test(test_fips_says_what_it_found),
		cmocka_unit_test(test_short_memory_changes_nothing),
	};

	return cmocka_run_group_tests_name("suites", tests, NULL, NULL);
}
