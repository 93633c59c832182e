/* SPDX-License-Identifier: Apache-2.0 */
/* What plain requests get.  Nothing here depends on who asks. */
#include "net/routes.h"

#include <string.h>

#include "net/net_priv.h"

#define ACME_PREFIX "/.well-known/acme-challenge/"

static bool
add_headers(struct MHD_Response *r, const struct routes_header *h)
{
	for (; h != NULL && h->name != NULL; h++) {
		if (MHD_add_response_header(r, h->name, h->value) != MHD_YES)
			return false;
	}
	return true;
}

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *body,
    const struct routes_header *headers)
{
	static const struct routes_header common[] = {
		{ MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ NULL, NULL }
	};
	enum MHD_Result result = MHD_NO;
	struct MHD_Response *r;

	/* libmicrohttpd does not write to it; its type is just old.  Copied,
	 * because an ACME answer may be replaced before it is sent. */
	r = MHD_create_response_from_buffer(strlen(body),
	    (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	if (r == NULL)
		return MHD_NO;
	if (add_headers(r, common) && add_headers(r, headers))
		result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

enum MHD_Result
routes_text(struct MHD_Connection *c, unsigned status, const char *text,
    const struct routes_header *headers)
{
	struct routes_header all[4] = {
		{ MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8" }
	};

	for (size_t i = 1; i < 3 && headers != NULL && headers->name != NULL;
	    i++)
		all[i] = *headers++;
	return answer(c, status, text, all);
}

static enum MHD_Result
acme(struct net_worker *w, struct MHD_Connection *c, const char *token)
{
	static const struct routes_header type[] = {
		{ MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream" },
		{ NULL, NULL }
	};
	const char *body = answers_find(w->answers, token);

	if (body == NULL)
		return routes_text(c, MHD_HTTP_NOT_FOUND, "not found\n", NULL);
	return answer(c, MHD_HTTP_OK, body, type);
}

enum MHD_Result
routes_answer(struct net_worker *w, struct MHD_Connection *c,
    const char *method, const char *path)
{
	static const struct routes_header allow[] = {
		{ MHD_HTTP_HEADER_ALLOW, "GET, HEAD" }, { NULL, NULL }
	};
	const struct net_hooks *hooks = &w->net->hooks;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return routes_text(c, MHD_HTTP_METHOD_NOT_ALLOWED,
		    "method not allowed\n", allow);
	if (strcmp(path, "/healthz") == 0)
		return routes_text(c, MHD_HTTP_OK, "ok\n", NULL);
	if (strcmp(path, "/readyz") == 0) {
		if (hooks->ready != NULL && hooks->ready(hooks->ctx))
			return routes_text(c, MHD_HTTP_OK, "ready\n", NULL);
		return routes_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
		    "not ready\n", NULL);
	}
	if (strncmp(path, ACME_PREFIX, strlen(ACME_PREFIX)) == 0)
		return acme(w, c, path + strlen(ACME_PREFIX));
	return routes_text(c, MHD_HTTP_NOT_FOUND, "not found\n", NULL);
}
