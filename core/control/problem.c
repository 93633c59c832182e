/* SPDX-License-Identifier: Apache-2.0 */
/* Problem details (RFC 9457): one table of what can be wrong. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "control/control_priv.h"

static const struct {
	unsigned status;
	const char *name, *title, *remedy;
} problems[] = {
	[PROBLEM_MALFORMED] = { 400, "malformed",
	    "The request cannot be read", NULL },
	[PROBLEM_UNKNOWN_MEMBER] = { 400, "unknown-member",
	    "A member or parameter is not known", NULL },
	[PROBLEM_INVALID] = { 400, "invalid",
	    "A member or parameter is missing or not valid", NULL },
	[PROBLEM_FORBIDDEN] = { 403, "forbidden",
	    "The role does not allow it",
	    "[control] operators and viewers in cleat.conf say who may" },
	[PROBLEM_NOT_FOUND] = { 404, "not-found",
	    "Not found", NULL },
	[PROBLEM_NO_SUCH_PATH] = { 404, "no-such-path",
	    "There is no such path", NULL },
	[PROBLEM_METHOD] = { 405, "method-not-allowed",
	    "The path does not have that method", NULL },
	[PROBLEM_EXISTS] = { 409, "exists", "Already there", NULL },
	[PROBLEM_CONFLICT] = { 409, "conflict",
	    "The present state does not allow it", NULL },
	[PROBLEM_NOT_CONNECTED] = { 409, "not-connected",
	    "The endpoint has no live channel", NULL },
	[PROBLEM_FINAL] = { 409, "final",
	    "The command has its outcome", NULL },
	[PROBLEM_TOO_LARGE] = { 413, "too-large",
	    "The body is too large",
	    "[control] request_size in cleat.conf is the limit" },
	[PROBLEM_MEDIA_TYPE] = { 415, "unsupported-media-type",
	    "The body has to be application/json", NULL },
	[PROBLEM_HEADER] = { 431, "header-too-large",
	    "The request's header is too large", NULL },
	[PROBLEM_LIMIT] = { 429, "limit", "A limit is reached", NULL },
	[PROBLEM_REFUSED] = { 422, "refused",
	    "It was refused, and nothing has changed", NULL },
	[PROBLEM_BUSY] = { 503, "busy", "Not just now", "try again" },
	[PROBLEM_STORE] = { 503, "store-failing",
	    "The store cannot write",
	    "look at the disk of [daemon] state_dir" },
	[PROBLEM_STOPPING] = { 503, "stopping", "The daemon is stopping",
	    NULL },
	[PROBLEM_UPGRADING] = { 503, "upgrading",
	    "A new process takes over", "try again" },
	[PROBLEM_TIMEOUT] = { 408, "timeout", "It took too long", NULL },
	[PROBLEM_INTERNAL] = { 500, "internal", "Internal error",
	    "the daemon's log says more" },
};

unsigned
problem_status(enum problem p)
{
	return problems[p].status;
}

/* The object as it is sent. */
static void
problem_write(struct json_out *j, enum problem p, const char *member,
    const char *detail)
{
	char type[64];

	(void)snprintf(type, sizeof(type), "urn:cleat:problem:%s",
	    problems[p].name);
	jout_object(j, NULL);
	jout_string(j, "type", type);
	jout_string(j, "title", problems[p].title);
	jout_uint(j, "status", problems[p].status);
	jout_string(j, "detail", detail);
	if (member != NULL)
		jout_string(j, "member", member);
	if (problems[p].remedy != NULL)
		jout_string(j, "remedy", problems[p].remedy);
	jout_object_end(j);
}

size_t
problem_raw(enum problem p, const char *detail, char to[PROBLEM_RAW_MAX])
{
	uint8_t body[PROBLEM_RAW_MAX / 2];
	struct outbuf out = { .p = body, .cap = sizeof(body) };
	struct json_out j;
	int n;

	jout_init(&j, &out);
	problem_write(&j, p, NULL, detail);
	CT_ASSERT(jout_ok(&j));		/* our own texts */
	n = snprintf(to, PROBLEM_RAW_MAX, "HTTP/1.1 %u %s\r\n"
	    "Content-Type: application/problem+json\r\n"
	    "Content-Length: %zu\r\nCache-Control: no-store\r\n"
	    "Connection: close\r\n\r\n%.*s", problems[p].status,
	    problems[p].title, out.n, (int)out.n, (const char *)body);
	CT_ASSERT(n > 0 && n < PROBLEM_RAW_MAX);
	return (size_t)n;
}

void
exchange_problem(struct exchange *x, enum problem p, const char *member,
    const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	text_fini(&x->text);
	x->status = problems[p].status;
	x->problem = true;
	x->etag[0] = x->location[0] = '\0';
	if (text_room(&x->text, 2048 + 6 * (strlen(detail) +
	    (member == NULL ? 0 : strlen(member)))) == 0) {
		jout_init(&x->text.j, &x->text.out);
		problem_write(&x->text.j, p, member, detail);
	}
	exchange_ready(x);
}

void
exchange_error(struct exchange *x, int error, const char *what)
{
	switch (error) {
	case -ENOENT:
		exchange_problem(x, PROBLEM_NOT_FOUND, NULL, "there is no "
		    "\"%s\"", what);
		break;
	case -EEXIST:
		exchange_problem(x, PROBLEM_EXISTS, NULL, "there is a "
		    "\"%s\"", what);
		break;
	case -EAGAIN:
		exchange_problem(x, PROBLEM_BUSY, NULL, "%s: the store is "
		    "behind, or held by another program", what);
		break;
	case -EDQUOT:
		exchange_problem(x, PROBLEM_LIMIT, NULL, "%s: too many "
		    "already", what);
		break;
	case -ESHUTDOWN:
		exchange_problem(x, PROBLEM_STOPPING, NULL, "%s: the daemon "
		    "is stopping", what);
		break;
	case -ENOSPC:
	case -EIO:
	case -EROFS:
	case -EILSEQ:
		exchange_problem(x, PROBLEM_STORE, NULL, "%s: %s", what,
		    strerror(-error));
		break;
	default:
		exchange_problem(x, PROBLEM_INTERNAL, NULL, "%s: %s", what,
		    strerror(-error));
		break;
	}
}
