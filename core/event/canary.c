/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary.  It does the whole negotiation and closes only after the listener
 * reported the pipe (or was given up), so that it never does itself what it is
 * there to detect.
 */
#include "event/canary.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/unix.h"

#define CONFIRM_STEP_MS 5

void
canary_init(struct canary *c, const char *path, uint8_t protocol,
    uint32_t every_ms, uint64_t now_ms)
{
	*c = (struct canary){
		.path = path, .every_ms = every_ms, .protocol = protocol,
		.fd = -1, .next_ms = now_ms + every_ms,
	};
}

void
canary_fini(struct canary *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

static enum canary_verdict
end(struct canary *c, enum canary_verdict v, uint64_t now_ms)
{
	canary_fini(c);
	c->deadline_ms = 0;
	c->next_ms = now_ms + c->every_ms;
	return v;
}

/* Connects, unless that has been done.  False: nobody is there. */
static bool
probe(struct canary *c, uint32_t pipes, uint64_t now_ms)
{
	int r;

	if (c->deadline_ms == 0)
		c->deadline_ms = now_ms + CANARY_PATIENCE_MS;
	if (c->fd >= 0)
		return true;
	c->pipes_before = pipes;
	r = unix_connect_sp(c->path, c->protocol, &c->fd);
	/* A full backlog, or no descriptor just now, says nothing yet. */
	return r == 0 || r == -EAGAIN || r == -EMFILE || r == -ENFILE ||
	    r == -ENOMEM;
}

enum canary_verdict
canary_turn(struct canary *c, uint32_t pipes, uint64_t now_ms)
{
	if (c->every_ms == 0 || (c->deadline_ms == 0 && now_ms < c->next_ms))
		return CANARY_IDLE;
	if (c->fd >= 0 && pipes != c->pipes_before)
		return end(c, CANARY_ALIVE, now_ms);
	if (!probe(c, pipes, now_ms))
		return end(c, CANARY_DEAD, now_ms);
	if (now_ms < c->deadline_ms)
		return CANARY_WAITING;
	/* Our own shortage of descriptors is not the listener's fault. */
	return end(c, c->fd >= 0 ? CANARY_DEAD : CANARY_IDLE, now_ms);
}

/* The listener's half of the negotiation is there: leaving does no harm. */
static bool
negotiated(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, CONFIRM_STEP_MS) == 1;
}

bool
canary_confirm(const char *path, uint8_t protocol,
    const _Atomic uint32_t *pipes)
{
	struct canary c;
	uint32_t before = *pipes;
	bool taken = false, called = true;
	uint64_t now = clock_mono_ms(), end = now + CANARY_PATIENCE_MS;

	canary_init(&c, path, protocol, 1, now);
	for (; !taken && called && now < end; now = clock_mono_ms()) {
		called = probe(&c, before, now);
		if (c.fd >= 0)
			taken = negotiated(c.fd) && *pipes != before;
		if (!taken)
			(void)poll(NULL, 0, 1);
	}
	if (called && c.fd < 0)
		taken = true;
	canary_fini(&c);
	return taken;
}

int
canary_wait(const struct canary *c, uint64_t now_ms)
{
	uint64_t at = c->deadline_ms != 0 ? c->deadline_ms : c->next_ms;

	if (c->every_ms == 0)
		return -1;
	if (c->deadline_ms != 0 && c->fd < 0)
		return 20;		/* tries to connect again */
	if (at <= now_ms)
		return 0;
	return at - now_ms > 60000 ? 60000 : (int)(at - now_ms);
}
