/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process that finds a bug of its own (core/base/check.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

struct outer {
	int before;
	int member;
};

static void
a_true_condition_goes_on(void **state)
{
	int seen = 0;

	(void)state;
	CT_ASSERT(++seen == 1);
	assert_int_equal(seen, 1);
}

static void
a_false_condition_names_its_place_and_aborts(void **state)
{
	struct rlimit none = { 0, 0 };
	char text[600] = "";
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(ends[1], STDERR_FILENO);
		ct_assert_failed("file.c", 12, "a < b");
	}
	(void)close(ends[1]);
	while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_string_equal(text, "assertion failed: file.c:12: a < b\n");
}

static void
a_member_leads_to_its_object(void **state)
{
	struct outer o = { 1, 2 };

	(void)state;
	assert_ptr_equal(CT_CONTAINER(&o.member, struct outer, member), &o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_true_condition_goes_on),
		cmocka_unit_test(a_false_condition_names_its_place_and_aborts),
		cmocka_unit_test(a_member_leads_to_its_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
