/* SPDX-License-Identifier: Apache-2.0 */
/* core/endpoint/throttle.c: what failing often leads to. */
#include "identity_try.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wrong_tokens_are_looked_at_so_often_and_keys_always),
		TEST(whatever_is_wrong_with_an_attempt_it_counts),
		cmocka_unit_test(a_bucket_fills_leaks_and_is_nobody_elses),
		cmocka_unit_test(
		    a_key_is_not_taken_for_another_that_shares_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
