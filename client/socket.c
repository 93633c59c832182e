/* SPDX-License-Identifier: Apache-2.0 */
/* The client's WebSocket: upgrade (RFC 6455 4.1), masked frames out,
 * frames in. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "tls/digest.h"
#include "wire/ws_close.h"

int
client_flush(struct cleat_client *c)
{
	ssize_t n;
	int r = link_flush(&c->link);

	if (r != 0)
		return r;
	while (buf_len(c->out) > 0) {
		n = link_write(&c->link, buf_data(c->out), buf_len(c->out));
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		buf_consume(&c->out, (size_t)n);
	}
	return 0;
}

int
client_frame(struct cleat_client *c, unsigned opcode, const void *p, size_t n)
{
	uint8_t mask[4], *frame;
	size_t head_n;
	int r = digest_random(mask, sizeof(mask));

	if (r != 0)
		return r;
	frame = mem_alloc(WS_HEADER_MAX + n);
	if (frame == NULL)
		return -ENOMEM;
	head_n = ws_encode_header(frame, opcode | WS_FIN, n, mask);
	if (n > 0) {
		memcpy(frame + head_n, p, n);
		ws_mask(frame + head_n, n, mask, 0);
	}
	/* Whole or not at all; the last one may go beyond the limit. */
	r = buf_len(c->out) >= CLIENT_OUT_MAX ? -ENOBUFS :
	    buf_append(&c->out, frame, head_n + n, CLIENT_OUT_MAX + head_n +
	    n);
	mem_free_wiped(frame, head_n + n);
	return r;
}

/* ---- upgrade ------------------------------------------------------------ */

int
client_start_upgrade(struct cleat_client *c)
{
	char host[272], request[1536], key[WS_KEY_SIZE + 1];
	uint8_t nonce[16], input[WS_ACCEPT_INPUT_SIZE], sha1[20];
	int n, r = digest_random(nonce, sizeof(nonce));

	if (r != 0)
		return r;
	digest_base64(nonce, sizeof(nonce), key);
	ws_accept_input(key, input);
	r = digest_sha1(input, sizeof(input), sha1);
	if (r != 0)
		return r;
	digest_base64(sha1, sizeof(sha1), c->accept);
	url_host_header(&c->url, host);
	n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n"
	    "Host: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: " CLIENT_SUBPROTOCOL "\r\n\r\n",
	    c->url.path, host, key);
	if (n < 0 || (size_t)n >= sizeof(request))
		return -EMSGSIZE;
	return buf_append(&c->out, request, (size_t)n, CLIENT_OUT_MAX);
}

/* The answer's head, its lines ended by NUL. */
struct answer {
	struct ws_headers headers;
	const char *p, *end;
};

static const char *
get_header(const struct ws_headers *h, const char *name, unsigned nth)
{
	const struct answer *a = (const void *)h;	/* its first member */
	size_t n = strlen(name);

	for (const char *p = a->p; p < a->end; p += strlen(p) + 1)
		if (strncasecmp(p, name, n) == 0 && p[n] == ':' &&
		    nth-- == 0)
			return p + n + 1 + strspn(p + n + 1, " \t");
	return NULL;
}

static void
end_lines(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\r' || p[i] == '\n')
			p[i] = '\0';
}

static int
judge_answer(struct cleat_client *c, size_t head_n)
{
	static const char *const offered[] = { CLIENT_SUBPROTOCOL, NULL };
	struct answer a = {
		.headers = { .get = get_header },
		.p = c->head, .end = c->head + head_n
	};
	struct ws_response response = {
		.headers = &a.headers, .accept = c->accept,
		.subprotocols = offered
	};
	struct ws_agreed agreed;
	const char *why = "not an HTTP answer";
	unsigned status = 0;

	end_lines(c->head, head_n);
	if (head_n > 12 && strncmp(c->head, "HTTP/1.1 ", 9) == 0 &&
	    strspn(c->head + 9, "0123456789") == 3)
		for (int i = 9; i < 12; i++)
			status = status * 10 + (unsigned)(c->head[i] - '0');
	response.status = status;
	if (status != 0 && ws_response_check(&response, &agreed, &why) == 0 &&
	    agreed.subprotocol != NULL)
		return 0;
	if (status == 101)
		(void)snprintf(c->why, sizeof(c->why), "bad upgrade: %.100s",
		    why == NULL ? "another subprotocol" : why);
	else
		(void)snprintf(c->why, sizeof(c->why),
		    "the server answered %.60s", c->head);
	return -EPROTO;
}

/* Reads until the head is whole; what follows it are frames. */
int
client_take_answer(struct cleat_client *c)
{
	char *end;
	ssize_t n;
	size_t head_n, rest_n;
	int r;

	if (c->head == NULL &&
	    (c->head = mem_alloc(CLIENT_HEAD_MAX + 1)) == NULL)
		return -ENOMEM;
	n = link_read(&c->link, c->head + c->head_n,
	    CLIENT_HEAD_MAX - c->head_n);
	if (n < 0)
		return (int)n;
	c->head_n += (size_t)n;
	c->head[c->head_n] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL)
		return c->head_n < CLIENT_HEAD_MAX ? -EAGAIN : -EMSGSIZE;
	head_n = (size_t)(end + 4 - c->head);
	rest_n = c->head_n - head_n;
	r = judge_answer(c, head_n);
	if (r == 0) {
		client_set_phase(c, CLIENT_HELLO, "upgraded");
		if (rest_n > 0)
			r = client_feed(c, (uint8_t *)c->head + head_n,
			    rest_n);
	}
	mem_free(c->head);
	c->head = NULL;
	c->head_n = 0;
	return r;
}

/* ---- frames in ---------------------------------------------------------- */

static int
closed_by_server(struct cleat_client *c, const uint8_t *p, size_t n)
{
	struct ws_close close;

	if (ws_close_parse(p, n, &close) != 0)
		return -EPROTO;
	c->close_code = close.code;
	if (c->why[0] == '\0')
		(void)snprintf(c->why, sizeof(c->why),
		    "closed by the server: %u %.*s", close.code,
		    (int)close.reason_n, close.reason_n == 0 ? "" :
		    close.reason);
	if (c->phase != CLIENT_GOODBYE) {
		(void)client_frame(c, WS_OP_CLOSE, p, n >= 2 ? 2 : 0);
		(void)client_flush(c);
	}
	return -EPIPE;
}

static int
take_control(struct cleat_client *c, const struct ws_piece *piece)
{
	if (piece->first)
		c->control_n = 0;
	if (piece->len > 0)
		memcpy(c->control + c->control_n, piece->data, piece->len);
	c->control_n += piece->len;
	if (!piece->last)
		return 0;
	if (piece->opcode == WS_OP_CLOSE)
		return closed_by_server(c, c->control, c->control_n);
	if (piece->opcode == WS_OP_PING)
		return client_frame(c, WS_OP_PONG, c->control, c->control_n);
	return 0;
}

static int
take_data(struct cleat_client *c, const struct ws_piece *piece)
{
	uint8_t *more;
	int r;

	if (piece->opcode != WS_OP_TEXT) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server sent binary data");
		return -EPROTO;
	}
	if (piece->first && piece->last)
		return client_message(c, (const char *)piece->data,
		    piece->len);
	more = mem_realloc(c->message, c->message_n + piece->len + 1);
	if (more == NULL)
		return -ENOMEM;
	c->message = more;
	if (piece->len > 0)
		memcpy(more + c->message_n, piece->data, piece->len);
	c->message_n += piece->len;
	if (!piece->last)
		return 0;
	r = client_message(c, (const char *)c->message, c->message_n);
	mem_free(c->message);
	c->message = NULL;
	c->message_n = 0;
	return r;
}

int
client_feed(struct cleat_client *c, uint8_t *p, size_t n)
{
	static const struct ws_rules rules = {
		.max_message = CLIENT_MESSAGE_MAX
	};
	struct ws_input in = { .p = p, .n = n };
	struct ws_piece piece;
	int r = 0;

	c->heard_ms = client_now_ms();
	c->pinged = false;
	while (r == 0) {
		switch (ws_parse(&c->parser, &rules, &in, &piece)) {
		case WS_MORE:
			return 0;
		case WS_FAIL:
			(void)snprintf(c->why, sizeof(c->why),
			    "the server broke the protocol: %s",
			    piece.reason);
			return -EPROTO;
		case WS_PIECE:
			r = piece.control ? take_control(c, &piece) :
			    take_data(c, &piece);
			break;
		}
	}
	return r;
}
