/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status plugins: a bounded queue between the bus' thread and the instance's.
 * A slow plugin loses the oldest events and sees it by the gap in seq; the bus
 * never waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "event/event.h"
#include "plug/host.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/plug_priv.h"

#define TURN 64				/* events before other work has
					 * its turn */

struct item {
	struct list link;
	uint64_t seq;
	const char *type, *state;	/* constants */
	const char *endpoint, *text, *json;	/* in data */
	size_t json_n;
	char data[];
};

struct status_part {
	struct plug_inst *inst;
	struct mail mail;		/* on its way while `posted` */
	pthread_mutex_t lock;		/* guards the rest */
	struct list items;
	unsigned n, cap;
	bool posted;
	uint64_t lost;
};

int
status_part_new(struct plug_inst *in, unsigned queue)
{
	struct status_part *p = mem_calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->inst = in;
	p->cap = queue > 0 ? queue : 1;
	list_init(&p->items);
	(void)pthread_mutex_init(&p->lock, NULL);	/* always 0 on Linux */
	in->status = p;
	return 0;
}

static struct item *
take(struct status_part *p)
{
	struct list *l;

	(void)pthread_mutex_lock(&p->lock);
	l = list_first(&p->items);
	if (l != NULL) {
		list_remove(l);
		p->n--;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return l == NULL ? NULL : CT_CONTAINER(l, struct item, link);
}

static void
deliver(struct status_part *p, const struct item *it)
{
	struct plug_inst *in = p->inst;
	struct cleat_event ev = {
		.size = sizeof(ev),
		.seq = it->seq,
		.epoch = in->plugs->deps.epoch,
		.type = it->type,
		.endpoint = it->endpoint,
		.state = it->state,
		.text = it->text,
		.json = it->json,
		.json_n = it->json_n,
	};

	in->module->ops.status.event(in->self[0].data, &ev);
}

/* Posts the mail again as long as something waits. */
static void
on_mail(struct mail *m)
{
	struct status_part *p = CT_CONTAINER(m, struct status_part, mail);
	struct cleat_self *s = &p->inst->self[0];
	struct item *it;
	bool more;

	if (!self_arrived(s))
		return;
	for (unsigned i = 0; i < TURN && (it = take(p)) != NULL; i++) {
		deliver(p, it);
		mem_free(it);
	}
	(void)pthread_mutex_lock(&p->lock);
	more = p->n > 0;
	p->posted = more;
	(void)pthread_mutex_unlock(&p->lock);
	if (more)
		(void)self_post(s, &p->mail);	/* stopped: nobody wants it */
}

static const char *
put(char **at, const char *text, size_t n)
{
	char *to = *at;

	if (n > 0)
		memcpy(to, text, n);
	to[n] = '\0';
	*at = to + n + 1;
	return to;
}

static struct item *
item_new(uint64_t seq, const struct event *ev, const char *json, size_t n)
{
	size_t endpoint_n = ev->endpoint == NULL ? 0 : strlen(ev->endpoint);
	size_t text_n = ev->text == NULL ? 0 : strlen(ev->text);
	struct item *it = mem_alloc(sizeof(*it) + endpoint_n + text_n + n + 3);
	char *at;

	if (it == NULL)
		return NULL;
	at = it->data;
	it->seq = seq;
	it->type = event_type_name(ev->type);
	it->state = endpoint_n > 0 && ev->type <= EVENT_ENDPOINT_UNLINKED ?
	    presence_state_name(ev->state) : "";
	it->endpoint = put(&at, ev->endpoint, endpoint_n);
	it->text = put(&at, ev->text, text_n);
	it->json = put(&at, json, n);
	it->json_n = n;
	return it;
}

void
status_part_event(struct plug_inst *in, uint64_t seq, const struct event *ev,
    const char *json, size_t n)
{
	struct status_part *p = in->status;
	struct item *it, *old = NULL;
	bool post = false;

	it = item_new(seq, ev, json, n);
	(void)pthread_mutex_lock(&p->lock);
	if (it == NULL) {
		p->lost++;
	} else {
		if (p->n == p->cap) {
			old = CT_CONTAINER(list_first(&p->items), struct item,
			    link);
			list_remove(&old->link);
			p->n--;
			p->lost++;
		}
		list_append(&p->items, &it->link);
		p->n++;
		post = !p->posted;
		p->posted = true;
	}
	(void)pthread_mutex_unlock(&p->lock);
	mem_free(old);
	if (!post)
		return;
	p->mail.fn = on_mail;
	(void)self_post(&in->self[0], &p->mail);	/* stopped: as above */
}

void
status_part_stop(struct plug_inst *in)
{
	struct item *it;

	while ((it = take(in->status)) != NULL)
		mem_free(it);
}

void
status_part_free(struct plug_inst *in)
{
	struct status_part *p = in->status;

	if (p == NULL)
		return;
	status_part_stop(in);
	(void)pthread_mutex_destroy(&p->lock);
	mem_free(p);
	in->status = NULL;
}

int
status_metrics(struct cleat_self *s, void (*fn)(void *,
    const struct cleat_metric *), void *ctx)
{
	const struct plug_hooks *h = &s->inst->plugs->deps.hooks;

	if (s->inst->status == NULL || h->metrics == NULL)
		return -ENOTSUP;
	if (!s->started)		/* what is counted may not be there */
		return -EAGAIN;
	return h->metrics(h->metrics_ctx, fn, ctx);
}

void
status_part_info(struct plug_inst *in, struct plug_info *ret)
{
	struct status_part *p = in->status;

	(void)pthread_mutex_lock(&p->lock);
	ret->lost = p->lost;
	(void)pthread_mutex_unlock(&p->lock);
}
