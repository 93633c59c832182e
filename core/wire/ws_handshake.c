/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of upgrade requests and their answers.  Headers that may be there only
 * once are refused when they are repeated, because two parsers in a row (ours
 * and a proxy's) could otherwise read them differently.
 */
#include "wire/ws_handshake.h"

#include <errno.h>
#include <string.h>

static int
refuse(struct ws_refusal *ret, unsigned status, const char *why)
{
	memset(ret, 0, sizeof *ret);
	ret->status = status;
	ret->why = why;
	return -EPROTO;
}

bool
ws_request_is_upgrade(const struct ws_headers *h)
{
	return ws_list_has(h, "Upgrade", "websocket");
}

static bool
is_base64(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '+' || c == '/';
}

static bool
is_key(struct ws_text t)
{
	size_t i;

	if (t.n != WS_KEY_SIZE || t.p[22] != '=' || t.p[23] != '=')
		return false;
	for (i = 0; i < 22; i++) {
		if (!is_base64(t.p[i]))
			return false;
	}
	return true;
}

/* RFC 6455 4.4: the answer names the version that we speak. */
static int
check_version(const struct ws_headers *h, struct ws_refusal *ret)
{
	struct ws_text version;
	int r = ws_single_header(h, "Sec-WebSocket-Version", &version);

	if (r == 0 && ws_text_equal(version, "13"))
		return 0;
	if (r == -EEXIST)
		return refuse(ret, 400, "several Sec-WebSocket-Version");
	(void)refuse(ret, 426, r == -ENOENT ? "no Sec-WebSocket-Version" :
	    "unknown Sec-WebSocket-Version");
	ret->header[0].name = "Sec-WebSocket-Version";
	ret->header[0].value = "13";
	ret->header[1].name = "Upgrade";	/* RFC 7231 6.5.15 */
	ret->header[1].value = "websocket";
	return -EPROTO;
}

static bool
is_http_1_1(const char *version)
{
	return strncmp(version, "HTTP/1.", 7) == 0 && version[7] >= '1' &&
	    version[7] <= '9' && version[8] == '\0';
}

int
ws_request_check(const struct ws_request *req, struct ws_refusal *ret)
{
	const struct ws_headers *h = req->headers;
	struct ws_text t;

	if (strcmp(req->method, "GET") != 0) {
		(void)refuse(ret, 405, "the method is not GET");
		ret->header[0].name = "Allow";
		ret->header[0].value = "GET";
		return -EPROTO;
	}
	if (!is_http_1_1(req->version))
		return refuse(ret, 400, "not HTTP/1.1");
	if (ws_single_header(h, "Host", &t) != 0)
		return refuse(ret, 400, "not exactly one Host");
	if (!ws_request_is_upgrade(h)) {
		(void)refuse(ret, 426, "no Upgrade to websocket");
		ret->header[0].name = "Upgrade";
		ret->header[0].value = "websocket";
		return -EPROTO;
	}
	if (!ws_list_has(h, "Connection", "upgrade"))
		return refuse(ret, 400, "Connection does not name Upgrade");
	if (check_version(h, ret) != 0)
		return -EPROTO;
	if (ws_single_header(h, "Sec-WebSocket-Key", &t) != 0)
		return refuse(ret, 400, "not exactly one Sec-WebSocket-Key");
	if (!is_key(t))
		return refuse(ret, 400, "malformed Sec-WebSocket-Key");
	return 0;
}

const char *
ws_request_key(const struct ws_headers *h)
{
	struct ws_text t;

	if (ws_single_header(h, "Sec-WebSocket-Key", &t) != 0 || !is_key(t))
		return NULL;
	return t.p;
}

void
ws_accept_input(const char *key, uint8_t *to)
{
	memcpy(to, key, WS_KEY_SIZE);
	memcpy(to + WS_KEY_SIZE, WS_GUID, WS_ACCEPT_INPUT_SIZE - WS_KEY_SIZE);
}

int
ws_request_subprotocols(const struct ws_headers *h,
    struct ws_subprotocols *ret)
{
	struct ws_list state = { 0 };
	struct ws_text t;
	size_t n = 0, used = 0, i;
	int r;

	ret->name[0] = NULL;
	while ((r = ws_list_next(h, "Sec-WebSocket-Protocol", &state,
	    &t)) == 1) {
		for (i = 0; i < n; i++) {
			if (ws_text_equal(t, ret->name[i]))
				return -EINVAL;
		}
		if (n == WS_SUBPROTOCOLS_MAX || t.n >= sizeof ret->text - used)
			return -E2BIG;
		memcpy(ret->text + used, t.p, t.n);
		ret->text[used + t.n] = '\0';
		ret->name[n++] = ret->text + used;
		ret->name[n] = NULL;
		used += t.n + 1;
	}
	return r;
}

/* RFC 6455 4.1, the client's step 6: at most one, and one that was offered. */
static int
check_subprotocol(const struct ws_response *res, const char **ret)
{
	const char *const *o = res->subprotocols;
	struct ws_text t;
	int r = ws_single_header(res->headers, "Sec-WebSocket-Protocol", &t);

	if (r == -ENOENT) {
		*ret = NULL;
		return 0;
	}
	for (; r == 0 && o != NULL && *o != NULL; o++) {
		if (ws_text_equal(t, *o)) {
			*ret = *o;
			return 0;
		}
	}
	return -EPROTO;
}

int
ws_response_check(const struct ws_response *res, struct ws_agreed *ret,
    const char **ret_why)
{
	const struct ws_headers *h = res->headers;
	struct ws_agreed agreed;
	struct ws_text t;
	const char *why = NULL;

	if (res->status != 101)
		why = "the status is not 101";
	else if (ws_single_header(h, "Upgrade", &t) != 0 ||
	    !ws_text_equal_nocase(t, "websocket"))
		why = "Upgrade is not websocket";
	else if (!ws_list_has(h, "Connection", "upgrade"))
		why = "Connection does not name Upgrade";
	else if (ws_single_header(h, "Sec-WebSocket-Accept", &t) != 0 ||
	    !ws_text_equal(t, res->accept))
		why = "Sec-WebSocket-Accept does not answer the key";
	else if (ws_deflate_check_answer(h, res->deflate_offered,
	    &agreed.deflate) != 0)
		why = "an extension that was not offered so";
	else if (check_subprotocol(res, &agreed.subprotocol) != 0)
		why = "a subprotocol that was not offered";
	if (why != NULL) {
		*ret_why = why;
		return -EPROTO;
	}
	*ret = agreed;
	return 0;
}
