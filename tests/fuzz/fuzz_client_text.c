/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins, lists of servers (a server names them, too), no_proxy and the address
 * of a proxy.  What is taken reads the same when it is written down again, and
 * fits into a request as one word.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls/pins.h"
#include "proxy.h"
#include "servers.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)
#define SPACE ", \t\r\n"

static void
check_pins(const char *text)
{
	struct tls_pin pins[TLS_PINS_MAX], again[TLS_PINS_MAX];
	char line[64];
	int n = pins_parse(text, pins);

	CHECK(n == -EINVAL || (n >= 0 && n <= TLS_PINS_MAX));
	for (int i = 0; i < n; i++) {
		CHECK(strlen(pins[i].text) == TLS_PIN_TEXT);
		(void)snprintf(line, sizeof(line), "%s%s",
		    pins[i].ca ? "ca:" : "", pins[i].text);
		CHECK(strstr(text, line) != NULL);
		CHECK(pins_parse(line, again) == 1);
		CHECK(again[0].ca == pins[i].ca &&
		    strcmp(again[0].text, pins[i].text) == 0);
	}
}

static void
check_word(const char *text)
{
	CHECK(text[0] != '\0');
	for (; *text != '\0'; text++)
		CHECK((unsigned char)*text > ' ' && *text != 0x7f);
}

static void
check_url(const struct url *u)
{
	char host[272], text[1024];
	struct url again;
	long port;

	url_host_header(u, host);
	check_word(host);
	check_word(u->path);
	CHECK(u->path[0] == '/');
	port = strtol(u->port, NULL, 10);
	CHECK(port > 0 && port <= 65535);
	(void)snprintf(text, sizeof(text), "%s://%s%s", u->tls ? "wss" : "ws",
	    host, u->path);
	CHECK(url_parse(text, &again) == 0);
	CHECK(again.tls == u->tls && strcmp(again.host, u->host) == 0 &&
	    strcmp(again.port, u->port) == 0 &&
	    strcmp(again.path, u->path) == 0);
}

static void
check_servers(const char *text)
{
	struct servers s;
	unsigned tried = 0;

	CHECK(servers_init(&s, "wss://own.example", NULL) == 0);
	if (servers_name(&s, text, NULL) == 0) {
		CHECK(s.named_n <= SERVERS_MAX);
		/* Nobody talks us into plain text, or out of our own. */
		do {
			CHECK(servers_now(&s)->tls);
			check_url(servers_now(&s));
			(void)proxy_excluded(text, servers_now(&s));
			tried++;
		} while (!servers_next(&s));
		CHECK(tried == s.named_n + 1);
	} else {
		CHECK(s.named_n == 0 && servers_count(&s) == 1);
	}
	servers_fini(&s);
}

static void
check_proxy(const char *text)
{
	struct proxy proxy = { .used = false };
	char why[PROXY_WHY_SIZE] = "", request[PROXY_REQUEST_MAX];
	struct url server;

	if (proxy_init(&proxy, text, NULL, NULL, NULL, why) != 0) {
		CHECK(why[0] != '\0');
		return;
	}
	if (proxy.used)
		check_url(&proxy.where);
	CHECK(url_parse("h", &server) == 0);
	CHECK(proxy_wanted(&proxy, &server) == proxy.used);
	CHECK(proxy_request(&proxy, &server, request) > 0);
	proxy_fini(&proxy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1);

	CHECK(text != NULL);
	memcpy(text, p, n);
	text[n] = '\0';
	check_pins(text);
	check_servers(text);
	check_proxy(text);
	free(text);
	return 0;
}
