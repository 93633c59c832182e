/* SPDX-License-Identifier: Apache-2.0 */
/* The options: checked, copied, and the files they name. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"

/* Every text of the options. */
#define TEXTS(o) { \
	&(o)->server, &(o)->servers_file, &(o)->endpoint, &(o)->agent, \
	&(o)->boot_id, &(o)->token, &(o)->cert_file, &(o)->key_file, \
	&(o)->key_passphrase, &(o)->identity_file, &(o)->enrol_token, \
	&(o)->ca_file, &(o)->crl_file, &(o)->pins, &(o)->fingerprints, \
	&(o)->subject_cn, &(o)->subject_o, &(o)->subject_ou, \
	&(o)->issuer_cn, &(o)->issuer_o, &(o)->issuer_ou, &(o)->sans, \
	&(o)->proxy, &(o)->proxy_user, &(o)->proxy_password, \
	&(o)->proxy_auth, &(o)->tls_profile, &(o)->tls_priority, \
	&(o)->cipher_suite \
}

static int
copy_texts(struct cleat_client_opts *o)
{
	const char **list[] = TEXTS(o);
	int r = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const char *text = *list[i];

		*list[i] = text == NULL ? NULL : mem_strdup(text);
		if (text != NULL && *list[i] == NULL)
			r = -ENOMEM;
	}
	return r;
}

void
client_opts_free(struct cleat_client *c)
{
	const char **list[] = TEXTS(&c->opts);

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (*list[i] != NULL)
			mem_free_wiped((void *)(uintptr_t)*list[i],
			    strlen(*list[i]));
		*list[i] = NULL;
	}
}

static int
check(const struct cleat_client_opts *o, char *why)
{
	const char *missing = NULL;

	if (o->size != sizeof(*o))
		missing = "opts.size";
	else if (o->server == NULL)
		missing = "a server";
	else if (o->endpoint == NULL)
		missing = "an endpoint";
	else if (o->token == NULL && o->cert_file == NULL &&
	    o->identity_file == NULL)
		missing = "a token, a certificate or a key";
	else if ((o->cert_file == NULL) != (o->key_file == NULL))
		missing = "the certificate's key, or the key's certificate";
	else if (o->enrol && o->identity_file == NULL)
		missing = "the key to enrol with";
	if (missing != NULL) {
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%s is missing",
		    missing);
		return -EINVAL;
	}
	if (id_valid(o->endpoint))
		return 0;
	(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "\"%.128s\" is no id of an "
	    "endpoint: 1 to 128 of A-Z a-z 0-9 . _ : @ - are expected",
	    o->endpoint);
	return -EINVAL;
}

/* ---- the files ----------------------------------------------------------- */

static int
take_servers(struct cleat_client *c, char *why)
{
	int r = servers_init(&c->servers, c->opts.server,
	    c->opts.servers_file);

	if (r == 1) {
		client_log(c, CLEAT_CLIENT_WARNING, "%s is dropped: it is no "
		    "list of servers, or of one without TLS",
		    c->opts.servers_file);
		r = 0;
	}
	if (r != 0)
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%.200s%s%.200s: "
		    "%s", c->opts.server, c->opts.servers_file == NULL ? "" :
		    " or ", c->opts.servers_file == NULL ? "" :
		    c->opts.servers_file, r == -EINVAL ?
		    "wss://HOST[:PORT][/PATH] is expected" : strerror(-r));
	return r;
}

/* Whether the server told us, in an earlier life, that it knows the key. */
static bool
is_enrolled(const struct cleat_client *c)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s.enrolled",
	    c->opts.identity_file);
	return access(path, F_OK) == 0;
}

int
client_take_key(struct cleat_client *c, char *why)
{
	bool made = false;
	int r;

	if (c->opts.identity_file == NULL)
		return 0;
	r = client_key_open(c->opts.identity_file, &c->key, &made);
	if (r != 0) {
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%.300s: %s",
		    c->opts.identity_file, r == -EINVAL ?
		    "not a key (64 hexadecimal digits)" : r == -EPERM ?
		    "others may read it; chmod 600" : strerror(-r));
		return r;
	}
	if (made)
		client_log(c, CLEAT_CLIENT_NOTICE, "made a key, public %s, "
		    "in %s", client_key_public(c->key),
		    c->opts.identity_file);
	c->enrolled = !c->opts.enrol || (!made && is_enrolled(c));
	return 0;
}

int
client_opts_take(struct cleat_client *c, const struct cleat_client_opts *o,
    char *why)
{
	bool tls = false;
	int r = check(o, why);

	if (r != 0)
		return r;
	c->opts = *o;
	r = copy_texts(&c->opts);
	if (r == 0)
		r = take_servers(c, why);
	if (r == 0)
		r = proxy_init(&c->proxy, c->opts.proxy, c->opts.proxy_user,
		    c->opts.proxy_password, c->opts.proxy_auth, why);
	if (r == 0)
		r = client_take_key(c, why);
	for (unsigned i = 0; i < c->servers.own_n; i++)
		tls = tls || c->servers.own[i].tls;
	if (r == 0 && tls)
		r = client_make_policy(c, why);
	return r;
}
