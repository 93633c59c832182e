/* SPDX-License-Identifier: Apache-2.0 */
/* See upgrade_wire.h. */
#include "daemon/upgrade_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"

#define MAGIC 0x75706772u		/* "upgr" */

struct head {
	uint32_t magic;
	uint16_t type, fds_n;
	uint64_t n;
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int) * UPGRADE_FDS_MAX)];
};

static int
failed(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
}

int
upgrade_timeouts(int fd, unsigned ms)
{
	struct timeval t = {
		.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000
	};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) != 0)
		return -errno;
	return 0;
}

/* ---- sending ----------------------------------------------------------- */

static int
send_bytes(int fd, const uint8_t *p, size_t n)
{
	ssize_t k;

	for (; n > 0; p += k, n -= (size_t)k) {
		do
			k = send(fd, p, n, MSG_NOSIGNAL);
		while (k < 0 && errno == EINTR);
		if (k < 0)
			return failed();
	}
	return 0;
}

/* The descriptors go with the head, which is never cut: it is small
 * and first. */
static int
send_head(int fd, struct head *h, const int *fds)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = h, .iov_len = sizeof(*h) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t k;

	if (h->fds_n > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * h->fds_n);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * h->fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * h->fds_n);
	}
	do
		k = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return failed();
	return (size_t)k == sizeof(*h) ? 0 : -EPIPE;
}

int
upgrade_send(int fd, enum upgrade_type type, const void *p, size_t n,
    const int *fds, unsigned fds_n)
{
	struct head h = {
		.magic = MAGIC, .type = (uint16_t)type,
		.fds_n = (uint16_t)fds_n, .n = n
	};
	int r;

	if (fds_n > UPGRADE_FDS_MAX || n > UPGRADE_BYTES_MAX)
		return -EMSGSIZE;
	r = send_head(fd, &h, fds);
	return r != 0 ? r : send_bytes(fd, p, n);
}

/* ---- receiving --------------------------------------------------------- */

static int
recv_bytes(int fd, uint8_t *p, size_t n)
{
	ssize_t k;

	for (; n > 0; p += k, n -= (size_t)k) {
		do
			k = recv(fd, p, n, 0);
		while (k < 0 && errno == EINTR);
		if (k <= 0)
			return k == 0 ? -EPIPE : failed();
	}
	return 0;
}

static void
take_fds(struct msghdr *m, struct upgrade_message *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	    c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		ret->fds_n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) /
		    sizeof(int));
		memcpy(ret->fds, CMSG_DATA(c), ret->fds_n * sizeof(int));
	}
}

static int
recv_head(int fd, struct head *h, struct upgrade_message *ret)
{
	union control control;
	struct iovec iov = { .iov_base = h, .iov_len = sizeof(*h) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)
	};
	ssize_t k;

	do
		k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (k < 0 && errno == EINTR);
	if (k <= 0)
		return k == 0 ? -EPIPE : failed();
	take_fds(&m, ret);
	/* Descriptors beyond the limit are dropped, and only this tells. */
	if ((m.msg_flags & MSG_CTRUNC) != 0)
		return -EMFILE;
	if ((size_t)k != sizeof(*h) || h->magic != MAGIC || h->type == 0 ||
	    h->type >= UPGRADE_TYPES || h->fds_n != ret->fds_n ||
	    h->n > UPGRADE_BYTES_MAX)
		return -EPROTO;
	return 0;
}

int
upgrade_recv(int fd, struct upgrade_message *ret)
{
	struct head h;
	int r;

	*ret = (struct upgrade_message){ .fds_n = 0 };
	r = recv_head(fd, &h, ret);
	if (r == 0 && h.n > 0) {
		ret->p = mem_alloc(h.n);
		ret->n = h.n;
		r = ret->p == NULL ? -ENOMEM : recv_bytes(fd, ret->p, h.n);
	}
	if (r != 0)
		upgrade_message_fini(ret);
	else
		ret->type = (enum upgrade_type)h.type;
	return r;
}

void
upgrade_message_fini(struct upgrade_message *m)
{
	for (unsigned i = 0; i < m->fds_n; i++)
		if (m->fds[i] >= 0)
			(void)close(m->fds[i]);
	if (m->p != NULL)
		mem_free_wiped(m->p, m->n);
	*m = (struct upgrade_message){ .fds_n = 0 };
}
