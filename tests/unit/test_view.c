/* SPDX-License-Identifier: Apache-2.0 */
/* core/event/view.c: what events add up to, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "event/view.h"

static struct event
presence(const char *id, enum presence_state s, uint64_t revision)
{
	return (struct event){
		.type = EVENT_ENDPOINT_ONLINE, .endpoint = id, .state = s,
		.wall_ms = 1000 + (int64_t)revision, .revision = revision,
		.channel = 3, .security = SECURITY_WSS, .peer = "192.0.2.1",
	};
}

static const struct view_endpoint *
get(const struct view *v, const char *id)
{
	uint32_t at = view_find(v, id, strlen(id));

	return at == VIEW_NONE ? NULL : v->endpoint[at];
}

static void
an_endpoint_follows_its_events(void **state)
{
	struct view *v;
	const struct view_endpoint *e;
	struct event ev = presence("a", PRESENCE_ONLINE, 1);

	(void)state;
	assert_int_equal(view_new(&v), 0);
	assert_null(get(v, "a"));
	assert_int_equal(view_apply(v, &ev, 10), 0);
	ev = presence("a", PRESENCE_ONLINE, 2);
	assert_int_equal(view_apply(v, &ev, 11), 0);
	e = get(v, "a");
	assert_int_equal(e->since_ms, 1001);
	assert_int_equal(e->changed_ms, 1002);
	assert_int_equal(e->seq, 11);
	ev = presence("a", PRESENCE_DISCONNECTED, 3);
	ev.channel = 0;
	ev.peer = "2001:db8:1:2:3:4:5:6";	/* longer than before */
	ev.reason = REASON_TIMEOUT;
	assert_int_equal(view_apply(v, &ev, 12), 0);
	e = get(v, "a");
	assert_int_equal(e->since_ms, 1003);
	assert_int_equal(e->channel, 3);
	assert_int_equal(e->reason, REASON_TIMEOUT);
	assert_int_equal(e->peer_n, strlen(ev.peer));
	assert_memory_equal(e->text, "a2001:db8:1:2:3:4:5:6", 21);
	assert_int_equal(v->endpoints, 1);
	assert_int_equal(v->by_state[PRESENCE_ONLINE], 0);
	assert_int_equal(v->by_state[PRESENCE_DISCONNECTED], 1);
	assert_int_equal(v->by_security[SECURITY_WSS], 0);
	view_free(&v);
	assert_null(v);
	view_free(&v);
}

static void
a_late_revision_changes_nothing(void **state)
{
	struct event ev = presence("a", PRESENCE_ONLINE, 5);
	struct view *v;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	assert_int_equal(view_apply(v, &ev, 1), 0);
	ev = presence("a", PRESENCE_OFFLINE, 4);
	assert_int_equal(view_apply(v, &ev, 2), 0);
	assert_int_equal(get(v, "a")->state, PRESENCE_ONLINE);
	assert_int_equal(get(v, "a")->seq, 1);
	assert_int_equal(v->seq, 2);
	/* Told again (after a loss): the same. */
	ev = presence("a", PRESENCE_ONLINE, 5);
	assert_int_equal(view_apply(v, &ev, 3), 0);
	assert_int_equal(v->by_state[PRESENCE_ONLINE], 1);
	view_free(&v);
}

static void
other_events_make_no_endpoint(void **state)
{
	struct event ev = presence("a", PRESENCE_ONLINE, 5);
	struct view *v;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	ev.type = EVENT_AUTH_FAILED;
	assert_int_equal(view_apply(v, &ev, 1), 0);
	ev.type = EVENT_ENDPOINT_MESSAGE;
	assert_int_equal(view_apply(v, &ev, 2), 0);
	ev.type = EVENT_ENDPOINT_ONLINE;
	ev.endpoint = NULL;
	assert_int_equal(view_apply(v, &ev, 3), -EINVAL);
	assert_int_equal(v->endpoints, 0);
	view_free(&v);
}

static void
a_slot_remembers_what_is_live(void **state)
{
	struct event ev = {
		.type = EVENT_CERTIFICATE_LIVE, .text = "default",
		.wall_ms = 5, .detail = "{\"n\":1}", .detail_n = 7,
	};
	const struct view_fact *f;
	struct view *v;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	assert_int_equal(view_apply(v, &ev, 1), 0);
	ev.type = EVENT_CERTIFICATE_FAILED;
	ev.wall_ms = 6;
	ev.detail = "{\"why\":\"x\"}";
	ev.detail_n = 11;
	assert_int_equal(view_apply(v, &ev, 2), 0);
	f = v->fact[VIEW_CERTIFICATE].v;
	assert_int_equal(v->fact[VIEW_CERTIFICATE].n, 1);
	assert_int_equal(f->type, EVENT_CERTIFICATE_FAILED);
	assert_int_equal(f->live_ms, 5);
	assert_memory_equal(f->live.p, "{\"n\":1}", 7);
	assert_int_equal(f->detail.n, 11);
	ev.text = NULL;
	assert_int_equal(view_apply(v, &ev, 3), -EINVAL);
	view_free(&v);
}

static void
slots_and_plugins_are_limited(void **state)
{
	struct event ev = { .type = EVENT_PLUGIN_UP, .wall_ms = 1 };
	char name[32];
	struct view *v;
	int i;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	ev.text = name;
	for (i = 0; i < VIEW_FACTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(view_apply(v, &ev, 1), 0);
	}
	ev.text = "one too many";
	assert_int_equal(view_apply(v, &ev, 2), -ENOSPC);
	ev.text = "p7";
	ev.type = EVENT_PLUGIN_DOWN;
	assert_int_equal(view_apply(v, &ev, 3), 0);
	assert_int_equal(v->fact[VIEW_PLUGIN].v[7].type, EVENT_PLUGIN_DOWN);
	view_free(&v);
}

/* The events of one daemon's life, enough to make everything grow. */
static int
live(struct view *v)
{
	char id[32];
	struct event ev;
	int i, r;

	for (i = 0; i < 60; i++) {
		(void)snprintf(id, sizeof(id), "dev-%d", i % 50);
		ev = presence(id, i % PRESENCE_STATES, (uint64_t)i);
		ev.peer = i >= 50 ? "2001:db8:1:2:3:4:5:6" : "192.0.2.1";
		if ((r = view_apply(v, &ev, (uint64_t)i + 1)) != 0)
			return r;
	}
	for (i = 0; i < 10; i++) {
		ev = (struct event){ .type = EVENT_CERTIFICATE_LIVE,
		    .text = id, .wall_ms = 1, .detail = "{}", .detail_n = 2 };
		(void)snprintf(id, sizeof(id), "slot-%d", i);
		if ((r = view_apply(v, &ev, 100)) != 0)
			return r;
	}
	return 0;
}

/* A row that is too short for a peer moves, and keeps all else. */
static void
a_longer_peer_takes_nothing_from_the_others(void **state)
{
	char peer[VIEW_PEER_MAX + 2], id[16];
	const struct view_endpoint *e;
	struct event ev;
	struct view *v;
	size_t n;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	for (n = 0; n <= VIEW_PEER_MAX + 1; n++) {
		memset(peer, 'p', n);
		peer[n] = '\0';
		for (unsigned i = 0; i < 9; i++) {
			(void)snprintf(id, sizeof(id), "till-%u", i);
			ev = presence(id, PRESENCE_ONLINE, n + 1);
			ev.peer = i % 3 == 0 ? peer : NULL;
			assert_int_equal(view_apply(v, &ev, n), 0);
		}
		for (unsigned i = 0; i < 9; i++) {
			(void)snprintf(id, sizeof(id), "till-%u", i);
			e = get(v, id);
			assert_non_null(e);
			assert_int_equal(e->revision, n + 1);
			assert_int_equal(e->channel, 3);
			assert_int_equal(e->since_ms, 1001);
			assert_int_equal(e->peer_n, i % 3 != 0 ? 0 :
			    n < VIEW_PEER_MAX ? n : VIEW_PEER_MAX);
			assert_memory_equal(e->text + e->id_n, peer,
			    e->peer_n);
		}
	}
	assert_int_equal(v->endpoints, 9);
	view_free(&v);
}

static void
a_short_memory_loses_one_event_and_nothing_else(void **state)
{
	struct view *v;
	unsigned long n;
	uint32_t i, total, s;
	int r;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = view_new(&v);
		if (r == 0)
			r = live(v);
		else
			v = NULL;
		mem_fail_nth(0);
		if (v != NULL) {
			for (total = s = 0; s < PRESENCE_STATES; s++)
				total += v->by_state[s];
			assert_int_equal(total, v->endpoints);
			for (i = 0; i < v->endpoints; i++)
				assert_int_equal(view_find(v,
				    v->endpoint[i]->text,
				    v->endpoint[i]->id_n), i);
		}
		if (r == 0) {
			assert_int_equal(v->endpoints, 50);
			view_free(&v);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		view_free(&v);
	}
	assert_true(n > 5);
}

/* The headline figure: 100 bytes of an endpoint with an id of 16 bytes. */
static void
an_endpoint_costs_at_most_100_bytes(void **state)
{
	struct mallinfo2 before = mallinfo2(), after;
	const uint32_t n = 15000;
	char id[32];
	struct event ev;
	struct view *v;
	size_t bytes;
	uint32_t i;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	for (i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "terminal-%07u", i);
		ev = presence(id, PRESENCE_ONLINE, 1);
		ev.peer = "192.168.100.200";
		assert_int_equal(view_apply(v, &ev, i + 1), 0);
	}
	assert_int_equal(v->endpoints, n);
	assert_int_equal(v->by_state[PRESENCE_ONLINE], n);
	after = mallinfo2();
	bytes = after.uordblks + after.hblkhd - before.uordblks -
	    before.hblkhd;
	/* Under a sanitizer's allocator this is 0. */
	print_message("# %zu bytes of an endpoint\n", bytes / n);
	assert_true(bytes / n <= 100);
	for (i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "terminal-%07u", i);
		assert_int_equal(view_find(v, id, 16), i);
	}
	assert_int_equal(view_find(v, "terminal-", 9), VIEW_NONE);
	view_free(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_follows_its_events),
		cmocka_unit_test(a_late_revision_changes_nothing),
		cmocka_unit_test(other_events_make_no_endpoint),
		cmocka_unit_test(a_slot_remembers_what_is_live),
		cmocka_unit_test(slots_and_plugins_are_limited),
		cmocka_unit_test(a_longer_peer_takes_nothing_from_the_others),
		cmocka_unit_test(
		    a_short_memory_loses_one_event_and_nothing_else),
		cmocka_unit_test(an_endpoint_costs_at_most_100_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
