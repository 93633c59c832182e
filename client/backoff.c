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
backoff_hint(struct backoff *b, uint32_t min_ms, uint32_t max_ms)
{
	uint32_t window = b->window_ms;

	if (max_ms == 0)
		return;
	backoff_init(b, min_ms, max_ms);
	b->window_ms = window < b->max_ms ? window : b->max_ms;
}

void
backoff_lasted(struct backoff *b, uint64_t ms)
{
	if (ms > b->max_ms)
		b->window_ms = 0;
}

uint32_t
backoff_spread(uint32_t from, uint32_t window, uint32_t random)
{
	uint32_t plus = (uint32_t)((uint64_t)random * window >> 32);

	return plus > UINT32_MAX - from ? UINT32_MAX : from + plus;
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
	case 4008:
		return backoff_spread(b->min_ms, b->max_ms - b->min_ms,
		    random);
	case 4001:
	case 4004:
	case 4005:
		return backoff_spread(b->max_ms, b->max_ms / 4, random);
	case 4003:
		return backoff_spread(b->max_ms < BACKOFF_SUPERSEDED_MS ?
		    BACKOFF_SUPERSEDED_MS : b->max_ms, window, random);
	default:
		return backoff_spread(0, window, random);
	}
}
