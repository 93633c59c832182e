/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening handshake on headers of any content: "Name: value" lines.  What
 * the server answers to permessage-deflate must keep to RFC 7692.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/ws_handshake.h"
#include "wire/ws_origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)
#define LINES 64

struct lines {
	struct ws_headers headers;
	size_t n;
	char *name[LINES], *value[LINES];
};

static const char *
get(const struct ws_headers *h, const char *name, unsigned nth)
{
	const struct lines *l = (const struct lines *)h;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (strcasecmp(l->name[i], name) == 0 && nth-- == 0)
			return l->value[i];
	}
	return NULL;
}

static void
split(struct lines *l, char *text)
{
	char *line, *next, *colon;

	l->headers.get = get;
	l->n = 0;
	for (line = text; line != NULL && l->n < LINES; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		colon = strchr(line, ':');
		if (colon == NULL)
			continue;
		*colon++ = '\0';
		l->name[l->n] = line;
		l->value[l->n++] = colon;
	}
}

static void
check_deflate(const struct ws_headers *h)
{
	struct ws_deflate_params d;
	char answer[WS_DEFLATE_ANSWER_SIZE];
	int r;

	memset(answer, 'x', sizeof answer);
	r = ws_deflate_negotiate(h, answer, &d);
	CHECK(r == 1 || r == 0 || r == -EINVAL);
	if (r == 1) {
		CHECK(memchr(answer, '\0', sizeof answer) != NULL);
		CHECK(strncmp(answer, WS_DEFLATE_OFFER,
		    strlen(WS_DEFLATE_OFFER)) == 0);
		CHECK(d.enabled && d.send_bits >= 9 && d.send_bits <= 15);
	}
	r = ws_deflate_check_answer(h, true, &d);
	CHECK(r == 0 || r == -EPROTO);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const ours[] = { "echo", "cleat.v1.jsonrpc", NULL };
	static const char *const origins[] = { "https://a.example:443",
	    "http://[::1]", "null", NULL };
	struct lines l;
	struct ws_request req = { "GET", "HTTP/1.1", &l.headers };
	struct ws_response res = { .status = 101, .headers = &l.headers,
	    .accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", .subprotocols = ours,
	    .deflate_offered = true };
	struct ws_refusal no;
	struct ws_subprotocols sub;
	struct ws_agreed agreed;
	const char *why;
	uint8_t input[WS_ACCEPT_INPUT_SIZE];
	char *text = malloc(n + 1);

	CHECK(text != NULL);
	memcpy(text, p, n);
	text[n] = '\0';
	split(&l, text);
	if (ws_request_check(&req, &no) == 0) {
		CHECK(ws_request_is_upgrade(&l.headers));
		CHECK(ws_request_key(&l.headers) != NULL);
		ws_accept_input(ws_request_key(&l.headers), input);
	} else {
		CHECK(no.status >= 400 && no.why != NULL);
	}
	(void)ws_request_subprotocols(&l.headers, &sub);
	(void)ws_origin_check(&l.headers, origins);
	(void)ws_response_check(&res, &agreed, &why);
	check_deflate(&l.headers);
	free(text);
	return 0;
}
