/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy answers to CONNECT, several times in a row: the first byte says
 * what we have and may use, a NUL ends an answer.  Whatever it asks for, the
 * next request has the lines that we meant and no other, credentials go out
 * only when they were asked for and allowed, and it comes to an end.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)
#define HEAD "CONNECT h.example:8443 HTTP/1.1\r\nHost: h.example:8443\r\n"
#define SECRET "Proxy-Authorization: "
#define ROUNDS 8

static const char *const hows[] = { NULL, "none", "basic", "digest" };

static void
check_request(const char *request, size_t n, unsigned how, bool has_user)
{
	const char *rest = request + strlen(HEAD), *end;

	CHECK(n == strlen(request));
	CHECK(strncmp(request, HEAD, strlen(HEAD)) == 0);
	if (strcmp(rest, "\r\n") == 0)
		return;
	CHECK(has_user && how != PROXY_AUTH_NONE);
	CHECK(strncmp(rest, SECRET, strlen(SECRET)) == 0);
	rest += strlen(SECRET);
	CHECK(how != PROXY_AUTH_BASIC || strncmp(rest, "Basic ", 6) == 0);
	CHECK(how != PROXY_AUTH_DIGEST || strncmp(rest, "Digest ", 7) == 0);
	end = rest + strcspn(rest, "\r\n");
	CHECK(strcmp(end, "\r\n\r\n") == 0);
}

/* As link.c does: an answer is what a head's room holds. */
static int
one_round(struct proxy *proxy, const uint8_t *p, size_t n, unsigned how,
    bool has_user)
{
	static const struct url server = {
		.host = "h.example", .port = "8443", .path = "/"
	};
	char request[PROXY_REQUEST_MAX], why[PROXY_WHY_SIZE] = "";
	char *head;
	bool knows;
	int r = proxy_request(proxy, &server, request);

	CHECK(r > 0 || r == -EMSGSIZE);
	if (r < 0)
		return r;
	check_request(request, (size_t)r, how, has_user);
	if (n > PROXY_HEAD_MAX)
		n = PROXY_HEAD_MAX;
	head = malloc(n + 1);
	CHECK(head != NULL);
	memcpy(head, p, n);
	head[n] = '\0';
	/* It may know the password, and say it. */
	knows = strstr(head, "s3cret") != NULL;
	r = proxy_answer(proxy, head, why);
	CHECK(r == 0 || r == -EAGAIN || r == -EACCES || r == -ECONNREFUSED ||
	    r == -EPROTO);
	CHECK(r == 0 || why[0] != '\0');
	CHECK(knows || strstr(why, "s3cret") == NULL);
	free(head);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct proxy proxy = { .used = false };
	char why[PROXY_WHY_SIZE];
	unsigned how = n > 0 ? p[0] & 3 : 0;
	bool has_user = n > 0 && (p[0] & 4) != 0;
	int again = 0;

	CHECK(proxy_init(&proxy, "http://p.example", has_user ? "u\"\\s" : NULL,
	    has_user ? "s3cret" : NULL, hows[how], why) == 0);
	CHECK(proxy.allowed == (enum proxy_auth)how);
	for (size_t at = 1, round = 0; at < n && round < ROUNDS; round++) {
		const uint8_t *end = memchr(p + at, '\0', n - at);
		size_t len = end == NULL ? n - at : (size_t)(end - p) - at;
		int r = one_round(&proxy, p + at, len, how, has_user);

		/* Once for credentials, once for a nonce that is stale. */
		again = r == -EAGAIN ? again + 1 : 0;
		CHECK(again <= 2);
		at += len + 1;
	}
	proxy_fini(&proxy);
	return 0;
}
