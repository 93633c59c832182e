/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a daemon and its successor (decision 0015) over a socket
 * pair that the successor inherits: a head, bytes, descriptors (unix(7),
 * SCM_RIGHTS).  Both block, for as long as the socket's timeouts say.  Thread:
 * any; one at a time.
 */
#ifndef CT_DAEMON_UPGRADE_WIRE_H
#define CT_DAEMON_UPGRADE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define UPGRADE_FDS_MAX 253		/* the kernel's SCM_MAX_FD */
#define UPGRADE_BYTES_MAX ((size_t)1 << 30)

enum upgrade_type {
	UPGRADE_HELLO = 1,	/* next: who it is and what it can take */
	UPGRADE_START,		/* former: what is in force; lock,
				 * listeners, control */
	UPGRADE_READY,		/* next: everything is up but the channels */
	UPGRADE_BATCH,		/* former: channels, one descriptor each */
	UPGRADE_TAKEN,		/* next: a byte for each, 1: refused */
	UPGRADE_GO,		/* former: they are yours */
	UPGRADE_FINISH,		/* former: that was all; store, bus and sockets
				 * are free */
	UPGRADE_DONE,		/* next: it serves */
	UPGRADE_REFUSED,	/* either: a line that says why */
	UPGRADE_TYPES
};

struct upgrade_message {
	enum upgrade_type type;
	uint8_t *p;			/* NULL when n is 0 */
	size_t n;
	int fds[UPGRADE_FDS_MAX];
	unsigned fds_n;
};

/* Sets both timeouts of the socket. */
int upgrade_timeouts(int fd, unsigned ms);
/* -EPIPE, -ECONNRESET the other side is gone, -ETIMEDOUT, -errno. */
int upgrade_send(int fd, enum upgrade_type, const void *p, size_t n,
    const int *fds, unsigned fds_n);
/* Everything in it is the caller's.  As above; -EPROTO not such a message,
 * -EMFILE descriptors did not fit under the limit (MSG_CTRUNC), -ENOMEM. */
int upgrade_recv(int fd, struct upgrade_message *ret);
/* Wipes, closes what descriptors are left (those that are not -1), frees. */
void upgrade_message_fini(struct upgrade_message *);

#endif
