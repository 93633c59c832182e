/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EMS's own server, http_server, becomes a listener of cleatd with a slot
 * for its certificate.  Whom the EMS believes among those behind it
 * (http_client_ca_certs, fingerprint_allowlist) are then those who may connect.
 */
#include "wsems_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"

/* Where authorities are awaited if it is not known where they are: until they
 * are there, cleatd takes nobody. */
#define CLIENTS_FILE "/etc/cleat/wsems-clients.pem"
#define CLIENTS_KEPT CLIENTS_FILE ", where they have to be put"
#define PRINTS_MAX 13			/* of 66 bytes on a line of 1000 */

static const char own_proof[] = "every device proves who it is by a token, a "
    "key or a certificate of its own";
static const char no_pages[] = "web pages cannot connect at all unless origins "
    "names them";

static const struct wsems_setting settings[] = {
	{ "host", W_TEXT, "localhost", NULL },
	{ "port", W_NUMBER, "8000", NULL },
	{ "ssl", W_BOOL, "true", NULL },
	{ "certificate", W_TEXT, "a self-signed one", NULL },
	{ "private_key", W_TEXT, "the key in certificate", NULL },
	{ "passphrase", W_TEXT, "no passphrase", NULL },
	{ "authenticate", W_BOOL, "", own_proof },
	{ "user", W_TEXT, "", own_proof },
	{ "password", W_TEXT, "", own_proof },
	{ "use_default_certificate", W_BOOL, "", "there is no certificate "
	    "that every host has" },
	{ "content_read_timeout", W_NUMBER, "", "http_timeout in [limits] is "
	    "for all listeners" },
	{ "ports_to_try", W_NUMBER, "", "a listener has one port, or none" },
	{ "max_clients", W_NUMBER, "", "connections in [limits] is for all "
	    "listeners" },
	{ "enable_csrf_tokens", W_BOOL, "", no_pages },
	{ "csrf_token_rotation_period", W_NUMBER, "", no_pages },
	{ .name = NULL }
};

static const char group[] = "http_server";

static void
put_address(struct importer *m, const json_t *o)
{
	const char *s = wsems_text(o, "host");
	unsigned char address[16];
	char host[64] = "*";

	if (s == NULL || strcmp(s, "localhost") == 0) {
		(void)snprintf(host, sizeof(host), "[::1]");
		wsems_report(m, WSEMS_CHANGED, group, "host", "localhost is "
		    "::1, as for the EMS; not 127.0.0.1");
	} else if (inet_pton(AF_INET, s, address) == 1) {
		(void)snprintf(host, sizeof(host), "%s", s);
	} else if (inet_pton(AF_INET6, s, address) == 1) {
		(void)snprintf(host, sizeof(host), "[%s]", s);
	} else {
		wsems_report(m, WSEMS_WEAKENED, group, "host", "cleatd takes "
		    "no host names: it listens on every address of the host "
		    "(*); write the one that is meant");
	}
	text_printf(&m->out->listener, "address = %s:%d\n", host,
	    (int)wsems_number(m, group, o, "port", 1, 65535, 8000));
}

/* One that is wrong is left out: then a device too few can connect. */
static void
put_fingerprints(struct importer *m, const json_t *list)
{
	static const char name[] = "fingerprint_allowlist";
	struct text line = { 0 };
	size_t n = 0, i;
	json_t *v;

	json_array_foreach(list, i, v) {
		const char *s = json_string_value(v);
		uint8_t bytes[32];
		char hex[65];

		if (s == NULL ||
		    hex_read_print(s, bytes, sizeof(bytes)) != 32) {
			wsems_report(m, WSEMS_WRONG, "certificates", name,
			    "number %zu is no SHA-256 in hexadecimal; kept: "
			    "the others", i + 1);
		} else if (++n <= PRINTS_MAX) {
			hex_write(bytes, sizeof(bytes), hex);
			text_printf(&line, "%s%s", n > 1 ? ", " : "", hex);
		}
	}
	if (n > PRINTS_MAX)
		wsems_report(m, WSEMS_WRONG, "certificates", name, "these are "
		    "more than fit on a line; kept: the first %d; write all "
		    "of them into a file and name it with fingerprint_file",
		    PRINTS_MAX);
	/* None left would let in everybody; nobody's keeps all out. */
	if (n == 0)
		text_printf(&line, "%064d", 0);
	text_printf(&m->out->listener, "fingerprint_allowlist = %s\n",
	    text_str(&line));
	if (line.failed)
		wsems_fail(m, -ENOMEM);
	text_free(&line);
}

/* The EMS calls those behind it, and believes their certificates by these; here
 * they call. */
static void
put_clients(struct importer *m)
{
	const json_t *c = m->certificates;
	const json_t *prints = json_object_get(c, "fingerprint_allowlist");
	const char *name = wsems_text(c, "http_client_ca_certs") != NULL ?
	    "http_client_ca_certs" : json_array_size(prints) > 0 ?
	    "cert_chain" : NULL;
	char *ca;

	if (name == NULL)
		return;
	ca = wsems_value(m, "certificates", c, name, CLIENTS_KEPT,
	    WSEMS_PATH | WSEMS_CONF);
	text_puts(&m->out->listener, "client_auth = required\n");
	if (ca == NULL && wsems_text(c, name) == NULL)
		wsems_report(m, WSEMS_WRONG, "certificates", name, "not given, "
		    "but fingerprint_allowlist wants one; kept: " CLIENTS_KEPT);
	wsems_put(&m->out->listener, "ca_file", ca != NULL ? ca :
	    CLIENTS_FILE);
	if (json_array_size(prints) > 0)
		put_fingerprints(m, prints);
	wsems_report(m, WSEMS_CHANGED, "certificates", name, "devices behind "
	    "the EMS connect themselves, and have to show a certificate that "
	    "is from there");
	mem_free(ca);
}

static void
put_slot(struct importer *m, const json_t *o)
{
	struct text *to = &m->out->listener;
	char *cert = wsems_value(m, group, o, "certificate",
	    "a self-signed one", WSEMS_PATH | WSEMS_CONF);
	char *key = wsems_value(m, group, o, "private_key",
	    "the key in certificate", WSEMS_PATH | WSEMS_CONF);
	char *pass = wsems_secret(m, group, o, "passphrase",
	    m->opts->daemon_key, WSEMS_CONF, &m->out->listener_plain);

	text_puts(to, "\n[slot.wsems]\nsource = wsems-cert\ndefault = yes\n"
	    "\n[plugin.wsems-cert]\nmodule = cert-file\n");
	wsems_put(to, "chain", cert != NULL ? cert : key);
	if (cert != NULL)
		wsems_put(to, "key", key);
	wsems_put(to, "key_passphrase", pass);
	if (cert == NULL && key == NULL)
		wsems_report(m, WSEMS_WEAKENED, group, "certificate", "none: "
		    "cleatd makes a self-signed one, which devices have to be "
		    "told to believe");
	mem_free(cert);
	mem_free(key);
	wsems_wipe(pass);
}

void
wsems_listener(struct importer *m)
{
	const json_t *given = json_object_get(m->root, group);
	struct text *to = &m->out->listener;
	json_t *o;

	if (given != NULL && !m->opts->listener)
		wsems_report(m, WSEMS_LOST, group, NULL, "cleatd's part, not "
		    "the agent's: --listener FILE writes it");
	if (given == NULL || !m->opts->listener)
		return;
	o = wsems_group(m, group, given, settings);
	text_puts(to, "# cleat.conf(5); from the http_server of a WS EMS, by "
	    "cleatctl import\n[listener.wsems]\n");
	put_address(m, o);
	if (wsems_bool(o, "ssl", true)) {
		put_clients(m);
		put_slot(m, o);
	} else {
		text_puts(to, "tls = no\n");
		wsems_report(m, WSEMS_WEAKENED, group, "ssl", "nothing is "
		    "encrypted and nobody's certificate is looked at; tokens "
		    "are taken from the same host alone");
	}
	json_decref(o);
}
