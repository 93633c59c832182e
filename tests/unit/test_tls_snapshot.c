/* SPDX-License-Identifier: Apache-2.0 */
/* How snapshots are built and refused; what they do is in test_handshake.c. */
#include "tls/snapshot.h"
#include "tls/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "../lib/certs.h"

static struct test_cert ca, leaf;
static struct tls_cred *cred;
static char why[TLS_WHY_SIZE];
static const uint8_t master[TLS_TICKET_MASTER_SIZE] = {1};

static void
expect_refused(const struct tls_snapshot_spec *spec, const char *text)
{
	struct tls_snapshot *s = NULL;

	why[0] = '\0';
	assert_int_equal(tls_snapshot_new(spec, why, &s), -EINVAL);
	if (strstr(why, text) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", why, text);
	assert_null(s);
}

static void
test_slots(void **state)
{
	static const char *const a[] = {"a.test", "*.a.test", NULL};
	static const char *const a_again[] = {"x.test", "A.TEST.", NULL};
	static const char *const twice[] = {"b.test", "b.TEST", NULL};
	const char *const *const bad[] = {
		(const char *const[]){"", NULL},
		(const char *const[]){".", NULL},
		(const char *const[]){"*", NULL},
		(const char *const[]){"*x.test", NULL},
		(const char *const[]){"a.*.test", NULL},
		(const char *const[]){"a test", NULL},
	};
	struct tls_slot_spec slots[2] = {
		{.name = "one", .names = a, .cred = {cred}},
		{.name = "two", .names = a_again, .cred = {cred}},
	};
	struct tls_snapshot_spec spec = {.slots = slots, .slots_n = 2};
	char longest[300];
	const char *const too_long[] = {longest, NULL};
	struct tls_snapshot *s = NULL;
	size_t i;

	(void)state;
	expect_refused(&spec, "a.test is in slot one and in slot two");
	slots[1].names = twice;
	expect_refused(&spec, "b.test is in slot two");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		slots[1].names = bad[i];
		expect_refused(&spec, "server name");
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	slots[1].names = too_long;
	expect_refused(&spec, "too long");
	slots[1].names = NULL;
	slots[0].is_default = slots[1].is_default = true;
	expect_refused(&spec, "slots one and two are both the default");
	slots[1].is_default = false;
	assert_int_equal(tls_snapshot_new(&spec, why, &s), 0);
	tls_snapshot_unref(&s);
	assert_null(s);
	tls_snapshot_unref(&s);
	spec.slots_n = 0;
	assert_int_equal(tls_snapshot_new(&spec, why, &s), 0);
	tls_snapshot_unref(&s);
}

static void
test_listeners(void **state)
{
	struct tls_listener_spec l = {.client_auth = TLS_CLIENT_REQUIRED};
	struct tls_snapshot_spec spec = {.listeners = &l, .listeners_n = 1};

	(void)state;
	expect_refused(&spec, "without a CA list");
	l.client_auth = TLS_CLIENT_OPTIONAL;
	expect_refused(&spec, "without a CA list");
}

static void
test_the_rest(void **state)
{
	struct tls_challenge_spec ch[TLS_CHALLENGES_MAX + 1];
	struct tls_snapshot_spec spec = {.challenges = ch,
	    .challenges_n = TLS_CHALLENGES_MAX + 1};
	struct tls_snapshot *s = NULL;
	size_t i;

	(void)state;
	for (i = 0; i <= TLS_CHALLENGES_MAX; i++) {
		ch[i].name = "c.test";
		ch[i].cred = cred;
	}
	expect_refused(&spec, "challenges");
	spec.challenges_n--;
	assert_int_equal(tls_snapshot_new(&spec, NULL, &s), 0);
	tls_snapshot_unref(&s);
	ch[3].name = "not a name";
	expect_refused(&spec, "host name");
	spec.challenges_n = 0;
	spec.priority = "NORMAL";
	expect_refused(&spec, "not allowed");
	spec.priority = NULL;
	spec.ticket_lifetime_s = 604801;
	expect_refused(&spec, "7 days");
}

static void
test_holds_what_it_needs(void **state)
{
	struct tls_cred *own = NULL;
	struct tls_slot_spec slot = {.name = "one", .is_default = true};
	struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1};
	struct tls_snapshot *s = NULL, *t;

	(void)state;
	assert_int_equal(tls_cred_new(leaf.pem, leaf.pem_n, leaf.key_pem,
	    leaf.key_n, NULL, 0, why, &own), 0);
	slot.cred[1] = own;
	assert_int_equal(tls_snapshot_new(&spec, why, &s), 0);
	tls_cred_unref(&own);
	t = tls_snapshot_ref(s);
	tls_snapshot_unref(&s);
	tls_snapshot_unref(&t);
}

static void
test_allocation_failures(void **state)
{
	static const char *const names[] = {"a.test", "b.test", NULL};
	const struct tls_slot_spec slots[2] = {
		{.name = "one", .names = names, .cred = {cred, cred}},
		{.name = "two", .cred = {cred}, .is_default = true},
	};
	struct tls_trust *trust = test_trust(&ca, true);
	const struct tls_listener_spec l[2] = {
		{.client_auth = TLS_CLIENT_REQUIRED, .trust = trust},
		{.client_auth = TLS_CLIENT_OFF},
	};
	const struct tls_challenge_spec ch[2] = {{"x.test", cred},
	    {"y.test", cred}};
	const struct tls_snapshot_spec spec = {.slots = slots, .slots_n = 2,
	    .listeners = l, .listeners_n = 2, .challenges = ch,
	    .challenges_n = 2, .ticket_master = master};
	struct tls_snapshot *s = NULL;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_snapshot_new(&spec, why, &s);
		mem_fail_nth(0);
		assert_true(r == 0 ? s != NULL : s == NULL);
	}
	assert_int_equal(r, 0);
	assert_true(n > 8);
	tls_trust_unref(&trust);
	tls_snapshot_unref(&s);
}

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true},
	    sl = {.cn = "a.test", .issuer = &ca};

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&sl, &leaf);
	return tls_cred_new(leaf.pem, leaf.pem_n, leaf.key_pem, leaf.key_n,
	    NULL, 0, why, &cred);
}

static int
teardown(void **state)
{
	(void)state;
	tls_cred_unref(&cred);
	test_cert_free(&ca);
	test_cert_free(&leaf);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_the_rest),
		cmocka_unit_test(test_holds_what_it_needs),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("snapshot", tests, setup, teardown);
}
