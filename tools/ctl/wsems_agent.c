/* SPDX-License-Identifier: Apache-2.0 */
/* What the EMS is to its platform becomes what cleat-agent is to its server. */
#include "wsems_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

#define SERVERS_MAX 16			/* as the agent's */
#define RETRY_MAX 120000		/* the agent's default, ms */

static const char by_server[] = "the server tells its devices ([presence] in "
    "cleat.conf)";
static const char not_needed[] = "nothing here needs it";

/* ---- the server -------------------------------------------------------- */

static const struct wsems_setting server[] = {
	{ "host", W_TEXT, "not this server", NULL },
	{ "port", W_NUMBER, "443", NULL },
	{ .name = NULL }
};

static const struct wsems_setting connection[] = {
	{ "encryption", W_TEXT, "ssl", NULL },
	{ "connect_retry_interval", W_NUMBER, "the agent's default", NULL },
	{ "verbose", W_BOOL, "", "log-level = debug says more" },
	{ "msg_timeout", W_NUMBER, "", by_server },
	{ "ping_rate", W_NUMBER, "", by_server },
	{ "pingpong_timeout", W_NUMBER, "", by_server },
	{ "message_idle_time", W_NUMBER, "", by_server },
	{ "max_msg_size", W_NUMBER, "", "the server tells its devices "
	    "(max_message in cleat.conf)" },
	{ "message_chunk_size", W_NUMBER, "", not_needed },
	{ "max_messages", W_NUMBER, "", not_needed },
	{ "connect_timeout", W_NUMBER, "", "the agent has its own" },
	{ "max_threads", W_NUMBER, "", not_needed },
	{ "max_connect_delay", W_NUMBER, "", "reconnects are always spread at "
	    "random" },
	{ "socket_read_timeout", W_NUMBER, "", not_needed },
	{ "frame_read_timeout", W_NUMBER, "", not_needed },
	{ "ssl_read_timeout", W_NUMBER, "", not_needed },
	{ "connect_retries", W_NUMBER, "", "the agent never gives up" },
	{ "compression", W_BOOL, "", "what the agent sends is not "
	    "compressed" },
	{ .name = NULL }
};

/* As a URL has it; empty: it is no host. */
static void
host_of(const char *s, char to[264])
{
	unsigned char address[16];
	size_t n;

	to[0] = '\0';
	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && strchr(" \t", s[n - 1]) != NULL; n--)
		;
	if (n == 0 || n > 255)
		return;
	(void)snprintf(to, 264, "%.*s", (int)n, s);
	if (inet_pton(AF_INET6, to, address) == 1)
		(void)snprintf(to, 264, "[%.*s]", (int)n, s);
	else if (strspn(to, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789.-_") != n)
		to[0] = '\0';
}

static void
put_server(struct importer *m, const char *scheme, size_t i, const json_t *o,
    struct text *list)
{
	char name[32], host[264];
	json_t *mine;
	json_int_t port;

	(void)snprintf(name, sizeof(name), "ws_servers[%zu]", i);
	if (!json_is_object(o) || list == NULL) {
		wsems_report(m, WSEMS_WRONG, name, NULL, list == NULL ?
		    "the agent takes 16 servers; kept: those before" :
		    "a group in { } is expected; kept: not this server");
		return;
	}
	mine = wsems_group(m, name, o, server);
	host_of(wsems_text(mine, "host") == NULL ? "" :
	    wsems_text(mine, "host"), host);
	port = wsems_number(m, name, mine, "port", 1, 65535, 443);
	if (host[0] == '\0')
		wsems_report(m, WSEMS_WRONG, name, "host", "a host name or "
		    "address is expected; kept: not this server");
	else
		text_printf(list, "%s%s%s:%d", list->n > 0 ? "," : "", scheme,
		    host, (int)port);
	if (host[0] != '\0' && json_object_get(mine, "port") == NULL)
		wsems_report(m, WSEMS_CHANGED, name, "port", "not given; "
		    "taken: 443");
	json_decref(mine);
}

/* "ssl", "none", or "fips" of old. */
static const char *
scheme_of(struct importer *m, const json_t *ws)
{
	const char *s = wsems_text(ws, "encryption");

	if (s == NULL || strcmp(s, "ssl") == 0 || strcmp(s, "fips") == 0)
		return "wss://";
	if (strcmp(s, "none") != 0) {
		wsems_report(m, WSEMS_WRONG, "ws_connection", "encryption",
		    "ssl or none is expected; kept: ssl");
		return "wss://";
	}
	wsems_report(m, WSEMS_WEAKENED, "ws_connection", "encryption",
	    "nothing is encrypted and no certificate is looked at; whoever is "
	    "in between reads and changes all of it");
	return "ws://";
}

static void
put_servers(struct importer *m, const json_t *ws)
{
	const char *scheme = scheme_of(m, ws);
	const json_t *list = json_object_get(m->root, "ws_servers");
	struct text urls = { 0 };
	size_t i, n = json_array_size(list);

	for (i = 0; i < n && i <= SERVERS_MAX; i++)
		put_server(m, scheme, i, json_array_get(list, i),
		    i == SERVERS_MAX ? NULL : &urls);
	if (urls.n > 0)
		wsems_put(&m->out->agent, "server", text_str(&urls));
	else
		wsems_report(m, WSEMS_WRONG, "ws_servers", NULL, "there is no "
		    "server in it; kept: nothing, the agent wants server = "
		    "wss://HOST:PORT");
	if (urls.failed)
		wsems_fail(m, -ENOMEM);
	text_free(&urls);
}

static void
put_retries(struct importer *m, const json_t *ws)
{
	char text[24];
	json_int_t ms = wsems_number(m, "ws_connection", ws,
	    "connect_retry_interval", 1, 86400000, 0);

	if (ms == 0)
		return;
	(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, ms);
	wsems_put(&m->out->agent, "retry-min-ms", text);
	if (ms > RETRY_MAX)
		wsems_put(&m->out->agent, "retry-max-ms", text);
	wsems_report(m, WSEMS_CHANGED, "ws_connection",
	    "connect_retry_interval", "the first window of reconnects; it "
	    "doubles up to retry-max-ms, and the server's own hints count "
	    "more");
}

/* ---- who the device is ------------------------------------------------- */

/* One line for a thing: where it is reached has no counterpart, as devices of
 * ours connect themselves. */
static const char *
thing_name(struct importer *m, size_t i, const json_t *o, bool *ret_gateway)
{
	const char *s = json_string_value(json_object_get(o, "name"));
	char name[40];

	(void)snprintf(name, sizeof(name), "auto_bind[%zu]", i);
	if (s == NULL) {
		wsems_report(m, WSEMS_WRONG, name, NULL, "a group in { } with "
		    "a name is expected; kept: not this thing");
		return NULL;
	}
	*ret_gateway = json_is_true(json_object_get(o, "gateway"));
	if (json_object_size(o) > 1u + (json_object_get(o, "gateway") != NULL))
		wsems_report(m, WSEMS_LOST, name, NULL, "how the EMS reaches "
		    "it: a device connects to cleatd itself");
	return s[0] == '*' ? s + 1 : s;
}

static const char *
find_thing(struct importer *m)
{
	const json_t *list = json_object_get(m->root, "auto_bind");
	const char *found = NULL, *s;
	size_t i, n = json_array_size(list), named = 0;
	bool gateway, by_gateway = false;

	for (i = 0; i < n; i++) {
		gateway = false;
		s = thing_name(m, i, json_array_get(list, i), &gateway);
		if (s == NULL)
			continue;
		named++;
		if (gateway && !by_gateway) {
			by_gateway = true;
			found = s;
		} else if (named == 1) {
			found = s;
		}
	}
	if (named > 1)
		wsems_report(m, WSEMS_CHANGED, "auto_bind", NULL, "an agent is "
		    "one device: the %s; run one for each of the others "
		    "(--endpoint)", by_gateway ? "gateway" : "first");
	return found;
}

static void
put_endpoint(struct importer *m)
{
	const char *found = find_thing(m);

	if (m->opts->endpoint != NULL) {
		wsems_put(&m->out->agent, "endpoint", m->opts->endpoint);
		return;
	}
	if (found != NULL && id_valid(found)) {
		wsems_put(&m->out->agent, "endpoint", found);
		return;
	}
	if (found != NULL)
		wsems_report(m, WSEMS_WRONG, "auto_bind", "name", "an endpoint "
		    "has 1 to %d of a-z A-Z 0-9 . _ : @ -; kept: nothing, "
		    "give --endpoint", ID_MAX);
	else
		wsems_report(m, WSEMS_LOST, "auto_bind", NULL, "nothing names "
		    "the device: give --endpoint");
	text_puts(&m->out->agent, "# endpoint = ID-OF-THE-DEVICE\n");
}

static void
put_certificate(struct importer *m)
{
	struct text *to = &m->out->agent;
	char *cert = wsems_value(m, "certificates", m->certificates,
	    "client_cert", "no certificate", WSEMS_PATH);
	char *key = wsems_value(m, "certificates", m->certificates,
	    "key_file", "no key", WSEMS_PATH);
	char *pass = wsems_secret(m, "certificates", m->certificates,
	    "key_passphrase", m->opts->agent_key, 0, &m->out->agent_plain);

	if (cert != NULL && key == NULL)
		wsems_report(m, WSEMS_CHANGED, "certificates", "key_file",
		    "not given; looked for in the file of client_cert");
	if (cert == NULL && key != NULL)
		wsems_report(m, WSEMS_CHANGED, "certificates", "client_cert",
		    "not given; looked for in key_file");
	wsems_put(to, "cert", cert != NULL ? cert : key);
	wsems_put(to, "key", key != NULL ? key : cert);
	if (cert != NULL || key != NULL)
		wsems_put(to, "key-passphrase-file", pass);
	mem_free(cert);
	mem_free(key);
	wsems_wipe(pass);
}

static void
put_identity(struct importer *m)
{
	struct text *to = &m->out->agent;
	bool certificate = wsems_text(m->certificates, "client_cert") != NULL ||
	    wsems_text(m->certificates, "key_file") != NULL;
	char *token;

	put_certificate(m);
	if (certificate && wsems_text(m->root, "appKey") != NULL) {
		wsems_report(m, WSEMS_LOST, NULL, "appKey", "left out: the "
		    "certificate proves who the device is, and better");
		return;
	}
	token = wsems_secret(m, NULL, m->root, "appKey", m->opts->agent_key, 0,
	    &m->out->agent_plain);
	wsems_put(to, "token-file", token);
	if (token != NULL)
		wsems_report(m, WSEMS_CHANGED, NULL, "appKey", "a token, which "
		    "the server has to know as this device's alone (TOKENS in "
		    "cleat.conf(5))");
	if (token == NULL && !certificate)
		text_puts(to, "# token-file = WHERE-THE-TOKEN-IS\n");
	if (token == NULL && !certificate && m->opts->state_dir == NULL)
		wsems_report(m, WSEMS_LOST, NULL, "appKey", "nothing proves "
		    "who the device is: it needs token-file, or cert and key, "
		    "or state-dir and enrol");
	wsems_wipe(token);
}

/* ---- the rest ---------------------------------------------------------- */

static const struct wsems_setting fips[] = {
	{ "enabled", W_BOOL, "true", NULL },
	{ .name = NULL }
};

static void
put_fips(struct importer *m, const json_t *ws)
{
	const json_t *given = json_object_get(m->root, "fips");
	json_t *o = wsems_group(m, "fips", given, fips);
	const char *old = wsems_text(ws, "encryption");

	/* One that is wrong counts as true: the agent then says what it is. */
	if (wsems_bool(o, "enabled", given != NULL &&
	    json_object_get(given, "enabled") != NULL) ||
	    (old != NULL && strcmp(old, "fips") == 0)) {
		wsems_put(&m->out->agent, "fips", "yes");
		wsems_report(m, WSEMS_CHANGED, "fips", NULL, "the agent starts "
		    "only where GnuTLS enforces FIPS 140");
	}
	json_decref(o);
}

static const struct wsems_setting proxy[] = {
	{ "host", W_TEXT, "no proxy", NULL },
	{ "port", W_NUMBER, "3128", NULL },
	{ "user", W_TEXT, "no user", NULL },
	{ "password", W_TEXT, "no password", NULL },
	{ .name = NULL }
};

static void
put_proxy(struct importer *m)
{
	json_t *o = wsems_group(m, "proxy", json_object_get(m->root, "proxy"),
	    proxy);
	const char *given = wsems_text(o, "host");
	struct text url = { 0 };
	char host[264], *user, *password;

	if (given == NULL) {
		json_decref(o);
		return;
	}
	host_of(given, host);
	text_printf(&url, "http://%s:%d", host, (int)wsems_number(m, "proxy",
	    o, "port", 1, 65535, 3128));
	user = wsems_value(m, "proxy", o, "user", "no user", 0);
	password = wsems_secret(m, "proxy", o, "password", m->opts->agent_key,
	    0, &m->out->agent_plain);
	if (host[0] == '\0') {
		wsems_report(m, WSEMS_WRONG, "proxy", "host", "a host name or "
		    "address is expected; kept: no proxy");
	} else {
		wsems_put(&m->out->agent, "proxy", text_str(&url));
		wsems_put(&m->out->agent, "proxy-user", user);
		wsems_put(&m->out->agent, "proxy-password-file", password);
	}
	if (url.failed)
		wsems_fail(m, -ENOMEM);
	text_free(&url);
	mem_free(user);
	wsems_wipe(password);
	json_decref(o);
}

static const char own_log[] = "the log goes to standard error";

static const struct wsems_setting logger[] = {
	{ "level", W_TEXT, "info", NULL },
	{ "audit_target", W_TEXT, "", own_log },
	{ "publish_directory", W_TEXT, "", own_log },
	{ "publish_level", W_TEXT, "", own_log },
	{ "max_file_storage", W_NUMBER, "", own_log },
	{ "auto_flush", W_BOOL, "", own_log },
	{ "flush_chunk_size", W_NUMBER, "", own_log },
	{ "buffer_size", W_NUMBER, "", own_log },
	{ .name = NULL }
};

static void
put_log(struct importer *m)
{
	static const char *const levels[][2] = { { "FORCE", "error" },
		{ "ERROR", "error" }, { "WARN", "warning" },
		{ "INFO", "info" }, { "DEBUG", "debug" },
		{ "TRACE", "debug" } };
	json_t *o = wsems_group(m, "logger", json_object_get(m->root,
	    "logger"), logger);
	const char *level = wsems_text(o, "level"), *found = NULL;

	for (size_t i = 0; level != NULL &&
	    i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(levels[i][0], level) == 0)
			found = levels[i][1];
	wsems_put(&m->out->agent, "log-level", found);
	if (level != NULL && found == NULL)
		wsems_report(m, WSEMS_WRONG, "logger", "level", "FORCE, ERROR, "
		    "WARN, INFO, DEBUG or TRACE is expected; kept: info");
	json_decref(o);
}

void
wsems_agent(struct importer *m)
{
	json_t *ws = wsems_group(m, "ws_connection",
	    json_object_get(m->root, "ws_connection"), connection);

	text_puts(&m->out->agent, "# cleat-agent(1); from a configuration of "
	    "the WS EMS, by cleatctl import\n");
	put_servers(m, ws);
	put_endpoint(m);
	wsems_put(&m->out->agent, "state-dir", m->opts->state_dir);
	put_identity(m);
	wsems_trust(m);
	put_fips(m, ws);
	put_proxy(m);
	put_retries(m, ws);
	put_log(m);
	json_decref(ws);
}
