/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets that leak: see throttle.h. */
#include "endpoint/throttle.h"

#define TRY 1024u
#define MINUTE 60000u			/* ms */

/* Each row takes its own bits of it. */
static uint64_t
hash(const struct throttle *t, const char *key)
{
	uint64_t h = t->salt ^ 0xcbf29ce484222325u;	/* FNV-1a, salted */

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ (h >> 32);
}

static struct throttle_place *
place_of(struct throttle *t, unsigned row, uint64_t h)
{
	return &t->row[row][(h >> (16 * row)) % THROTTLE_PLACES];
}

/* What is left of it after the time that has passed.  Only the time that made a
 * difference is used up: many looks lose no fractions. */
static void
leak(struct throttle_place *p, uint32_t per_minute, uint64_t now_ms)
{
	/* Another thread may have looked at its clock later and come first. */
	uint64_t passed = now_ms > p->at_ms ? now_ms - p->at_ms : 0;
	uint64_t rate = per_minute * TRY;
	uint64_t gone = passed > MINUTE ? p->used : passed * rate / MINUTE;

	if (gone >= p->used) {
		p->used = 0;
		p->at_ms = now_ms;
	} else {
		p->used -= (uint32_t)gone;
		p->at_ms += gone * MINUTE / rate;
	}
}

bool
throttle_full(struct throttle *t, const char *key, uint32_t per_minute,
    uint64_t now_ms)
{
	uint64_t h = hash(t, key);
	struct throttle_place *p;

	for (unsigned row = 0; row < THROTTLE_ROWS; row++) {
		p = place_of(t, row, h);
		leak(p, per_minute, now_ms);
		if (p->used + TRY <= (uint64_t)per_minute * TRY)
			return false;
	}
	return true;
}

void
throttle_count(struct throttle *t, const char *key, uint32_t per_minute,
    uint64_t now_ms)
{
	uint64_t h = hash(t, key);
	struct throttle_place *p;

	for (unsigned row = 0; row < THROTTLE_ROWS; row++) {
		p = place_of(t, row, h);
		leak(p, per_minute, now_ms);
		if (p->used < (uint64_t)per_minute * TRY)
			p->used += TRY;
	}
}
