/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/wait.c: requests that wait for news,
 * and the progress of commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/stream.h"

static struct control control;
static struct exchange x, y;
static unsigned looks, answers;

/* Nothing new is found: waits on, or answers. */
static void
look(struct exchange *e)
{
	looks++;
	if (!wait_more(e)) {
		list_remove(&e->wait);
		answers++;
	}
}

/* As look(), but something happens while it looks, once. */
static void
look_while(struct exchange *e)
{
	if (looks++ == 0)
		wait_wake(&control, e->id);
	if (!wait_more(e))
		answers++;
}

static void
begin(struct exchange *e, const char *id)
{
	memset(e, 0, sizeof(*e));
	e->control = &control;
	list_init(&e->wait);
	timer_init(&e->timer, NULL);
	(void)snprintf(e->id, sizeof(e->id), "%s", id);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&control, 0, sizeof(control));
	sse_init(&control);
	begin(&x, "a");
	begin(&y, "b");
	looks = answers = 0;
	return worker_init(&control.worker, "test");
}

static int
tear_down(void **state)
{
	(void)state;
	loop_timer_stop(control.worker.loop, &x.timer);
	loop_timer_stop(control.worker.loop, &y.timer);
	list_remove(&x.wait);
	list_remove(&y.wait);
	progress_fini(&control);
	worker_fini(&control.worker);
	(void)pthread_mutex_destroy(&control.lock);
	return 0;
}

static void
who_waits_for_no_time_looks_once(void **state)
{
	(void)state;
	wait_begin(&x, 0, look);
	look(&x);
	assert_int_equal(looks, 1);
	assert_int_equal(answers, 1);
	assert_true(list_empty(&control.waiting));
	assert_false(timer_running(&x.timer));
}

static void
news_of_the_same_id_wake_and_of_others_do_not(void **state)
{
	(void)state;
	wait_begin(&x, 10000, look);
	look(&x);
	wait_begin(&y, 10000, look);
	look(&y);
	assert_int_equal(looks, 2);
	wait_wake(&control, "c");
	assert_int_equal(looks, 2);
	wait_wake(&control, "a");
	assert_int_equal(looks, 3);
	wait_wake(&control, "");	/* perhaps anything */
	assert_int_equal(looks, 5);
	assert_int_equal(answers, 0);
}

static void
who_waits_for_any_id_is_woken_by_each(void **state)
{
	(void)state;
	x.id[0] = '\0';
	wait_begin(&x, 10000, look);
	look(&x);
	wait_wake(&control, "c");
	wait_wake(&control, "d");
	assert_int_equal(looks, 3);
}

static void
news_before_the_look_is_over_lead_to_another_look(void **state)
{
	(void)state;
	wait_begin(&x, 10000, look_while);
	look_while(&x);
	assert_int_equal(looks, 2);
	assert_int_equal(answers, 0);
	wait_wake(&control, "a");
	assert_int_equal(looks, 3);
}

static void
news_before_the_first_look_are_not_missed(void **state)
{
	(void)state;
	wait_begin(&x, 10000, look);
	wait_wake(&control, "a");	/* its job is out */
	assert_int_equal(looks, 0);
	look(&x);
	assert_int_equal(looks, 2);
}

static void
when_the_time_is_over_it_looks_a_last_time(void **state)
{
	(void)state;
	wait_begin(&x, 30, look);
	look(&x);
	while (answers == 0)
		assert_int_equal(loop_turn(control.worker.loop, -1), 0);
	assert_int_equal(looks, 2);
	wait_wake(&control, "a");
	assert_int_equal(looks, 2);
}

static void
the_end_of_the_time_during_a_look_ends_it(void **state)
{
	(void)state;
	wait_begin(&x, 10000, look);
	wait_over(&x);			/* the peer has gone */
	assert_int_equal(looks, 0);
	look(&x);
	assert_int_equal(answers, 1);
}

static void
a_control_that_stops_keeps_nobody_waiting(void **state)
{
	(void)state;
	wait_begin(&x, 10000, look);
	look(&x);
	wait_begin(&y, 10000, look);
	look(&y);
	sse_stop(&control);
	assert_int_equal(answers, 2);
	begin(&x, "a");
	control.stopping = true;
	wait_begin(&x, 10000, look);
	look(&x);
	assert_int_equal(answers, 3);
}

/* ---- progress ----------------------------------------------------------- */

static void
the_last_progress_counts_and_has_a_number(void **state)
{
	char text[PROGRESS_TEXT_MAX + 50];
	const struct progress *p;

	(void)state;
	assert_null(progress_of(&control, "c"));
	progress_put(&control, "c", 10, "one");
	progress_put(&control, "d", -1, "");
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	progress_put(&control, "c", 20, text);
	p = progress_of(&control, "c");
	assert_int_equal(p->count, 2);
	assert_true(p->percent > 19 && p->percent < 21);
	assert_int_equal(strlen(p->text), PROGRESS_TEXT_MAX);
	assert_int_equal(progress_of(&control, "d")->count, 1);
	progress_drop(&control, "c");
	progress_drop(&control, "c");
	assert_null(progress_of(&control, "c"));
	assert_int_equal(control.progress_n, 1);
}

static void
the_list_of_progress_is_bounded(void **state)
{
	char id[16];

	(void)state;
	for (unsigned i = 0; i < PROGRESS_MAX; i++) {
		(void)snprintf(id, sizeof(id), "c-%u", i);
		progress_put(&control, id, 1, "");
	}
	progress_put(&control, "c-0", 2, "");	/* not the oldest any more */
	progress_put(&control, "new", 3, "");
	assert_int_equal(control.progress_n, PROGRESS_MAX);
	assert_non_null(progress_of(&control, "c-0"));
	assert_null(progress_of(&control, "c-1"));
	assert_int_equal(progress_of(&control, "new")->count, 1);
}

static void
without_memory_progress_is_missed(void **state)
{
	(void)state;
	mem_fail_nth(1);
	progress_put(&control, "c", 1, "");
	mem_fail_nth(0);
	assert_null(progress_of(&control, "c"));
	assert_int_equal(control.progress_n, 0);
	progress_put(&control, "c", 1, "");
	assert_non_null(progress_of(&control, "c"));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_for_no_time_looks_once),
		TEST(news_of_the_same_id_wake_and_of_others_do_not),
		TEST(who_waits_for_any_id_is_woken_by_each),
		TEST(news_before_the_look_is_over_lead_to_another_look),
		TEST(news_before_the_first_look_are_not_missed),
		TEST(when_the_time_is_over_it_looks_a_last_time),
		TEST(the_end_of_the_time_during_a_look_ends_it),
		TEST(a_control_that_stops_keeps_nobody_waiting),
		TEST(the_last_progress_counts_and_has_a_number),
		TEST(the_list_of_progress_is_bounded),
		TEST(without_memory_progress_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
