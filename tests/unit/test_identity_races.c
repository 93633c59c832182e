/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in when several things happen at the same moment. */
#include "identity_try.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_known_is_replaced_by_an_operators_word_only),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
