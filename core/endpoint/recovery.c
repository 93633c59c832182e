/* SPDX-License-Identifier: Apache-2.0 */
/* See recovery.h.  Nothing is said when nobody was waited for. */
#include "endpoint/recovery.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "endpoint/endpoint_priv.h"

#define LOOK_MS 250			/* whether all have come */
#define SLICE_MS 50			/* between slices of who has not */

void
recovery_begin(struct endpoint_table *t, uint32_t window_ms)
{
	t->expected = atomic_load(&t->unknown);
	t->window_ms = window_ms;
	t->began = clock_mono_ms();
	/* Last: recovery_figures() reads the others when it sees it. */
	atomic_store(&t->recovering, t->expected > 0);
	if (t->expected > 0)
		log_notice("waiting for devices that were here before "
		    "endpoints=%zu window_ms=%u", t->expected, window_ms);
}

static void
tell(struct endpoint_table *t)
{
	uint64_t took = clock_mono_ms() - t->began;
	size_t heard = atomic_load(&t->heard);
	uint8_t text[256];
	struct outbuf out = { .p = text, .cap = sizeof(text) };
	struct event ev = { .type = EVENT_DAEMON_RECOVERED };
	struct json_out j;

	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_uint(&j, "expected", t->expected);
	jout_uint(&j, "heard", heard);
	jout_uint(&j, "disconnected", t->lost[PRESENCE_DISCONNECTED]);
	jout_uint(&j, "offline", t->lost[PRESENCE_OFFLINE]);
	jout_uint(&j, "asleep", t->lost[PRESENCE_ASLEEP]);
	jout_uint(&j, "window_ms", t->window_ms);
	jout_uint(&j, "took_ms", took);
	jout_object_end(&j);
	ev.detail = (const char *)text;
	ev.detail_n = jout_ok(&j) ? out.n : 0;
	log_notice("recovered expected=%zu heard=%zu disconnected=%zu "
	    "took_ms=%llu", t->expected, heard,
	    t->lost[PRESENCE_DISCONNECTED], (unsigned long long)took);
	event_emit(t->bus, &ev);
	event_kick(t->bus);
}

uint32_t
recovery_tick(struct endpoint_table *t, size_t max)
{
	uint64_t took = clock_mono_ms() - t->began;

	if (!t->recovering)
		return 0;
	if (atomic_load(&t->unknown) > 0) {
		if (took < t->window_ms)
			return t->window_ms - took < LOOK_MS ?
			    (uint32_t)(t->window_ms - took) : LOOK_MS;
		if (endpoint_table_lose(t, &t->losing, max))
			return SLICE_MS;
	}
	t->recovering = false;
	tell(t);
	return 0;
}

void
recovery_figures(struct endpoint_table *t, struct recovery_figures *ret)
{
	bool active = atomic_load(&t->recovering);
	uint64_t took = active ? clock_mono_ms() - t->began : 0;

	*ret = (struct recovery_figures){
		.active = active, .expected = active ? t->expected : 0,
		.heard = atomic_load(&t->heard),
		.unknown = atomic_load(&t->unknown),
		.remaining_ms = active && took < t->window_ms ?
		    t->window_ms - took : 0
	};
}
