/* SPDX-License-Identifier: Apache-2.0 */
/* See clone.h.  What is watched hangs in a short list at the endpoint table,
 * newest first: an identity is in it only while it is being fought over. */
#include "endpoint/clone.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/endpoint_priv.h"

#define BOOT_MAX 64			/* a longer one is cut */

struct sight {
	char peer[ADDR_TEXT_SIZE];
	char boot_id[BOOT_MAX + 1];
};

struct clone {
	struct clone *next;
	const struct endpoint *endpoint;
	uint64_t began;			/* mono ms: the first replacement */
	unsigned replacements;
	bool two, told;			/* second is somebody else */
	struct sight first, second;
};

static void
copy(struct sight *to, const struct clone_sight *from)
{
	(void)snprintf(to->peer, sizeof(to->peer), "%s", from->peer);
	(void)snprintf(to->boot_id, sizeof(to->boot_id), "%s", from->boot_id);
}

static bool
same(const struct sight *a, const struct clone_sight *b)
{
	size_t n = addr_host_length(a->peer);

	return n == addr_host_length(b->peer) &&
	    memcmp(a->peer, b->peer, n) == 0 &&
	    strncmp(a->boot_id, b->boot_id, BOOT_MAX) == 0;
}

/* Under the lock: takes out what is over, and what is one too many. */
static struct clone *
find(struct endpoint_table *t, const struct endpoint *e, uint64_t now,
    const struct clone_rules *rules)
{
	struct clone **pk = &t->clones, *k, *found = NULL;
	unsigned n = 0;

	while ((k = *pk) != NULL) {
		if (now - k->began >= rules->window_ms ||
		    ++n >= CLONES_MAX) {
			*pk = k->next;
			mem_free(k);
			continue;
		}
		if (k->endpoint == e)
			found = k;
		pk = &k->next;
	}
	return found;
}

static void
tell(struct endpoint_table *t, const struct clone *k,
    const struct clone_rules *rules)
{
	const struct sight *s[2] = { &k->first, &k->second };
	uint8_t text[2 * 6 * sizeof(struct sight) + 256];
	struct outbuf out = { .p = text, .cap = sizeof(text) };
	struct event ev = {
		.type = EVENT_ENDPOINT_CLONE,
		.endpoint = endpoint_text(k->endpoint),
		.text = "channels of this identity keep replacing each other"
	};
	struct json_out j;

	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_uint(&j, "replacements", k->replacements);
	jout_uint(&j, "window_ms", rules->window_ms);
	jout_array(&j, "devices");
	for (int i = 0; i < 2; i++) {
		jout_object(&j, NULL);
		jout_string(&j, "peer", s[i]->peer);
		jout_string(&j, "boot_id", s[i]->boot_id);
		jout_object_end(&j);
	}
	jout_array_end(&j);
	jout_object_end(&j);
	ev.detail = (const char *)text;
	ev.detail_n = jout_ok(&j) ? out.n : 0;
	event_emit(t->bus, &ev);
	log_warning("two devices seem to have one identity endpoint=%s "
	    "peer=%s other=%s", ev.endpoint, k->first.peer, k->second.peer);
}

static struct clone *
watch(struct endpoint_table *t, const struct endpoint *e, uint64_t now)
{
	struct clone *k = mem_calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->endpoint = e;
	k->began = now;
	k->next = t->clones;
	t->clones = k;
	return k;
}

void
clone_replaced(struct endpoint_table *t, struct endpoint *e,
    const struct clone_sight *by, const struct clone_rules *rules)
{
	uint64_t now = clock_mono_ms();
	struct clone *k, told = { .told = false };

	if (rules->replacements == 0)
		return;
	pthread_mutex_lock(&t->clone_lock);
	k = find(t, e, now, rules);
	if (k == NULL)
		k = watch(t, e, now);
	if (k != NULL) {
		if (k->replacements++ == 0) {
			copy(&k->first, by);
		} else if (!same(&k->first, by)) {
			copy(&k->second, by);
			k->two = true;
		}
		if (k->two && !k->told &&
		    k->replacements >= rules->replacements) {
			k->told = true;
			told = *k;
		}
	}
	pthread_mutex_unlock(&t->clone_lock);
	if (told.told)
		tell(t, &told, rules);
}

void
clone_fini(struct endpoint_table *t)
{
	struct clone *k;

	while ((k = t->clones) != NULL) {
		t->clones = k->next;
		mem_free(k);
	}
}
