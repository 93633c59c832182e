/* SPDX-License-Identifier: Apache-2.0 */
/* Workers (core/base/worker.c). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* pthread_getname_np */
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/worker.h"

struct seen {
	pthread_t thread;
	char name[16];
	bool term_blocked;
	unsigned calls;
};

static void
look(void *arg)
{
	struct seen *s = arg;
	sigset_t mask;

	s->thread = pthread_self();
	(void)pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	s->term_blocked = sigismember(&mask, SIGTERM) == 1;
	s->calls++;
}

static void
a_call_runs_on_the_workers_thread(void **state)
{
	struct seen s = { .calls = 0 };
	struct worker w;

	(void)state;
	assert_int_equal(worker_init(&w, "a-name-that-is-too-long"), 0);
	assert_int_equal(worker_start(&w), 0);
	for (int i = 0; i < 100; i++)
		worker_call(&w, look, &s);
	assert_int_equal(s.calls, 100);
	assert_false(pthread_equal(s.thread, pthread_self()));
	assert_true(pthread_equal(s.thread, w.thread));
	assert_string_equal(s.name, "a-name-that-is-");
	assert_true(s.term_blocked);
	worker_stop(&w);
	worker_stop(&w);
	worker_fini(&w);
}

static void
without_a_thread_a_call_runs_at_once(void **state)
{
	struct seen s = { .calls = 0 };
	struct worker w;

	(void)state;
	assert_int_equal(worker_init(&w, "idle"), 0);
	worker_call(&w, look, &s);
	assert_true(pthread_equal(s.thread, pthread_self()));
	worker_fini(&w);
}

struct count {
	struct mail mail;
	unsigned n;
};

static void
on_count(struct mail *m)
{
	CT_CONTAINER(m, struct count, mail)->n++;
}

static void
a_worker_can_be_started_again_and_loses_no_mail(void **state)
{
	struct count a = { .mail.fn = on_count }, b = a;
	struct seen s = { .calls = 0 };
	struct worker w;

	(void)state;
	assert_int_equal(worker_init(&w, "again"), 0);
	mailbox_post(&w.mailbox, &a.mail);
	assert_int_equal(worker_start(&w), 0);
	worker_call(&w, look, &s);
	worker_stop(&w);
	assert_int_equal(worker_start(&w), 0);
	worker_call(&w, look, &s);
	worker_stop(&w);
	assert_int_equal(s.calls, 2);
	assert_int_equal(a.n, 1);
	mailbox_post(&w.mailbox, &b.mail);
	worker_fini(&w);
	assert_int_equal(b.n, 1);
}

static void
a_worker_is_made_or_not_when_memory_is_short(void **state)
{
	struct worker w;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(worker_init(&w, "short"), -ENOMEM);
	(void)mem_fail_nth(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_runs_on_the_workers_thread),
		cmocka_unit_test(without_a_thread_a_call_runs_at_once),
		cmocka_unit_test(
		    a_worker_can_be_started_again_and_loses_no_mail),
		cmocka_unit_test(a_worker_is_made_or_not_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
