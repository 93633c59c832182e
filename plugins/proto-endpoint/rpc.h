/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON-RPC 2.0 envelope (jsonrpc.org/specification): one message in, taken
 * apart or refused; answers and notifications out.  Knows no method.
 */
#ifndef RPC_H
#define RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define RPC_DEPTH 32			/* objects and arrays inside
					 * each other */

#define RPC_PARSE (-32700)
#define RPC_INVALID (-32600)
#define RPC_NO_METHOD (-32601)
#define RPC_PARAMS (-32602)
#define RPC_INTERNAL (-32603)

struct rpc {
	json_t *root;			/* owns all of it */
	json_t *id;			/* NULL: a notification */
	const char *method;		/* NULL: an answer to us */
	json_t *params;			/* an object, perhaps empty; or NULL if
					 * it was given as something else */
};

/* 0, or a code to answer with and *ret_why; r->id is what the answer has to
 * carry (NULL: null).  rpc_fini() in either case.  No byte of p need be NUL. */
int rpc_parse(struct rpc *r, const char *p, size_t n, const char **ret_why);
void rpc_fini(struct rpc *r);

/* Text of an answer, to be freed with free(); NULL: no memory.  Takes `result`
 * over, also on failure. */
char *rpc_result(json_t *id, json_t *result);
char *rpc_error(json_t *id, int code, const char *why);
/* Takes `data` over, too. */
char *rpc_error_data(json_t *id, int code, const char *why, json_t *data);
/* The same for a request of ours; takes `id` and `params` over. */
char *rpc_request(json_t *id, const char *method, json_t *params);
/* The same for a notification; takes `params` over. */
char *rpc_notification(const char *method, json_t *params);
/* The same for any value; takes it over. */
char *rpc_text(json_t *o);

#endif
