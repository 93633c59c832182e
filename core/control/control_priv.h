/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of control/ share.  Control thread, if nothing else
 * is said. */
#ifndef CT_CONTROL_PRIV_H
#define CT_CONTROL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <jansson.h>
#include <microhttpd.h>

#include "base/buf.h"
#include "base/json_out.h"
#include "base/list.h"
#include "base/worker.h"
#include "store/store.h"
#include "net/mhd.h"
#include "endpoint/endpoint.h"
#include "endpoint/identity.h"
#include "channel/command.h"
#include "control/control.h"

struct exchange;
struct route;
struct sse;

/* ---- text.c: an answer that grows -------------------------------------- */

struct text {
	struct outbuf out;
	struct json_out j;
};
#define TEXT_MAX (64u << 20)
/* Room for n more bytes.  -ENOMEM, -E2BIG. */
int text_room(struct text *, size_t n);
void text_fini(struct text *);
void put_bool(struct json_out *, const char *key, bool);
/* Left out when 0. */
void put_time(struct json_out *, const char *key, int64_t wall_ms);
void put_number(struct json_out *, const char *key, uint64_t);
/* Left out when empty. */
void put_text(struct json_out *, const char *key, const char *);

/* ---- request.c: what was asked ----------------------------------------- */

#define PARAMS_MAX 8
struct param {
	const char *name, *value;
};
/* Divides a request target in place, decoding it: path and parameters.  false:
 * not well-formed, or more than PARAMS_MAX. */
bool target_parse(char *target, struct param *, unsigned *ret_n);
/* Decimal digits.  -EINVAL, -ERANGE. */
int number_parse(const char *, uint64_t max, uint64_t *ret);
/* RFC 3339 in UTC ("Z"), from 1970 to 9999.  -EINVAL. */
int time_parse(const char *, int64_t *ret_wall_ms);
/* UTF-8 for people: at most max bytes, no control characters. */
bool label_valid(const char *, size_t max);

/* Pages. */
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define PAGE_BYTES (4u << 20)		/* one that is longer ends */

struct member {
	const char *name;
	json_type type;
	bool required;
};
/* The members of the body by their place in the table (ends with name NULL);
 * one that is not there is NULL.  false: the problem is told. */
bool body_members(struct exchange *, const struct member *, json_t **ret);
/* Parameters of the request; NULL: not there. */
const char *param_of(const struct exchange *, const char *name);
/* An endpoint's id, or the beginning of one; not there is fine.
 * false: told. */
bool id_param_valid(struct exchange *, const char *name);
/* false: the problem is told. */
bool param_number(struct exchange *, const char *name, uint64_t otherwise,
    uint64_t min, uint64_t max, uint64_t *ret);

/* ---- problem.c --------------------------------------------------------- */

enum problem {
	PROBLEM_MALFORMED, PROBLEM_UNKNOWN_MEMBER, PROBLEM_INVALID,
	PROBLEM_FORBIDDEN, PROBLEM_NOT_FOUND, PROBLEM_NO_SUCH_PATH,
	PROBLEM_METHOD, PROBLEM_EXISTS, PROBLEM_CONFLICT,
	PROBLEM_NOT_CONNECTED, PROBLEM_FINAL, PROBLEM_TOO_LARGE,
	PROBLEM_MEDIA_TYPE, PROBLEM_HEADER, PROBLEM_LIMIT,
	PROBLEM_REFUSED, PROBLEM_BUSY, PROBLEM_STORE, PROBLEM_STOPPING,
	PROBLEM_UPGRADING, PROBLEM_TIMEOUT, PROBLEM_INTERNAL
};
/* Ends the exchange with a problem.  member may be NULL. */
void exchange_problem(struct exchange *, enum problem, const char *member,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The problem that an error of the store or of memory is. */
void exchange_error(struct exchange *, int error, const char *what);
unsigned problem_status(enum problem);	/* tests only */
/* A whole answer for somebody whom libmicrohttpd does not serve.  -> bytes. */
#define PROBLEM_RAW_MAX 1024
size_t problem_raw(enum problem, const char *detail,
    char to[PROBLEM_RAW_MAX]);

/* ---- control.c: connections -------------------------------------------- */

struct client {
	struct list link;		/* c->clients */
	struct control *control;
	struct watch watch;		/* hang-up while a request waits */
	bool watched;
	struct timer timer;		/* see control.c */
	uint32_t uid;
	enum control_role role;
	bool asked;			/* a first request was complete */
	struct exchange *x;		/* the one that is served, or NULL */
};

#define CONTROL_MAGIC 0x6374726cu
struct control {
	uint32_t magic;
	struct control_deps deps;
	char *path;
	struct control_rules rules;
	struct control_counters counters;
	int64_t started_ms;		/* wall */
	uint64_t started_mono;
	struct worker worker;
	struct mhd mhd;
	struct watch listening;
	struct timer pause, beat;
	struct client *adding;
	struct list clients;
	struct list exchanges;		/* all */
	unsigned out;			/* jobs and errands that are not back */
	bool stopping, paused;
	bool held;			/* a new process takes over */
	bool idle_wanted;
	void *idle;			/* sem_t of control_stop() */
	bool bound;			/* the file is there */
	bool lent;			/* and another process' as well */

	/* stream.c */
	struct list streams, waiting;
	pthread_mutex_t lock;		/* guards the five below */
	struct list notes;
	unsigned notes_n;
	size_t notes_bytes;
	uint64_t notes_lost;
	bool noted;			/* the mail is on its way */
	struct mail note_mail;
	_Atomic uint64_t seen;		/* last number that the tap saw */
	_Atomic unsigned listeners;	/* streams and who waits */
	struct list progress;		/* of commands, latest first */
	unsigned progress_n;
};

/* ---- socket.c ---------------------------------------------------------- */

/* Binds it, or takes what was passed, and watches it.  -EADDRINUSE another
 * daemon listens; -errno. */
int control_open_socket(struct control *);
/* At the end: closes it, and removes the file unless it is lent. */
void control_close_socket(struct control *);

/* ---- routes.c: an exchange is one request and its answer --------------- */

struct route {
	const char *method, *path;	/* {} stands for one segment */
	enum control_role role;
	bool body;			/* a JSON object is wanted */
	void (*fn)(struct exchange *);
	const char *params[PARAMS_MAX];	/* NULL ends */
};
extern const struct route control_routes[];

#define EXCHANGE_MAGIC 0x78636867u
struct exchange {
	uint32_t magic;
	struct control *control;
	struct client *client;
	struct MHD_Connection *mhd;
	struct list link;		/* control->exchanges */
	const struct route *route;
	char *target;			/* path and values point into it */
	const char *path;
	struct param param[PARAMS_MAX];
	unsigned params;
	struct buf *body;
	json_t *json;
	bool received;			/* the request is complete */
	int body_error;			/* -ENOBUFS, -ENOMEM: it is not kept */
	bool begun;			/* the header was seen */
	bool suspended, ready, queued;
	struct sse *stream;		/* that it has become */

	/* The answer. */
	unsigned status;
	bool problem;
	struct MHD_Response *response;	/* a stream's; else text */
	struct text text;
	char etag[32], location[256], allow[32];
	unsigned retry_s;		/* 0: not said */

	/* What is out. */
	struct store_job job;
	int (*run)(struct exchange *, struct store_db *);
	void (*then)(struct exchange *, int error);
	struct control_errand *errand;

	/* Of the handlers. */
	char id[ENDPOINT_ID_MAX + 1];	/* what stood for {} in the path */
	char last[ENDPOINT_ID_MAX + 1], next[ENDPOINT_ID_MAX + 1];
	int state, status_wanted;	/* -1: any */
	uint64_t number, limit, last_cursor;
	unsigned seen, found, wanted;
	bool more, final;
	char tag[80], first_tag[80];
	const char *name, *group;	/* in json */
	struct command_added added;
	struct identity_op op;
	void (*op_then)(struct exchange *);

	/* Long poll, wait.c. */
	struct list wait;		/* control->waiting */
	bool waits, woken, over;
	struct timer timer;
	void (*look)(struct exchange *);
};

/* What is in x->text is the answer. */
void exchange_answer(struct exchange *, unsigned status);
/* Something is ready: goes on with libmicrohttpd. */
void exchange_ready(struct exchange *);
/* run() in a job of the store; then() when it is durable (error: what run()
 * returned, or the store's).  A problem is told if it cannot be. */
void exchange_store(struct exchange *,
    int (*run)(struct exchange *, struct store_db *),
    void (*then)(struct exchange *, int error), bool reads);
/* One thing is out, or back. */
void exchange_out(struct exchange *);
void exchange_back(struct control *);
/* An operation of endpoint/identity; then() when it is durable. */
struct identity_op *exchange_op(struct exchange *,
    void (*then)(struct exchange *));
/* What the call that got it returned. */
void exchange_op_begun(struct exchange *, int r);
/* Fills and starts the text.  false: no memory, told. */
bool exchange_text(struct exchange *);

/* What the main thread is to do; its fn ends the exchange.  NULL: no memory,
 * told. */
struct control_errand *errand_of(struct exchange *);
void errand_send(struct exchange *);
/* It was done, and the text is begun.  Else the exchange has ended as refused,
 * with `why`; stopping and short memory are told as of `what`. */
bool errand_went(struct control_errand *, const char *what);

/* ---- system.c, endpoints.c, …: the handlers ---------------------------- */

void system_status(struct exchange *);
void system_reload(struct exchange *);
void system_drain(struct exchange *);
void system_drain_get(struct exchange *);
void system_drain_delete(struct exchange *);
void upgrade_post(struct exchange *);
void upgrade_write(struct json_out *, const struct control *);
void system_log_level_get(struct exchange *);
void system_log_level_put(struct exchange *);
void endpoints_list(struct exchange *);
void endpoint_show(struct exchange *);
void endpoint_kick_it(struct exchange *);
void endpoint_patch(struct exchange *);
void endpoint_delete(struct exchange *);
void endpoint_post(struct exchange *);
void endpoint_approve(struct exchange *);
void endpoint_deny(struct exchange *);
void credentials_list(struct exchange *);
void credential_post(struct exchange *);
void credential_revoke(struct exchange *);
void enrolment_tokens_list(struct exchange *);
void enrolment_token_post(struct exchange *);
void enrolment_token_delete(struct exchange *);
void command_show(struct exchange *);
void commands_list(struct exchange *);
void command_post(struct exchange *);
void command_cancel_it(struct exchange *);
void telemetry_get(struct exchange *);
void inventory_show(struct exchange *);
/* The endpoint x->id is the answer. */
void endpoint_answer(struct exchange *, unsigned status);
void sse_get(struct exchange *);

#endif
