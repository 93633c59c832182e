/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer.  libmicrohttpd calls for the header, for pieces
 * of the body, and at their end; an answer given before that end is the last of
 * the connection.  Whoever waits is suspended, and resumed exactly when the
 * answer is there, so an exchange never goes away while something of it is out.
 */
#include "control/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/stream.h"

#define HEADER_MAX (16 * 1024)
#define HELD_RETRY_S 1			/* RFC 9110 10.2.3 */

/* ---- answering --------------------------------------------------------- */

void
exchange_ready(struct exchange *x)
{
	CT_ASSERT(!x->ready);
	x->ready = true;
	loop_timer_stop(x->control->worker.loop, &x->timer);
	list_remove(&x->wait);
	if (!x->suspended)
		return;
	x->suspended = false;
	client_unwatch(x->client);
	MHD_resume_connection(x->mhd);
	mhd_kick(&x->control->mhd);
}

void
exchange_answer(struct exchange *x, unsigned status)
{
	if (!jout_ok(&x->text.j)) {
		exchange_problem(x, PROBLEM_INTERNAL, NULL,
		    "the answer is too large, or memory is short");
		return;
	}
	x->status = status;
	exchange_ready(x);
}

bool
exchange_text(struct exchange *x)
{
	int r = text_room(&x->text, 8192);

	if (r != 0) {
		exchange_error(x, r, "answer");
		return false;
	}
	x->text.out.n = 0;
	jout_init(&x->text.j, &x->text.out);
	return true;
}

static bool
add_header(struct MHD_Response *r, const char *name, const char *value)
{
	return value[0] == '\0' ||
	    MHD_add_response_header(r, name, value) == MHD_YES;
}

/* When libmicrohttpd is done with an answer. */
static void
text_sent(void *ctx)
{
	struct text *t = ctx;

	text_fini(t);
	mem_free(t);
}

/* Hands the text over. */
static struct MHD_Response *
text_response(struct text *from)
{
	struct text *t = mem_dup(from, sizeof(*from));
	struct MHD_Response *r;

	if (t == NULL)
		return NULL;
	r = MHD_create_response_from_buffer_with_free_callback_cls(t->out.n,
	    t->out.p, text_sent, t);
	if (r == NULL)
		mem_free(t);
	else
		from->out = (struct outbuf){ 0 };
	return r;
}

static struct MHD_Response *
make_response(struct exchange *x)
{
	struct MHD_Response *r;
	bool empty = x->status == 204 || x->status == 304;
	char retry[16] = "";

	if (x->retry_s != 0)
		(void)snprintf(retry, sizeof(retry), "%u", x->retry_s);
	if (empty) {
		r = MHD_create_response_from_buffer(0, NULL,
		    MHD_RESPMEM_PERSISTENT);
	} else if (x->text.out.p == NULL) {	/* nor for a problem */
		return NULL;
	} else {
		r = text_response(&x->text);
	}
	if (r == NULL)
		return NULL;
	if (add_header(r, "Content-Type", empty ? "" : x->problem ?
	    "application/problem+json" : "application/json") &&
	    add_header(r, "Cache-Control", "no-store") &&
	    add_header(r, "ETag", x->etag) &&
	    add_header(r, "Location", x->location) &&
	    add_header(r, "Retry-After", retry) &&
	    add_header(r, "Allow", x->allow))
		return r;
	MHD_destroy_response(r);
	return NULL;
}

/* Who changed what, for the record. */
static void
log_change(const struct exchange *x)
{
	char quoted[200];

	if (x->route == NULL || x->route->role != CONTROL_OPERATOR)
		return;
	log_notice("control: method=%s path=%s uid=%u status=%u",
	    x->route->method, log_quote(quoted, sizeof(quoted), x->path,
	    strlen(x->path)), x->client->uid, x->status);
}

static enum MHD_Result
queue(struct exchange *x)
{
	struct MHD_Response *r = x->response;
	enum MHD_Result queued;

	x->queued = true;
	if (x->problem)
		atomic_fetch_add(&x->control->counters.requests_refused, 1);
	log_change(x);
	if (r == NULL) {
		client_deadline(x->client, true);
		r = make_response(x);
	}
	x->response = NULL;
	if (r == NULL)
		return MHD_NO;
	queued = MHD_queue_response(x->mhd, x->status, r);
	MHD_destroy_response(r);
	return queued;
}

/* ---- the store --------------------------------------------------------- */

void
exchange_out(struct exchange *x)
{
	x->control->out++;
}

void
exchange_back(struct control *c)
{
	c->out--;
	control_is_idle(c);
}

static int
on_job(struct store_job *j, struct store_db *db)
{
	struct exchange *x = CT_CONTAINER(j, struct exchange, job);

	return x->run(x, db);
}

static void
on_job_done(struct store_job *j)
{
	struct exchange *x = CT_CONTAINER(j, struct exchange, job);
	struct control *c = x->control;

	CT_CHECK_MAGIC(x, EXCHANGE_MAGIC);
	c->out--;
	x->then(x, j->error);
	control_is_idle(c);
}

void
exchange_store(struct exchange *x,
    int (*run)(struct exchange *, struct store_db *),
    void (*then)(struct exchange *, int error), bool reads)
{
	int r;

	x->run = run;
	x->then = then;
	x->job = (struct store_job){
		.run = on_job, .done = on_job_done, .reads = reads,
		.home = &x->control->worker.mailbox,
		.bytes = sizeof(*x) + buf_len(x->body)
	};
	x->control->out++;
	r = store_submit(x->control->deps.store, &x->job);
	if (r == 0)
		return;
	x->control->out--;
	exchange_error(x, r, "store");
}

/* ---- from the target to the handler ------------------------------------ */

/* Whether path is what the pattern says; the segment for {} is from *ret_arg to
 * *ret_end. */
static bool
matches(const char *pattern, const char *path, const char **ret_arg,
    const char **ret_end)
{
	const char *start, *end;
	size_t n;

	for (; *pattern != '\0'; pattern++, path++) {
		if (*pattern != '{') {
			if (*pattern != *path)
				return false;
			continue;
		}
		start = path;
		n = strcspn(path, "/");
		if (n == 0)
			return false;
		end = path + n;
		*ret_arg = start;
		*ret_end = end;
		path = end - 1;
		pattern++;		/* now at '}' */
	}
	return *path == '\0';
}

static void
note_allowed(struct exchange *x, const char *method)
{
	size_t n = strlen(x->allow);

	(void)snprintf(x->allow + n, sizeof(x->allow) - n, "%s%s",
	    n == 0 ? "" : ", ", method);
}

static bool
find_route(struct exchange *x, const char *path, const char *method)
{
	const char *arg = NULL, *end = NULL;

	x->allow[0] = '\0';
	for (const struct route *r = control_routes; r->method != NULL; r++) {
		arg = end = NULL;
		if (!matches(r->path, path, &arg, &end))
			continue;
		if (strcmp(r->method, method) != 0) {
			note_allowed(x, r->method);
			continue;
		}
		x->route = r;
		x->allow[0] = '\0';
		break;
	}
	if (x->route != NULL && arg == NULL)
		return true;
	if (x->route != NULL && (size_t)(end - arg) < sizeof(x->id)) {
		memcpy(x->id, arg, (size_t)(end - arg));
		x->id[end - arg] = '\0';
		return true;
	}
	if (x->route != NULL) {
		exchange_problem(x, PROBLEM_NOT_FOUND, NULL,
		    "no id is that long");
		return false;
	}
	if (x->allow[0] == '\0')
		exchange_problem(x, PROBLEM_NO_SUCH_PATH, NULL,
		    "there is nothing at \"%.200s\"", path);
	else
		exchange_problem(x, PROBLEM_METHOD, NULL,
		    "only %s is possible here", x->allow);
	return false;
}

static bool
params_known(struct exchange *x)
{
	const char *name;
	unsigned k;

	for (unsigned i = 0; i < x->params; i++) {
		name = x->param[i].name;
		for (k = 0; k < PARAMS_MAX; k++)
			if (x->route->params[k] == NULL ||
			    strcmp(x->route->params[k], name) == 0)
				break;
		if (k == PARAMS_MAX || x->route->params[k] == NULL) {
			exchange_problem(x, PROBLEM_UNKNOWN_MEMBER, name,
			    "there is no parameter \"%.100s\" here", name);
			return false;
		}
		for (k = 0; k < i; k++)
			if (strcmp(x->param[k].name, name) == 0) {
				exchange_problem(x, PROBLEM_INVALID, name,
				    "%.100s is given twice", name);
				return false;
			}
	}
	return true;
}

static bool
is_json(struct exchange *x)
{
	static const char json[] = "application/json";
	const char *type = MHD_lookup_connection_value(x->mhd,
	    MHD_HEADER_KIND, "Content-Type");
	size_t n = sizeof(json) - 1;

	return type != NULL && strncasecmp(type, json, n) == 0 &&
	    (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static bool
read_body(struct exchange *x)
{
	json_error_t error;

	if (!x->route->body) {
		if (buf_len(x->body) == 0)
			return true;
		exchange_problem(x, PROBLEM_MALFORMED, NULL,
		    "no body is expected here");
		return false;
	}
	if (!is_json(x)) {
		exchange_problem(x, PROBLEM_MEDIA_TYPE, NULL, "Content-Type: "
		    "application/json is expected");
		return false;
	}
	x->json = json_loadb((const char *)buf_data(x->body) == NULL ? "" :
	    (const char *)buf_data(x->body), buf_len(x->body),
	    JSON_REJECT_DUPLICATES, &error);
	if (x->json != NULL && json_is_object(x->json))
		return true;
	if (x->json == NULL &&
	    json_error_code(&error) == json_error_out_of_memory)
		exchange_error(x, -ENOMEM, "body");
	else
		exchange_problem(x, PROBLEM_MALFORMED, NULL, "the body is not "
		    "a JSON object: %s", x->json == NULL ? error.text :
		    "something else");
	return false;
}

static void
dispatch(struct exchange *x, const char *method)
{
	char *path = x->target;

	if (x->control->stopping) {
		exchange_problem(x, PROBLEM_STOPPING, NULL,
		    "the daemon is stopping");
		return;
	}
	if (x->control->held) {
		x->retry_s = HELD_RETRY_S;
		exchange_problem(x, PROBLEM_UPGRADING, NULL,
		    "the daemon is being upgraded");
		return;
	}
	if (x->body_error == -ENOBUFS) {
		exchange_problem(x, PROBLEM_TOO_LARGE, NULL, "at most %u "
		    "bytes are taken", x->control->rules.request_max);
		return;
	}
	if (x->body_error != 0) {
		exchange_error(x, x->body_error, "body");
		return;
	}
	if (!target_parse(path, x->param, &x->params)) {
		x->params = 0;
		exchange_problem(x, PROBLEM_MALFORMED, NULL, "the request's "
		    "target is not well-formed, or has too many parameters");
		return;
	}
	x->path = path;
	if (!find_route(x, path, method))
		return;
	if (x->client->role < x->route->role) {
		exchange_problem(x, PROBLEM_FORBIDDEN, NULL, "uid %u is %s, "
		    "and %s needs %s", x->client->uid,
		    x->client->role == CONTROL_VIEWER ? "viewer" : "nobody",
		    method, x->route->role == CONTROL_OPERATOR ? "operator" :
		    "viewer");
		return;
	}
	if (params_known(x) && read_body(x))
		x->route->fn(x);
}

/* ---- libmicrohttpd's callbacks ----------------------------------------- */

static struct client *
client_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

/* The first call about a request: NULL ends the connection at the next one. */
void *
exchange_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct control *c = cls;
	struct client *cl = client_of(mhd);
	struct exchange *x;

	if (cl == NULL || (x = mem_calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->magic = EXCHANGE_MAGIC;
	x->control = c;
	x->client = cl;
	x->mhd = mhd;
	x->target = mem_strdup(target);
	list_init(&x->wait);
	timer_init(&x->timer, NULL);
	list_append(&c->exchanges, &x->link);
	cl->x = x;
	return x;
}

static size_t
header_value(struct MHD_Connection *mhd, enum MHD_ConnectionInfoType what)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    what);

	return info == NULL ? 0 : info->header_size;
}

/* What is known to be wrong before the body is sent. */
static bool
refused_at_once(struct exchange *x)
{
	const char *length = MHD_lookup_connection_value(x->mhd,
	    MHD_HEADER_KIND, "Content-Length");
	uint64_t n;

	if (header_value(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) >
	    HEADER_MAX)
		exchange_problem(x, PROBLEM_HEADER, NULL,
		    "at most %u bytes are taken", HEADER_MAX);
	else if (length != NULL && number_parse(length,
	    x->control->rules.request_max, &n) != 0)
		exchange_problem(x, PROBLEM_TOO_LARGE, NULL, "at most %u "
		    "bytes are taken", x->control->rules.request_max);
	return x->ready;
}

static void
take_body(struct exchange *x, const char *p, size_t n)
{
	if (x->body_error != 0)
		return;
	x->body_error = buf_append(&x->body, p, n,
	    x->control->rules.request_max);
	if (x->body_error != 0)
		buf_free(&x->body);
}

enum MHD_Result
exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *body, size_t *body_n,
    void **con_cls)
{
	struct exchange *x = *con_cls;

	(void)cls;
	(void)url;
	(void)version;
	if (x == NULL || x->target == NULL)
		return MHD_NO;
	CT_CHECK_MAGIC(x, EXCHANGE_MAGIC);
	x->mhd = mhd;
	if (!x->begun) {			/* only the header has come */
		x->begun = true;
		atomic_fetch_add(&x->control->counters.requests, 1);
		return refused_at_once(x) ? queue(x) : MHD_YES;
	}
	if (*body_n > 0) {
		take_body(x, body, *body_n);
		*body_n = 0;
		return MHD_YES;
	}
	if (!x->received) {
		x->received = x->client->asked = true;
		client_deadline(x->client, false);
		dispatch(x, method);
	}
	if (x->ready)
		return x->queued ? MHD_YES : queue(x);
	x->suspended = true;
	MHD_suspend_connection(mhd);
	client_watch(x->client);
	return MHD_YES;
}

void
exchange_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	struct control *c = cls;
	struct exchange *x = *con_cls;

	(void)mhd;
	(void)code;
	*con_cls = NULL;
	if (x == NULL)
		return;
	CT_CHECK_MAGIC(x, EXCHANGE_MAGIC);
	CT_ASSERT(!x->suspended);
	client_deadline(x->client, true);
	sse_forget(x);
	x->client->x = NULL;
	loop_timer_stop(c->worker.loop, &x->timer);
	list_remove(&x->wait);
	list_remove(&x->link);
	if (x->response != NULL)
		MHD_destroy_response(x->response);
	json_decref(x->json);
	buf_free(&x->body);
	text_fini(&x->text);
	mem_free(x->errand);
	mem_free(x->target);
	mem_wipe(x->op.secret, sizeof(x->op.secret));
	x->magic = 0;
	mem_free(x);
}

void
exchange_hung_up(struct exchange *x)
{
	if (x->stream != NULL)
		sse_hung_up(x);
	else if (x->look != NULL)
		wait_over(x);
}
