/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view.  An endpoint is one packed row, reached by its number; the numbers
 * lie in an open-addressing hash of 32-bit slots.  Nothing is ever taken out,
 * so there are no tombstones, and rows are cut one after the other from blocks.
 * Ids can be chosen by devices that enrol: the hash is keyed (SipHash-1-3 after
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
 */
#include "event/view.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "event/record.h"

/*
 * What a peer's text may need: an IPv4 address and port, an IPv6 one, anything.
 * The first is kept free for who is not online yet, since a row that has to
 * move leaves its old place unused; with three steps it moves twice at most.
 */
static const uint8_t peer_rooms[] = { 21, 47, VIEW_PEER_MAX };

_Static_assert(VIEW_FORGOTTEN < 1 << 4 && VIEW_PEER_MAX < 1 << 8,
    "they fit the bits of struct view_endpoint");

struct view_block {
	struct view_block *next;
	uint64_t place[(16 * 1024 - sizeof(struct view_block *)) / 8];
};
#define BLOCK sizeof(((struct view_block *)NULL)->place)

int
view_new(struct view **ret)
{
	struct view *v = mem_calloc(1, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	/* Without entropy at hand the hash still works, only guessable. */
	(void)getrandom(v->key, sizeof(v->key), GRND_NONBLOCK);
	*ret = v;
	return 0;
}

static void
facts_fini(struct view_facts *f)
{
	uint32_t i;

	for (i = 0; i < f->n; i++) {
		mem_free(f->v[i].name);
		mem_free(f->v[i].detail.p);
		mem_free(f->v[i].live.p);
	}
	mem_free(f->v);
}

void
view_free(struct view **vp)
{
	struct view *v = *vp;
	struct view_block *b;

	*vp = NULL;
	if (v == NULL)
		return;
	while ((b = v->blocks) != NULL) {
		v->blocks = b->next;
		mem_free(b);
	}
	mem_free(v->endpoint);
	mem_free(v->slot);
	for (int i = 0; i < VIEW_KINDS; i++)
		facts_fini(&v->fact[i]);
	mem_free(v->upgraded.p);
	mem_free(v);
}

static uint64_t
rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void
sip_round(uint64_t s[4])
{
	s[0] += s[1];
	s[1] = rotl(s[1], 13) ^ s[0];
	s[0] = rotl(s[0], 32);
	s[2] += s[3];
	s[3] = rotl(s[3], 16) ^ s[2];
	s[0] += s[3];
	s[3] = rotl(s[3], 21) ^ s[0];
	s[2] += s[1];
	s[1] = rotl(s[1], 17) ^ s[2];
	s[2] = rotl(s[2], 32);
}

static uint64_t
hash(const uint64_t key[2], const char *p, size_t n)
{
	uint64_t s[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t last = (uint64_t)n << 56, w;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		s[3] ^= w;
		sip_round(s);
		s[0] ^= w;
	}
	w = 0;
	memcpy(&w, p, n);
	last |= w;
	s[3] ^= last;
	sip_round(s);
	s[0] ^= last;
	s[2] ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s[0] ^ s[1] ^ s[2] ^ s[3];
}

/* The slot that holds this id, or the free one where it belongs. */
static uint32_t
find_slot(const struct view *v, const char *id, size_t id_n)
{
	uint32_t mask = v->slots - 1;
	uint32_t i = (uint32_t)hash(v->key, id, id_n) & mask;

	for (; v->slot[i] != 0; i = (i + 1) & mask) {
		const struct view_endpoint *e = v->endpoint[v->slot[i] - 1];

		if (e->id_n == id_n && memcmp(e->text, id, id_n) == 0)
			break;
	}
	return i;
}

uint32_t
view_find(const struct view *v, const char *id, size_t id_n)
{
	uint32_t at;

	if (v->slots == 0)
		return VIEW_NONE;
	at = v->slot[find_slot(v, id, id_n)];
	return at == 0 ? VIEW_NONE : at - 1;
}

/* Room for one more: the hash is at most 3/4 full, the array grows by 1/4. */
static int
make_room(struct view *v)
{
	uint32_t i, cap, *old = v->slot, old_n = v->slots;
	struct view_endpoint **grown;

	if (v->endpoints == v->endpoint_cap) {
		if (v->endpoints >= UINT32_MAX / 4)
			return -ENOMEM;
		cap = v->endpoint_cap + v->endpoint_cap / 4 + 16;
		grown = mem_realloc(v->endpoint, cap * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		v->endpoint = grown;
		v->endpoint_cap = cap;
	}
	if (v->endpoints + 1 <= old_n / 4 * 3)
		return 0;
	cap = old_n == 0 ? 32 : old_n * 2;
	if ((v->slot = mem_calloc(cap, sizeof(*v->slot))) == NULL) {
		v->slot = old;
		return -ENOMEM;
	}
	v->slots = cap;
	for (i = 0; i < v->endpoints; i++) {
		const struct view_endpoint *e = v->endpoint[i];

		v->slot[find_slot(v, e->text, e->id_n)] = i + 1;
	}
	mem_free(old);
	return 0;
}

static void
count(struct view *v, const struct view_endpoint *e, uint32_t by)
{
	if (e->state == VIEW_FORGOTTEN) {
		v->forgotten += by;
		return;
	}
	v->by_state[e->state] += by;
	if (e->state == PRESENCE_ONLINE || e->state == PRESENCE_SUSPECT)
		v->by_security[e->security] += by;
}

static size_t
peer_length(const struct event *ev)
{
	return ev->peer == NULL ? 0 : strnlen(ev->peer, VIEW_PEER_MAX);
}

/* A row for this id and at least so long a peer, all zero. */
static struct view_endpoint *
make_row(struct view *v, const char *id, size_t id_n, size_t peer_n)
{
	size_t n = offsetof(struct view_endpoint, text) + id_n, i = 0;
	struct view_endpoint *e;
	struct view_block *b = v->blocks;

	while (peer_rooms[i] < peer_n)
		i++;
	n = (n + peer_rooms[i] + 7) & ~(size_t)7;
	if (v->left < n) {
		if ((b = mem_alloc(sizeof(*b))) == NULL)
			return NULL;
		b->next = v->blocks;
		v->blocks = b;
		v->left = BLOCK;
	}
	e = (void *)&b->place[(BLOCK - v->left) / 8];
	v->left -= n;
	memset(e, 0, n);
	memcpy(e->text, id, id_n);
	e->id_n = (uint8_t)id_n;
	e->peer_cap = peer_rooms[i];
	return e;
}

static int
add_endpoint(struct view *v, const struct event *ev, size_t id_n,
    struct view_endpoint **ret)
{
	struct view_endpoint *e;
	int r;

	if ((r = make_room(v)) != 0)
		return r;
	e = make_row(v, ev->endpoint, id_n, peer_length(ev));
	if (e == NULL)
		return -ENOMEM;
	e->state = VIEW_FORGOTTEN;
	v->slot[find_slot(v, e->text, id_n)] = v->endpoints + 1;
	v->endpoint[v->endpoints++] = e;
	*ret = e;
	return 0;
}

/* Room for a longer peer text than any before. */
static int
widen(struct view *v, uint32_t at, size_t peer_n)
{
	const struct view_endpoint *old = v->endpoint[at];
	struct view_endpoint *e;
	uint8_t cap;

	if (peer_n <= old->peer_cap)
		return 0;
	e = make_row(v, old->text, old->id_n, peer_n);
	if (e == NULL)
		return -ENOMEM;
	cap = e->peer_cap;
	memcpy(e, old, offsetof(struct view_endpoint, text) + old->id_n +
	    old->peer_n);
	e->peer_cap = cap;
	v->endpoint[at] = e;
	return 0;
}

static int
apply_presence(struct view *v, const struct event *ev, uint64_t seq)
{
	size_t id_n = ev->endpoint == NULL ? 0 : strlen(ev->endpoint);
	size_t peer_n = peer_length(ev);
	struct view_endpoint *e;
	uint32_t at;
	int r;

	if (id_n == 0 || id_n > EVENT_ID_MAX)
		return -EINVAL;
	if ((at = view_find(v, ev->endpoint, id_n)) == VIEW_NONE) {
		if ((r = add_endpoint(v, ev, id_n, &e)) != 0)
			return r;
	} else {
		if (ev->revision < v->endpoint[at]->revision)
			return 0;
		if ((r = widen(v, at, peer_n)) != 0)
			return r;
		e = v->endpoint[at];
		count(v, e, UINT32_MAX);
	}
	if (ev->since_ms != 0)
		e->since_ms = (uint64_t)ev->since_ms;
	else if (e->state != (uint8_t)ev->state)
		e->since_ms = (uint64_t)ev->wall_ms;
	e->state = (uint8_t)ev->state;
	e->security = (uint8_t)ev->security;
	e->reason = (uint8_t)ev->reason;
	e->revision = ev->revision;
	e->changed_ms = (uint64_t)ev->wall_ms;
	e->seq = seq;
	if (ev->channel != 0)
		e->channel = ev->channel;
	if (peer_n != 0) {
		memcpy(e->text + e->id_n, ev->peer, peer_n);
		e->peer_n = (uint8_t)peer_n;
	}
	count(v, e, 1);
	return 0;
}

static int
apply_forgotten(struct view *v, const struct event *ev)
{
	struct view_endpoint *e;
	uint32_t at;

	if (ev->endpoint == NULL)
		return -EINVAL;
	at = view_find(v, ev->endpoint, strlen(ev->endpoint));
	if (at == VIEW_NONE)
		return 0;
	e = v->endpoint[at];
	count(v, e, UINT32_MAX);
	e->state = VIEW_FORGOTTEN;
	e->revision = ev->revision;
	count(v, e, 1);
	return 0;
}

uint32_t
view_find_fact(const struct view *v, enum view_fact_kind kind,
    const char *name)
{
	const struct view_facts *f = &v->fact[kind];
	uint32_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return i;
	return VIEW_NONE;
}

static int
add_fact(struct view_facts *f, const char *name, struct view_fact **ret)
{
	struct view_fact *grown;
	uint32_t cap;
	char *copy;

	if (f->n == VIEW_FACTS_MAX)
		return -ENOSPC;
	if (f->n == f->cap) {
		cap = f->cap == 0 ? 8 : f->cap * 2;
		grown = mem_realloc(f->v, cap * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		f->v = grown;
		f->cap = cap;
	}
	if ((copy = mem_strdup(name)) == NULL)
		return -ENOMEM;
	*ret = &f->v[f->n++];
	**ret = (struct view_fact){ .name = copy };
	return 0;
}

static int
copy_detail(const struct event *ev, struct view_text *ret)
{
	*ret = (struct view_text){ NULL, 0 };
	if (ev->detail_n == 0 || ev->detail_n > VIEW_DETAIL_MAX)
		return 0;
	if ((ret->p = mem_dup(ev->detail, ev->detail_n)) == NULL)
		return -ENOMEM;
	ret->n = ev->detail_n;
	return 0;
}

static void
replace(struct view_text *to, const struct view_text *with)
{
	mem_free(to->p);
	*to = *with;
}

static int
apply_upgraded(struct view *v, const struct event *ev)
{
	struct view_text detail;
	int r = copy_detail(ev, &detail);

	if (r != 0)
		return r;
	v->upgraded_ms = ev->wall_ms;
	replace(&v->upgraded, &detail);
	return 0;
}

static int
apply_fact(struct view *v, enum view_fact_kind kind, const struct event *ev,
    uint64_t seq)
{
	struct view_text detail, live = { NULL, 0 };
	struct view_fact *f;
	uint32_t at;
	int r;

	if (ev->text == NULL || strlen(ev->text) > VIEW_FACT_NAME_MAX)
		return -EINVAL;
	if ((r = copy_detail(ev, &detail)) != 0)
		return r;
	if (ev->type == EVENT_CERTIFICATE_LIVE &&
	    (r = copy_detail(ev, &live)) != 0)
		goto out;
	if ((at = view_find_fact(v, kind, ev->text)) != VIEW_NONE)
		f = &v->fact[kind].v[at];
	else if ((r = add_fact(&v->fact[kind], ev->text, &f)) != 0)
		goto out;
	f->type = ev->type;
	f->wall_ms = ev->wall_ms;
	f->seq = seq;
	replace(&f->detail, &detail);
	if (ev->type == EVENT_CERTIFICATE_LIVE) {
		f->live_ms = ev->wall_ms;
		replace(&f->live, &live);
	}
	return 0;
out:
	mem_free(detail.p);
	mem_free(live.p);
	return r;
}

int
view_apply(struct view *v, const struct event *ev, uint64_t seq)
{
	v->seq = seq;
	if (event_is_presence(ev->type))
		return apply_presence(v, ev, seq);
	switch (ev->type) {
	case EVENT_ENDPOINT_FORGOTTEN:
		return apply_forgotten(v, ev);
	case EVENT_CERTIFICATE_LIVE:
	case EVENT_CERTIFICATE_FAILED:
	case EVENT_CERTIFICATE_EXPIRING:
	case EVENT_CERTIFICATE_EXPIRED:
		return apply_fact(v, VIEW_CERTIFICATE, ev, seq);
	case EVENT_PLUGIN_UP:
	case EVENT_PLUGIN_FAILED:
	case EVENT_PLUGIN_DOWN:
		return apply_fact(v, VIEW_PLUGIN, ev, seq);
	case EVENT_DAEMON_STARTED:
		v->started_ms = ev->wall_ms;
		return 0;
	case EVENT_DAEMON_READY:
		v->ready_ms = ev->wall_ms;
		return 0;
	case EVENT_DAEMON_RELOADED:
		v->reloaded_ms = ev->wall_ms;
		return 0;
	case EVENT_DAEMON_RELOAD_FAILED:
		v->reload_failed_ms = ev->wall_ms;
		return 0;
	case EVENT_DAEMON_UPGRADED:
		return apply_upgraded(v, ev);
	case EVENT_DAEMON_STOPPING:
		v->stopping_ms = ev->wall_ms;
		return 0;
	default:			/* leaves nothing behind */
		return 0;
	}
}
