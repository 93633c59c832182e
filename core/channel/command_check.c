/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked of a device; the verbs are those of doc/protocol.md. */
#include "channel/command_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/id.h"
#include "base/json_check.h"
#include "base/json_find.h"
#include "endpoint/endpoint.h"

#define WHY_SIZE 256
#define BY_MAX 256

enum arg_type { ARG_TEXT, ARG_WHOLE, ARG_SHA256, ARG_MAC, ARG_URLS };

struct verb_arg {
	const char *verb, *name;
	enum arg_type type;
	bool required;
};

static const char *const verbs[] = {
	"power-off", "reboot", "message", "wake", "update", "get-log",
	"set-server"
};

static const struct verb_arg args_of[] = {
	{ "power-off", "delay_ms", ARG_WHOLE, false },
	{ "reboot", "delay_ms", ARG_WHOLE, false },
	{ "message", "text", ARG_TEXT, true },
	{ "message", "title", ARG_TEXT, false },
	{ "wake", "mac", ARG_MAC, false },
	{ "update", "url", ARG_TEXT, true },
	{ "update", "sha256", ARG_SHA256, true },
	{ "update", "version", ARG_TEXT, false },
	{ "get-log", "lines", ARG_WHOLE, false },
	{ "get-log", "unit", ARG_TEXT, false },
	{ "set-server", "servers", ARG_URLS, true },
};

static bool
verb_valid(const char *verb)
{
	if (!id_word_valid(verb))
		return false;
	if (strncmp(verb, "x-", 2) == 0)
		return verb[2] != '\0';
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i]) == 0)
			return true;
	return false;
}

/* What a type wants to be; NULL: it is that. */
static const char *
judge(enum arg_type type, struct json_span v)
{
	char text[80];
	uint8_t mac[6];
	struct json_span item;
	uint64_t number;
	size_t at = 0;

	switch (type) {
	case ARG_TEXT:
		return v.n > 2 && v.p[0] == '"' ? NULL : "a text";
	case ARG_WHOLE:
		return json_whole(v, &number) ? NULL : "a whole number";
	case ARG_SHA256:
		return json_plain(v, text, sizeof(text)) &&
		    strlen(text) == 64 &&
		    strspn(text, "0123456789abcdefABCDEF") == 64 ? NULL :
		    "64 hexadecimal digits";
	case ARG_MAC:
		return json_plain(v, text, sizeof(text)) &&
		    addr_mac_parse(text, mac) ? NULL : "a MAC address";
	case ARG_URLS:
		if (!json_item(v, &at, &item))
			return "an array of URLs";
		do {
			if (item.n < 7 || (memcmp(item.p, "\"ws://", 6) != 0 &&
			    memcmp(item.p, "\"wss://", 7) != 0))
				return "an array of URLs";
		} while (json_item(v, &at, &item));
		return NULL;
	}
	return "something else";
}

static int
check_args(const struct command_request *r, char *why)
{
	struct json_span all = { r->args, strlen(r->args) }, v;

	if (json_check_object(all.p, all.n) != 0) {
		(void)snprintf(why, WHY_SIZE, "args: one JSON object is "
		    "expected");
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(args_of) / sizeof(args_of[0]); i++) {
		const struct verb_arg *a = &args_of[i];
		const char *want;

		if (strcmp(a->verb, r->verb) != 0)
			continue;
		if (!json_member(all, a->name, &v)) {
			if (!a->required)
				continue;
			(void)snprintf(why, WHY_SIZE, "args.%s: is missing",
			    a->name);
			return -EINVAL;
		}
		want = judge(a->type, v);
		if (want != NULL) {
			(void)snprintf(why, WHY_SIZE, "args.%s: %s is "
			    "expected", a->name, want);
			return -EINVAL;
		}
	}
	return 0;
}

static int
refuse(char *why, const char *what)
{
	(void)snprintf(why, WHY_SIZE, "%s", what);
	return -EINVAL;
}

int
command_check(const struct command_request *r,
    const struct command_rules *rules, int64_t now_ms, char *why)
{
	if (!id_valid(r->endpoint))
		return refuse(why, "endpoint: not a valid id");
	if (r->id[0] != '\0' && !id_word_valid(r->id))
		return refuse(why, "id: 1 to 64 of a-z A-Z 0-9 . _ - are "
		    "expected");
	if (strlen(r->by) > BY_MAX || strncmp(r->by, "relay of ", 9) == 0)
		return refuse(why, "by: not a valid name");
	if (!verb_valid(r->verb))
		return refuse(why, "verb: power-off, reboot, message, wake, "
		    "update, get-log, set-server or x-… is expected");
	if (strlen(r->args) > rules->args_max) {
		(void)snprintf(why, WHY_SIZE, "args: longer than %u bytes",
		    rules->args_max);
		return -EINVAL;
	}
	if (r->deadline_ms <= now_ms)
		return refuse(why, "deadline: is over already");
	if ((uint64_t)(r->deadline_ms - now_ms) > rules->deadline_max_ms) {
		(void)snprintf(why, WHY_SIZE, "deadline: more than %llu s "
		    "ahead", (unsigned long long)rules->deadline_max_ms / 1000);
		return -EINVAL;
	}
	return check_args(r, why);
}

size_t
command_cut(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1);

	if (n <= max)
		return n;
	/* Back to where a character begins (RFC 3629 section 3). */
	for (n = max; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80; n--)
		continue;
	return n;
}
