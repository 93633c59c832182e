/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nng, versions 1.5.2 and later of 1.x.
 * No receive timeouts anywhere (nng issue 1523) and no statistics (issue 1577).
 */
#include "event/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/transport/ipc/ipc.h>

#include "event/canary.h"
#include "event/unix.h"

#define WHY_SIZE 256
#define SOCKET_MODE 0660
#define READ_WITHIN_MS 200

static int
error(int rv)
{
	static const struct {
		int nng, err;
	} map[] = {
		{ NNG_ENOMEM, ENOMEM }, { NNG_EINVAL, EINVAL },
		{ NNG_EADDRINUSE, EADDRINUSE }, { NNG_EADDRINVAL, EINVAL },
		{ NNG_EAGAIN, EAGAIN }, { NNG_ETIMEDOUT, EAGAIN },
		{ NNG_EPERM, EACCES }, { NNG_ENOFILES, EMFILE },
		{ NNG_ENOENT, ENOENT }, { NNG_ENOSPC, ENOSPC },
		{ NNG_ECLOSED, EBADF }, { NNG_EMSGSIZE, EMSGSIZE },
	};
	size_t i;

	if (rv == 0)
		return 0;
	if ((rv & NNG_ESYSERR) != 0)
		return -(rv & ~NNG_ESYSERR);
	for (i = 0; i < sizeof(map) / sizeof(*map); i++)
		if (map[i].nng == rv)
			return -map[i].err;
	return -EIO;
}

static int
fail(const struct bus_socket *b, char *why, int r, const char *text)
{
	(void)snprintf(why, WHY_SIZE, "%s: %s", b->url, text);
	return r;
}

static void
pipe_event(nng_pipe p, nng_pipe_ev ev, void *arg)
{
	struct bus_socket *b = arg;

	switch (ev) {
	case NNG_PIPE_EV_ADD_PRE:
		/* Counted before it can miss anything; REM_POST follows for a
		 * refused one too. */
		if (b->pipes++ >= BUS_PIPES_MAX)
			(void)nng_pipe_close(p);
		return;
	case NNG_PIPE_EV_ADD_POST:
		b->added++;
		b->changed(b->changed_ctx);
		return;
	case NNG_PIPE_EV_REM_POST:
		b->pipes--;
		return;
	default:
		return;
	}
}

/* Few threads are enough for some local peers.  nng 1.5.2 has no way to say so
 * (it makes two per processor). */
static void
limit_threads(void)
{
#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION >= 8
	nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, 2);
	nng_init_set_parameter(NNG_INIT_NUM_EXPIRE_THREADS, 1);
	nng_init_set_parameter(NNG_INIT_NUM_POLLER_THREADS, 1);
	nng_init_set_parameter(NNG_INIT_NUM_RESOLVER_THREADS, 1);
#endif
}

static int
start_listener(struct bus_socket *b, char *why)
{
	int r, rv;

	r = unix_clear(b->path, b->kind == BUS_PUB ? CANARY_SUB : CANARY_REQ);
	if (r == -EADDRINUSE)
		return fail(b, why, r, "in use by another process");
	if (r != 0)
		return fail(b, why, r, strerror(-r));
	if ((rv = nng_listener_create(&b->l, b->s, b->url)) != 0)
		return fail(b, why, error(rv), nng_strerror(rv));
	if ((rv = nng_listener_set_int(b->l, NNG_OPT_IPC_PERMISSIONS,
	    SOCKET_MODE)) != 0 ||
	    (rv = nng_listener_start(b->l, 0)) != 0) {
		(void)nng_listener_close(b->l);
		return fail(b, why, error(rv), nng_strerror(rv));
	}
	b->listening = true;
	return 0;
}

int
bus_socket_open(struct bus_socket *b, uint32_t queue, char *why)
{
	static const nng_pipe_ev evs[] = {
		NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST
	};
	size_t i;
	int rv, r;

	limit_threads();
	rv = b->kind == BUS_PUB ? nng_pub0_open(&b->s) : nng_rep0_open(&b->s);
	if (rv != 0)
		return fail(b, why, error(rv), nng_strerror(rv));
	b->open = true;
	if (b->kind == BUS_REP && ((rv = nng_socket_get_int(b->s,
	    NNG_OPT_RECVFD, &b->recv_fd)) == 0))
		rv = nng_socket_get_int(b->s, NNG_OPT_SENDFD, &b->send_fd);
	for (i = 0; rv == 0 && i < sizeof(evs) / sizeof(*evs); i++)
		rv = nng_pipe_notify(b->s, evs[i], pipe_event, b);
	/* 1.5.2 takes messages of any size unless told. */
	if (rv == 0)
		rv = nng_socket_set_size(b->s, NNG_OPT_RECVMAXSZ,
		    BUS_REQUEST_MAX);
	if (rv == 0 && b->kind == BUS_PUB)
		rv = nng_socket_set_int(b->s, NNG_OPT_SENDBUF, (int)queue);
	if (rv != 0)
		r = fail(b, why, error(rv), nng_strerror(rv));
	else
		r = start_listener(b, why);
	if (r != 0)
		bus_socket_close(b);
	return r;
}

void
bus_socket_close(struct bus_socket *b)
{
	if (!b->open)
		return;
	if (b->held != NULL)
		nng_msg_free(b->held);
	b->held = NULL;
	(void)nng_close(b->s);		/* with its listener */
	b->open = b->listening = false;
}

int
bus_socket_relisten(struct bus_socket *b)
{
	char why[WHY_SIZE];

	/* In the state that makes this necessary nng 1.5.2 never lets go of the
	 * closed listener and of the peers that negotiated with it meanwhile:
	 * two descriptors and some 5 KB each time. */
	if (b->listening)
		(void)nng_listener_close(b->l);
	b->listening = false;
	return start_listener(b, why);
}

int
bus_socket_publish(struct bus_socket *b, const void *p, size_t n)
{
	nng_msg *m;
	int rv;

	if ((rv = nng_msg_alloc(&m, n)) != 0)
		return error(rv);
	memcpy(nng_msg_body(m), p, n);
	if ((rv = nng_sendmsg(b->s, m, NNG_FLAG_NONBLOCK)) != 0)
		nng_msg_free(m);
	return error(rv);
}

int
bus_socket_fd(const struct bus_socket *b)
{
	return b->held != NULL ? b->send_fd : b->recv_fd;
}

int
bus_socket_wait(const struct bus_socket *b, uint64_t now_ms)
{
	uint64_t end = b->held_ms + READ_WITHIN_MS;

	if (b->held == NULL)
		return -1;
	return end > now_ms ? (int)(end - now_ms) : 0;
}

static bool
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int
bus_socket_request(struct bus_socket *b, uint64_t now_ms, nng_msg **ret)
{
	int r;

	if (b->held == NULL) {
		r = error(nng_recvmsg(b->s, &b->held, NNG_FLAG_NONBLOCK));
		if (r != 0)
			return r;
		b->held_ms = now_ms;
	}
	/* 1.5.2 drops an answer to a peer to which one is under way, also when
	 * that has arrived and nng's own thread does not know yet. */
	if (readable(b->send_fd)) {
		*ret = b->held;
		b->held = NULL;
		return 0;
	}
	if (bus_socket_wait(b, now_ms) == 0) {
		(void)nng_pipe_close(nng_msg_get_pipe(b->held));
		nng_msg_free(b->held);
		b->held = NULL;
	}
	return -EAGAIN;
}

int
bus_socket_reply(struct bus_socket *b, nng_msg *m, const void *p, size_t n)
{
	int rv;

	nng_msg_clear(m);
	if ((rv = nng_msg_append(m, p, n)) != 0 ||
	    (rv = nng_sendmsg(b->s, m, NNG_FLAG_NONBLOCK)) != 0)
		nng_msg_free(m);
	return error(rv);
}
