/* SPDX-License-Identifier: Apache-2.0 */
/* The log (core/base/log.c); each test logs in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static char out[65536];
static uint64_t fake_ms = 5000;

static uint64_t
mono(void)
{
	return fake_ms;
}

static int64_t
wall(void)
{
	return 0;
}

/* Runs fn in a child whose standard error is a pipe;
 * what it wrote is in out. */
static void
capture(void (*fn)(void), bool journal)
{
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stat st;
		char text[64] = "1:1";

		(void)dup2(ends[1], STDERR_FILENO);
		if (journal && fstat(STDERR_FILENO, &st) == 0)
			(void)snprintf(text, sizeof(text), "%llu:%llu",
			    (unsigned long long)st.st_dev,
			    (unsigned long long)st.st_ino);
		(void)setenv("JOURNAL_STREAM", text, 1);
		clock_replace(mono, wall);
		fn();
		_exit(0);
	}
	(void)close(ends[1]);
	while ((got = read(ends[0], out + n, sizeof(out) - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static unsigned
lines(void)
{
	unsigned n = 0;

	for (const char *p = out; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

static void
log_one(void)
{
	errno = EXDEV;
	log_notice("listener ready address=%s", "127.0.0.1:1");
	if (errno != EXDEV)
		_exit(1);
}

static void
a_line_has_time_and_level(void **state)
{
	(void)state;
	capture(log_one, false);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z notice "
	    "listener ready address=127.0.0.1:1\n");
}

static void
the_journal_gets_a_priority_prefix(void **state)
{
	(void)state;
	capture(log_one, true);
	assert_string_equal(out, "<5>listener ready address=127.0.0.1:1\n");
}

static void
log_forged(void)
{
	char big[5000];

	log_error("a\nb\x1b[31m\x7f");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
}

static void
control_characters_and_length_are_tamed(void **state)
{
	(void)state;
	capture(log_forged, true);
	assert_int_equal(lines(), 2);
	assert_memory_equal(out, "<3>a b [31m \n", 13);
	assert_in_range(strlen(out), 2000, 2200);
	for (const char *p = out; *p != '\0'; p++)
		assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
}

static void
log_levels(void)
{
	log_debug("hidden");
	log_info("shown");
	log_set_level(LOG_LVL_ERROR);
	log_warning("hidden");
	log_write(NULL, LOG_LVL_DEBUG, "hidden");
	log_error("shown");
	log_set_level(LOG_LVL_DEBUG);
	log_debug("shown");
}

static void
levels_above_the_set_one_are_dropped(void **state)
{
	(void)state;
	capture(log_levels, true);
	assert_string_equal(out, "<6>shown\n<3>shown\n<7>shown\n");
}

static void
log_often(void)
{
	for (int i = 0; i < 101; i++) {
		if (i == 100)
			fake_ms += 1000;
		log_error("again");
	}
	log_error("other site");
}

static void
a_site_is_limited_and_says_what_it_held_back(void **state)
{
	const char *held;

	(void)state;
	capture(log_often, true);
	assert_int_equal(lines(), 22);
	held = strstr(out, "held_back");
	assert_non_null(held);
	assert_string_equal(held, "held_back=80\n<3>other site\n");
}

static void
level_words(void **state)
{
	enum log_level l = LOG_LVL_ERROR;

	(void)state;
	assert_int_equal(log_level_parse("debug", &l), 0);
	assert_int_equal(l, LOG_LVL_DEBUG);
	assert_int_equal(log_level_parse("warning", &l), 0);
	assert_int_equal(l, LOG_LVL_WARNING);
	assert_int_equal(log_level_parse("Warning", &l), -EINVAL);
	assert_int_equal(log_level_parse("", &l), -EINVAL);
	assert_int_equal(l, LOG_LVL_WARNING);
}

static void
peer_text_is_quoted_and_cut(void **state)
{
	char to[32];

	(void)state;
	assert_string_equal(log_quote(to, sizeof(to), "a\"\\\n\r\t\x01\xc3", 8),
	    "\"a\\\"\\\\\\n\\r\\t\\x01\\xc3\"");
	assert_string_equal(log_quote(to, 8, "abcde", 5), "\"abcde\"");
	assert_string_equal(log_quote(to, 8, "abcdef", 6), "\"ab...\"");
	assert_string_equal(log_quote(to, 8, "\x01\x01\x01", 3), "\"...\"");
	assert_string_equal(log_quote(to, 8, "", 0), "\"\"");
	for (size_t cap = 8; cap < sizeof(to); cap++) {
		memset(to, 'G', sizeof(to));
		(void)log_quote(to, cap, "a\x01\"b\x02zz\\\\\\\\\\kkkkkkkkk",
		    21);
		assert_true(strlen(to) < cap);
		for (size_t i = cap; i < sizeof(to); i++)
			assert_int_equal(to[i], 'G');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_and_level),
		cmocka_unit_test(the_journal_gets_a_priority_prefix),
		cmocka_unit_test(control_characters_and_length_are_tamed),
		cmocka_unit_test(levels_above_the_set_one_are_dropped),
		cmocka_unit_test(a_site_is_limited_and_says_what_it_held_back),
		cmocka_unit_test(level_words),
		cmocka_unit_test(peer_text_is_quoted_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
