/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are made here pass the checks that are made of all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cert/check.h"
#include "cert/describe.h"
#include "cert/make.h"

#define DAY_S 86400

static const char *const names[] = {
	"a.example.org", "*.b.example.org", "127.0.0.1", "::1",
	"urn:x:device:1", NULL
};

static struct cert_blob crt, key, other;
static struct cert_bundle *ca, *b;
static struct cert_chain by, ch;
static char why[CERT_WHY_SIZE];

static void
add(struct cert_bundle *to, const struct cert_blob *blob, const char *password)
{
	if (cert_bundle_add(to, "x", blob->p, blob->n, password, why) != 0)
		fail_msg("%s", why);
}

static struct cert_make_spec
spec_of(enum cert_make_kind kind)
{
	int64_t now = time(NULL);

	return (struct cert_make_spec){ .kind = kind, .cn = "a.example.org",
	    .o = "Org", .ou = "Unit", .names = kind == CERT_MAKE_CA ? NULL :
	    names, .from_s = now - DAY_S, .to_s = now + 200 * DAY_S };
}

static void
make(const struct cert_make_spec *spec, const char *password)
{
	cert_blob_free(&crt);
	cert_blob_free(&key);
	if (cert_make(spec, password, why, &crt, &key) != 0)
		fail_msg("%s", why);
}

static int
set_up(void **state)
{
	struct cert_make_spec spec = spec_of(CERT_MAKE_CA);

	(void)state;
	spec.cn = "Authority";
	if (cert_bundle_new(&ca) != 0 || cert_bundle_new(&b) != 0)
		return -1;
	make(&spec, NULL);
	add(ca, &crt, NULL);
	add(ca, &key, NULL);
	return cert_chain_build(ca, NULL, &ca->keys[0], time(NULL), why, &by);
}

static int
tear_down(void **state)
{
	(void)state;
	cert_blob_free(&crt);
	cert_blob_free(&key);
	cert_blob_free(&other);
	cert_bundle_free(&ca);
	cert_bundle_free(&b);
	return 0;
}

static void
check(const struct cert_bundle *anchors, bool client, const char *const *want)
{
	struct cert_check_spec spec = { .checks = CERT_CHECK_ALL,
	    .now_s = time(NULL), .names = want, .anchors = anchors,
	    .client = client };
	struct cert_findings found;

	assert_int_equal(cert_chain_build(b, NULL, &b->keys[0], time(NULL), why,
	    &ch), 0);
	assert_int_equal(cert_check(&ch, &spec, &found), 0);
	if (found.errors + found.warnings != 0)
		fail_msg("%s", found.f[0].text);
}

static void
a_self_signed_one_is_a_good_server(void **state)
{
	static const char *const want[] = { "a.example.org", "x.b.example.org",
	    "127.0.0.1", "::1", NULL };
	struct cert_make_spec spec = spec_of(CERT_MAKE_SELF);
	struct cert_facts f;

	(void)state;
	make(&spec, NULL);
	add(b, &crt, NULL);
	add(b, &key, NULL);
	check(NULL, false, want);
	assert_int_equal(cert_describe(ch.crt[0]->crt, &f), 0);
	assert_true(f.self_signed);
	assert_false(f.ca);
	assert_string_equal(f.subject.cn, "a.example.org");
	assert_string_equal(f.subject.o, "Org");
	assert_string_equal(f.subject.ou, "Unit");
	assert_string_equal(f.names, "a.example.org, *.b.example.org, "
	    "127.0.0.1, ::1, urn:x:device:1");
	assert_int_equal(strlen(f.serial), 2 * CERT_SERIAL_N);
}

static void
what_the_authority_issues_leads_to_it(void **state)
{
	static const char *const want[] = { "a.example.org", "::1", NULL };
	struct cert_make_spec spec = spec_of(CERT_MAKE_SERVER);

	(void)state;
	spec.issuer = &by;
	make(&spec, NULL);
	add(b, &crt, NULL);
	add(b, &key, NULL);
	check(ca, false, want);
	cert_bundle_free(&b);
	assert_int_equal(cert_bundle_new(&b), 0);
	spec.kind = CERT_MAKE_CLIENT;
	make(&spec, NULL);
	add(b, &crt, NULL);
	add(b, &key, NULL);
	check(ca, true, NULL);
}

static void
an_encrypted_key_needs_its_password(void **state)
{
	struct cert_make_spec spec = spec_of(CERT_MAKE_SELF);

	(void)state;
	make(&spec, "secret");
	assert_non_null(strstr((char *)key.p, "ENCRYPTED"));
	assert_int_equal(cert_bundle_add(b, "x", key.p, key.n, "other", why),
	    -EKEYREJECTED);
	add(b, &key, "secret");
}

static void
a_pkcs12_has_all_of_it(void **state)
{
	struct cert_make_spec spec = spec_of(CERT_MAKE_CLIENT);

	(void)state;
	spec.issuer = &by;
	make(&spec, NULL);
	add(ca, &crt, NULL);
	add(ca, &key, NULL);
	assert_int_equal(cert_chain_build(ca, NULL, &ca->keys[1], time(NULL),
	    why, &ch), 0);
	assert_int_equal(cert_make_pkcs12(&ch, "secret", "friend", why,
	    &other), 0);
	assert_int_equal(cert_bundle_add(b, "x", other.p, other.n, "wrong",
	    why), -EKEYREJECTED);
	add(b, &other, "secret");
	assert_int_equal(b->certs_n, 2);
	assert_int_equal(b->keys_n, 1);
}

static void
a_list_of_revoked_ones_is_made(void **state)
{
	const struct cert_revoked list[] = {
		{ .serial = { 0x41, 1 }, .serial_n = 2, .when_s = 1000000000 },
		{ .serial = { 0x42, 2 }, .serial_n = 2, .when_s = 1000000001 }
	};

	(void)state;
	assert_int_equal(cert_make_crl(&by, list, 2, 7, time(NULL),
	    time(NULL) + DAY_S, why, &other), 0);
	assert_non_null(strstr((char *)other.p, "BEGIN X509 CRL"));
}

static void
names_are_cut_between_characters(void **state)
{
	struct cert_make_spec spec = spec_of(CERT_MAKE_SELF);
	struct cert_facts f;

	(void)state;
	spec.cn = "0123456789012345678901234567890123456789"
	    "01234567890123456789012\xc3\xa4";
	make(&spec, NULL);
	add(b, &crt, NULL);
	assert_int_equal(cert_describe(b->certs[0].crt, &f), 0);
	assert_int_equal(strlen(f.subject.cn), 63);
}

static void
short_memory_leaves_nothing_half_made(void **state)
{
	struct cert_make_spec spec = spec_of(CERT_MAKE_SELF);
	struct cert_blob c = { NULL, 0 }, k = { NULL, 0 };
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		assert_null(c.p);
		assert_null(k.p);
		mem_fail_nth(++n);
		r = cert_make(&spec, NULL, why, &c, &k);
		mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	} while (r != 0 && n < 100);
	assert_int_equal(r, 0);
	assert_true(n > 2);
	cert_blob_free(&c);
	cert_blob_free(&k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_self_signed_one_is_a_good_server),
		TEST(what_the_authority_issues_leads_to_it),
		TEST(an_encrypted_key_needs_its_password),
		TEST(a_pkcs12_has_all_of_it),
		TEST(a_list_of_revoked_ones_is_made),
		TEST(names_are_cut_between_characters),
		TEST(short_memory_leaves_nothing_half_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
