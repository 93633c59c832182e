/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgrade requests (RFC 6455 4.2, RFC 7692): checks, asks the layer above for a
 * protocol, answers 101 or says why not.  Called by the HTTP hop only, on the
 * worker's thread.
 */
#ifndef CT_NET_UPGRADE_H
#define CT_NET_UPGRADE_H

#include <stdbool.h>

#include <microhttpd.h>

#include "net/net.h"

struct http_hop;

/* An upgrade that was accepted; kept until the stream was handed over. */
struct upgrade {
	struct net_request request;
	struct net_route route;
	struct ws_deflate_params deflate;
	struct ws_subprotocols offered;
	char *target, *path, *user_agent;
};

/* Does the request ask for a WebSocket? */
bool upgrade_wanted(struct MHD_Connection *);
/* Whether a body is announced, which nothing here asks for. */
bool request_has_body(struct MHD_Connection *);
/* Queues the answer; MHD_NO closes the connection. */
enum MHD_Result upgrade_answer(struct http_hop *, struct MHD_Connection *,
    const char *method, const char *version);
void upgrade_free(struct upgrade **);

/* The path of a request target: "/a" of "/a?b" and of "http://h/a?b", "/" of
 * "http://h", "" of anything else without a slash.  Points into `target`,
 * *ret_n bytes; never decoded. */
const char *target_path(const char *target, size_t *ret_n);

#endif
