/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes envelopes apart and makes them.  Everything that comes in is a
 * device's: depth is limited before the parser sees it, types are looked at
 * before use.
 */
#include "rpc.h"

#include <stdlib.h>
#include <string.h>

/* How deep it goes, without understanding it; strings are skipped. */
static bool
too_deep(const char *p, size_t n)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > RPC_DEPTH)
				return true;
		} else if ((p[i] == '}' || p[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static int
refuse(int code, const char *why, const char **ret_why)
{
	*ret_why = why;
	return code;
}

static int
take_id(struct rpc *r, const char **why)
{
	json_t *id = json_object_get(r->root, "id");

	if (id != NULL && !json_is_string(id) && !json_is_number(id) &&
	    !json_is_null(id))
		return refuse(RPC_INVALID, "id: a string or a number is "
		    "expected", why);
	r->id = id;
	return 0;
}

int
rpc_parse(struct rpc *r, const char *p, size_t n, const char **why)
{
	const json_t *version, *method;
	json_t *params;
	json_error_t error;
	int code;

	memset(r, 0, sizeof(*r));
	if (too_deep(p, n))
		return refuse(RPC_PARSE, "nested too deep", why);
	r->root = json_loadb(p, n, JSON_DECODE_ANY, &error);
	if (r->root == NULL)
		return json_error_code(&error) == json_error_out_of_memory ?
		    refuse(RPC_INTERNAL, "out of memory", why) :
		    refuse(RPC_PARSE, "not JSON", why);
	if (json_is_array(r->root))
		return refuse(RPC_INVALID, "batches are not taken", why);
	if (!json_is_object(r->root))
		return refuse(RPC_INVALID, "an object is expected", why);
	code = take_id(r, why);
	if (code != 0)
		return code;
	version = json_object_get(r->root, "jsonrpc");
	if (!json_is_string(version) ||
	    strcmp(json_string_value(version), "2.0") != 0)
		return refuse(RPC_INVALID, "jsonrpc: \"2.0\" is expected",
		    why);
	method = json_object_get(r->root, "method");
	if (method == NULL && r->id != NULL &&
	    (json_object_get(r->root, "result") != NULL ||
	    json_object_get(r->root, "error") != NULL))
		return 0;
	if (!json_is_string(method))
		return refuse(RPC_INVALID, "method: a string is expected",
		    why);
	r->method = json_string_value(method);
	params = json_object_get(r->root, "params");
	if (params == NULL) {
		params = json_object();
		if (params == NULL ||
		    json_object_set_new(r->root, "params", params) < 0)
			return refuse(RPC_INTERNAL, "out of memory", why);
	}
	r->params = json_is_object(params) ? params : NULL;
	return 0;
}

void
rpc_fini(struct rpc *r)
{
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}

char *
rpc_text(json_t *o)
{
	size_t n = o == NULL ? 0 : json_dumpb(o, NULL, 0,
	    JSON_COMPACT | JSON_ENCODE_ANY);
	char *text = n == 0 ? NULL : malloc(n + 1);

	/* json_dumps() of jansson 2.14 drops a key when memory is short while
	 * its text grows; here the room is there before. */
	if (text != NULL && json_dumpb(o, text, n,
	    JSON_COMPACT | JSON_ENCODE_ANY) == n) {
		text[n] = '\0';
	} else {
		free(text);
		text = NULL;
	}
	json_decref(o);
	return text;
}

static json_t *
id_or_null(json_t *id)
{
	return id == NULL ? json_null() : json_incref(id);
}

char *
rpc_result(json_t *id, json_t *result)
{
	return rpc_text(json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id",
	    id_or_null(id), "result", result));
}

char *
rpc_error(json_t *id, int code, const char *why)
{
	return rpc_text(json_pack("{s:s, s:o, s:{s:i, s:s}}", "jsonrpc", "2.0",
	    "id", id_or_null(id), "error", "code", code, "message", why));
}

char *
rpc_request(json_t *id, const char *method, json_t *params)
{
	return rpc_text(json_pack("{s:s, s:o, s:s, s:o}", "jsonrpc", "2.0",
	    "id", id, "method", method, "params", params));
}

char *
rpc_error_data(json_t *id, int code, const char *why, json_t *data)
{
	return rpc_text(json_pack("{s:s, s:o, s:{s:i, s:s, s:o}}", "jsonrpc",
	    "2.0", "id", id_or_null(id), "error", "code", code, "message",
	    why, "data", data));
}

char *
rpc_notification(const char *method, json_t *params)
{
	return rpc_text(json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method",
	    method, "params", params));
}
