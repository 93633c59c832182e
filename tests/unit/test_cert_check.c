/* SPDX-License-Identifier: Apache-2.0 */
/* Chains, checks and descriptions of certificates that are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "cert/describe.h"

#include "../lib/certs.h"

static struct test_cert root, inter, leaf, other;
static struct cert_bundle *b, *anchors;
static struct cert_chain ch;
static struct cert_findings found;
static char why[CERT_WHY_SIZE];

static int
set_up(void **state)
{
	struct test_cert_spec spec = { .cn = "root", .ca = true };

	(void)state;
	test_cert_make(&spec, &root);
	spec.cn = "inter";
	spec.issuer = &root;
	test_cert_make(&spec, &inter);
	spec = (struct test_cert_spec){ .cn = "leaf", .issuer = &inter,
	    .dns = { "a.example.org", "*.b.example.org" },
	    .from_s = -86400, .to_s = 200 * 86400 };
	test_cert_make(&spec, &leaf);
	spec.cn = "other";
	test_cert_make(&spec, &other);
	b = anchors = NULL;
	return cert_bundle_new(&b) != 0 || cert_bundle_new(&anchors) != 0;
}

static int
tear_down(void **state)
{
	(void)state;
	cert_bundle_free(&b);
	cert_bundle_free(&anchors);
	test_cert_free(&root);
	test_cert_free(&inter);
	test_cert_free(&leaf);
	test_cert_free(&other);
	return 0;
}

static void
add(struct cert_bundle *to, const char *name, const char *pem)
{
	if (cert_bundle_add(to, name, pem, strlen(pem), NULL, why) != 0)
		fail_msg("%s", why);
}

static void
build(void)
{
	size_t n = 0;

	if (cert_chain_all(b, time(NULL), 1, why, &ch, &n) != 0)
		fail_msg("%s", why);
	assert_int_equal(n, 1);
}

static void
check(struct cert_check_spec spec)
{
	if (spec.checks == 0)
		spec.checks = CERT_CHECK_ALL;
	if (spec.now_s == 0)
		spec.now_s = time(NULL);
	assert_int_equal(cert_check(&ch, &spec, &found), 0);
}

static void
expect(size_t i, const char *what, enum cert_level level, const char *text)
{
	assert_true(i < found.n);
	assert_string_equal(found.f[i].check, what);
	assert_int_equal(found.f[i].level, level);
	if (strstr(found.f[i].text, text) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", found.f[i].text, text);
}

static void
a_whole_chain_has_no_findings(void **state)
{
	static const char *const names[] = {
		"a.example.org", "x.b.example.org", "*.b.example.org", NULL
	};

	(void)state;
	add(b, "r", root.pem);
	add(b, "i", inter.pem);
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	build();
	assert_int_equal(ch.n, 3);
	assert_true(ch.rooted);
	assert_string_equal(ch.crt[0]->from.file, "l");
	check((struct cert_check_spec){ .names = names, .strays = b,
	    .complete = true });
	if (found.n != 0)
		fail_msg("%s", found.f[0].text);
	assert_int_equal(cert_check_result(&found, why), 0);
}

static void
a_missing_issuer_is_judged_by_what_is_known(void **state)
{
	(void)state;
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	build();
	check((struct cert_check_spec){ .strays = b });
	assert_int_equal(found.n, 1);
	expect(0, "chain", CERT_WARNING, "l: certificate 1 \"leaf\"");
	expect(0, "chain", CERT_WARNING, "\"inter\"");
	check((struct cert_check_spec){ .complete = true });
	expect(0, "chain", CERT_ERROR, "missing");
	assert_int_equal(cert_check_result(&found, why), -EINVAL);
	assert_string_equal(why, found.f[0].text);
	/* The root is there, what is between is not. */
	add(b, "r", root.pem);
	build();
	check((struct cert_check_spec){ .strays = b });
	expect(0, "chain", CERT_ERROR, "missing");
	expect(1, "stray", CERT_NOTE, "not part of the chain");
}

static void
named_anchors_have_to_be_reached(void **state)
{
	(void)state;
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	build();
	add(anchors, "a", root.pem);
	check((struct cert_check_spec){ .anchors = anchors });
	expect(0, "chain", CERT_ERROR, "none of the authorities");
	add(b, "i", inter.pem);
	build();
	check((struct cert_check_spec){ .anchors = anchors });
	assert_int_equal(found.n, 0);
}

static void
dates_are_judged_at_the_given_time(void **state)
{
	int64_t now = time(NULL);

	(void)state;
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	add(b, "i", inter.pem);
	build();
	check((struct cert_check_spec){ .checks = CERT_CHECK_DATES,
	    .now_s = now - 2 * 86400 });
	expect(0, "dates", CERT_ERROR, "not valid before");
	check((struct cert_check_spec){ .checks = CERT_CHECK_DATES,
	    .now_s = now + 190 * 86400 });
	expect(0, "dates", CERT_ERROR, "expired");	/* the issuer */
	expect(1, "dates", CERT_WARNING, "expires soon");
	check((struct cert_check_spec){ .checks = CERT_CHECK_DATES,
	    .now_s = now + 300 * 86400 });
	assert_int_equal(found.errors, 2);
}

static void
a_key_without_its_certificate_is_refused(void **state)
{
	size_t n = 0;

	(void)state;
	add(b, "k", other.key_pem);
	assert_int_equal(cert_chain_all(b, 0, 1, why, &ch, &n), -ENOKEY);
	assert_non_null(strstr(why, "no certificate"));
	add(b, "l", leaf.pem);
	assert_int_equal(cert_chain_all(b, 0, 1, why, &ch, &n), -ENOKEY);
	assert_non_null(strstr(why, "k: the private key belongs to no"));
	assert_int_equal(n, 0);
	/* A second key that fits makes the first one a stray. */
	add(b, "k2", leaf.key_pem);
	assert_int_equal(cert_chain_all(b, 0, 2, why, &ch, &n), 0);
	assert_int_equal(n, 1);
}

static void
what_comes_out_as_pem_goes_in_again(void **state)
{
	struct cert_blob pem = { NULL, 0 }, key = { NULL, 0 };

	(void)state;
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	add(b, "i", inter.pem);
	build();
	assert_int_equal(cert_chain_pem(&ch, &pem), 0);
	assert_int_equal(cert_key_pem(ch.key, &key), 0);
	add(anchors, "", (char *)pem.p);
	add(anchors, "", (char *)key.p);
	assert_int_equal(anchors->certs_n, 2);
	assert_memory_equal(anchors->certs[0].sha256, ch.crt[0]->sha256, 32);
	assert_memory_equal(anchors->keys[0].id, ch.key->id, 32);
	assert_false(cert_chain_is_rsa(&ch));
	cert_blob_free(&pem);
	cert_blob_free(&key);
	cert_blob_free(&key);
}

static void
a_certificate_is_described(void **state)
{
	char colons[96], text[CERT_TIME_SIZE];
	struct cert_facts f;

	(void)state;
	add(b, "l", leaf.pem);
	assert_int_equal(cert_describe(b->certs[0].crt, &f), 0);
	assert_string_equal(f.subject.cn, "leaf");
	assert_string_equal(f.issuer.cn, "inter");
	assert_string_equal(f.subject.o, "");
	assert_string_equal(f.names, "a.example.org, *.b.example.org");
	assert_int_equal(f.names_n, 2);
	assert_string_equal(f.key, "EC/ECDSA 256 bits");
	assert_false(f.ca || f.self_signed || f.must_staple);
	assert_memory_equal(f.sha256, b->certs[0].sha256, 32);
	cert_colons(f.sha256, 32, colons);
	assert_int_equal(strlen(colons), 95);
	cert_time(0, text);
	assert_int_equal(strlen(text), 19);
	add(b, "r", root.pem);
	assert_int_equal(cert_describe(b->certs[1].crt, &f), 0);
	assert_true(f.ca && f.self_signed);
}

static void
short_memory_is_told(void **state)
{
	struct cert_check_spec spec = { .checks = CERT_CHECK_ALL };
	struct cert_blob pem = { NULL, 0 };

	(void)state;
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	build();
	mem_fail_nth(1);
	assert_int_equal(cert_check(&ch, &spec, &found), -ENOMEM);
	mem_fail_nth(1);
	assert_int_equal(cert_chain_pem(&ch, &pem), -ENOMEM);
	mem_fail_nth(1);
	assert_int_equal(cert_key_pem(ch.key, &pem), -ENOMEM);
	mem_fail_nth(0);
	assert_null(pem.p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_chain_has_no_findings),
		TEST(a_missing_issuer_is_judged_by_what_is_known),
		TEST(named_anchors_have_to_be_reached),
		TEST(dates_are_judged_at_the_given_time),
		TEST(a_key_without_its_certificate_is_refused),
		TEST(what_comes_out_as_pem_goes_in_again),
		TEST(a_certificate_is_described),
		TEST(short_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
