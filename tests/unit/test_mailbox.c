/* SPDX-License-Identifier: Apache-2.0 */
/* The mailbox (core/base/mailbox.c); run it under TSan as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mailbox.h"
#include "base/mem.h"

#define SENDERS 4
#define MAILS 20000

static struct loop *loop;
static struct mailbox box;

static int
set_up(void **state)
{
	(void)state;
	memset(&box, 0, sizeof(box));
	if (loop_new(&loop) < 0)
		return -1;
	return mailbox_init(&box, loop);
}

static int
tear_down(void **state)
{
	(void)state;
	mailbox_fini(&box);
	mailbox_fini(&box);
	loop_free(&loop);
	return 0;
}

struct letter {
	struct mail mail;
	unsigned sender, n;
};

static unsigned next_of[SENDERS], received;

static void
on_letter(struct mail *m)
{
	struct letter *l = CT_CONTAINER(m, struct letter, mail);

	assert_int_equal(l->n, next_of[l->sender]);
	next_of[l->sender]++;
	received++;
	mem_free(l);
}

static void *
sender(void *arg)
{
	unsigned me = *(unsigned *)arg;

	for (unsigned i = 0; i < MAILS; i++) {
		struct letter *l = mem_alloc(sizeof(*l));

		CT_ASSERT(l != NULL);
		l->mail.fn = on_letter;
		l->sender = me;
		l->n = i;
		mailbox_post(&box, &l->mail);
		/* Give the receiver a chance to fall asleep. */
		if (i % 1000 == me)
			(void)usleep(300);
	}
	return NULL;
}

static void
mail_of_four_senders_arrives_complete_and_in_order(void **state)
{
	unsigned names[SENDERS];
	pthread_t threads[SENDERS];

	(void)state;
	memset(next_of, 0, sizeof(next_of));
	received = 0;
	for (unsigned i = 0; i < SENDERS; i++) {
		names[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, sender,
		    &names[i]), 0);
	}
	/* A wake-up that got lost would leave this waiting for ever. */
	while (received < SENDERS * MAILS)
		assert_int_equal(loop_turn(loop, -1), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(received, SENDERS * MAILS);
}

static unsigned counted;

static void
on_count(struct mail *m)
{
	(void)m;
	counted++;
}

static bool
eventfd_was_written(void)
{
	uint64_t n;

	if (read(box.watch.fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
		return true;
	assert_int_equal(errno, EAGAIN);
	return false;
}

static void
a_post_to_a_receiver_that_is_awake_costs_no_system_call(void **state)
{
	struct mail m[100];

	(void)state;
	counted = 0;
	for (int i = 0; i < 100; i++) {
		m[i].fn = on_count;
		mailbox_post(&box, &m[i]);
	}
	assert_false(eventfd_was_written());
	assert_int_equal(loop_turn(loop, -1), 0);
	assert_int_equal(counted, 100);
	assert_false(eventfd_was_written());
}

static void
a_sleeping_receiver_is_woken_by_one_write(void **state)
{
	struct mail m[3] = { { .fn = on_count }, { .fn = on_count },
	    { .fn = on_count } };
	uint64_t n = 0;

	(void)state;
	counted = 0;
	assert_true(box.hook.may_sleep(&box.hook));
	for (int i = 0; i < 3; i++)
		mailbox_post(&box, &m[i]);
	assert_int_equal(read(box.watch.fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	/* What is there keeps it from sleeping again. */
	assert_false(box.hook.may_sleep(&box.hook));
	assert_int_equal(loop_turn(loop, -1), 0);
	assert_int_equal(counted, 3);
}

struct chain {
	struct mail mail;
	unsigned left;
};

static void
on_chain(struct mail *m)
{
	struct chain *c = CT_CONTAINER(m, struct chain, mail);

	counted++;
	if (--c->left > 0)
		mailbox_post(&box, m);
}

static void
mail_that_posts_itself_does_not_starve_the_loop(void **state)
{
	struct chain c = { .mail.fn = on_chain, .left = 3 * MAILBOX_TURN };

	(void)state;
	counted = 0;
	mailbox_post(&box, &c.mail);
	assert_int_equal(loop_turn(loop, -1), 0);
	assert_int_equal(counted, MAILBOX_TURN);
	mailbox_drain(&box);
	assert_int_equal(counted, 3 * MAILBOX_TURN);
}

static bool delivered, looked;

static void
on_news(struct mail *m)
{
	(void)m;
	delivered = true;
}

static void
on_readable(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	assert_true(delivered);
	looked = true;
}

/* Who connects after a certificate was sent to the workers must see it. */
static void
mail_is_there_before_what_happened_after_it(void **state)
{
	struct mail news = { .fn = on_news };
	struct watch w = { .fn = on_readable };
	int end[2];

	(void)state;
	assert_int_equal(pipe(end), 0);
	w.fd = end[0];
	assert_int_equal(loop_add(loop, &w, EPOLLIN), 0);
	mailbox_post(&box, &news);
	assert_int_equal(write(end[1], "x", 1), 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_true(looked);
	loop_del(loop, &w);
	(void)close(end[0]);
	(void)close(end[1]);
}

static void
what_is_left_at_the_end_is_delivered(void **state)
{
	struct mail m = { .fn = on_count };

	(void)state;
	counted = 0;
	mailbox_post(&box, &m);
	mailbox_fini(&box);
	assert_int_equal(counted, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(mail_of_four_senders_arrives_complete_and_in_order),
		T(a_post_to_a_receiver_that_is_awake_costs_no_system_call),
		T(a_sleeping_receiver_is_woken_by_one_write),
		T(mail_that_posts_itself_does_not_starve_the_loop),
		T(mail_is_there_before_what_happened_after_it),
		T(what_is_left_at_the_end_is_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
