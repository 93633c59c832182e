/* SPDX-License-Identifier: Apache-2.0 */
/* The token file (core/endpoint/auth.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "endpoint/auth.h"

#define TOKEN_A "token-a-0123456789"
#define TOKEN_B "token-b-0123456789"

static char path[] = "/tmp/test_auth_XXXXXX";
static char why[256];

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int
tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static const char *
hex_of(const char *token)
{
	static char hex[2][65];
	static int turn;
	uint8_t sha256[32];

	turn = !turn;
	assert_int_equal(digest_sha256(token, strlen(token), sha256), 0);
	hex_write(sha256, 32, hex[turn]);
	return hex[turn];
}

static void
write_file(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static bool
is_token(const struct auth_file *f, const char *endpoint,
    const char *token)
{
	uint8_t sha256[32];

	return auth_token_digest(token, sha256) == 0 &&
	    auth_file_has(f, endpoint, sha256);
}

static struct auth_file *
load(const char *text)
{
	struct auth_file *f = NULL;

	write_file(text, strlen(text));
	if (auth_file_load(path, why, &f) != 0)
		fail_msg("%s", why);
	return f;
}

static void
refused(const char *text, unsigned line, const char *part)
{
	struct auth_file *f = NULL;
	char where[300];

	write_file(text, strlen(text));
	assert_int_equal(auth_file_load(path, why, &f), -EINVAL);
	assert_null(f);
	(void)snprintf(where, sizeof(where), "%s:%u: ", path, line);
	if (strncmp(why, where, strlen(where)) != 0 ||
	    strstr(why, part) == NULL)
		fail_msg("\"%s\" is not \"%s\" … \"%s\"", why, where, part);
}

static void
a_token_is_good_for_its_endpoint_alone(void **state)
{
	char text[400];
	struct auth_file *f;

	(void)state;
	(void)snprintf(text, sizeof(text), "dev-b %s\ndev-a %s\n",
	    hex_of(TOKEN_B), hex_of(TOKEN_A));
	f = load(text);
	assert_int_equal(auth_file_count(f), 2);
	assert_true(is_token(f, "dev-a", TOKEN_A));
	assert_true(is_token(f, "dev-b", TOKEN_B));
	assert_false(is_token(f, "dev-a", TOKEN_B));
	assert_false(is_token(f, "dev-b", TOKEN_A));
	assert_false(is_token(f, "dev-a", TOKEN_A "x"));
	assert_false(is_token(f, "dev-", TOKEN_A));
	assert_false(is_token(f, "dev-c", TOKEN_A));
	assert_false(is_token(f, "", TOKEN_A));
	assert_false(is_token(f, "dev-a", ""));
	auth_file_unref(&f);
	assert_null(f);
}

static void
an_endpoint_may_have_several_tokens(void **state)
{
	char text[800];
	struct auth_file *f;

	(void)state;
	(void)snprintf(text, sizeof(text), "dev %s\nzzz %s\n", hex_of(TOKEN_A),
	    hex_of(TOKEN_A));
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
	    "aaa %s\ndev %s\n", hex_of(TOKEN_A), hex_of(TOKEN_B));
	f = load(text);
	assert_int_equal(auth_file_count(f), 4);
	assert_true(is_token(f, "dev", TOKEN_A));
	assert_true(is_token(f, "dev", TOKEN_B));
	assert_false(is_token(f, "dev", "token-c-0123456789"));
	assert_false(is_token(f, "zzz", TOKEN_B));
	auth_file_unref(&f);
}

static void
comments_blanks_tabs_and_windows_lines_are_fine(void **state)
{
	char text[400];
	struct auth_file *f;

	(void)state;
	(void)snprintf(text, sizeof(text),
	    "# a\r\n\r\n  \t\n\t#b\n \t dev \t %s \t\r\nx %s",
	    hex_of(TOKEN_A), hex_of(TOKEN_B));
	f = load(text);
	assert_int_equal(auth_file_count(f), 2);
	assert_true(is_token(f, "dev", TOKEN_A));
	assert_true(is_token(f, "x", TOKEN_B));
	auth_file_unref(&f);
}

static void
errors_name_file_line_and_what_was_expected(void **state)
{
	char text[400];

	(void)state;
	refused("dev", 1, "an endpoint id, a space and 64 hex digits");
	refused("# x\n\ndev abc\n", 3, "64 hex digits");
	(void)snprintf(text, sizeof(text), "dev %s0\n", hex_of(TOKEN_A));
	refused(text, 1, "64 hex digits");
	(void)snprintf(text, sizeof(text), "dev %s more\n", hex_of(TOKEN_A));
	refused(text, 1, "64 hex digits");
	(void)snprintf(text, sizeof(text), "dev %s\n", hex_of(TOKEN_A));
	text[10] = 'g';
	refused(text, 1, "64 hex digits");
	(void)snprintf(text, sizeof(text), "ok %s\nde/v %s\n",
	    hex_of(TOKEN_A), hex_of(TOKEN_A));
	refused(text, 2, "letters, digits and ._:@-");
}

static void
what_is_no_text_file_is_refused(void **state)
{
	struct auth_file *f = NULL;

	(void)state;
	write_file("a\0b", 3);
	assert_int_equal(auth_file_load(path, why, &f), -EINVAL);
	assert_non_null(strstr(why, "NUL"));
	assert_int_equal(auth_file_load("/nonexistent/file", why, &f),
	    -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/file: No such file"));
	assert_int_equal(auth_file_load("/tmp", why, &f), -EISDIR);
	assert_null(f);
}

static void
no_file_and_an_empty_one_let_nobody_in(void **state)
{
	struct auth_file *f = NULL;

	(void)state;
	assert_int_equal(auth_file_load(NULL, why, &f), 0);
	assert_int_equal(auth_file_count(f), 0);
	assert_false(is_token(f, "dev", TOKEN_A));
	auth_file_unref(&f);
	f = load("");
	assert_int_equal(auth_file_count(f), 0);
	assert_false(is_token(f, "dev", TOKEN_A));
	auth_file_unref(&f);
}

static void
short_and_huge_tokens_are_never_good(void **state)
{
	char text[400], token[AUTH_TOKEN_MAX + 2];
	struct auth_file *f;

	(void)state;
	(void)snprintf(text, sizeof(text), "dev %s\n",
	    hex_of("fifteen-bytes.."));
	f = load(text);
	assert_false(is_token(f, "dev", "fifteen-bytes.."));
	auth_file_unref(&f);
	memset(token, 'x', sizeof(token));
	token[AUTH_TOKEN_MAX] = '\0';
	(void)snprintf(text, sizeof(text), "dev %s\n", hex_of(token));
	f = load(text);
	assert_true(is_token(f, "dev", token));
	auth_file_unref(&f);
	token[AUTH_TOKEN_MAX] = 'x';
	token[AUTH_TOKEN_MAX + 1] = '\0';
	(void)snprintf(text, sizeof(text), "dev %s\n", hex_of(token));
	f = load(text);
	assert_false(is_token(f, "dev", token));
	auth_file_unref(&f);
}

static void
a_reference_keeps_the_file(void **state)
{
	char text[200];
	struct auth_file *f, *g;

	(void)state;
	(void)snprintf(text, sizeof(text), "dev %s\n", hex_of(TOKEN_A));
	f = load(text);
	g = auth_file_ref(f);
	auth_file_unref(&f);
	assert_true(is_token(g, "dev", TOKEN_A));
	auth_file_unref(&g);
	auth_file_unref(&g);
}

static void
loading_fails_whole_when_memory_is_short(void **state)
{
	struct auth_file *f = NULL;
	unsigned long n;
	char text[200];
	int r = -1;

	(void)state;
	(void)snprintf(text, sizeof(text), "dev %s\n", hex_of(TOKEN_A));
	write_file(text, strlen(text));
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = auth_file_load(path, why, &f);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(r == 0 || f == NULL);
	}
	assert_true(n > 3);
	auth_file_unref(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_good_for_its_endpoint_alone),
		cmocka_unit_test(an_endpoint_may_have_several_tokens),
		cmocka_unit_test(
		    comments_blanks_tabs_and_windows_lines_are_fine),
		cmocka_unit_test(errors_name_file_line_and_what_was_expected),
		cmocka_unit_test(what_is_no_text_file_is_refused),
		cmocka_unit_test(no_file_and_an_empty_one_let_nobody_in),
		cmocka_unit_test(short_and_huge_tokens_are_never_good),
		cmocka_unit_test(a_reference_keeps_the_file),
		cmocka_unit_test(loading_fails_whole_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
