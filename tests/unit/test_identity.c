/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/endpoint/identity.c and identity_op.c, through real channels: keys bound
 * to their TLS connection, enrolment, revocation.
 */
#include "identity_try.h"

/* ---- keys --------------------------------------------------------------- */

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

/* ---- enrolment ---------------------------------------------------------- */

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

/* ---- the next process ---------------------------------------------------- */

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
		TEST(open_lets_in_until_so_many_are_known),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
