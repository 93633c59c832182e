/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any sequence of events, eight bytes each, against a model that keeps every
 * endpoint in a plain array: same states, revisions, times and counts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event/record.h"
#include "event/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define IDS 64

struct model {
	bool there;
	unsigned order;
	uint8_t state, security;
	uint64_t revision, channel, seq;
	int64_t since_ms, changed_ms;
	char peer[VIEW_PEER_MAX + 1];
};

static void
must(bool c)
{
	if (!c)
		abort();
}

/* Ids of all lengths, some a beginning of others. */
static void
name(unsigned i, char id[EVENT_ID_MAX + 1])
{
	size_t n = i % 16 == 15 ? EVENT_ID_MAX : i % 16 + 2;

	memset(id, 'a' + (int)(i / 16), n);
	id[n] = '\0';
}

static void
follow(struct model *m, const struct event *ev, uint64_t seq, unsigned *count)
{
	if (m->there && ev->revision < m->revision)
		return;
	if (!m->there)
		m->order = (*count)++;
	if (!m->there || m->state != ev->state)
		m->since_ms = ev->wall_ms;
	m->there = true;
	m->state = (uint8_t)ev->state;
	m->security = (uint8_t)ev->security;
	m->revision = ev->revision;
	m->changed_ms = ev->wall_ms;
	m->seq = seq;
	if (ev->channel != 0)
		m->channel = ev->channel;
	if (ev->peer != NULL && *ev->peer != '\0')
		memcpy(m->peer, ev->peer, strlen(ev->peer) + 1);
}

static void
forget(struct model *m, const struct event *ev)
{
	if (m->there) {
		m->state = VIEW_FORGOTTEN;
		m->revision = ev->revision;
	}
}

static void
compare(const struct view *v, const struct model *model, unsigned count)
{
	uint32_t by_state[PRESENCE_STATES] = { 0 }, at;
	uint32_t by_security[SECURITY_WSS_SAFE + 1] = { 0 };
	const struct view_endpoint *e;
	char id[EVENT_ID_MAX + 1];
	unsigned i, forgotten = 0;

	must(v->endpoints == count);
	for (i = 0; i < IDS; i++) {
		const struct model *m = &model[i];

		name(i, id);
		at = view_find(v, id, strlen(id));
		must((at != VIEW_NONE) == m->there);
		if (!m->there)
			continue;
		e = v->endpoint[at];
		must(at == m->order && e->id_n == strlen(id));
		must(e->state == m->state && e->security == m->security);
		must(e->revision == m->revision && e->seq == m->seq);
		must(e->channel == m->channel);
		must(e->since_ms == m->since_ms);
		must(e->changed_ms == m->changed_ms);
		must(e->peer_n == strlen(m->peer) && e->peer_n <= e->peer_cap);
		must(memcmp(e->text + e->id_n, m->peer, e->peer_n) == 0);
		if (m->state == VIEW_FORGOTTEN) {
			forgotten++;
			continue;
		}
		by_state[m->state]++;
		if (m->state == PRESENCE_ONLINE || m->state == PRESENCE_SUSPECT)
			by_security[m->security]++;
	}
	must(v->forgotten == forgotten);
	must(memcmp(by_state, v->by_state, sizeof(by_state)) == 0);
	must(memcmp(by_security, v->by_security, sizeof(by_security)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct model model[IDS];
	char id[EVENT_ID_MAX + 1], peer[VIEW_PEER_MAX + 1];
	unsigned count = 0;
	struct view *v;
	uint64_t seq = 0;

	memset(model, 0, sizeof(model));
	must(view_new(&v) == 0);
	for (; n >= 8; data += 8, n -= 8) {
		struct event ev = {
			.type = data[0] % EVENT_TYPES, .endpoint = id,
			.text = id, .state = data[2] % PRESENCE_STATES,
			.security = data[3] % (SECURITY_WSS_SAFE + 1),
			.revision = data[4], .channel = data[5] % 8,
			.wall_ms = 1 + data[6], .peer = peer,
			.detail = "{}", .detail_n = data[7] & 2,
		};

		name(data[1] % IDS, id);
		memset(peer, 'p', sizeof(peer));
		peer[data[7] % (VIEW_PEER_MAX + 1)] = '\0';
		must(view_apply(v, &ev, ++seq) == 0);
		if (event_is_presence(ev.type))
			follow(&model[data[1] % IDS], &ev, seq, &count);
		else if (ev.type == EVENT_ENDPOINT_FORGOTTEN)
			forget(&model[data[1] % IDS], &ev);
		must(v->seq == seq);
	}
	compare(v, model, count);
	view_free(&v);
	return 0;
}
