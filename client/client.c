/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a client as its owner sees it. */
#include "client_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tls/client.h"

uint64_t
client_now_ms(void)
{
	return clock_mono_ms();
}

void
client_log(const struct cleat_client *c, enum cleat_client_level level,
    const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (c->opts.log == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->opts.log(c->opts.ctx, level, text);
}

static enum cleat_client_state
state_of(enum client_phase phase)
{
	switch (phase) {
	case CLIENT_WAIT:
		return CLEAT_CLIENT_WAITING;
	case CLIENT_LINK:
	case CLIENT_UPGRADE:
	case CLIENT_HELLO:
		return CLEAT_CLIENT_CONNECTING;
	case CLIENT_UP:
	case CLIENT_GOODBYE:
		return CLEAT_CLIENT_ONLINE;
	case CLIENT_DONE:
		break;
	}
	return CLEAT_CLIENT_STOPPED;
}

void
client_set_phase(struct cleat_client *c, enum client_phase phase,
    const char *why)
{
	enum cleat_client_state was = state_of(c->phase), is = state_of(phase);

	c->phase = phase;
	if (was != is && c->opts.state != NULL)
		c->opts.state(c->opts.ctx, is, why);
}

int
cleat_client_new(const struct cleat_client_opts *o, char *why,
    struct cleat_client **ret)
{
	struct cleat_client *c = mem_calloc(1, sizeof(*c));
	int r;

	(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "out of memory");
	if (c == NULL)
		return -ENOMEM;
	c->link.fd = -1;
	c->challenged = client_send_hello;
	r = client_opts_take(c, o, why);
	if (r != 0) {
		cleat_client_free(&c);
		return r;
	}
	backoff_init(&c->backoff, o->retry_min_ms, o->retry_max_ms);
	c->phase = CLIENT_WAIT;
	c->wake_ms = client_now_ms();
	*ret = c;
	return 0;
}

void
client_fini(struct cleat_client *c)
{
	client_reset_channel(c);
	tls_client_policy_free(&c->policy);
	client_key_free(&c->key);
	servers_fini(&c->servers);
	proxy_fini(&c->proxy);
}

void
cleat_client_free(struct cleat_client **pc)
{
	struct cleat_client *c = *pc;

	if (c == NULL)
		return;
	client_fini(c);
	client_opts_free(c);
	mem_free(c);
	*pc = NULL;
}

/* ---- the loop's questions ----------------------------------------------- */

int
cleat_client_fd(const struct cleat_client *c)
{
	return c->phase == CLIENT_LINK ? link_fd(&c->link) : c->link.fd;
}

short
cleat_client_poll_events(const struct cleat_client *c)
{
	return link_poll_events(&c->link, buf_len(c->out) > 0);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int
cleat_client_timeout_ms(const struct cleat_client *c)
{
	uint64_t now = client_now_ms(), at = c->deadline_ms;
	int link = -1;

	if (c->phase == CLIENT_DONE)
		return -1;
	if (c->phase == CLIENT_WAIT)
		at = c->wake_ms;
	else if (c->phase == CLIENT_UP)
		at = c->heard_ms + (c->pinged ? c->dead_ms :
		    earlier(c->ping_ms, c->dead_ms));
	else if (c->phase == CLIENT_LINK)
		link = link_timeout_ms(&c->link);
	if (c->phase == CLIENT_UP && c->drain_ms != 0)
		at = earlier(at, c->drain_ms);
	if (link >= 0)
		at = earlier(at, now + (uint64_t)link);
	return at <= now ? 0 : at - now > 3600000 ? 3600000 : (int)(at - now);
}

enum cleat_client_state
cleat_client_get_state(const struct cleat_client *c)
{
	return state_of(c->phase);
}

const char *
cleat_client_public_key(const struct cleat_client *c)
{
	return c->key == NULL ? NULL : client_key_public(c->key);
}

/* ---- the loop's turns --------------------------------------------------- */

static void
link_on(struct cleat_client *c)
{
	int r = link_go_on(&c->link);

	if (r == -EAGAIN)
		return;
	if (r == 0)
		r = client_start_upgrade(c);
	if (r != 0) {
		client_lost(c, c->link.why[0] != '\0' ? c->link.why :
		    strerror(-r));
		return;
	}
	c->heard_ms = client_now_ms();
	c->phase = CLIENT_UPGRADE;
}

int
client_read(struct cleat_client *c)
{
	uint8_t area[16384];
	ssize_t n;
	int r = 0;

	if (c->phase == CLIENT_UPGRADE)
		r = client_take_answer(c);
	/* A whole record at a time, so that nothing is left behind unseen by
	 * poll(); a server that never stops does not keep us for ever. */
	for (int i = 0; r == 0 && i < CLIENT_READS_MAX; i++) {
		n = link_read(&c->link, area, sizeof(area));
		r = n < 0 ? (int)n : client_feed(c, area, (size_t)n);
	}
	return r == -EAGAIN ? 0 : r;
}

static int
keep_alive(struct cleat_client *c)
{
	uint64_t idle = client_now_ms() - c->heard_ms;

	if (c->phase != CLIENT_UP)
		return 0;
	if (idle >= c->dead_ms)
		return -ETIMEDOUT;
	if (idle < c->ping_ms || c->pinged)
		return 0;
	c->pinged = true;
	return client_frame(c, WS_OP_PING, "cleat", 5);
}

static void
channel_on(struct cleat_client *c)
{
	int r = client_read(c);

	if (r == 0)
		r = keep_alive(c);
	if (r == 0 && c->phase == CLIENT_UP && c->drain_ms != 0 &&
	    client_now_ms() >= c->drain_ms) {
		c->draining = true;
		client_say_bye(c, "drain");
		return;
	}
	/* After a failure it would only say that the session is over. */
	if (r == 0)
		r = client_flush(c);
	if (r == -ETIMEDOUT)
		client_lost(c, "the server is silent");
	else if (r == -EPIPE)
		client_lost(c, "the server ended the connection");
	else if (r != 0)
		client_lost(c, c->link.why[0] != '\0' ? c->link.why :
		    strerror(-r));
}

static void
process(struct cleat_client *c)
{
	uint64_t now = client_now_ms();

	if (c->phase == CLIENT_WAIT && now >= c->wake_ms)
		client_begin(c);
	if (c->phase == CLIENT_LINK)
		link_on(c);
	if (c->phase >= CLIENT_UPGRADE && c->phase <= CLIENT_GOODBYE)
		channel_on(c);
	if (c->phase != CLIENT_WAIT && c->phase != CLIENT_DONE &&
	    c->phase != CLIENT_UP && now >= c->deadline_ms)
		client_lost(c, "the server did not answer in time");
}

static void
stop(struct cleat_client *c, const char *reason)
{
	c->stopping = true;
	if (c->phase == CLIENT_UP) {
		client_say_bye(c, reason);
	} else if (c->phase != CLIENT_GOODBYE) {
		client_reset_channel(c);
		client_calls_lost(c);
		client_set_phase(c, CLIENT_DONE, "stopped");
	}
}

void
cleat_client_process(struct cleat_client *c)
{
	c->inside = true;
	process(c);
	if (c->stop_asked) {
		c->stop_asked = false;
		stop(c, c->stop_reason);
	}
	c->inside = false;
}

void
cleat_client_stop(struct cleat_client *c, const char *reason)
{
	/* What a callback was called from still reads the channel's input. */
	if (c->inside) {
		c->stop_asked = true;
		(void)snprintf(c->stop_reason, sizeof(c->stop_reason), "%s",
		    reason);
		return;
	}
	c->inside = true;
	stop(c, reason);
	c->inside = false;
}

int
cleat_client_set_servers(struct cleat_client *c, const char *text)
{
	return servers_name(&c->servers, text, c->opts.servers_file);
}
