/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message while it is worked on, and how it is answered, at once or when
 * something is durable (waiting.c).  session.c has what is kept between
 * messages; hello.c, telemetry.c and commands.c have the methods of those
 * names, proto-endpoint.c all else.
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
#define E_BUSY (-32008)			/* 4003 */
#define E_ID_NOT_ALLOWED (-32005)	/* 4004 */
#define E_PENDING (-32006)		/* 1013 */
#define E_NO_COMMAND (-32007)
#define E_TOO_MANY (-32009)		/* 4008 */

#define CLOSE_INTERNAL 1011
#define CLOSE_TRY_LATER 1013
#define CLOSE_AUTH_FAILED 4001
#define CLOSE_ID_NOT_ALLOWED 4004
#define CLOSE_SUPERSEDED 4003
#define CLOSE_PROTOCOL 4006
#define CLOSE_RATE 4008

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

enum stage { WAITS_FOR_HELLO, ASKED, UP };

/* What a channel needs between two messages (session.c). */
struct session {
	json_t *hello_id;		/* of the request, while ASKED; may
					 * be NULL */
	struct waiting *waiting;	/* answered later */
	uint32_t last_request;
	uint8_t stage;			/* enum stage */
	uint8_t errors, waiting_n;
};

/* One message while it is worked on. */
struct call {
	struct inst *inst;
	struct cleat_chan *chan;
	struct session *session;
	struct rpc rpc;
};

/*
 * session.c.  There is one that all share whose hello was answered, without
 * errors and without requests that wait: 15,000 devices do nothing most of the
 * time.  It is never written to.
 */
/* -ENOMEM. */
int session_new(struct inst *, struct cleat_chan *);
/* It was asked for something sensible: no errors in a row. */
void session_good(struct session *);
/* Its own one from now on, to be written to.  NULL: no memory. */
struct session *session_own(struct call *);
/* Back to the one that all share, if it may. */
void session_settle(struct inst *, struct cleat_chan *, struct session *);
/* What the ABI asks for. */
int session_export(void *inst, struct cleat_chan *, void *session, void *to,
    size_t cap);
int session_import(void *inst, struct cleat_chan *, const void *p, size_t n);
void session_forget(void *inst, void *session);

#define ERRORS_MAX 64			/* bad messages, one after the other */

/* Takes text over (NULL: no memory).  A device that does not read its answers
 * is let go. */
void call_send(struct inst *, struct cleat_chan *, char *text);
/* Takes result over. */
void call_answer(struct call *, json_t *result);
void call_error(struct call *, int code, const char *why);
/* What a host call returned, as an answer. */
void call_code(struct call *, int err);

/* Closes the channel of a device that said bye. */
void call_bye(struct inst *, struct cleat_chan *);

/* waiting.c */
#define WAITING_MAX 64			/* the daemon allows less */
enum answer {				/* what the completion's value is */
	ANSWER_STORED, ANSWER_REVISION, ANSWER_FINAL,
	ANSWER_DONE, ANSWER_BYE		/* none; the latter closes */
};
/* A number for a host call whose completion answers the request `id` (NULL: it
 * is not answered).  0: too many wait, or no memory. */
uint64_t waiting_add(struct call *, json_t *id, enum answer);
/* What that host call returned (number 0: it was not made): an error is
 * answered now. */
void waiting_asked(struct call *, uint64_t number, int err);
/* Its host call failed, and nobody is told. */
void waiting_forget(struct session *, uint64_t number);
void waiting_completed(void *inst, struct cleat_chan *, void *session,
    const struct cleat_completion *);
void waiting_fini(struct session *);

/* telemetry.c */
void telemetry_call(struct call *);
void inventory_call(struct call *);

/* commands.c */
const char *outcome_name(uint64_t outcome);
void outcome_call(struct call *);
void progress_call(struct call *);
/* An answer of the device to a request of ours. */
void commands_answer(struct call *);
int commands_send(void *inst, struct cleat_chan *, void *session,
    const struct cleat_command *);
void commands_cancel(void *inst, struct cleat_chan *, void *session,
    const char *id);
void commands_drain(void *inst, struct cleat_chan *, void *session,
    const struct cleat_drain *);

/* hello.c: the method, and its answer when the daemon has decided. */
void hello_call(struct call *);
void hello_answer(void *inst, struct cleat_chan *, void *session,
    const struct cleat_auth_result *);

#endif
