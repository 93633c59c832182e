/* SPDX-License-Identifier: Apache-2.0 */
/* The cert-file plugin against a fake host, with certificates made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

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
	struct test_cert_spec spec = { .cn = "a", .dns = { "a.example.org" } };

	(void)state;
	inst = NULL;
	dir = modules_dir();
	host = fakehost_new("cert", dir, cleat_plugin.opts);
	fakehost_slot(host, "main", "a.example.org");
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
	fakehost_slot(host, "other", "x");
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
		{ ".", "is not a regular file" },
		{ "fifo", "is not a regular file" },
		{ "empty", "is empty" },
		{ "big", "larger than 1 MiB" },
		{ "text", "cannot be read" },
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
	assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
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
	assert_int_equal(begin(), -EINVAL);
	assert_int_equal(fakehost_logged(host, CLEAT_LOG_ERROR), 1);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
