/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live connections that two threads hand to each other, each with areas and
 * handles of its own, as workers do.  Meant to run under ThreadSanitizer too.
 */
#include "tls/record.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/strict_tls.h"
#include "base/transport.h"
#include "tls/aead.h"

#define CHANNELS 36
#define ROUNDS 20

struct channel {
	struct strict_peer peer;
	uint8_t state[256];		/* between two rounds */
	size_t state_n;
};

static struct channel *channels;
static pthread_barrier_t turn;
static atomic_uint failures;

static bool
both_ways(struct transport *t, struct stage *st, struct strict_peer *p,
    unsigned round)
{
	uint8_t wire[512], text[32];
	size_t n = 0;
	ssize_t k;

	memset(text, (int)round, sizeof(text));
	if (p->suite->hash_n != 0 && round % 5 == 0)
		n = strict_key_update(p, round % 2, wire);
	n += strict_seal(p, 23, text, sizeof(text), round, wire + n);
	k = t->ops->read(t, st, wire, n);
	if (k != (ssize_t)n || st->rx.n != sizeof(text) ||
	    memcmp(st->rx.p, text, sizeof(text)) != 0)
		return false;
	st->rx.n = 0;
	k = t->ops->write(t, st, text, sizeof(text));
	if (k != (ssize_t)sizeof(text) ||
	    !strict_take(p, st->tx.p, st->tx.n) ||
	    p->data_n != sizeof(text) ||
	    memcmp(p->data, text, sizeof(text)) != 0)
		return false;
	st->tx.n = 0;
	p->data_n = 0;
	return true;
}

static bool
serve(struct channel *c, struct stage *st, unsigned round)
{
	struct outbuf out = { c->state, 0, sizeof(c->state) };
	struct transport *t;
	bool ok = true;

	if (tls_record_ops.import(c->state, c->state_n, &t) < 0)
		return false;
	for (int i = 0; i < 3 && ok; i++)
		ok = both_ways(t, st, &c->peer, round);
	ok = t->ops->export(t, &out) == 0 && ok;
	c->state_n = out.n;
	t->ops->free(&t);
	return ok;
}

static void *
worker(void *arg)
{
	unsigned me = *(const unsigned *)arg;
	struct stage st;

	if (stage_init(&st) < 0 || aead_cache_new(8, &st.aead) < 0)
		abort();
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < CHANNELS; i++)
			if ((i + round) % 2 == me &&
			    !serve(&channels[i], &st, round))
				atomic_fetch_add(&failures, 1);
		pthread_barrier_wait(&turn);
	}
	aead_cache_free(&st.aead);
	stage_fini(&st);
	return NULL;
}

static void
live_connections_move_between_two_workers(void **state)
{
	static const unsigned number[2] = { 0, 1 };
	pthread_t thread[2];
	struct tls_detach d;

	(void)state;
	channels = calloc(CHANNELS, sizeof(*channels));
	assert_non_null(channels);
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct channel *c = &channels[i];
		struct outbuf out = { c->state, 0, sizeof(c->state) };
		struct transport *t;

		strict_init(&c->peer, &strict_suites[i % STRICT_SUITES], false,
		    i, &d);
		assert_int_equal(tls_record_new(&d, &t), 0);
		assert_int_equal(t->ops->export(t, &out), 0);
		c->state_n = out.n;
		t->ops->free(&t);
	}
	assert_int_equal(pthread_barrier_init(&turn, NULL, 2), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, worker,
		    (void *)(uintptr_t)&number[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	pthread_barrier_destroy(&turn);
	assert_int_equal(atomic_load(&failures), 0);
	free(channels);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live_connections_move_between_two_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
