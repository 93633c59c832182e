/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of core/endpoint/identity: devices with keys that say hello on real
 * channels, operations that are waited for, and a store that is held up.
 */
#ifndef CT_TEST_IDENTITY_TRY_H
#define CT_TEST_IDENTITY_TRY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "../lib/channel_rig.h"
#include "base/hex.h"
#include "base/mem.h"
#include "tls/ed25519.h"
#include "store/db.h"
#include "endpoint/identity.h"
#include "endpoint/throttle.h"

static struct rig rig;
static struct rig_client client, other;
static struct identity_rules rules = {
	.enrol = ENROL_CLOSED, .pending_max = 2, .pending_ms = 1000,
	.open_max = 3, .enrol_per_minute = 1000, .failures_address = 1000,
	.failures_identity = 1000, .cert_admits = true
};

static inline int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	client = other = (struct rig_client){ .fd = -1, .rig = &rig };
	rig_start(&rig);
	identity_set_rules(rig.identity, &rules);
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	rig_hang_up(&client);
	rig_hang_up(&other);
	rig_stop(&rig);
	return 0;
}

static inline struct channel *
the_channel(void)
{
	return channel_find(rig.cw[0], rig.last_id);
}

static inline void
dial(struct rig_client *c, const char *priority, const struct test_cert *cert)
{
	struct rig_dial d = { .priority = priority, .cert = cert };

	rig_hang_up(c);
	rig_dial(&rig, &d, c);
}

struct key {
	uint8_t seed[32], public_key[32];
};

/* What a device says; exporter NULL: not bound.  nonce: of the channel. */
static inline void
say(struct rig_client *c, const char *verb, const char *id,
    const char *token, const struct key *k, const uint8_t nonce[32],
    const uint8_t *exporter)
{
	uint8_t text[ED25519_HELLO_MAX], signature[64];
	char line[600], hex[65], sign[129];
	size_t n = ed25519_hello(nonce, exporter, id, text);

	assert_int_equal(ed25519_sign(k->seed, text, n, signature), 0);
	hex_write(k->public_key, 32, hex);
	hex_write(signature, 64, sign);
	(void)snprintf(line, sizeof(line), "%s %s %s %s %s %d", verb, id,
	    token, hex, sign, exporter != NULL);
	assert_true(rig_send_text(c, line));
}

static inline void
new_key(struct key *k)
{
	assert_int_equal(ed25519_generate(k->seed, k->public_key), 0);
}

struct op {
	struct identity_op op;
	bool done;
};

static inline void
op_done(struct identity_op *o)
{
	((struct op *)o)->done = true;
}

static inline struct op
op_new(void)
{
	return (struct op){ .op = { .done = op_done,
	    .home = &rig.worker[0].mailbox } };
}

static inline int
finish(struct op *o, int r)
{
	assert_int_equal(r, 0);
	while (!o->done)
		rig_turn(&rig);
	return o->op.error;
}

static inline uint64_t
know(const char *id, const struct key *k)
{
	struct store_credential c = { .endpoint = id, .kind = STORE_CRED_KEY,
	    .label = "" };
	struct op o = op_new();

	assert_int_equal(finish(&o, identity_admit(rig.identity, id, &o.op)),
	    0);
	memcpy(c.value, k->public_key, 32);
	o = op_new();
	assert_int_equal(finish(&o, identity_add(rig.identity, &c, &o.op)),
	    0);
	assert_true(o.op.number > 0);
	return o.op.number;
}

/* Holds the store's thread inside a job: what is asked meanwhile waits. */
struct hold {
	struct store_job job;
	sem_t held, go, over;
};

static inline int
held(struct store_job *j, struct store_db *db)
{
	struct hold *h = (struct hold *)j;

	(void)db;
	(void)sem_post(&h->held);
	(void)sem_wait(&h->go);
	return 0;
}

static inline void
hold_over(struct store_job *j)
{
	(void)sem_post(&((struct hold *)j)->over);
}

static inline void
hold(struct hold *h)
{
	*h = (struct hold){ .job = { .run = held, .done = hold_over } };
	(void)sem_init(&h->held, 0, 0);
	(void)sem_init(&h->go, 0, 0);
	(void)sem_init(&h->over, 0, 0);
	assert_int_equal(store_submit(rig.store, &h->job), 0);
	(void)sem_wait(&h->held);
}

static inline void
let_go(struct hold *h)
{
	(void)sem_post(&h->go);
	(void)sem_wait(&h->over);
}

/* What was submitted is done. */
static inline void
settle(void)
{
	struct hold h;

	hold(&h);
	let_go(&h);
}

static inline void
enrol(struct rig_client *c, const char *id, const char *token,
    const struct key *k, const char *answer)
{
	uint8_t nonce[32];

	dial(c, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(c, "enrol", id, token, k, nonce, NULL);
	rig_expect_text(c, answer);
}

static inline struct identity_figures
figures(void)
{
	struct identity_figures f;

	identity_figures(rig.identity, &f);
	return f;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif
