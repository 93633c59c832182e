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
#include "cert/choose.h"
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

	if (cert_chain_all(b, anchors->certs_n > 0 ? anchors : NULL,
	    time(NULL), 1, why, &ch, &n) != 0)
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
	assert_int_equal(found.errors, 0);
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
	assert_int_equal(found.errors, 1);
	assert_int_equal(found.f[0].level, CERT_ERROR);
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

/* `name` with the key of `of`, signed by `by`. */
static void
cross(const char *name, const struct test_cert *of, const struct test_cert *by,
    int64_t to_s, struct test_cert *ret)
{
	struct test_cert_spec spec = { .cn = name, .ca = true, .issuer = by,
	    .key_of = of, .from_s = -40 * 86400, .to_s = to_s };

	test_cert_make(&spec, ret);
}

static void
of_cross_signed_ways_the_one_that_can_be_used_is_taken(void **state)
{
	struct test_cert_spec spec = { .cn = "root2", .ca = true };
	struct test_cert root2, later;

	(void)state;
	test_cert_make(&spec, &root2);
	cross("inter", &inter, &root2, 900 * 86400, &later);
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	add(b, "i", inter.pem);
	add(b, "x", later.pem);
	build();
	assert_string_equal(ch.crt[1]->from.file, "x");
	add(anchors, "a", root.pem);
	build();
	assert_string_equal(ch.crt[1]->from.file, "i");
	assert_true(ch.anchored);
	check((struct cert_check_spec){ .anchors = anchors });
	assert_int_equal(found.errors, 0);
	/* A root decides when nothing was named. */
	cert_bundle_free(&anchors);
	assert_int_equal(cert_bundle_new(&anchors), 0);
	add(b, "r", root.pem);
	build();
	assert_string_equal(ch.crt[1]->from.file, "i");
	assert_int_equal(ch.n, 3);
	test_cert_free(&root2);
	test_cert_free(&later);
}

static void
an_expired_way_is_not_taken(void **state)
{
	struct test_cert_spec spec = { .cn = "root2", .ca = true };
	struct test_cert root2, old;

	(void)state;
	test_cert_make(&spec, &root2);
	cross("root", &root, &root2, -86400, &old);
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	add(b, "i", inter.pem);
	add(b, "o", old.pem);
	add(b, "2", root2.pem);
	add(b, "r", root.pem);
	build();
	assert_int_equal(ch.n, 3);
	assert_string_equal(ch.crt[2]->from.file, "r");
	check((struct cert_check_spec){ .now_s = 0 });
	assert_int_equal(found.errors, 0);
	test_cert_free(&root2);
	test_cert_free(&old);
}

static void
what_names_itself_has_to_have_signed_itself(void **state)
{
	struct test_cert_spec spec = { .cn = "self", .no_key_ids = true,
	    .dns = { "a.example.org" } };
	struct test_cert signer, self;

	(void)state;
	test_cert_make(&spec, &signer);
	spec.issuer = &signer;
	test_cert_make(&spec, &self);
	add(b, "k", self.key_pem);
	add(b, "s", self.pem);
	build();
	assert_true(ch.rooted);
	check((struct cert_check_spec){ .checks = CERT_CHECK_CHAIN });
	expect(0, "chain", CERT_ERROR, "has not signed itself");
	test_cert_free(&signer);
	test_cert_free(&self);
}

static void
an_issuer_that_ends_soon_is_told(void **state)
{
	struct test_cert_spec spec = { .cn = "inter", .ca = true,
	    .issuer = &root, .key_of = &inter, .from_s = -100 * 86400,
	    .to_s = 2 * 86400 };
	struct test_cert soon;

	(void)state;
	test_cert_make(&spec, &soon);
	add(b, "k", leaf.key_pem);
	add(b, "l", leaf.pem);
	add(b, "i", soon.pem);
	build();
	check((struct cert_check_spec){ .checks = CERT_CHECK_DATES });
	expect(0, "dates", CERT_WARNING, "i: certificate 1 \"inter\" expires");
	test_cert_free(&soon);
}

static void
names_are_taken_as_people_write_them(void **state)
{
	static const char *const names[] = { "A.example.org.", "[127.0.0.1]",
	    "*.B.example.org", NULL };
	struct test_cert_spec spec = { .cn = "n", .ip = { 127, 0, 0, 1 },
	    .dns = { "a.example.org", "*.b.example.org" } };
	struct test_cert n;

	(void)state;
	test_cert_make(&spec, &n);
	add(b, "k", n.key_pem);
	add(b, "n", n.pem);
	build();
	check((struct cert_check_spec){ .checks = CERT_CHECK_NAMES,
	    .names = names });
	if (found.n != 0)
		fail_msg("%s", found.f[0].text);
	test_cert_free(&n);
}

static void
of_two_of_a_kind_one_is_chosen_and_the_other_told(void **state)
{
	struct test_cert_spec spec = { .cn = "newer", .issuer = &inter,
	    .dns = { "a.example.org" }, .from_s = -3600, .to_s = 8640000 };
	struct cert_choice choice[CERT_KINDS];
	struct cert_choose_spec by;
	struct cert_chain all[4];
	struct test_cert newer, rsa;
	size_t n = 0;

	(void)state;
	test_cert_make(&spec, &newer);
	spec.key = TEST_KEY_RSA;
	test_cert_make(&spec, &rsa);
	add(b, "l", leaf.pem);
	add(b, "lk", leaf.key_pem);
	add(b, "n", newer.pem);
	add(b, "nk", newer.key_pem);
	add(b, "r", rsa.pem);
	add(b, "rk", rsa.key_pem);
	add(b, "i", inter.pem);
	assert_int_equal(cert_chain_all(b, NULL, time(NULL), 4, why, all, &n),
	    0);
	assert_int_equal(n, 3);
	by = (struct cert_choose_spec){ .check = { .checks = CERT_CHECK_ALL,
	    .now_s = time(NULL), .strays = b, .all = all, .all_n = n } };
	assert_int_equal(cert_choose(all, n, &by, choice), 0);
	assert_string_equal(choice[CERT_KIND_OTHER].chain->crt[0]->from.file,
	    "n");
	assert_string_equal(choice[CERT_KIND_RSA].chain->crt[0]->from.file,
	    "r");
	found = choice[CERT_KIND_OTHER].found;
	assert_int_equal(found.errors, 0);
	expect(0, "stray", CERT_WARNING, "l: certificate 1 \"leaf\" has its "
	    "private key, but is left out");
	assert_int_equal(choice[CERT_KIND_RSA].found.n, 0);
	mem_fail_nth(1);
	assert_int_equal(cert_choose(all, n, &by, choice), -ENOMEM);
	mem_fail_nth(0);
	test_cert_free(&newer);
	test_cert_free(&rsa);
}

static void
the_worst_is_kept_when_there_is_no_room(void **state)
{
	(void)state;
	add(b, "l", leaf.pem);
	memset(&found, 0, sizeof(found));
	for (int i = 0; i < CERT_FINDINGS_MAX + 3; i++)
		cert_found(&found, "stray", CERT_NOTE, &b->certs[0], "%d", i);
	cert_found(&found, "chain", CERT_ERROR, &b->certs[0], "bad");
	cert_found(&found, "chain", CERT_WARNING, &b->certs[0], "so so");
	assert_int_equal(found.n, CERT_FINDINGS_MAX);
	expect(0, "chain", CERT_ERROR, "bad");
	expect(1, "chain", CERT_WARNING, "so so");
	expect(2, "stray", CERT_NOTE, " 0");
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
	assert_int_equal(cert_chain_all(b, NULL, 0, 1, why, &ch, &n), -ENOKEY);
	assert_non_null(strstr(why, "no certificate"));
	add(b, "l", leaf.pem);
	assert_int_equal(cert_chain_all(b, NULL, 0, 1, why, &ch, &n), -ENOKEY);
	assert_non_null(strstr(why, "k: the private key belongs to no"));
	assert_int_equal(n, 0);
	/* A second key that fits makes the first one a stray. */
	add(b, "k2", leaf.key_pem);
	assert_int_equal(cert_chain_all(b, NULL, 0, 2, why, &ch, &n), 0);
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
	char text[CERT_TIME_SIZE];
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
		TEST(of_cross_signed_ways_the_one_that_can_be_used_is_taken),
		TEST(an_expired_way_is_not_taken),
		TEST(what_names_itself_has_to_have_signed_itself),
		TEST(an_issuer_that_ends_soon_is_told),
		TEST(names_are_taken_as_people_write_them),
		TEST(of_two_of_a_kind_one_is_chosen_and_the_other_told),
		TEST(the_worst_is_kept_when_there_is_no_room),
		TEST(dates_are_judged_at_the_given_time),
		TEST(a_key_without_its_certificate_is_refused),
		TEST(what_comes_out_as_pem_goes_in_again),
		TEST(a_certificate_is_described),
		TEST(short_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
