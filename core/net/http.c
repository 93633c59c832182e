/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs libmicrohttpd over the connections' socketpairs (http_hop.c).  Its
 * callbacks only note what is to be done; nothing of net/conn is called from
 * inside them but conn_http_answered().
 */
#include "net/http_priv.h"

#include <string.h>

#include <microhttpd.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/net_priv.h"
#include "net/routes.h"
#include "net/upgrade.h"

static struct http_hop *
hop_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	struct http *h = cls;
	struct http_hop *hop;

	(void)mhd;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		CT_ASSERT(h->adding != NULL);
		*socket_context = h->adding;
		h->adding->known = true;
		return;
	}
	hop = *socket_context;
	if (hop == NULL)
		return;
	*socket_context = NULL;
	hop->known = false;
	if (hop->conn == NULL)
		http_hop_free(hop);
}

static void *
on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http_hop *hop = hop_of(mhd);

	(void)cls;
	if (hop != NULL) {
		mem_free(hop->target);
		hop->target = mem_strdup(hop->empty_target ? "" : target);
		hop->empty_target = false;
		hop->begun = false;
	}
	return NULL;
}

static void
on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	struct http_hop *hop = hop_of(mhd);

	(void)cls;
	(void)con_cls;
	if (hop == NULL)
		return;
	hop->begun = false;
	if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK && hop->conn != NULL &&
	    !hop->upgraded)
		conn_http_answered(hop->conn);
}

static bool
header_too_large(const struct net_worker *w, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info != NULL &&
	    info->header_size > atomic_load(&w->net->limits.http_header);
}

static enum MHD_Result
answer(struct net_worker *w, struct http_hop *hop, struct MHD_Connection *mhd,
    const char *method, const char *version)
{
	static const struct routes_header bye[] = {
		{ MHD_HTTP_HEADER_CONNECTION, "close" }, { NULL, NULL }
	};
	char *path;
	const char *from;
	enum MHD_Result result;
	size_t n;

	hop->answered = true;
	if (header_too_large(w, mhd)) {
		atomic_fetch_add(&w->net->counters.http_failed, 1);
		return routes_text(mhd,
		    MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
		    "request header too large\n", bye);
	}
	if (upgrade_wanted(mhd))
		return upgrade_answer(hop, mhd, method, version);
	from = target_path(hop->target, &n);
	path = mem_alloc(n + 1);
	if (path == NULL)
		return MHD_NO;
	memcpy(path, from, n);
	path[n] = '\0';
	result = routes_answer(w, mhd, method, path);
	mem_free(path);
	return result;
}

/*
 * Called first when the header is read; an answer queued then would end the
 * connection after it, which is what a request with a body gets (none of ours
 * has one), so others are answered in the second call.
 */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *body, size_t *body_n,
    void **con_cls)
{
	struct http *h = cls;
	struct http_hop *hop = hop_of(mhd);

	(void)url;		/* decoded; hop->target is as sent */
	(void)body;
	(void)con_cls;
	if (hop == NULL || hop->conn == NULL || hop->target == NULL)
		return MHD_NO;
	*body_n = 0;
	if (!hop->begun) {
		hop->begun = true;
		atomic_fetch_add(&h->worker->net->counters.http_requests, 1);
		if ((strcmp(method, "GET") == 0 ||
		    strcmp(method, "HEAD") == 0) && !request_has_body(mhd))
			return MHD_YES;
	}
	return answer(h->worker, hop, mhd, method, version);
}

int
http_init(struct http *h, struct net_worker *w, size_t pool)
{
	const struct mhd_opts opts = {
		.flags = MHD_ALLOW_UPGRADE, .pool = pool,
		.log_as = "libmicrohttpd:", .cls = h,
		.on_request = on_request, .on_connection = on_connection,
		.on_completed = on_completed, .on_target = on_target
	};
	int error;

	h->worker = w;
	error = mhd_init(&h->mhd, w->loop, &opts);
	if (error == 0)
		http_pairs_make(h);
	return error;
}

void
http_fini(struct http *h)
{
	mhd_fini(&h->mhd);
	http_pairs_close(h);
}
