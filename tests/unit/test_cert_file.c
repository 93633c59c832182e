/* SPDX-License-Identifier: Apache-2.0 */
/* The cert-file plugin against a fake host, with certificates made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "cert/bundle.h"

#include "../lib/certs.h"
#include "../lib/fakehost.h"
#include "../lib/modules.h"

extern const struct cleat_plugin cleat_plugin;

static struct fakehost *host;
static void *inst;
static char *dir;
static struct test_cert first, second;

static int
set_up(void **state)
{
	struct test_cert_spec spec = { .cn = "a", .dns = { "a.example.org" },
	    .from_s = -3600, .to_s = 864000 };

	(void)state;
	inst = NULL;
	dir = modules_dir();
	host = fakehost_new("cert", dir, cleat_plugin.opts);
	fakehost_slot(host, "main", "a.example.org");
	/* Certificates are made for now. */
	fakehost_jump(host, (int64_t)time(NULL) * 1000 -
	    fakehost_table()->wall_ms(fakehost_self(host)));
	test_cert_make(&spec, &first);
	test_cert_make(&spec, &second);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (inst != NULL) {
		cleat_plugin.life->stop(inst);
		cleat_plugin.life->close(inst);
	}
	fakehost_free(&host);
	test_cert_free(&first);
	test_cert_free(&second);
	modules_remove(&dir);
	return 0;
}

static void
put(const char *name, const char *text)
{
	char path[256], tmp[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(tmp, sizeof(tmp), "%s/new", dir);
	f = fopen(tmp, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, path), 0);
}

static void
files(const struct test_cert *c)
{
	put("chain.pem", c->pem);
	put("key.pem", c->key_pem);
}

static void
options(const char *chain, const char *key)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, chain);
	fakehost_opt(host, "chain", path);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, key);
	fakehost_opt(host, "key", path);
}

static void
options_chain(const char *chain)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, chain);
	fakehost_opt(host, "chain", path);
}

static int
begin(void)
{
	int err;

	err = cleat_plugin.life->open(fakehost_self(host), fakehost_table(),
	    &inst);
	if (err < 0) {
		inst = NULL;
		return err;
	}
	err = cleat_plugin.life->start(inst);
	if (err < 0) {
		cleat_plugin.life->close(inst);
		inst = NULL;
	}
	return err;
}

static void
files_are_published_at_start(void **state)
{
	(void)state;
	files(&first);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	assert_int_equal(fakehost_published(host), 1);
	assert_string_equal(fakehost_chain(host)->p, first.pem);
	assert_string_equal(fakehost_key(host)->p, first.key_pem);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 0);
}

static void
a_changed_pair_is_published_when_it_rests(void **state)
{
	(void)state;
	files(&first);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	fakehost_tick(host, 60000);
	assert_int_equal(fakehost_published(host), 1);
	put("chain.pem", second.pem);
	fakehost_tick(host, 15100);	/* seen, not at rest yet */
	put("key.pem", second.key_pem);
	fakehost_tick(host, 1000);	/* changed again */
	assert_int_equal(fakehost_failed(host), 0);
	assert_int_equal(fakehost_published(host), 1);
	fakehost_tick(host, 1000);
	assert_int_equal(fakehost_published(host), 2);
	assert_string_equal(fakehost_chain(host)->p, second.pem);
	fakehost_tick(host, 60000);
	assert_int_equal(fakehost_published(host), 2);
}

static void
a_pair_that_does_not_fit_is_said_and_tried_again(void **state)
{
	(void)state;
	files(&first);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	put("chain.pem", second.pem);
	fakehost_tick(host, 20000);
	assert_int_equal(fakehost_failed(host), 1);
	assert_non_null(strstr(fakehost_why(host), "belongs to no"));
	fakehost_tick(host, 60000);
	assert_int_equal(fakehost_failed(host), 1);	/* said once */
	put("key.pem", second.key_pem);
	fakehost_tick(host, 20000);
	assert_int_equal(fakehost_published(host), 2);
}

static void
what_was_refused_is_tried_again_after_an_hour(void **state)
{
	(void)state;
	files(&first);
	fakehost_slot(host, "other", "a.example.org");
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	assert_int_equal(fakehost_published(host), 2);
	fakehost_publish_error(host, -EINVAL);
	files(&second);
	fakehost_tick(host, 20000);
	assert_int_equal(fakehost_published(host), 2);
	fakehost_publish_error(host, 0);
	fakehost_tick(host, 1800000);
	assert_int_equal(fakehost_published(host), 2);
	fakehost_tick(host, 1900000);
	assert_int_equal(fakehost_published(host), 4);
}

static void
files_that_cannot_be_used_fail_the_start(void **state)
{
	static const char *const bad[][2] = {
		{ "missing.pem", "No such file" },
		{ ".", "is a directory" },
		{ "fifo", "is not a regular file" },
		{ "empty", "is empty" },
		{ "big", "larger than 16 MiB" },
		{ "text", "neither" },
	};
	char path[256];

	(void)state;
	files(&first);
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	put("empty", "");
	put("text", "nothing of the kind\n");
	(void)snprintf(path, sizeof(path), "%s/big", dir);
	put("big", "x");
	assert_int_equal(truncate(path, 16 * 1024 * 1024 + 1), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options(bad[i][0], "key.pem");
		assert_true(begin() < 0);
		if (strstr(fakehost_why(host), bad[i][1]) == NULL)
			fail_msg("%s: %s", bad[i][0], fakehost_why(host));
	}
	options("chain.pem", "text");
	assert_true(begin() < 0);
	assert_non_null(strstr(fakehost_why(host), "private key"));
	fakehost_opt(host, "key", NULL);
	options_chain("cut");
	put("cut", "-----BEGIN CERTIFICATE-----\nMIIB");
	assert_int_equal(begin(), -EINVAL);
	assert_non_null(strstr(fakehost_why(host), "cut"));
	fakehost_opt(host, "chain", NULL);
	fakehost_opt(host, "self_signed", "no");
	assert_int_equal(begin(), -EINVAL);
}

static void
a_key_that_everybody_may_read_is_warned_of(void **state)
{
	char path[256];

	(void)state;
	files(&first);
	(void)snprintf(path, sizeof(path), "%s/key.pem", dir);
	assert_int_equal(chmod(path, 0644), 0);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 1);
}

static gnutls_x509_crt_t
published(void)
{
	gnutls_datum_t d = { (unsigned char *)fakehost_chain(host)->p,
	    (unsigned)fakehost_chain(host)->n };
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &d,
	    GNUTLS_X509_FMT_PEM), 0);
	return crt;
}

static void
without_files_it_signs_its_own(void **state)
{
	static const char *const names[] = {
		"localhost", "127.0.0.1", "::1", "a.example.org",
		"x.wild.example.org"
	};
	gnutls_x509_crt_t crt;
	struct stat st;
	unsigned critical;
	char path[256];

	(void)state;
	fakehost_slot(host, "wild", "*.wild.example.org");
	assert_int_equal(begin(), 0);
	assert_int_equal(fakehost_published(host), 2);
	crt = published();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(gnutls_x509_crt_check_hostname(crt, names[i]));
	assert_false(gnutls_x509_crt_check_hostname(crt, "b.example.org"));
	assert_int_equal(gnutls_x509_crt_get_ca_status(crt, &critical), 0);
	assert_int_equal(gnutls_x509_crt_get_pk_algorithm(crt, NULL),
	    GNUTLS_PK_ECDSA);
	assert_int_equal(gnutls_x509_crt_check_issuer(crt, crt), 1);
	gnutls_x509_crt_deinit(crt);
	(void)snprintf(path, sizeof(path), "%s/self-signed.pem", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
its_own_certificate_is_kept_while_it_is_good(void **state)
{
	char *before;

	(void)state;
	assert_int_equal(begin(), 0);
	before = strdup(fakehost_chain(host)->p);
	assert_non_null(before);
	cleat_plugin.life->stop(inst);
	cleat_plugin.life->close(inst);
	assert_int_equal(begin(), 0);
	assert_string_equal(fakehost_chain(host)->p, before);
	/* A name that is not in it makes another. */
	fakehost_slot(host, "new", "new.example.org");
	((const struct cleat_cert_source_ops *)cleat_plugin.ops)->refresh(inst,
	    "new");
	assert_string_not_equal(fakehost_chain(host)->p, before);
	free(before);
}

static void
a_reload_looks_at_the_files_first(void **state)
{
	void *staged = NULL;

	(void)state;
	files(&first);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	options("missing.pem", "key.pem");
	assert_int_equal(cleat_plugin.life->prepare(inst, NULL, &staged),
	    -ENOENT);
	assert_non_null(strstr(fakehost_last_log(host), "missing.pem"));
	options("chain.pem", "key.pem");
	files(&second);
	assert_int_equal(cleat_plugin.life->prepare(inst, NULL, &staged), 0);
	assert_int_equal(fakehost_published(host), 1);
	cleat_plugin.life->discard(inst, staged);
	assert_int_equal(fakehost_published(host), 1);
	assert_int_equal(cleat_plugin.life->prepare(inst, NULL, &staged), 0);
	cleat_plugin.life->commit(inst, staged);
	assert_int_equal(fakehost_published(host), 2);
	assert_string_equal(fakehost_chain(host)->p, second.pem);
}

static void
a_key_may_be_in_the_same_file(void **state)
{
	char *all;

	(void)state;
	all = malloc(first.key_n + first.pem_n + 1);
	assert_non_null(all);
	memcpy(all, first.key_pem, first.key_n);
	memcpy(all + first.key_n, first.pem, first.pem_n + 1);
	put("all.pem", all);
	free(all);
	options_chain("all.pem");
	assert_int_equal(begin(), 0);
	assert_string_equal(fakehost_chain(host)->p, first.pem);
}

static void
of_a_directory_the_newest_is_taken(void **state)
{
	struct test_cert_spec spec = { .cn = "b", .dns = { "a.example.org" },
	    .from_s = -60, .to_s = 7200 };
	struct test_cert newer, later;

	(void)state;
	test_cert_make(&spec, &newer);
	spec.from_s = 3600;
	test_cert_make(&spec, &later);
	put("1.crt", first.pem);
	put("1.key", first.key_pem);
	put("2.crt", newer.pem);
	put("2.key", newer.key_pem);
	put("3.crt", later.pem);	/* not valid yet */
	put("3.key", later.key_pem);
	put("README", "nothing of the kind\n");
	fakehost_opt(host, "directory", dir);
	assert_int_equal(begin(), 0);
	assert_string_equal(fakehost_chain(host)->p, newer.pem);
	assert_int_equal(fakehost_published(host), 1);
	fakehost_opt(host, "choose", "subject=a");
	cleat_plugin.life->stop(inst);
	cleat_plugin.life->close(inst);
	assert_int_equal(begin(), 0);
	assert_string_equal(fakehost_chain(host)->p, first.pem);
	test_cert_free(&newer);
	test_cert_free(&later);
}

static void
what_a_limit_keeps_out_is_the_oldest_and_told(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 },
	    { .tv_sec = 1000 } };
	char name[32], path[256];

	(void)state;
	/* Each is a file of the bundle, though the same certificate. */
	for (int i = 0; i < CERT_BUNDLE_FILES + 1; i++) {
		(void)snprintf(name, sizeof(name), "%d.pem", i);
		put(name, second.pem);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	}
	put("zz.pem", first.pem);
	put("zz.key", first.key_pem);
	fakehost_opt(host, "directory", dir);
	assert_int_equal(begin(), 0);
	assert_string_equal(fakehost_chain(host)->p, first.pem);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 3);
}

static void
thumbprints_choose_however_they_were_copied(void **state)
{
	gnutls_datum_t d;
	gnutls_x509_crt_t crt;
	unsigned char hash[32];
	char text[128];
	size_t n;

	(void)state;
	put("1.crt", first.pem);
	put("1.key", first.key_pem);
	put("2.crt", second.pem);
	put("2.key", second.key_pem);
	fakehost_opt(host, "directory", dir);
	d.data = (unsigned char *)second.pem;
	d.size = (unsigned)second.pem_n;
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM),
	    0);
	for (size_t i = 0; i < 6; i++) {
		n = sizeof(hash);
		assert_int_equal(gnutls_x509_crt_get_fingerprint(crt, i % 2 ?
		    GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256, hash, &n), 0);
		(void)snprintf(text, sizeof(text), "\xe2\x80\x8e");
		for (size_t k = 0; k < n; k++)
			(void)snprintf(text + strlen(text), 8,
			    i < 2 ? "%02x" : i < 4 ? "%02X " : "%02X:",
			    hash[k]);
		fakehost_opt(host, "choose", text);
		assert_int_equal(begin(), 0);
		assert_string_equal(fakehost_chain(host)->p, second.pem);
		cleat_plugin.life->stop(inst);
		cleat_plugin.life->close(inst);
		inst = NULL;
	}
	gnutls_x509_crt_deinit(crt);
	fakehost_opt(host, "choose",
	    "00112233445566778899aabbccddeeff00112233");
	assert_int_equal(begin(), -ENOKEY);
	assert_non_null(strstr(fakehost_why(host), "matches"));
	fakehost_opt(host, "choose", "0011");
	assert_int_equal(begin(), -EINVAL);
}

static void
kinds_of_keys_stand_side_by_side(void **state)
{
	struct test_cert_spec spec = { .cn = "r", .dns = { "a.example.org" },
	    .key = TEST_KEY_RSA };
	struct test_cert rsa;
	char text[600];

	(void)state;
	test_cert_make(&spec, &rsa);
	files(&first);
	put("rsa.crt", rsa.pem);
	put("rsa.key", rsa.key_pem);
	(void)snprintf(text, sizeof(text), "%s/chain.pem,%s/rsa.crt", dir, dir);
	fakehost_opt(host, "chain", text);
	(void)snprintf(text, sizeof(text), "%s/rsa.key,%s/key.pem", dir, dir);
	fakehost_opt(host, "key", text);
	assert_int_equal(begin(), 0);
	assert_int_equal(fakehost_published(host), 2);
	assert_int_equal(fakehost_flags(host), CLEAT_CRED_BESIDE);
	assert_string_equal(fakehost_chain(host)->p, rsa.pem);
	/* One that goes is told. */
	files(&first);
	put("rsa.crt", first.pem);
	put("rsa.key", first.key_pem);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 0);
	((const struct cleat_cert_source_ops *)cleat_plugin.ops)->refresh(inst,
	    "main");
	assert_int_equal(fakehost_published(host), 3);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 1);
	test_cert_free(&rsa);
}

static void
what_a_slot_cannot_use_is_refused_with_each_reason(void **state)
{
	struct test_cert_spec spec = { .cn = "x", .dns = { "other.org" },
	    .from_s = -7200, .to_s = -3600 };
	struct test_cert bad;

	(void)state;
	test_cert_make(&spec, &bad);
	files(&bad);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), -EINVAL);
	assert_int_equal(fakehost_failed(host), 1);
	assert_non_null(strstr(fakehost_why(host), "expired"));
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_WARNING), 1);
	test_cert_free(&bad);
}

static void
a_chain_is_not_replaced_by_one_without_issuers(void **state)
{
	struct test_cert_spec spec = { .cn = "ca", .ca = true };
	struct test_cert ca, leaf;
	char *both;

	(void)state;
	test_cert_make(&spec, &ca);
	spec = (struct test_cert_spec){ .cn = "l", .issuer = &ca,
	    .dns = { "a.example.org" } };
	test_cert_make(&spec, &leaf);
	both = test_cert_join(&leaf, &ca);
	put("chain.pem", both);
	put("key.pem", leaf.key_pem);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	put("chain.pem", leaf.pem);
	fakehost_tick(host, 20000);
	assert_int_equal(fakehost_published(host), 1);
	assert_int_equal(fakehost_failed(host), 1);
	assert_non_null(strstr(fakehost_why(host), "missing"));
	free(both);
	test_cert_free(&leaf);
	test_cert_free(&ca);
}

static void
a_change_is_noticed_at_once(void **state)
{
	(void)state;
	files(&first);
	options("chain.pem", "key.pem");
	assert_int_equal(begin(), 0);
	files(&second);
	assert_true(fakehost_poll(host, 5000));
	fakehost_tick(host, 1100);
	assert_int_equal(fakehost_published(host), 2);
	assert_string_equal(fakehost_chain(host)->p, second.pem);
}

static void
its_own_certificate_is_renewed_in_time(void **state)
{
	const uint64_t day = 86400000;
	char *before;

	(void)state;
	assert_int_equal(begin(), 0);
	before = strdup(fakehost_chain(host)->p);
	assert_non_null(before);
	fakehost_opt(host, "poll", "3600s");
	cleat_plugin.life->stop(inst);
	cleat_plugin.life->close(inst);
	assert_int_equal(begin(), 0);
	fakehost_tick(host, 5 * day);
	assert_string_equal(fakehost_chain(host)->p, before);
	fakehost_jump(host, 3618 * (int64_t)day);
	fakehost_tick(host, 4 * 3600000);
	assert_string_not_equal(fakehost_chain(host)->p, before);
	free(before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_published_at_start),
		TEST(a_changed_pair_is_published_when_it_rests),
		TEST(a_pair_that_does_not_fit_is_said_and_tried_again),
		TEST(what_was_refused_is_tried_again_after_an_hour),
		TEST(files_that_cannot_be_used_fail_the_start),
		TEST(a_key_that_everybody_may_read_is_warned_of),
		TEST(without_files_it_signs_its_own),
		TEST(its_own_certificate_is_kept_while_it_is_good),
		TEST(a_reload_looks_at_the_files_first),
		TEST(a_key_may_be_in_the_same_file),
		TEST(of_a_directory_the_newest_is_taken),
		TEST(what_a_limit_keeps_out_is_the_oldest_and_told),
		TEST(thumbprints_choose_however_they_were_copied),
		TEST(kinds_of_keys_stand_side_by_side),
		TEST(what_a_slot_cannot_use_is_refused_with_each_reason),
		TEST(a_chain_is_not_replaced_by_one_without_issuers),
		TEST(a_change_is_noticed_at_once),
		TEST(its_own_certificate_is_renewed_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
