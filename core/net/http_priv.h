/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between http.c, which has the libmicrohttpd daemon, and http_hop.c, which has
 * the connections' pairs.  Worker's thread.
 */
#ifndef CT_NET_HTTP_PRIV_H
#define CT_NET_HTTP_PRIV_H

#include "net/http.h"

/* Some pairs for the first connections; without them, when one is needed. */
void http_pairs_make(struct http *);
void http_pairs_close(struct http *);

/* Once libmicrohttpd has let go of its duplicate. */
void http_hop_free(struct http_hop *);

#endif
