/* SPDX-License-Identifier: Apache-2.0 */
/* Full jitter. */
#include "backoff.h"

void
backoff_init(struct backoff *b, uint32_t min_ms, uint32_t max_ms)
{
	b->min_ms = min_ms == 0 ? 1000 : min_ms;
	b->max_ms = max_ms == 0 ? 120000 : max_ms;
	if (b->max_ms < b->min_ms)
		b->max_ms = b->min_ms;
	b->window_ms = 0;
}

void
backoff_succeeded(struct backoff *b, uint32_t hint_min_ms,
    uint32_t hint_max_ms)
{
	if (hint_max_ms != 0)
		backoff_init(b, hint_min_ms, hint_max_ms);
	b->window_ms = 0;
}

/* Somewhere in [from, from + window]. */
static uint32_t
spread(uint32_t from, uint32_t window, uint32_t random)
{
	return from + (uint32_t)((uint64_t)random * window >> 32);
}

static uint32_t
grow(struct backoff *b)
{
	if (b->window_ms == 0)
		b->window_ms = b->min_ms;
	else if (b->window_ms < b->max_ms / 2)
		b->window_ms *= 2;
	else
		b->window_ms = b->max_ms;
	return b->window_ms;
}

uint32_t
backoff_next(struct backoff *b, uint16_t code, uint32_t random)
{
	uint32_t window = grow(b);

	switch (code) {
	case 1012:
	case 1013:
	case 4001:
	case 4004:
	case 4005:
		return spread(b->min_ms, b->max_ms - b->min_ms, random);
	case 4003:
		return spread(BACKOFF_SUPERSEDED_MS, window, random);
	default:
		return spread(b->min_ms / 2, window, random);
	}
}
