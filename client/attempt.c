/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: where to, what became of them, and when to try again. */
#include "client_priv.h"

#include <stdio.h>

#include "base/mem.h"
#include "tls/digest.h"

void
client_reset_channel(struct cleat_client *c)
{
	link_close(&c->link);
	buf_free(&c->out);
	mem_free(c->head);
	mem_free(c->message);
	c->head = NULL;
	c->message = NULL;
	c->head_n = c->message_n = c->control_n = 0;
	c->parser = (struct ws_parser){ 0 };
	c->hello_id = 0;
	c->drain_ms = c->up_ms = 0;
	c->pinged = c->draining = false;
}

void
client_begin(struct cleat_client *c)
{
	char why[CLEAT_CLIENT_WHY_SIZE];
	bool by_proxy;
	int r = 0;

	c->why[0] = '\0';
	c->close_code = 1006;
	c->pending = false;
	c->deadline_ms = client_now_ms() + CLIENT_ATTEMPT_MS;
	c->url = *servers_now(&c->servers);
	client_set_phase(c, CLIENT_LINK, c->url.host);
	if (c->url.tls)
		r = client_make_policy(c, why);
	if (r != 0) {
		client_lost(c, why);
		return;
	}
	by_proxy = proxy_wanted(&c->proxy, &c->url);
	if (link_open(&c->link, &c->url, by_proxy ? &c->proxy : NULL,
	    c->url.tls ? c->policy : NULL) != 0)
		client_lost(c, c->link.why);
}

/* Whether another server may do better than this one has. */
static bool
worth_another(uint16_t code)
{
	switch (code) {
	case 4001:
	case 4003:
	case 4004:
	case 4005:
	case 4008:
		return false;
	default:
		return true;
	}
}

static uint32_t
wait_of(struct cleat_client *c)
{
	uint32_t random = 0, approval = c->opts.approval_ms;

	(void)digest_random(&random, sizeof(random));
	if (c->draining) {		/* its time was drawn already */
		servers_first(&c->servers);
		return 0;
	}
	if (c->pending) {
		if (approval == 0)
			approval = CLIENT_APPROVAL_MS;
		return backoff_spread(approval, approval / 2, random);
	}
	if (c->up_ms != 0) {
		backoff_lasted(&c->backoff, client_now_ms() - c->up_ms);
		servers_first(&c->servers);
	} else if (worth_another(c->close_code) &&
	    !servers_next(&c->servers)) {
		return backoff_spread(0, c->backoff.min_ms, random);
	}
	return backoff_next(&c->backoff, c->close_code, random);
}

void
client_lost(struct cleat_client *c, const char *why)
{
	char text[sizeof(c->why) + 64];
	uint32_t wait = wait_of(c);

	(void)snprintf(text, sizeof(text), "%.700s; next attempt in %u.%u s",
	    c->why[0] != '\0' ? c->why : why, wait / 1000,
	    wait % 1000 / 100);
	client_reset_channel(c);
	if (c->stopping) {
		client_calls_lost(c);
		client_set_phase(c, CLIENT_DONE, "stopped");
		return;
	}
	c->wake_ms = client_now_ms() + wait;
	/* Every failed attempt is told, also one that follows another. */
	if (c->phase == CLIENT_WAIT && c->opts.state != NULL)
		c->opts.state(c->opts.ctx, CLEAT_CLIENT_WAITING, text);
	client_set_phase(c, CLIENT_WAIT, text);
	client_calls_lost(c);
}

void
client_say_bye(struct cleat_client *c, const char *reason)
{
	static const uint8_t normal[2] = { 1000 >> 8, 1000 & 255 };
	json_t *params = json_pack("{s:s}", "reason", reason);

	c->deadline_ms = client_now_ms() + CLIENT_GOODBYE_MS;
	if (params == NULL || client_request(c, "bye", params, NULL) != 0 ||
	    client_frame(c, WS_OP_CLOSE, normal, sizeof(normal)) != 0 ||
	    client_flush(c) != 0) {
		client_lost(c, "the goodbye could not be sent");
		return;
	}
	c->phase = CLIENT_GOODBYE;
}
