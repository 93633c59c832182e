/* SPDX-License-Identifier: Apache-2.0 */
/* Ordinary HTTP: /healthz, /readyz, ACME http-01; nothing else.  Worker's
 * thread. */
#ifndef CT_NET_ROUTES_H
#define CT_NET_ROUTES_H

#include <stddef.h>

#include <microhttpd.h>

struct net_worker;

struct routes_header {
	const char *name, *value;
};

/* Queues a text answer (no-store); ends with two NULL headers or NULL. */
enum MHD_Result routes_text(struct MHD_Connection *, unsigned status,
    const char *text, const struct routes_header *);
/* Queues the answer to a request for `path` that is no upgrade. */
enum MHD_Result routes_answer(struct net_worker *, struct MHD_Connection *,
    const char *method, const char *path);

#endif
