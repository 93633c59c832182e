/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an upgrade request to the 101: what is checked and in which order, and
 * what the layer above is asked.  The stream itself is handed over later by
 * net/conn, outside of libmicrohttpd.
 */
#include "net/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/net_priv.h"
#include "net/routes.h"
#include "tls/digest.h"
#include "wire/ws_origin.h"

struct header_source {
	struct ws_headers base;
	struct MHD_Connection *mhd;
};

struct nth_header {
	const char *name, *value;
	size_t name_n;
	unsigned skip;
};

/* Some twenty look-ups go through all headers: by length most names differ. */
static enum MHD_Result
pick_nth(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
    const char *value, size_t value_n)
{
	struct nth_header *want = cls;

	(void)kind;
	(void)value_n;
	if (name_n != want->name_n ||
	    strncasecmp(name, want->name, name_n) != 0)
		return MHD_YES;
	if (want->skip > 0) {
		want->skip--;
		return MHD_YES;
	}
	want->value = value == NULL ? "" : value;
	return MHD_NO;
}

static const char *
nth_value(const struct ws_headers *h, const char *name, unsigned nth)
{
	const struct header_source *src = (const struct header_source *)h;
	struct nth_header want = { .name = name, .name_n = strlen(name),
	    .skip = nth };

	(void)MHD_get_connection_values_n(src->mhd, MHD_HEADER_KIND, pick_nth,
	    &want);
	return want.value;
}

static struct header_source
headers_of(struct MHD_Connection *mhd)
{
	return (struct header_source){ .base = { .get = nth_value },
	    .mhd = mhd };
}

bool
upgrade_wanted(struct MHD_Connection *mhd)
{
	struct header_source src = headers_of(mhd);

	return ws_request_is_upgrade(&src.base);
}

static bool
has_body(const struct ws_headers *h)
{
	const char *length = h->get(h, "Content-Length", 0);

	return h->get(h, "Transfer-Encoding", 0) != NULL ||
	    (length != NULL && strcmp(length, "0") != 0);
}

bool
request_has_body(struct MHD_Connection *mhd)
{
	struct header_source src = headers_of(mhd);

	return has_body(&src.base);
}

const char *
target_path(const char *target, size_t *ret_n)
{
	const char *path = target, *scheme;

	if (*target != '/') {
		scheme = strstr(target, "://");
		if (scheme == NULL || scheme == target ||
		    strcspn(target, "/?#") < (size_t)(scheme - target)) {
			*ret_n = 0;
			return "";
		}
		path = scheme + 3;
		path += strcspn(path, "/?#");
		if (*path != '/') {
			*ret_n = 1;
			return "/";
		}
	}
	*ret_n = strcspn(path, "?#");
	return path;
}

void
upgrade_free(struct upgrade **pu)
{
	struct upgrade *u = *pu;

	*pu = NULL;
	if (u == NULL)
		return;
	mem_free(u->target);
	mem_free(u->path);
	mem_free(u->user_agent);
	mem_free(u);
}

static int
fill(struct upgrade *u, struct http_hop *hop, const struct ws_headers *h)
{
	struct conn *c = hop->conn;
	const char *agent = h->get(h, "User-Agent", 0);
	const char *path;
	size_t n;

	path = target_path(hop->target, &n);
	u->target = mem_strdup(hop->target);
	u->user_agent = mem_strdup(agent == NULL ? "" : agent);
	u->path = mem_alloc(n + 1);
	if (u->target == NULL || u->user_agent == NULL || u->path == NULL)
		return -ENOMEM;
	memcpy(u->path, path, n);
	u->path[n] = '\0';
	u->request = (struct net_request){
		.listener = &c->site->opts,
		.listener_index = c->site_index,
		.peer = c->peer,
		.peer_addr = c->peer_addr,
		.tls = c->site->opts.tls,
		.trusted = c->site->opts.proxy ||
		    addr_is_loopback(&c->peer_addr),
		.tls_peer = c->tls_peer,
		.target = u->target,
		.path = u->path,
		.user_agent = u->user_agent,
		.subprotocols = u->offered.name
	};
	return 0;
}

/* Says no, once to the peer and once to the log. */
static enum MHD_Result
refuse(struct http_hop *hop, struct MHD_Connection *mhd,
    const struct ws_refusal *no)
{
	struct routes_header headers[3] = { { NULL, NULL } };
	char peer[ADDR_TEXT_SIZE], target[128], line[256];

	for (size_t i = 0; i < 2 && no->header[i].name != NULL; i++)
		headers[i] = (struct routes_header){ no->header[i].name,
		    no->header[i].value };
	atomic_fetch_add(&hop->http->worker->net->counters.upgrade_refused, 1);
	log_info("upgrade refused: peer=%s listener=%s status=%u cause=\"%s\" "
	    "target=%s",
	    addr_text((const struct sockaddr *)&hop->conn->peer, peer),
	    hop->conn->site->opts.name, no->status, no->why,
	    log_quote(target, sizeof(target), hop->target,
	    strlen(hop->target)));
	(void)snprintf(line, sizeof(line), "%s\n", no->why);
	return routes_text(mhd, no->status, line, headers);
}

static int
check(struct http_hop *hop, const struct ws_request *req, struct upgrade *u,
    struct ws_refusal *no)
{
	const struct net_listener_opts *opts = &hop->conn->site->opts;
	static const char *const nobody[] = { NULL };
	int error;

	if (ws_request_check(req, no) != 0)
		return -EPROTO;
	*no = (struct ws_refusal){ 0 };
	if (has_body(req->headers)) {
		no->status = 400;
		no->why = "a WebSocket request has no body";
		return -EPROTO;
	}
	if (ws_origin_check(req->headers, opts->origins == NULL ? nobody :
	    opts->origins) != 0) {
		no->status = 403;
		no->why = "this Origin is not allowed";
		return -EACCES;
	}
	error = ws_request_subprotocols(req->headers, &u->offered);
	if (error != 0) {
		no->status = 400;
		no->why = error == -E2BIG ? "too many subprotocols" :
		    "malformed Sec-WebSocket-Protocol";
	}
	return error;
}

static int
choose(struct http_hop *hop, struct upgrade *u, struct ws_refusal *no)
{
	struct net_worker *w = hop->http->worker;
	const struct net_hooks *hooks = &w->net->hooks;
	const char *why = NULL;
	int status = hooks->route(hooks->ctx, w, &u->request, &u->route, &why);

	if (status == 0)
		return 0;
	*no = (struct ws_refusal){
		.status = status >= 400 && status <= 599 ?
		    (unsigned)status : 503,
		.why = why == NULL ? "no protocol for this request" : why
	};
	return -EPROTO;
}

/* RFC 6455 4.2.2 step 5.4. */
static int
accept_value(const struct ws_headers *h, char *to)
{
	uint8_t input[WS_ACCEPT_INPUT_SIZE], sha1[20];
	int error;

	ws_accept_input(ws_request_key(h), input);
	error = digest_sha1(input, sizeof(input), sha1);
	if (error == 0)
		digest_base64(sha1, sizeof(sha1), to);
	return error;
}

/*
 * Called by libmicrohttpd when the 101 is in the pair.  What it had read behind
 * the request (extra) and what still lies in its end of the pair are the first
 * frames; both die with the connection, which CLOSE ends.
 */
static void
on_upgraded(void *cls, struct MHD_Connection *mhd, void *con_cls,
    const char *extra, size_t extra_n, MHD_socket fd,
    struct MHD_UpgradeResponseHandle *handle)
{
	struct http_hop *hop = cls;
	uint8_t chunk[16 * 1024];
	ssize_t n = (ssize_t)extra_n;
	int error = 0;

	(void)mhd;
	(void)con_cls;
	if (extra_n > 0)
		error = buf_append(&hop->early, extra, extra_n, SIZE_MAX);
	while (error == 0) {
		n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n <= 0)
			break;
		/* Bounded by the pair's own buffer. */
		error = buf_append(&hop->early, chunk, (size_t)n, SIZE_MAX);
	}
	hop->upgraded = true;
	hop->lost = error != 0;
	(void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static enum MHD_Result
queue_101(struct http_hop *hop, struct MHD_Connection *mhd,
    const char *accept, const char *extension)
{
	const char *sub = hop->upgrade->route.subprotocol;
	struct MHD_Response *r;
	bool ok;

	r = MHD_create_response_for_upgrade(on_upgraded, hop);
	if (r == NULL)
		return MHD_NO;
	ok = MHD_add_response_header(r, "Upgrade", "websocket") == MHD_YES &&
	    MHD_add_response_header(r, "Sec-WebSocket-Accept", accept) ==
	    MHD_YES;
	if (sub != NULL)
		ok = ok && MHD_add_response_header(r,
		    "Sec-WebSocket-Protocol", sub) == MHD_YES;
	if (hop->upgrade->deflate.enabled)
		ok = ok && MHD_add_response_header(r,
		    "Sec-WebSocket-Extensions", extension) == MHD_YES;
	ok = ok && MHD_queue_response(mhd, MHD_HTTP_SWITCHING_PROTOCOLS, r) ==
	    MHD_YES;
	MHD_destroy_response(r);
	return ok ? MHD_YES : MHD_NO;
}

/* 0; -EPROTO: refused as *no says; -ENOMEM, -EIO. */
static int
prepare(struct http_hop *hop, const struct ws_request *req, char *accept,
    char *extension, struct ws_refusal *no)
{
	struct upgrade *u = hop->upgrade;
	int error;

	if (check(hop, req, u, no) != 0)
		return -EPROTO;
	error = fill(u, hop, req->headers);
	if (error != 0)
		return error;
	/* A malformed list is refused even when nothing would be taken. */
	error = ws_deflate_negotiate(req->headers, extension, &u->deflate);
	if (error < 0) {
		*no = (struct ws_refusal){ .status = 400,
		    .why = "malformed Sec-WebSocket-Extensions" };
		return -EPROTO;
	}
	if (choose(hop, u, no) != 0)
		return -EPROTO;
	if (!u->route.compression || error == 0)
		u->deflate.enabled = false;
	return accept_value(req->headers, accept);
}

enum MHD_Result
upgrade_answer(struct http_hop *hop, struct MHD_Connection *mhd,
    const char *method, const char *version)
{
	struct header_source src = headers_of(mhd);
	const struct ws_request req = {
		.method = method, .version = version, .headers = &src.base
	};
	char accept[WS_ACCEPT_SIZE + 1], extension[WS_DEFLATE_ANSWER_SIZE];
	enum MHD_Result result = MHD_NO;
	struct ws_refusal no;
	int error;

	hop->upgrade = mem_calloc(1, sizeof(*hop->upgrade));
	if (hop->upgrade == NULL)
		return MHD_NO;
	error = prepare(hop, &req, accept, extension, &no);
	if (error == 0)
		result = queue_101(hop, mhd, accept, extension);
	else if (error == -EPROTO)
		result = refuse(hop, mhd, &no);
	if (error != 0 || result != MHD_YES)
		upgrade_free(&hop->upgrade);
	return result;
}
