/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/endpoint/identity.c, identity_op.c and throttle.c, through real
 * channels: keys bound to their TLS connection, enrolment, revocation, and what
 * failing often leads to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "../lib/channel_rig.h"
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

static int
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

static int
tear_down(void **state)
{
	(void)state;
	rig_hang_up(&client);
	rig_hang_up(&other);
	rig_stop(&rig);
	return 0;
}

static struct channel *
the_channel(void)
{
	return channel_find(rig.cw[0], rig.last_id);
}

static void
dial(struct rig_client *c, const char *priority, const struct test_cert *cert)
{
	struct rig_dial d = { .priority = priority, .cert = cert };

	rig_hang_up(c);
	rig_dial(&rig, &d, c);
}

/* ---- keys --------------------------------------------------------------- */

struct key {
	uint8_t seed[32], public_key[32];
};

static void
exporter_of(const struct rig_client *c, uint8_t ret[32])
{
	gnutls_datum_t cb = { NULL, 0 };

	assert_true(gnutls_session_channel_binding(c->tls,
	    GNUTLS_CB_TLS_EXPORTER, &cb) >= 0);
	assert_int_equal(cb.size, 32);
	memcpy(ret, cb.data, 32);
	gnutls_free(cb.data);
}

/* What a device says; exporter NULL: not bound.  nonce: of the channel. */
static void
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

static void
new_key(struct key *k)
{
	assert_int_equal(ed25519_generate(k->seed, k->public_key), 0);
}

struct op {
	struct identity_op op;
	bool done;
};

static void
op_done(struct identity_op *o)
{
	((struct op *)o)->done = true;
}

static struct op
op_new(void)
{
	return (struct op){ .op = { .done = op_done,
	    .home = &rig.worker[0].mailbox } };
}

static int
finish(struct op *o, int r)
{
	assert_int_equal(r, 0);
	while (!o->done)
		rig_turn(&rig);
	return o->op.error;
}

static uint64_t
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

static void
a_bound_signature_is_wss_safe_and_one_that_is_not_is_wss(void **state)
{
	uint8_t nonce[32], exporter[32];
	struct key k;

	(void)state;
	new_key(&k);
	(void)know("till-1", &k);
	dial(&client, RIG_TLS13, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	exporter_of(&client, exporter);
	say(&client, "key", "till-1", "-", &k, nonce, exporter);
	rig_expect_text(&client, "ok 1 wss-safe");
	dial(&client, RIG_TLS12, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	exporter_of(&client, exporter);
	say(&client, "key", "till-1", "-", &k, nonce, exporter);
	rig_expect_text(&client, "ok 2 wss-safe");
	dial(&client, RIG_TLS13, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, NULL);
	rig_expect_text(&client, "ok 3 wss");
	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, NULL);
	rig_expect_text(&client, "ok 4 ws");
}

/* Somebody with a valid certificate has one connection with the device and
 * another with us, and hands everything on. */
static void
who_sits_in_between_cannot_hand_a_signature_on(void **state)
{
	uint8_t nonce[32], theirs[32];
	struct key k;

	(void)state;
	new_key(&k);
	(void)know("till-1", &k);
	dial(&other, RIG_TLS13, NULL);	/* what the device is connected to */
	exporter_of(&other, theirs);
	dial(&client, RIG_TLS13, NULL);	/* what we are connected to */
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, theirs);
	rig_expect_text(&client, "no -13");
}

static void
a_signature_is_for_one_challenge_one_id_and_one_key(void **state)
{
	uint8_t nonce[32], exporter[32], old[32];
	struct key k, stranger;

	(void)state;
	new_key(&k);
	new_key(&stranger);
	(void)know("till-1", &k);
	(void)know("till-2", &stranger);
	dial(&client, RIG_TLS13, NULL);
	assert_int_equal(channel_challenge(the_channel(), old), 0);
	dial(&client, RIG_TLS13, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	exporter_of(&client, exporter);
	say(&client, "key", "till-1", "-", &k, old, exporter);
	rig_expect_text(&client, "no -13");
	dial(&client, RIG_TLS13, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	exporter_of(&client, exporter);
	say(&client, "key", "till-2", "-", &k, nonce, exporter);
	rig_expect_text(&client, "no -13");
	dial(&client, RIG_TLS12_NO_EMS, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	memset(exporter, 0, sizeof(exporter));
	say(&client, "key", "till-1", "-", &k, nonce, exporter);
	rig_expect_text(&client, "no -13");
}

/* ---- revocation --------------------------------------------------------- */

static void
revoking_ends_who_was_let_in_by_it_and_nobody_else(void **state)
{
	uint8_t nonce[32];
	struct key k;
	uint64_t number;
	struct op o;

	(void)state;
	new_key(&k);
	number = know("till-1", &k);
	dial(&other, NULL, NULL);
	(void)rig_hello(&other, "dev-1");
	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, NULL);
	rig_expect_text(&client, "ok 1 ws");
	o = op_new();
	assert_int_equal(finish(&o, identity_revoke(rig.identity, number,
	    &o.op)), 0);
	rig_expect_close(&client, 4005);
	assert_true(rig_send_text(&other, "still here"));
	rig_expect_text(&other, "still here");
	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, NULL);
	rig_expect_text(&client, "no -13");
	assert_int_equal(identity_revoke(rig.identity, 4711, &o.op), -ENOENT);
}

static void
a_certificate_is_a_credential_from_its_first_use(void **state)
{
	struct identity_figures f;
	struct op o = op_new();

	(void)state;
	dial(&client, RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "ok 1 wss-safe");
	identity_figures(rig.identity, &f);
	assert_int_equal(f.credentials, 1);
	assert_int_equal(finish(&o, identity_revoke(rig.identity, 1, &o.op)),
	    0);
	rig_expect_close(&client, 4005);
	dial(&client, RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "no -13");
}

static void
who_is_denied_is_out_by_any_credential_until_approved(void **state)
{
	struct op o = op_new();

	(void)state;
	dial(&client, NULL, NULL);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(finish(&o, identity_deny(rig.identity, "dev-1",
	    &o.op)), 0);
	rig_expect_close(&client, 4005);
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "no -13");
	o = op_new();
	assert_int_equal(finish(&o, identity_approve(rig.identity, "dev-1",
	    &o.op)), 0);
	dial(&client, NULL, NULL);
	(void)rig_hello(&client, "dev-1");
}

/* ---- the store ---------------------------------------------------------- */

/* Holds the store's thread inside a job: what is asked meanwhile waits. */
struct hold {
	struct store_job job;
	sem_t held, go, over;
};

static int
held(struct store_job *j, struct store_db *db)
{
	struct hold *h = (struct hold *)j;

	(void)db;
	(void)sem_post(&h->held);
	(void)sem_wait(&h->go);
	return 0;
}

static void
hold_over(struct store_job *j)
{
	(void)sem_post(&((struct hold *)j)->over);
}

static void
hold(struct hold *h)
{
	*h = (struct hold){ .job = { .run = held, .done = hold_over } };
	(void)sem_init(&h->held, 0, 0);
	(void)sem_init(&h->go, 0, 0);
	(void)sem_init(&h->over, 0, 0);
	assert_int_equal(store_submit(rig.store, &h->job), 0);
	(void)sem_wait(&h->held);
}

static void
let_go(struct hold *h)
{
	(void)sem_post(&h->go);
	(void)sem_wait(&h->over);
}

/* What was submitted is done. */
static void
settle(void)
{
	struct hold h;

	hold(&h);
	let_go(&h);
}

/* ---- enrolment ---------------------------------------------------------- */

static void
enrol(struct rig_client *c, const char *id, const char *token,
    const struct key *k, const char *answer)
{
	uint8_t nonce[32];

	dial(c, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(c, "enrol", id, token, k, nonce, NULL);
	rig_expect_text(c, answer);
}

static void
closed_lets_in_by_a_one_time_token_only_and_once(void **state)
{
	struct store_enrolment e = { .endpoint = "", .group = "tills",
	    .uses_left = 1 };
	struct op o = op_new();
	struct key k, late;

	(void)state;
	new_key(&k);
	new_key(&late);
	enrol(&client, "till-1", "-", &k, "no -13");
	enrol(&client, "till-1", "some-token-that-is-none", &k, "no -13");
	assert_int_equal(finish(&o, identity_token_add(rig.identity, &e,
	    &o.op)), 0);
	assert_int_equal(strlen(o.op.secret), 43);
	enrol(&client, "till-1", o.op.secret, &k, "ok 1 ws");
	/* The answer may have been lost: the same key is let in again. */
	enrol(&client, "till-1", o.op.secret, &k, "ok 2 ws");
	enrol(&client, "till-2", o.op.secret, &late, "no -13");
	/* And nobody becomes somebody who is there. */
	e.uses_left = 9;
	o = op_new();
	assert_int_equal(finish(&o, identity_token_add(rig.identity, &e,
	    &o.op)), 0);
	enrol(&client, "till-1", o.op.secret, &late, "no -13");
	enrol(&client, "dev-1", o.op.secret, &late, "no -13");
}

static void
without_a_key_a_token_is_made(void **state)
{
	struct store_enrolment e = { .endpoint = "", .group = "",
	    .uses_left = 1 };
	struct op o = op_new();
	char line[200];

	(void)state;
	assert_int_equal(finish(&o, identity_token_add(rig.identity, &e,
	    &o.op)), 0);
	dial(&client, RIG_TLS13, NULL);
	(void)snprintf(line, sizeof(line), "enrol till-1 %s", o.op.secret);
	assert_true(rig_send_text(&client, line));
	rig_expect_text(&client, "ok 1 wss");
	assert_int_equal(strlen(rig.enrolled), 43);
	dial(&client, RIG_TLS13, NULL);
	(void)snprintf(line, sizeof(line), "hello till-1 %s", rig.enrolled);
	assert_true(rig_send_text(&client, line));
	rig_expect_text(&client, "ok 2 wss");
}

static void
approve_makes_a_device_wait_within_limits(void **state)
{
	struct identity_rules r = rules;
	struct identity_figures f;
	struct op o = op_new();
	struct key k[3];

	(void)state;
	r.enrol = ENROL_APPROVE;
	identity_set_rules(rig.identity, &r);
	for (int i = 0; i < 3; i++)
		new_key(&k[i]);
	enrol(&client, "a", "-", &k[0], "no -115");
	enrol(&client, "b", "-", &k[1], "no -115");
	enrol(&client, "c", "-", &k[2], "no -122");	/* pending_max */
	enrol(&client, "a", "-", &k[0], "no -115");
	enrol(&client, "a", "-", &k[2], "no -13");	/* another key */
	identity_figures(rig.identity, &f);
	assert_int_equal(f.pending, 2);
	assert_int_equal(f.enrolments[ENROL_PENDING], 3);
	assert_int_equal(f.enrolments[ENROL_FULL], 1);
	assert_int_equal(f.enrolments[ENROL_REFUSED], 1);
	assert_int_equal(finish(&o, identity_approve(rig.identity, "a",
	    &o.op)), 0);
	enrol(&client, "a", "-", &k[0], "ok 1 ws");
	rig_advance(&rig, 1001);
	identity_sweep(rig.identity, INT64_MAX - 1000);
	settle();
	identity_figures(rig.identity, &f);
	assert_int_equal(f.pending, 0);
	assert_int_equal(endpoint_table_count(rig.endpoints), 1);
}

static void
open_lets_in_until_so_many_are_known(void **state)
{
	struct identity_rules r = rules;
	struct identity_figures f;
	struct key k;
	char id[16];

	(void)state;
	r.enrol = ENROL_OPEN;
	identity_set_rules(rig.identity, &r);
	for (int i = 0; i < 4; i++) {
		new_key(&k);
		(void)snprintf(id, sizeof(id), "o-%d", i);
		enrol(&client, id, "-", &k, i < 3 ? "ok 1 ws" : "no -122");
	}
	identity_figures(rig.identity, &f);
	assert_int_equal(f.enrolments[ENROL_ENROLLED], 3);
	assert_int_equal(f.enrolments[ENROL_FULL], 1);
	r.enrol_per_minute = 4;
	identity_set_rules(rig.identity, &r);
	enrol(&client, "o-5", "-", &k, "no -122");
	identity_figures(rig.identity, &f);
	assert_int_equal(f.enrolments[ENROL_THROTTLED], 1);
	for (int i = 0; i < ENROL_RESULTS; i++)
		assert_true(strlen(enrol_result_name(
		    (enum enrol_result)i)) > 0);
}

/* ---- at the same moment ------------------------------------------------- */

/* Ends the transaction that the others are in, as a full disk does. */
static int
broken(struct store_job *j, struct store_db *db)
{
	(void)j;
	(void)db_exec(db, "ROLLBACK");
	return -EIO;
}

static void
break_off(struct hold *h)
{
	*h = (struct hold){ .job = { .run = broken, .done = hold_over } };
	(void)sem_init(&h->over, 0, 0);
	assert_int_equal(store_submit(rig.store, &h->job), 0);
}

static int
ask(struct op *o, const char *id, const char *token, const struct key *k)
{
	uint64_t number = 0;

	*o = op_new();
	return identity_enrol(rig.identity, id, token,
	    k == NULL ? NULL : k->public_key, "192.0.2.1", &o->op, &number);
}

static void
one_time_token(uint32_t uses, struct op *o)
{
	struct store_enrolment e = { .endpoint = "", .group = "",
	    .uses_left = uses };

	*o = op_new();
	assert_int_equal(finish(o, identity_token_add(rig.identity, &e,
	    &o->op)), 0);
}

static struct identity_figures
figures(void)
{
	struct identity_figures f;

	identity_figures(rig.identity, &f);
	return f;
}

static void
who_is_known_is_replaced_by_an_operators_word_only(void **state)
{
	static const enum identity_enrol modes[] = {
		ENROL_APPROVE, ENROL_OPEN
	};
	struct identity_rules r = rules;
	struct op token, o = op_new();
	struct key k, stranger;
	uint64_t number;

	(void)state;
	new_key(&k);
	new_key(&stranger);
	number = know("till-1", &k);	/* all of it will be revoked */
	assert_int_equal(finish(&o, identity_revoke(rig.identity, number,
	    &o.op)), 0);
	o = op_new();			/* nothing was ever given to it */
	assert_int_equal(finish(&o, identity_admit(rig.identity, "till-2",
	    &o.op)), 0);
	for (int i = 0; i < 2; i++) {
		r.enrol = modes[i];
		identity_set_rules(rig.identity, &r);
		for (int id = 1; id <= 2; id++) {
			assert_int_equal(ask(&o, id == 1 ? "till-1" : "till-2",
			    NULL, &stranger), 0);
			assert_int_equal(finish(&o, 0), -EACCES);
		}
		assert_int_equal(ask(&o, "till-1", NULL, &k), 0);
		assert_int_equal(finish(&o, 0), -EACCES);
	}
	assert_int_equal(figures().pending, 0);
	identity_sweep(rig.identity, INT64_MAX - 1000);
	settle();
	assert_int_equal(endpoint_table_count(rig.endpoints), 2);
	one_time_token(2, &token);
	assert_int_equal(ask(&o, "till-1", token.op.secret, &k), 0);
	assert_int_equal(finish(&o, 0), -EACCES);	/* revoked for good */
	assert_int_equal(ask(&o, "till-1", token.op.secret, &stranger), 0);
	assert_int_equal(finish(&o, 0), 0);
}

static void
of_two_that_enrol_as_one_at_the_same_moment_one_is_it(void **state)
{
	struct op token, a, b;
	struct key k[2];
	struct hold h;

	(void)state;
	new_key(&k[0]);
	new_key(&k[1]);
	one_time_token(5, &token);
	hold(&h);
	assert_int_equal(ask(&a, "till-1", token.op.secret, &k[0]), 0);
	assert_int_equal(ask(&b, "till-1", token.op.secret, &k[1]), 0);
	let_go(&h);
	assert_int_equal(finish(&a, 0), 0);
	assert_int_equal(finish(&b, 0), -EACCES);
	hold(&h);			/* tokens that are made are no better */
	assert_int_equal(ask(&a, "till-2", token.op.secret, NULL), 0);
	assert_int_equal(ask(&b, "till-2", token.op.secret, NULL), 0);
	let_go(&h);
	assert_int_equal(finish(&a, 0), 0);
	assert_int_equal(finish(&b, 0), -EACCES);
	assert_int_equal(b.op.secret[0], '\0');
	assert_int_equal(figures().credentials, 2);
}

static void
one_that_asks_twice_at_the_same_moment_is_let_in_twice(void **state)
{
	uint8_t cert[32] = { 7 };
	struct op token, a, b;
	struct hold h;
	struct key k;

	(void)state;
	new_key(&k);
	one_time_token(1, &token);
	hold(&h);
	assert_int_equal(ask(&a, "till-1", token.op.secret, &k), 0);
	assert_int_equal(ask(&b, "till-1", token.op.secret, &k), 0);
	let_go(&h);
	assert_int_equal(finish(&a, 0), 0);
	assert_int_equal(finish(&b, 0), 0);
	assert_int_equal(a.op.number, b.op.number);
	hold(&h);
	a = op_new();
	b = op_new();
	assert_int_equal(identity_vouch(rig.identity, "till-1", cert, &a.op),
	    0);
	assert_int_equal(identity_vouch(rig.identity, "till-1", cert, &b.op),
	    0);
	let_go(&h);
	assert_int_equal(finish(&a, 0), 0);
	assert_int_equal(finish(&b, 0), 0);
	assert_int_equal(a.op.number, b.op.number);
	assert_int_equal(figures().credentials, 2);
}

static void
limits_hold_for_those_who_come_at_the_same_moment(void **state)
{
	struct identity_rules r = rules;
	struct op o[3];
	struct hold h;
	struct key k;

	(void)state;
	r.enrol = ENROL_APPROVE;
	identity_set_rules(rig.identity, &r);
	hold(&h);
	for (int i = 0; i < 3; i++) {
		char id[16];

		new_key(&k);
		(void)snprintf(id, sizeof(id), "p-%d", i);
		assert_int_equal(ask(&o[i], id, NULL, &k), i < 2 ? 0 :
		    -EDQUOT);	/* pending_max */
	}
	let_go(&h);
	for (int i = 0; i < 2; i++)
		assert_int_equal(finish(&o[i], 0), -EINPROGRESS);
	assert_int_equal(figures().pending, 2);
	r.enrol = ENROL_OPEN;			/* open_max 3 */
	identity_set_rules(rig.identity, &r);
	hold(&h);
	assert_int_equal(ask(&o[0], "o-1", NULL, &k), 0);
	assert_int_equal(ask(&o[1], "o-2", NULL, &k), -EDQUOT);
	let_go(&h);
	assert_int_equal(finish(&o[0], 0), 0);
}

static void
making_an_endpoint_known_approves_nobody_who_asked_for_it(void **state)
{
	struct identity_rules r = rules;
	struct op a, o = op_new();
	struct hold h;
	struct key k;

	(void)state;
	new_key(&k);
	r.enrol = ENROL_APPROVE;
	identity_set_rules(rig.identity, &r);
	hold(&h);
	assert_int_equal(ask(&a, "till-1", NULL, &k), 0);
	assert_int_equal(identity_admit(rig.identity, "till-1", &o.op), 0);
	let_go(&h);
	assert_int_equal(finish(&a, 0), -EINPROGRESS);
	assert_int_equal(finish(&o, 0), -EEXIST);
	assert_int_equal(ask(&a, "till-1", NULL, &k), -EINPROGRESS);
}

static void
what_an_operator_takes_away_stays_away(void **state)
{
	struct op token, a, o;
	struct hold h;
	struct key k;

	(void)state;
	new_key(&k);
	one_time_token(5, &token);
	hold(&h);
	assert_int_equal(ask(&a, "till-1", token.op.secret, &k), 0);
	o = op_new();			/* known as soon as it is denied */
	assert_int_equal(identity_admit(rig.identity, "till-1", &o.op), 0);
	let_go(&h);
	(void)finish(&a, 0);
	(void)finish(&o, 0);
	hold(&h);
	assert_int_equal(ask(&a, "till-1", token.op.secret, &k), -EALREADY);
	o = op_new();
	assert_int_equal(identity_approve(rig.identity, "till-1", &o.op), 0);
	a = op_new();
	assert_int_equal(identity_deny(rig.identity, "till-1", &a.op), 0);
	let_go(&h);
	(void)finish(&o, 0);
	(void)finish(&a, 0);
	assert_int_equal(figures().denied, 1);
	assert_int_equal(ask(&a, "till-1", token.op.secret, &k), -EACCES);
	o = op_new();
	assert_int_equal(finish(&o, identity_admit(rig.identity, "till-2",
	    &o.op)), 0);
	hold(&h);
	assert_int_equal(ask(&a, "till-2", token.op.secret, &k), 0);
	o = op_new();
	assert_int_equal(identity_forget(rig.identity, "till-2", &o.op), 0);
	let_go(&h);
	assert_int_equal(finish(&o, 0), 0);
	(void)finish(&a, 0);
	/* As in the store. */
	assert_int_equal(endpoint_table_count(rig.endpoints), 1);
}

static unsigned
told(enum event_type type, const char *id)
{
	unsigned n = 0;

	(void)event_tap_sync(&rig.tap);
	for (unsigned i = 0; i < rig.tap.n; i++)
		n += rig.tap.got[i].type == type &&
		    strcmp(rig.tap.got[i].endpoint, id) == 0;
	return n;
}

static void
key_hello(const struct key *k, const char *answer)
{
	uint8_t nonce[32];

	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", k, nonce, NULL);
	rig_expect_text(&client, answer);
}

static void
who_cannot_be_forgotten_is_as_before(void **state)
{
	struct endpoint_facts facts;
	struct hold h, b;
	struct op o, late;
	struct key k;

	(void)state;
	new_key(&k);
	(void)know("till-1", &k);
	key_hello(&k, "ok 1 ws");
	hold(&h);
	o = op_new();
	assert_int_equal(identity_forget(rig.identity, "till-1", &o.op), 0);
	/* Nobody finds it meanwhile, nor becomes it. */
	assert_int_equal(endpoint_get(rig.endpoints, "till-1", &facts),
	    -ENOENT);
	assert_int_equal(identity_forget(rig.identity, "till-1", &late.op),
	    -ENOENT);
	assert_int_equal(identity_deny(rig.identity, "till-1", &late.op),
	    -ENOENT);
	key_hello(&k, "no -11");
	break_off(&b);
	let_go(&h);
	assert_int_equal(finish(&o, 0), -EIO);
	assert_int_equal(endpoint_get(rig.endpoints, "till-1", &facts), 0);
	assert_int_equal(told(EVENT_ENDPOINT_FORGOTTEN, "till-1"), 0);
	assert_int_equal(figures().credentials, 1);
	key_hello(&k, "ok 2 ws");
	o = op_new();
	assert_int_equal(finish(&o, identity_forget(rig.identity, "till-1",
	    &o.op)), 0);
	rig_expect_close(&client, 4004);
	assert_int_equal(told(EVENT_ENDPOINT_FORGOTTEN, "till-1"), 1);
	key_hello(&k, "no -13");
	assert_int_equal(figures().credentials, 0);
}

static void
who_is_let_in_when_the_time_is_up_stays(void **state)
{
	struct identity_rules r = rules;
	struct endpoint_facts facts;
	struct op token, o;
	struct hold h;
	struct key k;

	(void)state;
	r.enrol = ENROL_APPROVE;
	identity_set_rules(rig.identity, &r);
	new_key(&k);
	one_time_token(1, &token);
	assert_int_equal(ask(&o, "till-1", NULL, &k), 0);
	assert_int_equal(finish(&o, 0), -EINPROGRESS);
	hold(&h);
	assert_int_equal(ask(&o, "till-1", token.op.secret, &k), 0);
	identity_sweep(rig.identity, INT64_MAX - 1000);
	let_go(&h);
	assert_int_equal(finish(&o, 0), 0);
	settle();
	assert_int_equal(endpoint_get(rig.endpoints, "till-1", &facts), 0);
	assert_int_equal(ask(&o, "till-1", NULL, &k), -EALREADY);
}

static void
an_expired_key_does_not_come_back_by_enrolling(void **state)
{
	struct store_credential c = { .endpoint = "till-1",
	    .kind = STORE_CRED_KEY, .label = "", .expires_ms = 1 };
	struct op token, o = op_new();
	struct key k;

	(void)state;
	new_key(&k);
	one_time_token(5, &token);
	assert_int_equal(finish(&o, identity_admit(rig.identity, "till-1",
	    &o.op)), 0);
	memcpy(c.value, k.public_key, 32);
	o = op_new();
	assert_int_equal(finish(&o, identity_add(rig.identity, &c, &o.op)),
	    0);
	assert_int_equal(ask(&o, "till-1", NULL, &k), -EACCES);
	assert_int_equal(ask(&o, "till-1", token.op.secret, &k), -EACCES);
}

static void
who_waits_is_let_in_by_a_one_time_token(void **state)
{
	struct identity_rules r = rules;
	struct op token, o;
	struct key k;

	(void)state;
	r.enrol = ENROL_APPROVE;
	identity_set_rules(rig.identity, &r);
	new_key(&k);
	one_time_token(1, &token);
	assert_int_equal(ask(&o, "till-1", NULL, &k), 0);
	assert_int_equal(finish(&o, 0), -EINPROGRESS);
	assert_int_equal(ask(&o, "till-1", NULL, &k), -EINPROGRESS);
	assert_int_equal(ask(&o, "till-1", token.op.secret, &k), 0);
	assert_int_equal(finish(&o, 0), 0);
	assert_int_equal(ask(&o, "till-1", NULL, &k), -EALREADY);
	assert_int_equal(figures().pending, 0);
}

static uint64_t
waiting_after(const char *agent, const char *boot_id, const char *peer)
{
	struct store_stats s;

	identity_note_hello(rig.identity, "till-1", agent, boot_id, peer,
	    "main");
	store_stats(rig.store, &s);
	return s.waiting;
}

static void
a_hello_like_the_last_one_writes_nothing(void **state)
{
	struct hold h;

	(void)state;
	assert_int_equal(endpoint_known(rig.endpoints, "till-1"), 0);
	hold(&h);
	assert_int_equal(waiting_after("a 1", "b", "192.0.2.1:5"), 1);
	assert_int_equal(waiting_after("a 1", "b", "192.0.2.1:5"), 1);
	assert_int_equal(waiting_after("a 1", "b", "192.0.2.1:6"), 1);
	assert_int_equal(waiting_after("a 1", "c", "192.0.2.1:6"), 2);
	assert_int_equal(waiting_after("a 2", "c", "192.0.2.1:6"), 3);
	assert_int_equal(waiting_after("a 2", "c", "192.0.2.2:6"), 4);
	assert_int_equal(waiting_after("a 2", "c", "192.0.2.2:7"), 4);
	let_go(&h);
}

/* ---- throttling --------------------------------------------------------- */

static void
wrong_tokens_are_looked_at_so_often_and_keys_always(void **state)
{
	struct identity_rules r = rules;
	uint8_t nonce[32];
	struct key k;

	(void)state;
	r.failures_identity = 3;
	identity_set_rules(rig.identity, &r);
	new_key(&k);
	(void)know("dev-2", &k);
	for (int i = 0; i < 3; i++) {
		dial(&client, NULL, NULL);
		assert_true(rig_send_text(&client,
		    "hello dev-2 wrong-wrong-wrong-wrong"));
		rig_expect_text(&client, "no -13");
	}
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-2 " RIG_TOKEN));
	rig_expect_text(&client, "no -122");
	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "dev-2", "-", &k, nonce, NULL);
	rig_expect_text(&client, "ok 1 ws");
	rig_advance(&rig, 21000);	/* a third of a minute: one more */
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-2 " RIG_TOKEN));
	rig_expect_text(&client, "ok 2 ws");
	assert_int_equal(figures().refused, 3);
	assert_int_equal(figures().throttled_identity, 1);
	assert_int_equal(figures().throttled_address, 0);
	r.failures_address = 1;
	identity_set_rules(rig.identity, &r);
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client,
	    "hello dev-1 wrong-wrong-wrong-wrong"));
	rig_expect_text(&client, "no -13");
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-2 " RIG_TOKEN));
	rig_expect_text(&client, "no -122");
	assert_int_equal(figures().throttled_address, 1);
}

/* From one address: three, then not even what is right. */
static void
count_of(const struct test_cert *cert, const char *line)
{
	struct identity_rules r = rules;
	uint64_t before = figures().refused;

	rig_advance(&rig, 120000);	/* the buckets are empty again */
	r.failures_address = 3;
	identity_set_rules(rig.identity, &r);
	for (int i = 0; i < 3; i++) {
		dial(&client, cert != NULL ? RIG_TLS13 : NULL, cert);
		assert_true(rig_send_text(&client, line));
		rig_expect_text(&client, "no -13");
	}
	dial(&client, NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "no -122");
	assert_int_equal(figures().refused - before, 3);
}

static void
whatever_is_wrong_with_an_attempt_it_counts(void **state)
{
	(void)state;
	count_of(NULL, "hello dev-1 short");
	count_of(NULL, "hello dev-1 wrong-wrong-wrong-wrong");
	count_of(NULL, "cert dev-1");			/* none shown */
	count_of(&rig.device, "cert dev-2");		/* somebody else's */
}

static void
a_bucket_fills_leaks_and_is_nobody_elses(void **state)
{
	static struct throttle t;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.salt = 42;
	for (int i = 0; i < 10; i++) {
		assert_false(throttle_full(&t, "a", 10, 1000));
		throttle_count(&t, "a", 10, 1000);
	}
	assert_true(throttle_full(&t, "a", 10, 1000));
	assert_false(throttle_full(&t, "b", 10, 1000));
	assert_true(throttle_full(&t, "a", 10, 6900));
	assert_false(throttle_full(&t, "a", 10, 7100));
	throttle_count(&t, "a", 10, 7100);
	assert_true(throttle_full(&t, "a", 10, 7100));
	assert_false(throttle_full(&t, "a", 10, 7100 + 60001));
	/* Many looks do not lose fractions. */
	for (uint64_t now = 80000; now < 80000 + 6100; now += 10)
		(void)throttle_full(&t, "c", 10, now);
	for (int i = 0; i < 10; i++)
		throttle_count(&t, "c", 10, 90000);
	for (uint64_t now = 90000; now < 90000 + 6100; now += 10)
		(void)throttle_full(&t, "c", 10, now);
	assert_false(throttle_full(&t, "c", 10, 96200));
	/* Nor does a thread whose clock is behind. */
	for (int i = 0; i < 10; i++)
		throttle_count(&t, "d", 10, 100000);
	assert_true(throttle_full(&t, "d", 10, 99999));
	assert_true(throttle_full(&t, "d", 10, 100000));
}

/* 20,000 keys are far more than places, but each is alone when it is asked
 * about: with one row some ten of them would have been taken for "attacked". */
static void
a_key_is_not_taken_for_another_that_shares_a_place(void **state)
{
	static struct throttle t;
	char key[32];

	(void)state;
	memset(&t, 0, sizeof(t));
	t.salt = 42;
	throttle_count(&t, "attacked", 1, 1000);
	assert_true(throttle_full(&t, "attacked", 1, 1000));
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(key, sizeof(key), "other-%d", i);
		assert_false(throttle_full(&t, key, 1, 1000));
	}
}

static void
memory_may_run_out_at_any_point(void **state)
{
	uint8_t nonce[32];
	struct key k;
	struct op o;
	int r = -1;

	(void)state;
	new_key(&k);
	(void)know("till-1", &k);
	for (unsigned long n = 1; r != 0; n++) {
		o = op_new();
		(void)mem_fail_nth(n);
		r = identity_deny(rig.identity, "till-1", &o.op);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_int_equal(finish(&o, r), 0);
	dial(&client, NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), nonce), 0);
	say(&client, "key", "till-1", "-", &k, nonce, NULL);
	rig_expect_text(&client, "no -13");
}

static struct identity *
empty_identity(void)
{
	const struct identity_deps deps = {
		.store = rig.store, .endpoints = rig.endpoints
	};
	struct identity *in = NULL;

	(void)mem_fail_nth(1);
	assert_int_equal(identity_new(&deps, &rules, &in), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(identity_new(&deps, &rules, &in), 0);
	return in;
}

/* As in the next process of an upgrade. */
static void
it_is_read_after_it_was_made_and_once_is_enough(void **state)
{
	struct identity_proof p = { .kind = STORE_CRED_KEY };
	struct identity_figures had, f;
	struct identity *in;
	uint64_t number, known;
	char why[256];
	struct key k;
	struct op o;
	int r = -ENOMEM;

	(void)state;
	new_key(&k);
	memcpy(p.value, k.public_key, 32);
	(void)know("till-2", &k);
	o = op_new();
	assert_int_equal(finish(&o, identity_deny(rig.identity, "till-2",
	    &o.op)), 0);
	known = know("till-1", &k);
	identity_figures(rig.identity, &had);
	store_stop(rig.store);
	for (unsigned long n = 1; r == -ENOMEM; n++) {
		in = empty_identity();
		assert_int_equal(identity_check(in, "till-1", &p, &number),
		    -EACCES);
		(void)mem_fail_nth(n);
		r = identity_load(in, why);
		(void)mem_fail_nth(0);
		if (r != 0)
			identity_free(&in);
	}
	assert_int_equal(r, 0);
	for (int i = 0; i < 2; i++) {
		identity_figures(in, &f);
		assert_int_equal(f.credentials, had.credentials);
		assert_int_equal(f.denied, 1);
		assert_int_equal(identity_check(in, "till-1", &p, &number), 0);
		assert_int_equal(number, known);
		assert_int_equal(identity_check(in, "till-2", &p, &number),
		    -EACCES);
		assert_int_equal(identity_load(in, why), 0);
	}
	identity_free(&in);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bound_signature_is_wss_safe_and_one_that_is_not_is_wss),
		TEST(it_is_read_after_it_was_made_and_once_is_enough),
		TEST(who_sits_in_between_cannot_hand_a_signature_on),
		TEST(a_signature_is_for_one_challenge_one_id_and_one_key),
		TEST(revoking_ends_who_was_let_in_by_it_and_nobody_else),
		TEST(a_certificate_is_a_credential_from_its_first_use),
		TEST(who_is_denied_is_out_by_any_credential_until_approved),
		TEST(closed_lets_in_by_a_one_time_token_only_and_once),
		TEST(without_a_key_a_token_is_made),
		TEST(approve_makes_a_device_wait_within_limits),
		TEST(who_is_known_is_replaced_by_an_operators_word_only),
		TEST(open_lets_in_until_so_many_are_known),
		TEST(of_two_that_enrol_as_one_at_the_same_moment_one_is_it),
		TEST(one_that_asks_twice_at_the_same_moment_is_let_in_twice),
		TEST(limits_hold_for_those_who_come_at_the_same_moment),
		TEST(making_an_endpoint_known_approves_nobody_who_asked_for_it),
		TEST(what_an_operator_takes_away_stays_away),
		TEST(who_cannot_be_forgotten_is_as_before),
		TEST(who_is_let_in_when_the_time_is_up_stays),
		TEST(an_expired_key_does_not_come_back_by_enrolling),
		TEST(who_waits_is_let_in_by_a_one_time_token),
		TEST(a_hello_like_the_last_one_writes_nothing),
		TEST(wrong_tokens_are_looked_at_so_often_and_keys_always),
		TEST(whatever_is_wrong_with_an_attempt_it_counts),
		cmocka_unit_test(a_bucket_fills_leaks_and_is_nobody_elses),
		cmocka_unit_test(
		    a_key_is_not_taken_for_another_that_shares_a_place),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
