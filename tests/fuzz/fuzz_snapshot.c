/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request to the snapshot socket: the answer is one JSON object
 * of bounded size, and nothing else happens.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "event/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct view *
make_view(void)
{
	struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .wall_ms = 1000,
		.detail = "{\"a\":1}", .detail_n = 7, .peer = "192.0.2.1",
	};
	struct view *v;
	char id[16];
	unsigned i;

	if (view_new(&v) != 0)
		abort();
	ev.endpoint = ev.text = id;
	for (i = 0; i < 60; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		ev.type = i < 40 ? EVENT_ENDPOINT_ONLINE :
		    i < 50 ? EVENT_CERTIFICATE_LIVE : EVENT_PLUGIN_UP;
		ev.state = i % PRESENCE_STATES;
		if (view_apply(v, &ev, i + 1) != 0)
			abort();
	}
	return v;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct snapshot_facts facts = { .version = "f" };
	static uint8_t area[SNAPSHOT_REPLY_MAX];
	struct outbuf out = { .p = area, .cap = sizeof(area) };
	static struct view *v;
	json_t *o;

	if (v == NULL)
		v = make_view();
	snapshot_answer(v, &facts, data, n, &out);
	o = json_loadb((const char *)area, out.n, JSON_REJECT_DUPLICATES,
	    NULL);
	if (!json_is_object(o) ||
	    json_integer_value(json_object_get(o, "seq")) != 60)
		abort();
	json_decref(o);
	return 0;
}
