/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message while it is worked on, and how it is answered.  hello.c has the
 * method of that name, proto-endpoint.c all else.
 */
#ifndef CALL_H
#define CALL_H

#include <cleat/host.h>

#include "rpc.h"

/* Codes of our own, and the close that follows. */
#define E_AUTH_FAILED (-32001)		/* 4001 */
#define E_TRY_LATER (-32002)		/* 1013 */
#define E_HELLO_FIRST (-32003)		/* 4006 */
#define E_HELLO_TWICE (-32004)
#define E_ID_NOT_ALLOWED (-32005)	/* 4004 */

#define CLOSE_INTERNAL 1011
#define CLOSE_TRY_LATER 1013
#define CLOSE_AUTH_FAILED 4001
#define CLOSE_ID_NOT_ALLOWED 4004
#define CLOSE_PROTOCOL 4006

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

enum stage { WAITS_FOR_HELLO, ASKED, UP };

struct session {
	enum stage stage;
	json_t *hello_id;		/* of the request that is being answered */
	unsigned errors;
};

/* One message while it is worked on. */
struct call {
	struct inst *inst;
	struct cleat_chan *chan;
	struct session *session;
	struct rpc rpc;
};

/* Takes text over (NULL: no memory).  A device that does not read its answers is
 * let go. */
void call_send(struct inst *, struct cleat_chan *, char *text);
/* Takes result over. */
void call_answer(struct call *, json_t *result);
void call_error(struct call *, int code, const char *why);

/* hello.c: the method, and its answer when the daemon has decided. */
void hello_call(struct call *);
void hello_answer(void *inst, struct cleat_chan *, void *session,
    const struct cleat_auth_result *);

#endif
