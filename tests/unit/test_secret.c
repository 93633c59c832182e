/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/tmpdir.h"
#include "tls/snapshot.h"

#define PLANTED "hunter2-planted"

static char dir[256], key[300], file[300], value[320], why[TLS_WHY_SIZE];

static int
set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", tmpdir_make());
	(void)snprintf(key, sizeof(key), "%s/secret.key", dir);
	(void)snprintf(file, sizeof(file), "%s/file", dir);
	(void)snprintf(value, sizeof(value), "file:%s", file);
	why[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_null(strstr(why, PLANTED));
	tmpdir_remove();
	return 0;
}

static void
put(const char *path, const void *p, size_t n, unsigned mode)
{
	assert_int_equal(file_write_atomic(path, p, n, mode), 0);
}

static void
forget(char **secret)
{
	mem_free_wiped(*secret, strlen(*secret));
	*secret = NULL;
}

/* What is opened must be this. */
static void
opens(const char *text, const char *secret)
{
	char *got = NULL;

	if (secret_open(text, key, why, &got) != 0)
		fail_msg("%s: %s", text, why);
	assert_string_equal(got, secret);
	forget(&got);
}

static void
refuses(const char *text, int error, const char *reason)
{
	char *got = NULL;
	int r = secret_open(text, key, why, &got);

	if (r != error || strstr(why, reason) == NULL)
		fail_msg("%s: %d %s", text, r, why);
	assert_null(got);
}

static char *
encrypted(const char *secret)
{
	char *text = NULL;

	assert_int_equal(secret_encrypt(secret, strlen(secret), key, why,
	    &text), 0);
	return text;
}

static void
test_literals(void **state)
{
	(void)state;
	opens(PLANTED, PLANTED);
	opens("plain:file:/x", "file:/x");
	opens("plain:", "");
	opens("files", "files");
	assert_true(secret_is_elsewhere("file:/x"));
	assert_true(secret_is_elsewhere("credential:x"));
	assert_true(secret_is_elsewhere("encrypted:x"));
	assert_false(secret_is_elsewhere("plain:x"));
	assert_false(secret_is_elsewhere("/etc/token"));
}

static void
test_files(void **state)
{
	static const char with_nul[] = "a\0b";
	char *big = malloc(SECRET_MAX + 2);

	(void)state;
	assert_non_null(big);
	memset(big, 'a', SECRET_MAX + 2);
	put(file, PLANTED "\n", strlen(PLANTED) + 1, 0600);
	opens(value, PLANTED);
	put(file, PLANTED "\r\n", strlen(PLANTED) + 2, 0640);
	opens(value, PLANTED);
	put(file, PLANTED "\n\n", strlen(PLANTED) + 2, 0600);
	opens(value, PLANTED);
	assert_int_equal(chmod(file, 0604), 0);
	refuses(value, -EPERM, "chmod 600");
	put(file, "\n", 1, 0600);
	refuses(value, -EINVAL, "empty");
	put(file, with_nul, sizeof(with_nul), 0600);
	refuses(value, -EINVAL, "NUL");
	put(file, big, SECRET_MAX + 1, 0600);
	refuses(value, -EINVAL, "longer than 4096");
	put(file, big, SECRET_MAX + 2, 0600);
	refuses(value, -EINVAL, "longer than 4096");
	free(big);
	refuses("file:secret", -EINVAL, "absolute");
	refuses("file:/nonexistent/x", -ENOENT, "No such file");
	(void)snprintf(value, sizeof(value), "file:%s", dir);
	assert_int_equal(chmod(dir, 0700), 0);
	refuses(value, -EISDIR, "directory");
	refuses("file:/dev/zero", -EPERM, "everybody");
}

static void
test_credentials(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	refuses("credential:file", -ENOENT, "LoadCredential=");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	put(file, PLANTED, strlen(PLANTED), 0444);
	opens("credential:file", PLANTED);
	refuses("credential:", -EINVAL, "name");
	refuses("credential:../file", -EINVAL, "name");
	refuses("credential:a/b", -EINVAL, "name");
	refuses("credential:none", -ENOENT, "No such file");
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void
test_check(void **state)
{
	char *s = NULL;

	(void)state;
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(secret_check("credential:none", NULL, why, &s), 0);
	assert_string_equal(s, "credential:none");
	forget(&s);
	assert_int_equal(secret_check("credential:a/b", NULL, why, &s),
	    -EINVAL);
	assert_int_equal(secret_check("file:/nonexistent/x", NULL, why, &s),
	    -ENOENT);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	assert_int_equal(secret_check("credential:none", NULL, why, &s),
	    -ENOENT);
	put(file, PLANTED, strlen(PLANTED), 0400);
	assert_int_equal(secret_check("credential:file", NULL, why, &s), 0);
	assert_string_equal(s, PLANTED);
	forget(&s);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void
test_encrypted_round_trip(void **state)
{
	char *one = encrypted(PLANTED), *two = encrypted(PLANTED);
	struct stat st;

	(void)state;
	assert_string_not_equal(one, two);
	assert_int_equal(strncmp(one, "encrypted:", 10), 0);
	assert_null(strstr(one, PLANTED));
	opens(one, PLANTED);
	opens(two, PLANTED);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, SECRET_KEY_SIZE);
	mem_free(one);
	mem_free(two);
}

static void
test_every_changed_byte_is_found(void **state)
{
	char *text = encrypted("x"), *got = NULL;
	size_t n = strlen(text);

	(void)state;
	for (size_t i = 10; i < n; i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		if (secret_open(text, key, why, &got) == 0) {
			/* Bits of the last digit that mean nothing. */
			assert_string_equal(got, "x");
			assert_true(i + 3 >= n);
			forget(&got);
		}
		text[i] = was;
		text[i] = '\0';
		assert_true(secret_open(text, key, why, &got) < 0);
		text[i] = was;
	}
	opens(text, "x");
	mem_free(text);
	refuses("encrypted:", -EINVAL, "not what");
	refuses("encrypted:!!!!", -EINVAL, "not what");
	refuses("encrypted:AAAA", -EINVAL, "not what");
}

static void
test_key_file_is_the_hosts(void **state)
{
	char *text = encrypted(PLANTED), *got = NULL;
	uint8_t other[SECRET_KEY_SIZE] = { 1 };

	(void)state;
	put(key, other, sizeof(other), 0600);
	refuses(text, -EBADMSG, "another key");
	put(key, other, sizeof(other), 0640);
	refuses(text, -EPERM, "chmod 600");
	assert_int_equal(secret_encrypt("x", 1, key, why, &got), -EPERM);
	put(key, other, sizeof(other) - 1, 0600);
	refuses(text, -EINVAL, "32 bytes");
	put(key, PLANTED PLANTED PLANTED, 3 * strlen(PLANTED), 0600);
	refuses(text, -EINVAL, "32 bytes");
	assert_int_equal(unlink(key), 0);
	refuses(text, -ENOENT, "not there");
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(secret_open(text, NULL, why, &got), -EINVAL);
	mem_free(text);
	assert_int_equal(secret_encrypt("x", 1, "/nonexistent/k", why, &got),
	    -ENOENT);
	assert_null(got);
}

static void
test_what_cannot_be_encrypted(void **state)
{
	char *big = malloc(SECRET_MAX + 1), *got = NULL;

	(void)state;
	assert_non_null(big);
	memset(big, 'a', SECRET_MAX + 1);
	assert_int_equal(secret_encrypt("", 0, key, why, &got), -EINVAL);
	assert_int_equal(secret_encrypt("a\0b", 3, key, why, &got), -EINVAL);
	assert_int_equal(secret_encrypt(big, SECRET_MAX + 1, key, why, &got),
	    -EINVAL);
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(secret_encrypt(big, SECRET_MAX, key, why, &got), 0);
	big[SECRET_MAX] = '\0';
	opens(got, big);
	mem_free(got);
	free(big);
}

static void
test_short_memory(void **state)
{
	char *text = encrypted(PLANTED), *got = NULL;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = secret_open(text, key, why, &got);
		if (mem_fail_nth(0) < n)
			break;
		assert_true(r < 0);
		assert_null(got);
	}
	assert_int_equal(r, 0);
	forget(&got);
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = secret_encrypt("x", 1, key, why, &got);
		if (mem_fail_nth(0) < n)
			break;
		assert_true(r < 0);
		assert_null(got);
	}
	assert_int_equal(r, 0);
	mem_free(got);
	mem_free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_literals),
		TEST(test_files),
		TEST(test_credentials),
		TEST(test_check),
		TEST(test_encrypted_round_trip),
		TEST(test_every_changed_byte_is_found),
		TEST(test_key_file_is_the_hosts),
		TEST(test_what_cannot_be_encrypted),
		TEST(test_short_memory),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
