/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of RFC 6455 9.1 and the parameters of RFC 7692 7.1.  Something
 * that is not the grammar at all fails the handshake; a parameter that breaks
 * the extension's own rules only declines its offer.
 */
#include "wire/ws_extension.h"

#include <errno.h>
#include <stdio.h>

#define HEADER "Sec-WebSocket-Extensions"

/* One element of the list, as far as permessage-deflate goes. */
struct element {
	bool known;			/* it is permessage-deflate */
	bool acceptable;		/* each parameter keeps its rules */
	bool server_no_takeover, client_no_takeover;
	bool client_bits_given;
	uint8_t server_bits;		/* 0: not given */
	uint8_t client_bits;		/* 0: not given, or without value */
};

/* A parameter's value, without quotes and backslashes. */
struct value {
	bool given;
	size_t n;
	char text[16];			/* enough for any value we know */
};

/* RFC 6455 9.1: what is inside of the quotes must be a token as well. */
static int
take_quoted(const char **at, struct value *v)
{
	struct ws_text one;

	(*at)++;
	while (**at != '"') {
		if (**at == '\\')
			(*at)++;
		one = (struct ws_text){ .p = *at, .n = 1 };
		if (**at == '\0' || !ws_is_token(one))
			return -EINVAL;
		if (v->n < sizeof v->text)
			v->text[v->n] = **at;
		v->n++;
		(*at)++;
	}
	(*at)++;
	return v->n > 0 ? 0 : -EINVAL;
}

static int
take_value(const char **at, struct value *v)
{
	struct ws_text token;
	size_t i;

	v->given = true;
	if (**at == '"')
		return take_quoted(at, v);
	if (!ws_take_token(at, &token))
		return -EINVAL;
	for (i = 0; i < token.n && i < sizeof v->text; i++)
		v->text[i] = token.p[i];
	v->n = token.n;
	return 0;
}

/* RFC 7692 7.1.2: a decimal from 8 to 15 without leading zeros; else 0. */
static uint8_t
window_bits(const struct value *v)
{
	if (v->n == 1 && (v->text[0] == '8' || v->text[0] == '9'))
		return (uint8_t)(v->text[0] - '0');
	if (v->n == 2 && v->text[0] == '1' && v->text[1] >= '0' &&
	    v->text[1] <= '5')
		return (uint8_t)(10 + v->text[1] - '0');
	return 0;
}

static bool
set_once(bool *flag, bool rule_kept)
{
	if (*flag || !rule_kept)
		return false;
	*flag = true;
	return true;
}

/* Whether the parameter keeps the rules; notes it. */
static bool
apply(struct element *e, struct ws_text name, const struct value *v)
{
	uint8_t bits = v->given ? window_bits(v) : 0;

	if (ws_text_equal_nocase(name, "server_no_context_takeover"))
		return set_once(&e->server_no_takeover, !v->given);
	if (ws_text_equal_nocase(name, "client_no_context_takeover"))
		return set_once(&e->client_no_takeover, !v->given);
	if (ws_text_equal_nocase(name, "client_max_window_bits")) {
		e->client_bits = bits;
		return set_once(&e->client_bits_given, !v->given || bits != 0);
	}
	if (ws_text_equal_nocase(name, "server_max_window_bits")) {
		if (e->server_bits != 0 || bits == 0)
			return false;
		e->server_bits = bits;
		return true;
	}
	return false;
}

static int
take_parameter(const char **at, struct element *e)
{
	struct value v = { 0 };
	struct ws_text name;
	int r;

	(*at)++;
	ws_skip_space(at);
	if (!ws_take_token(at, &name))
		return -EINVAL;
	ws_skip_space(at);
	if (**at == '=') {
		(*at)++;
		ws_skip_space(at);
		if ((r = take_value(at, &v)) != 0)
			return r;
		ws_skip_space(at);
	}
	if (!apply(e, name, &v))
		e->acceptable = false;
	return 0;
}

/* Takes an element and the comma behind it: 1; 0: the value's end; -EINVAL. */
static int
take_element(const char **at, struct element *ret)
{
	struct element e = { .acceptable = true };
	struct ws_text name;
	int r;

	while (**at == ' ' || **at == '\t' || **at == ',')
		(*at)++;
	if (**at == '\0')
		return 0;
	if (!ws_take_token(at, &name))
		return -EINVAL;
	e.known = ws_text_equal_nocase(name, "permessage-deflate");
	ws_skip_space(at);
	while (**at == ';') {
		if ((r = take_parameter(at, &e)) != 0)
			return r;
	}
	if (**at != ',' && **at != '\0')
		return -EINVAL;
	*ret = e;
	return 1;
}

static void
write_answer(const struct element *e, char *answer)
{
	char server[32] = "", client[32] = "";

	if (e->server_bits != 0)
		(void)snprintf(server, sizeof server,
		    "; server_max_window_bits=%u", e->server_bits);
	/* A bare client_max_window_bits only says that we might limit it. */
	if (e->client_bits != 0)
		(void)snprintf(client, sizeof client,
		    "; client_max_window_bits=%u", e->client_bits);
	(void)snprintf(answer, WS_DEFLATE_ANSWER_SIZE,
	    WS_DEFLATE_OFFER "%s%s", server, client);
}

int
ws_deflate_negotiate(const struct ws_headers *request, char *answer,
    struct ws_deflate_params *ret)
{
	struct element e, taken;
	const char *at;
	bool found = false;
	unsigned i;
	int r;

	/* All of it is read: a malformed end is malformed. */
	for (i = 0; (at = request->get(request, HEADER, i)) != NULL; i++) {
		while ((r = take_element(&at, &e)) == 1) {
			if (found || !e.known || !e.acceptable ||
			    e.server_bits == 8)
				continue;
			taken = e;
			found = true;
		}
		if (r < 0)
			return r;
	}
	*ret = (struct ws_deflate_params){ .enabled = found };
	if (!found)
		return 0;
	ret->send_bits = taken.server_bits ? taken.server_bits : 15;
	write_answer(&taken, answer);
	return 1;
}

int
ws_deflate_check_answer(const struct ws_headers *response, bool offered,
    struct ws_deflate_params *ret)
{
	struct element e;
	const char *at;
	bool found = false;
	unsigned i;
	int r;

	for (i = 0; (at = response->get(response, HEADER, i)) != NULL; i++) {
		while ((r = take_element(&at, &e)) == 1) {
			/* Without server_no_context_takeover our offer was not
			 * accepted; client_max_window_bits was not in it. */
			if (!offered || found || !e.known || !e.acceptable ||
			    !e.server_no_takeover || e.client_bits_given)
				return -EPROTO;
			found = true;
		}
		if (r < 0)
			return -EPROTO;
	}
	*ret = (struct ws_deflate_params){ .enabled = found,
	    .send_bits = found ? 15 : 0 };
	return 0;
}
