/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop (core/base/loop.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"

static struct loop *loop;
static char order[64];

static void
note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof(order));
	order[n] = c;
	order[n + 1] = '\0';
}

static int
set_up(void **state)
{
	(void)state;
	order[0] = '\0';
	return loop_new(&loop);
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(&loop);
	loop_free(&loop);
	return 0;
}

struct end {
	struct watch w;
	struct end *kills;
	int other;
	unsigned called;
};

static void
on_end(struct watch *w, uint32_t events)
{
	struct end *e = CT_CONTAINER(w, struct end, w);
	char c;

	assert_true((events & EPOLLIN) != 0);
	assert_int_equal(read(w->fd, &c, 1), 1);
	e->called++;
	if (e->kills != NULL)
		loop_del(loop, &e->kills->w);
}

static void
end_open(struct end *e)
{
	int fds[2];

	memset(e, 0, sizeof(*e));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	e->w.fn = on_end;
	e->w.fd = fds[0];
	e->other = fds[1];
	assert_int_equal(loop_add(loop, &e->w, EPOLLIN), 0);
	assert_int_equal(write(e->other, "x", 1), 1);
}

static void
end_close(struct end *e)
{
	loop_del(loop, &e->w);
	(void)close(e->w.fd);
	(void)close(e->other);
}

static void
a_readable_descriptor_is_delivered(void **state)
{
	struct end e;

	(void)state;
	end_open(&e);
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(e.called, 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(e.called, 1);
	assert_int_equal(write(e.other, "x", 1), 1);
	assert_int_equal(loop_mod(loop, &e.w, 0), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(e.called, 1);
	assert_int_equal(loop_mod(loop, &e.w, EPOLLIN), 0);
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(e.called, 2);
	end_close(&e);
}

static void
a_deleted_watch_gets_no_event_of_the_same_batch(void **state)
{
	struct end a, b;

	(void)state;
	end_open(&a);
	end_open(&b);
	a.kills = &b;
	b.kills = &a;
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(a.called + b.called, 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(a.called + b.called, 1);
	end_close(&a);
	end_close(&b);
}

static struct end *mover_from;
static struct watch mover_to;

static void
on_move(struct watch *w, uint32_t events)
{
	struct end *e = CT_CONTAINER(w, struct end, w);
	char c;

	(void)events;
	assert_int_equal(read(w->fd, &c, 1), 1);
	e->called++;
	if (mover_from != NULL && mover_to.fn == NULL) {
		mover_to.fn = on_move;
		mover_to.fd = mover_from->w.fd;
		assert_int_equal(loop_move(loop, &mover_to, &mover_from->w,
		    EPOLLIN), 0);
	}
}

static void
a_moved_watch_takes_over_the_events_and_drops_the_batch(void **state)
{
	struct end a, b, to;

	(void)state;
	end_open(&a);
	end_open(&b);
	to = (struct end){ .w = { .fn = on_end, .fd = b.w.fd } };
	assert_int_equal(loop_move(loop, &to.w, &b.w, EPOLLIN), 0);
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(b.called, 0);
	assert_int_equal(to.called, 1);
	loop_del(loop, &to.w);
	/* Not watched: says so. */
	assert_int_equal(loop_move(loop, &b.w, &to.w, EPOLLIN), -ENOENT);
	end_close(&a);
	end_close(&b);
}

static void
a_watch_moved_inside_a_turn_loses_its_events_of_that_turn(void **state)
{
	struct end a, b;

	(void)state;
	memset(&mover_to, 0, sizeof(mover_to));
	end_open(&a);
	end_open(&b);
	a.w.fn = b.w.fn = on_move;
	mover_from = &b;
	assert_int_equal(loop_turn(loop, 1000), 0);
	/* Whichever came first: b never after its move. */
	assert_int_equal(a.called, 1);
	assert_true(b.called <= 1);
	mover_from = NULL;
	loop_del(loop, &mover_to);
	end_close(&a);
	end_close(&b);
}

static void
an_exclusive_watch_is_allowed(void **state)
{
	struct end e;

	(void)state;
	end_open(&e);
	loop_del(loop, &e.w);
	assert_int_equal(loop_add(loop, &e.w, EPOLLIN | EPOLLEXCLUSIVE), 0);
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(e.called, 1);
	end_close(&e);
}

static void
a_bad_descriptor_is_reported(void **state)
{
	struct watch w = { .fn = on_end, .fd = 987654 };

	(void)state;
	assert_int_equal(loop_add(loop, &w, EPOLLIN), -EBADF);
}

static struct defer d1, d2;

static void
on_d1(struct defer *d)
{
	note('1');
	if (strlen(order) < 4)
		loop_defer(loop, d);
}

static void
on_d2(struct defer *d)
{
	(void)d;
	note('2');
}

static void
on_cancel_d2(struct defer *d)
{
	(void)d;
	note('c');
	loop_defer_cancel(loop, &d2);
}

static void
deferred_work_runs_once_in_order_and_again_next_turn(void **state)
{
	(void)state;
	d1 = (struct defer){ .fn = on_d1 };
	d2 = (struct defer){ .fn = on_d2 };
	loop_defer(loop, &d1);
	loop_defer(loop, &d2);
	loop_defer(loop, &d1);
	assert_int_equal(loop_turn(loop, -1), 0);
	assert_string_equal(order, "12");
	assert_int_equal(loop_turn(loop, -1), 0);
	assert_string_equal(order, "121");
	loop_defer_cancel(loop, &d1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(order, "121");
}

static void
deferred_work_can_be_cancelled_at_any_point(void **state)
{
	struct defer c = { .fn = on_cancel_d2 }, last = { .fn = on_d2 };

	(void)state;
	d2 = (struct defer){ .fn = on_d2 };
	loop_defer(loop, &d2);
	loop_defer_cancel(loop, &d2);
	loop_defer_cancel(loop, &d2);
	loop_defer(loop, &c);
	loop_defer(loop, &d2);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(order, "c");
	loop_defer(loop, &c);
	loop_defer(loop, &d2);
	loop_defer(loop, &last);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(order, "cc2");
}

static void
on_timer(struct timer *t)
{
	(void)t;
	note('t');
	loop_defer(loop, &d2);
	loop_stop(loop);
}

static void
a_timer_ends_the_wait_and_precedes_deferred_work(void **state)
{
	uint64_t start = clock_mono_ms();
	struct timer t;

	(void)state;
	d2 = (struct defer){ .fn = on_d2 };
	timer_init(&t, on_timer);
	loop_timer_set(loop, &t, 30);
	assert_int_equal(loop_run(loop), 0);
	assert_true(clock_mono_ms() >= start + 30);
	assert_true(loop_now_ms(loop) >= start + 30);
	assert_string_equal(order, "t2");
	assert_false(timer_running(&t));
	loop_timer_set(loop, &t, 1);
	loop_timer_stop(loop, &t);
	assert_int_equal(loop_turn(loop, 40), 0);
	assert_string_equal(order, "t2");
}

static void
a_loop_is_made_or_not_when_memory_is_short(void **state)
{
	struct loop *l = NULL;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(loop_new(&l), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_null(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_readable_descriptor_is_delivered),
		T(a_deleted_watch_gets_no_event_of_the_same_batch),
		T(a_moved_watch_takes_over_the_events_and_drops_the_batch),
		T(a_watch_moved_inside_a_turn_loses_its_events_of_that_turn),
		T(an_exclusive_watch_is_allowed),
		T(a_bad_descriptor_is_reported),
		T(deferred_work_runs_once_in_order_and_again_next_turn),
		T(deferred_work_can_be_cancelled_at_any_point),
		T(a_timer_ends_the_wait_and_precedes_deferred_work),
		T(a_loop_is_made_or_not_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
