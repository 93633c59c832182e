/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listening descriptor for one address (decision 0003): bound here, or
 * inherited from systemd by name (sd_listen_fds(3)), or passed on by the former
 * process (decision 0015).  Non-blocking, close-on-exec, TCP_NODELAY (accepted
 * sockets inherit it).  Main thread.
 */
#ifndef CT_NET_LISTENER_H
#define CT_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define LISTENER_WHY_SIZE 256
#define LISTENER_INHERITED_MAX 64

struct listener {
	int fd;
	char address[ADDR_TEXT_SIZE];	/* as bound, port 0 resolved */
	char *path;			/* of a unix socket of ours, or NULL */
	uint64_t dev, ino;		/* of that path, when it was made */
	bool lent;			/* another process has it: no unlink */
};

/* Which inherited descriptors are taken already; zeroed at first. */
struct listener_inherited {
	uint64_t taken;
};

/*
 * `address` as addr_parse(), or "systemd:NAME": the first descriptor of that
 * name that is not taken yet.  "[::]:port" is IPv6 alone, "*:port" both (IPv4
 * alone where the kernel has no IPv6).  The file of a unix socket is
 * replaced only when nobody answers there.  -errno with a line in
 * why[LISTENER_WHY_SIZE].
 */
int listener_open(const char *address, int backlog,
    struct listener_inherited *, char *why, struct listener *ret);
/*
 * The listening socket that another process had for `address`: it has to be
 * bound to it, and gets `backlog` unless it is systemd's.  Duplicates fd, which
 * stays the caller's, and is lent at first.  As listener_open();
 * -ENOTSOCK it is no listening socket, -EADDRNOTAVAIL bound elsewhere.
 */
int listener_adopt(const char *address, int backlog, int fd, char *why,
    struct listener *ret);
/* Closes; unlinks the unix socket if it is not lent and still the same file. */
void listener_close(struct listener *);

#endif
