/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a proxy and its answers. */
#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/mem.h"
#include "tls/digest.h"

#define PROXY_PORT "3128"

/* ---- which one ---------------------------------------------------------- */

/* n bytes with %XX (RFC 3986 2.1) into a new text. */
static int
decode(const char *p, size_t n, char **ret)
{
	char *text = mem_alloc(n + 1);
	size_t k = 0;

	if (text == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (p[i] != '%') {
			text[k++] = p[i];
			continue;
		}
		high = i + 2 < n ? hex_value(p[i + 1]) : -1;
		low = high < 0 ? -1 : hex_value(p[i + 2]);
		if (low < 0 || (high | low) == 0) {
			mem_free_wiped(text, n);
			return -EINVAL;
		}
		text[k++] = (char)(high << 4 | low);
		i += 2;
	}
	text[k] = '\0';
	*ret = text;
	return 0;
}

static int
take_userinfo(struct proxy *p, const char *text, size_t n)
{
	const char *colon = memchr(text, ':', n);
	size_t user_n = colon == NULL ? n : (size_t)(colon - text);
	int r = decode(text, user_n, &p->user);

	if (r == 0 && colon != NULL)
		r = decode(colon + 1, n - user_n - 1, &p->password);
	return r;
}

/* "http://[user[:password]@]host[:port][/]" */
static int
take_url(struct proxy *p, const char *text)
{
	const char *mark = strstr(text, "://"), *at;
	char rest[512];
	size_t n;
	int r;

	if (mark != NULL) {
		if (mark - text != 4 || strncasecmp(text, "http", 4) != 0)
			return -EINVAL;
		text = mark + 3;
	}
	n = strcspn(text, "/?#");
	at = memrchr(text, '@', n);
	if (at != NULL) {
		r = take_userinfo(p, text, (size_t)(at - text));
		if (r != 0)
			return r;
		n -= (size_t)(at + 1 - text);
		text = at + 1;
	}
	if (n == 0 || n >= sizeof(rest))
		return -EINVAL;
	memcpy(rest, text, n);
	rest[n] = '\0';
	r = url_parse(rest, &p->where);
	at = strrchr(rest, ':');
	if (r == 0 && (at == NULL || strchr(at, ']') != NULL))
		memcpy(p->where.port, PROXY_PORT, sizeof(PROXY_PORT));
	return r;
}

static const char *
from_environment(void)
{
	static const char *const names[] = {
		"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"
	};
	const char *value;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		value = getenv(names[i]);
		if (value != NULL && *value != '\0')
			return value;
	}
	return NULL;
}

static int
replace(char **text, const char *by)
{
	char *copy;

	if (by == NULL)
		return 0;
	copy = mem_strdup(by);
	if (copy == NULL)
		return -ENOMEM;
	if (*text != NULL)
		mem_free_wiped(*text, strlen(*text));
	*text = copy;
	return 0;
}

static int
take_auth(struct proxy *p, const char *auth)
{
	if (auth == NULL)
		p->allowed = PROXY_AUTH_ANY;
	else if (strcmp(auth, "none") == 0)
		p->allowed = PROXY_AUTH_NONE;
	else if (strcmp(auth, "basic") == 0)
		p->allowed = PROXY_AUTH_BASIC;
	else if (strcmp(auth, "digest") == 0)
		p->allowed = PROXY_AUTH_DIGEST;
	else
		return -EINVAL;
	return 0;
}

int
proxy_init(struct proxy *p, const char *url, const char *user,
    const char *password, const char *auth, char *why)
{
	int r = take_auth(p, auth);

	if (r != 0) {
		(void)snprintf(why, PROXY_WHY_SIZE,
		    "proxy authentication: none, basic or digest is expected");
		return r;
	}
	p->from_env = url == NULL;
	if (url == NULL)
		url = from_environment();
	if (url == NULL || strcmp(url, "none") == 0)
		return 0;
	r = take_url(p, url);
	if (r == 0)
		r = replace(&p->user, user);
	if (r == 0)
		r = replace(&p->password, password);
	if (r == 0) {
		p->used = true;
		return 0;
	}
	(void)snprintf(why, PROXY_WHY_SIZE, r == -ENOMEM ? "out of memory" :
	    "the proxy's address is not http://[USER:PASSWORD@]HOST[:PORT]");
	proxy_fini(p);
	return r;
}

void
proxy_fini(struct proxy *p)
{
	if (p->user != NULL)
		mem_free_wiped(p->user, strlen(p->user));
	if (p->password != NULL)
		mem_free_wiped(p->password, strlen(p->password));
	*p = (struct proxy){ 0 };
}

/* One entry of no_proxy. */
static bool
covers(const char *entry, size_t n, const struct url *u)
{
	const char *colon = memrchr(entry, ':', n);
	size_t host_n = strlen(u->host);

	if (n == 1 && *entry == '*')
		return true;
	/* host:port, but not an IPv6 address. */
	if (colon != NULL && memchr(entry, ':', n) == colon) {
		size_t port_n = n - (size_t)(colon + 1 - entry);

		if (port_n != strlen(u->port) ||
		    strncmp(colon + 1, u->port, port_n) != 0)
			return false;
		n = (size_t)(colon - entry);
	}
	if (n > 2 && *entry == '[' && entry[n - 1] == ']') {
		entry++;
		n -= 2;
	}
	if (n > 0 && *entry == '.') {
		entry++;
		n--;
	}
	if (n == 0 || n > host_n ||
	    strncasecmp(u->host + host_n - n, entry, n) != 0)
		return false;
	return n == host_n || u->host[host_n - n - 1] == '.';
}

bool
proxy_excluded(const char *list, const struct url *server)
{
	while (list != NULL && *list != '\0') {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n > 0 && covers(list, n, server))
			return true;
		list += n;
	}
	return false;
}

bool
proxy_wanted(const struct proxy *p, const struct url *server)
{
	const char *list = getenv("no_proxy");

	if (!p->used || !p->from_env)
		return p->used;
	if (list == NULL)
		list = getenv("NO_PROXY");
	return !proxy_excluded(list, server);
}

/* ---- request and answer ------------------------------------------------- */

static int
write_digest(struct proxy *p, const char *target, char *to, size_t cap)
{
	uint8_t random[18];
	char cnonce[25];
	struct auth_digest d = {
		.user = p->user, .password = p->password == NULL ? "" :
		    p->password, .method = "CONNECT", .uri = target,
		.cnonce = cnonce, .nc = ++p->nc
	};
	int r = digest_random(random, sizeof(random));

	if (r != 0)
		return r;
	digest_base64(random, sizeof(random), cnonce);
	return auth_write_digest(&p->challenge, &d, to, cap);
}

static int
credentials(struct proxy *p, const char *target, char *to, size_t cap)
{
	if (p->challenge.digest && p->allowed != PROXY_AUTH_BASIC)
		return write_digest(p, target, to, cap);
	return auth_write_basic(p->user, p->password == NULL ? "" :
	    p->password, to, cap);
}

int
proxy_request(struct proxy *p, const struct url *server, char *to)
{
	char target[272], secret[3072] = "";
	int n, r = 0;

	url_host_header(server, target);
	if (p->asked)
		r = credentials(p, target, secret, sizeof(secret));
	if (r != 0)
		return r;
	n = snprintf(to, PROXY_REQUEST_MAX, "CONNECT %s HTTP/1.1\r\n"
	    "Host: %s\r\n%s%s%s\r\n", target, target,
	    p->asked ? "Proxy-Authorization: " : "", secret,
	    p->asked ? "\r\n" : "");
	mem_wipe(secret, sizeof(secret));
	return n < 0 || n >= PROXY_REQUEST_MAX ? -EMSGSIZE : n;
}

/* The lines become texts of their own; returns the end of the head. */
static char *
split(char *head)
{
	char *p = head;

	for (; *p != '\0'; p++)
		;
	for (char *q = head; q < p; q++)
		if (*q == '\r' || *q == '\n')
			*q = '\0';
	return p;
}

static void
read_challenges(struct proxy *p, const char *head, const char *end)
{
	static const char name[] = "Proxy-Authenticate:";

	memset(&p->challenge, 0, sizeof(p->challenge));
	for (; head < end; head += strlen(head) + 1)
		if (strncasecmp(head, name, sizeof(name) - 1) == 0)
			auth_take(&p->challenge, head + sizeof(name) - 1);
}

static bool
can_answer(const struct proxy *p)
{
	const struct auth_challenge *c = &p->challenge;

	if (p->user == NULL)
		return false;
	return (c->digest && (p->allowed == PROXY_AUTH_ANY ||
	    p->allowed == PROXY_AUTH_DIGEST)) || (c->basic &&
	    (p->allowed == PROXY_AUTH_ANY || p->allowed == PROXY_AUTH_BASIC));
}

/* 407: with the first challenge, or a stale nonce,
 * there is something to try. */
static int
wants_credentials(struct proxy *p, const char *head, const char *end, char *why)
{
	bool had = p->asked;

	read_challenges(p, head, end);
	p->nc = 0;
	p->asked = false;
	if (!can_answer(p)) {
		(void)snprintf(why, PROXY_WHY_SIZE, "the proxy %s wants "
		    "authentication: %s", p->where.host, p->user == NULL ?
		    "no user is configured" :
		    "of a kind that is not known or not allowed");
		return -EACCES;
	}
	if (had && (!p->challenge.stale || p->sent > 0)) {
		p->sent = 0;
		(void)snprintf(why, PROXY_WHY_SIZE, "the proxy %s refuses user "
		    "and password", p->where.host);
		return -EACCES;
	}
	p->sent = had ? 1 : 0;
	p->asked = true;
	(void)snprintf(why, PROXY_WHY_SIZE, "the proxy %s wants authentication",
	    p->where.host);
	return -EAGAIN;
}

int
proxy_answer(struct proxy *p, char *head, char *why)
{
	const char *end = split(head);
	const char *digits = head + 9;

	if (strncmp(head, "HTTP/1.", 7) != 0 || strlen(head) < 12 ||
	    head[8] != ' ' || strspn(digits, "0123456789") != 3) {
		(void)snprintf(why, PROXY_WHY_SIZE, "what answers at the "
		    "proxy's address %s port %s is no HTTP proxy",
		    p->where.host, p->where.port);
		return -EPROTO;
	}
	if (*digits == '2') {
		p->sent = 0;
		return 0;
	}
	if (strncmp(digits, "407", 3) == 0)
		return wants_credentials(p, head, end, why);
	(void)snprintf(why, PROXY_WHY_SIZE, "the proxy %s answered %.60s",
	    p->where.host, digits);
	return -ECONNREFUSED;
}
