/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of every format, made by openssl and certtool in
 * tests/lib/cert-files.sh, go live or are refused for the reason that the
 * manifest names, in 5 seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"

#include "../lib/modules.h"
#include "../lib/under_valgrind.h"

#define FIELDS 5
#define LIMIT_MS 5000

static char *dir;
static unsigned cases;

/* So that what has no mode for reading cannot be read, also for root;
 * the files can still be removed, which is up to their directory. */
static int
obey_modes(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct caps[2] = { 0 };

	if (syscall(SYS_capget, &head, caps) != 0)
		return -1;
	caps[0].effective &= ~(1u << CAP_DAC_OVERRIDE |
	    1u << CAP_DAC_READ_SEARCH);
	return (int)syscall(SYS_capset, &head, caps);
}

static int
group_set_up(void **state)
{
	int r;

	(void)state;
	dir = modules_dir();
	r = modules_sh("PYTHON3='%s' sh '%s/tests/lib/cert-files.sh' '%s'",
	    getenv("PYTHON3"), getenv("CLEAT_SRCDIR"), dir);
	return r != 0 ? r : obey_modes();
}

static int
group_tear_down(void **state)
{
	(void)state;
	modules_remove(&dir);
	return 0;
}

static int
add(struct cert_bundle *b, const char *name, const char *password, char *why)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : dir,
	    name[0] == '/' ? "" : "/", name);
	return cert_bundle_add_file(b, path, password, why, NULL, NULL);
}

/* What cert-file and cleat-certmgr do with files; the number of certificates of
 * the first chain in *ret_n. */
static int
use(char *files, const char *password, char *why, size_t *ret_n)
{
	static const char *const names[] = { "cert.example.org", NULL };
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_ALL, .now_s = time(NULL), .names = names
	};
	struct cert_findings found;
	struct cert_bundle *b = NULL;
	struct cert_chain ch[4];
	char *at = NULL, *name;
	size_t n = 0;
	int r;

	assert_int_equal(cert_bundle_new(&b), 0);
	r = 0;
	for (name = strtok_r(files, ",", &at); r == 0 && name != NULL;
	    name = strtok_r(NULL, ",", &at))
		r = add(b, name, password, why);
	if (r == 0)
		r = cert_chain_all(b, NULL, spec.now_s, 4, why, ch, &n);
	spec.strays = b;
	spec.all = ch;
	spec.all_n = n;
	for (size_t i = 0; r == 0 && i < n; i++) {
		assert_int_equal(cert_check(&ch[i], &spec, &found), 0);
		if (found.errors > 0)
			r = cert_why(why, -EINVAL, "%s", found.f[0].text);
	}
	if (r == 0)
		*ret_n = ch[0].n;
	cert_bundle_free(&b);
	return r;
}

/* CPU time of ours: how busy the machine is does not matter, how slow valgrind
 * is would. */
static void
check_time(clock_t start, const char *name)
{
	long long ms = (long long)(clock() - start) / (CLOCKS_PER_SEC / 1000);

	if (ms > LIMIT_MS && !under_valgrind())
		fail_msg("%s took %lld ms", name, ms);
}

static void
one_case(char **f)
{
	const char *password = strcmp(f[2], "-") == 0 ? NULL : f[2];
	char why[CERT_WHY_SIZE] = "", files[512];
	clock_t start = clock();
	size_t n = 0;
	int r;

	(void)snprintf(files, sizeof(files), "%s", f[3]);
	r = use(files, password, why, &n);
	check_time(start, f[1]);
	if (strcmp(f[0], "bad") != 0) {
		if (r != 0)
			fail_msg("%s was refused: %s", f[1], why);
		if (strcmp(f[0], "chain") == 0 && n != (size_t)strtoul(f[4],
		    NULL, 10))
			fail_msg("%s has %zu certificates", f[1], n);
		return;
	}
	if (r == 0)
		fail_msg("%s was not refused", f[1]);
	if (strstr(why, f[4]) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", f[1], why, f[4]);
	assert_null(strchr(why, '\n'));
	assert_null(strstr(why, "secret"));
}

static void
every_case_of_the_manifest(void **state)
{
	char path[512], line[1024], *f[FIELDS + 1], *at;
	FILE *in;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/manifest", dir);
	in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		at = line;
		for (int i = 0; i < FIELDS; i++)
			f[i] = strsep(&at, "\t");
		assert_non_null(f[3]);
		one_case(f);
		cases++;
	}
	assert_int_equal(fclose(in), 0);
	assert_true(cases > 80);
}

static void
a_refused_file_leaves_nothing_behind(void **state)
{
	char why[CERT_WHY_SIZE];
	struct cert_bundle *b = NULL;

	(void)state;
	assert_int_equal(cert_bundle_new(&b), 0);
	assert_int_equal(add(b, "chain-P-256.pem", NULL, why), 0);
	assert_int_equal(add(b, "enc-rsa.key", "wrong", why), -EKEYREJECTED);
	assert_int_equal(add(b, "all-rsa.pfx", "p\344ss", why), -EKEYREJECTED);
	assert_non_null(strstr(why, "not UTF-8"));
	assert_int_equal(add(b, "damaged.pem", NULL, why), -EINVAL);
	assert_int_equal(add(b, "scrypt.key", "secret", why), -ENOTSUP);
	assert_int_equal(add(b, "count.pk8", "secret", why), -E2BIG);
	assert_int_equal(b->certs_n, 2);
	assert_int_equal(b->keys_n, 0);
	assert_int_equal(b->files_n, 1);
	assert_int_equal(add(b, "chain-P-256.pem", NULL, why), 0);
	assert_int_equal(b->certs_n, 2);
	assert_int_equal(b->duplicates, 2);
	cert_bundle_free(&b);
	cert_bundle_free(&b);
}

static void
more_files_than_the_limit_are_refused(void **state)
{
	char why[CERT_WHY_SIZE];
	struct cert_bundle *b = NULL;

	(void)state;
	assert_int_equal(cert_bundle_new(&b), 0);
	for (int i = 0; i < CERT_BUNDLE_FILES; i++)
		assert_int_equal(add(b, "leaf-P-256.key", NULL, why), 0);
	assert_int_equal(add(b, "leaf-P-256.key", NULL, why), -E2BIG);
	assert_int_equal(b->keys_n, 1);
	cert_bundle_free(&b);
}

static void
short_memory_is_told_and_nothing_leaks(void **state)
{
	char why[CERT_WHY_SIZE];
	struct cert_bundle *b;
	int r = -ENOMEM;

	(void)state;
	for (unsigned long n = 1; r != 0; n++) {
		b = NULL;
		mem_fail_nth(n);
		r = cert_bundle_new(&b);
		if (r == 0)
			r = add(b, "utf16.pem", NULL, why);
		mem_fail_nth(0);
		if (r != 0)
			assert_int_equal(r, -ENOMEM);
		cert_bundle_free(&b);
		assert_true(n < 100);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_of_the_manifest),
		cmocka_unit_test(a_refused_file_leaves_nothing_behind),
		cmocka_unit_test(more_files_than_the_limit_are_refused),
		cmocka_unit_test(short_memory_is_told_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
