/* SPDX-License-Identifier: Apache-2.0 */
/* What protocols get of the fake host: one channel that takes notes. */
#include "fakehost_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
f_chan_id(const struct cleat_chan *c)
{
	return c->id;
}

static struct cleat_chan *
f_chan_find(struct cleat_self *s, uint64_t id)
{
	(void)s;
	(void)id;
	return NULL;
}

static void
f_set_session(struct cleat_chan *c, void *session)
{
	c->session = session;
}

static int
f_send(struct cleat_chan *c, const struct cleat_msg *m)
{
	if (m->size != sizeof(*m))
		fake_die("a message of the wrong size");
	if (c->closing)
		return -EPIPE;
	if (c->send_error != 0)
		return c->send_error;
	if (c->sent_n < FAKE_TEXTS)
		fake_keep(&c->sent[c->sent_n], m->p, m->n, m->is_text != 0);
	c->sent_n++;
	return 0;
}

static void
f_close(struct cleat_chan *c, uint16_t code, const char *why)
{
	if (c->closing)
		return;
	c->closing = true;
	c->code = code;
	fake_copy(c->why, sizeof(c->why), why);
}

static const char *
f_endpoint(const struct cleat_chan *c)
{
	return c->endpoint;
}

static int
f_challenge(struct cleat_chan *c, unsigned char ret[32])
{
	if (c->challenge_error != 0)
		return c->challenge_error;
	for (int i = 0; i < 32; i++)
		ret[i] = (unsigned char)(i * 7);
	return 0;
}

static int
f_hello(struct cleat_chan *c, const struct cleat_hello *h)
{
	if (h->size != sizeof(*h))
		fake_die("a hello of the wrong size");
	c->hellos++;
	if (c->auth_error != 0)
		return c->auth_error;
	c->hello = *h;
	fake_copy(c->endpoint, sizeof(c->endpoint), h->endpoint);
	fake_copy(c->token, sizeof(c->token), h->token);
	fake_copy(c->boot_id, sizeof(c->boot_id), h->boot_id);
	fake_copy(c->agent, sizeof(c->agent), h->agent);
	return 0;
}

static int
f_power(struct cleat_chan *c, enum cleat_power power)
{
	c->powers++;
	c->power = power;
	return c->presence_error;
}

static int
f_sleep(struct cleat_chan *c, int64_t until)
{
	c->sleeps++;
	c->until = until;
	return c->presence_error;
}

static int
f_bye(struct cleat_chan *c)
{
	c->byes++;
	return c->presence_error;
}

static int
f_publish(struct cleat_chan *c, const char *json, size_t n)
{
	if (c->publish_error != 0)
		return c->publish_error;
	free(c->message);
	c->message = strndup(json, n);
	c->published++;
	return 0;
}

static int
f_settle(struct cleat_chan *c, uint64_t request)
{
	c->settles++;
	c->request = request;
	return c->product_error;
}

static int
f_telemetry(struct cleat_chan *c, uint64_t request, uint64_t seq,
    const char *json, size_t n)
{
	c->telemetries++;
	c->request = request;
	c->seq = seq;
	free(c->json);
	c->json = strndup(json, n);
	return c->product_error;
}

static int
f_inventory(struct cleat_chan *c, uint64_t request, const char *json, size_t n)
{
	c->inventories++;
	c->request = request;
	free(c->json);
	c->json = strndup(json, n);
	return c->product_error;
}

static int
f_outcome(struct cleat_chan *c, uint64_t request,
    const struct cleat_command_result *r)
{
	if (r->size != sizeof(*r))
		fake_die("an outcome of the wrong size");
	c->outcomes++;
	c->request = request;
	c->outcome = r->outcome;
	fake_copy(c->command, sizeof(c->command), r->id);
	fake_copy(c->outcome_text, sizeof(c->outcome_text), r->message);
	free(c->json);
	c->json = strdup(r->result_json);
	return c->product_error;
}

static int
f_accepted(struct cleat_chan *c, const char *id)
{
	c->accepted++;
	fake_copy(c->command, sizeof(c->command), id);
	return c->product_error;
}

static int
f_later(struct cleat_chan *c, const char *id)
{
	c->later++;
	fake_copy(c->command, sizeof(c->command), id);
	return c->product_error;
}

static int
f_progress(struct cleat_chan *c, const char *id, int percent,
    const char *text)
{
	c->progressed++;
	c->percent = percent;
	fake_copy(c->command, sizeof(c->command), id);
	fake_copy(c->outcome_text, sizeof(c->outcome_text), text);
	return c->product_error;
}

void
fake_chan_calls(struct cleat_host *h)
{
	h->chan_id = f_chan_id;
	h->chan_find = f_chan_find;
	h->chan_set_session = f_set_session;
	h->chan_send = f_send;
	h->chan_close = f_close;
	h->chan_endpoint = f_endpoint;
	h->auth_challenge = f_challenge;
	h->auth_hello = f_hello;
	h->presence_power = f_power;
	h->presence_sleep = f_sleep;
	h->presence_bye = f_bye;
	h->message_publish = f_publish;
	h->presence_settle = f_settle;
	h->telemetry_put = f_telemetry;
	h->inventory_patch = f_inventory;
	h->command_outcome = f_outcome;
	h->command_accepted = f_accepted;
	h->command_later = f_later;
	h->command_progress = f_progress;
}

struct cleat_chan *
fake_chan_new(void)
{
	struct cleat_chan *c = calloc(1, sizeof(*c));

	if (c == NULL)
		fake_die("no memory");
	c->id = 1;
	return c;
}

void
fake_chan_clear(struct cleat_chan *c)
{
	for (unsigned i = 0; i < FAKE_TEXTS; i++) {
		free(c->sent[i].p);
		c->sent[i].p = NULL;
	}
	c->sent_n = 0;
}

void
fake_chan_free(struct cleat_chan **p)
{
	fake_chan_clear(*p);
	free((*p)->message);
	free((*p)->json);
	free(*p);
	*p = NULL;
}
