/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libmicrohttpd daemon without a thread and a listening socket, in one of our
 * loops, which watches its epoll descriptor: the HTTP hop has one a worker, the
 * control socket another.  Connections come by MHD_add_connection(); whoever
 * adds them counts them and sets their deadlines, here is no limit of either.
 * All on the loop's thread, or while that does not run.
 */
#ifndef CT_NET_MHD_H
#define CT_NET_MHD_H

#include <stddef.h>

#include <microhttpd.h>

#include "base/loop.h"

struct mhd {
	struct MHD_Daemon *daemon;	/* NULL: none */
	struct loop *loop;
	const char *log_as;
	struct watch watch;		/* the daemon's epoll descriptor */
	struct timer timer;		/* what MHD_get_timeout() asked for */
	struct defer again;		/* it wants to run at once */
};

struct mhd_opts {
	unsigned flags;			/* MHD_ALLOW_... */
	size_t pool;			/* bytes that one connection may use
					 * inside libmicrohttpd */
	const char *log_as;		/* what its log lines begin with;
					 * outlives the daemon */
	void *cls;			/* for the callbacks */
	MHD_AccessHandlerCallback on_request;
	MHD_NotifyConnectionCallback on_connection;
	MHD_RequestCompletedCallback on_completed;
	/* As sent; what it returns is the request's *con_cls at first. */
	void *(*on_target)(void *cls, const char *target,
	    struct MHD_Connection *);
};

/* -EMFILE, -ENOMEM, -errno of epoll: there is none then. */
int mhd_init(struct mhd *, struct loop *, const struct mhd_opts *);
/* Closes the connections that are left; their callbacks are called and may
 * kick.  Nothing for one that is zeroed, failed, or has ended. */
void mhd_fini(struct mhd *);

/* Runs until there is nothing more to do at once; what would keep the loop for
 * too long goes on at the end of the turn.  Not from inside a callback. */
void mhd_run(struct mhd *);
/* It has to run before the loop sleeps. */
void mhd_kick(struct mhd *);

#endif
