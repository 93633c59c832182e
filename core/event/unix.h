/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain unix sockets under nng's ipc transport: what nng 1.5.2 does not ask
 * before it binds, and a connection that behaves.  Any thread.
 */
#ifndef CT_EVENT_UNIX_H
#define CT_EVENT_UNIX_H

#include <stdbool.h>
#include <stdint.h>

/* The path in "ipc:///…" (inside `url`), or NULL when it is none that fits a
 * socket address. */
const char *unix_url_path(const char *url);

/* Connects without waiting and sends the header of the Scalability Protocols
 * for `protocol`.  -EAGAIN: the backlog is full; -ECONNREFUSED, -ENOENT: nobody
 * listens; -errno. */
int unix_connect_sp(const char *path, uint8_t protocol, int *ret_fd);

/*
 * Makes `path` free to be bound: a socket nobody answers on is removed.
 * -EADDRINUSE: somebody listens there, or it is no socket.  nng's own test
 * connects and closes at once, which ends the other daemon's listener (nng
 * issue 1518); this one takes part in the negotiation.  Waits 200 ms at most.
 */
int unix_clear(const char *path, uint8_t protocol);

#endif
