/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS is done with: the policy for the server, and our own certificate.
 * The files are looked at before each attempt, so that a device that runs
 * for years follows a change of its authority; one that cannot be used
 * changes nothing.
 */
#include "client_priv.h"

#include <stdio.h>
#include <string.h>

#include "cert/file.h"
#include "tls/client.h"
#include "tls/library.h"
#include "tls/suites.h"
#include "tls/trust.h"

/* Where Debian's GnuTLS has the system's authorities from; it has no call that
 * tells. */
#define SYSTEM_STORE "/etc/ssl/certs/ca-certificates.crt"

static void
warn(const struct cleat_client *c, const struct tls_trust *trust)
{
	const char *pins = c->opts.pins, *text;

	for (unsigned i = 0; (text = tls_trust_weakness(trust, i)) != NULL; i++)
		client_log(c, CLEAT_CLIENT_WARNING, "WEAKENED: %s", text);
	if (pins != NULL && strcspn(pins, ", \t\r\n") == strlen(pins))
		client_log(c, CLEAT_CLIENT_WARNING, "there is no backup pin: "
		    "when the server's key is lost, so is this device");
}

static int
make_trust(const struct cleat_client *c, char *why, struct tls_trust **ret)
{
	const struct cleat_client_opts *o = &c->opts;
	struct tls_blobs ca = { NULL, 0 }, crl = { NULL, 0 };
	struct tls_trust_spec spec = {
		.any_chain = o->no_verify_chain, .any_name = o->no_verify_host,
		.self_signed = o->allow_self_signed,
		.any_of = o->any_criterion, .sans = o->sans,
		.fingerprints = o->fingerprints, .pins = o->pins,
		.field = {
			[TLS_SUBJECT_CN] = o->subject_cn,
			[TLS_SUBJECT_O] = o->subject_o,
			[TLS_SUBJECT_OU] = o->subject_ou,
			[TLS_ISSUER_CN] = o->issuer_cn,
			[TLS_ISSUER_O] = o->issuer_o,
			[TLS_ISSUER_OU] = o->issuer_ou
		}
	};
	int r = 0;

	if (o->ca_file != NULL)
		r = tls_blobs_read(o->ca_file, why, &ca);
	if (r == 0 && o->crl_file != NULL)
		r = tls_blobs_read(o->crl_file, why, &crl);
	spec.ca = ca.blob;
	spec.ca_n = ca.n;
	spec.crl = crl.blob;
	spec.crl_n = crl.n;
	if (r == 0)
		r = tls_trust_new(&spec, why, ret);
	tls_blobs_free(&ca);
	tls_blobs_free(&crl);
	return r;
}

static void
tell_suites(const struct cleat_client *c, const struct tls_suites *s)
{
	const struct cleat_client_opts *o = &c->opts;

	if (o->tls_profile == NULL && o->tls_priority == NULL &&
	    o->cipher_suite == NULL)
		return;
	client_log(c, CLEAT_CLIENT_NOTICE, "tls: %s", s->list);
	if (s->dropped[0] != '\0')
		client_log(c, CLEAT_CLIENT_NOTICE, "tls: not spoken, though "
		    "asked for: %s", s->dropped);
	if (s->extra[0] != '\0')
		client_log(c, CLEAT_CLIENT_NOTICE, "tls: spoken, though not "
		    "asked for, as the library combines all: %s", s->extra);
}

static int
choose_suites(const struct cleat_client *c, char *why, struct tls_suites *ret)
{
	const struct tls_suites_spec spec = {
		.profile = c->opts.tls_profile,
		.priority = c->opts.tls_priority,
		.cipher_suite = c->opts.cipher_suite
	};
	int r = c->opts.fips_require ? tls_fips_require(why) : 0;

	return r == 0 ? tls_suites_resolve(&spec, why, ret) : r;
}

static int
make(const struct cleat_client *c, char *why, bool first,
    struct tls_client_policy **ret)
{
	struct tls_suites suites;
	struct cert_blob chain = { NULL, 0 }, key = { NULL, 0 };
	struct tls_client_spec spec = { .priority = NULL };
	int r = make_trust(c, why, &spec.trust);

	if (r == 0)
		r = client_own_read(&c->opts, why, &chain, &key);
	spec.chain_pem = chain.p;
	spec.chain_n = chain.n;
	spec.key_pem = key.p;
	spec.key_n = key.n;
	if (r == 0)
		r = choose_suites(c, why, &suites);
	if (r == 0) {
		spec.priority = suites.priority;
		r = tls_client_policy_new(&spec, why, ret);
	}
	/* Once: what is made again has the same options. */
	if (r == 0 && first) {
		tell_suites(c, &suites);
		warn(c, spec.trust);
	}
	if (spec.trust != NULL)
		tls_trust_unref(&spec.trust);
	cert_blob_free(&chain);
	cert_blob_free(&key);
	return r;
}

/* ---- the files ----------------------------------------------------------- */

/* NULL: not used. */
static const char *
path_of(const struct cleat_client_opts *o, unsigned i)
{
	const char *const paths[CLIENT_FILES] = {
		o->ca_file != NULL ? o->ca_file : SYSTEM_STORE, o->crl_file,
		o->cert_file, o->key_file
	};

	return paths[i];
}

static void
take_stamps(const struct cleat_client_opts *o, uint64_t *to)
{
	for (unsigned i = 0; i < CLIENT_FILES; i++)
		to[i] = path_of(o, i) == NULL ? 0 :
		    tls_blobs_stamp(path_of(o, i));
}

/* In the stamps that were taken before the files were read,
 * a change meanwhile is one. */
static void
renew(struct cleat_client *c, const uint64_t *stamps)
{
	struct tls_client_policy *fresh = NULL;
	char why[CLEAT_CLIENT_WHY_SIZE] = "";

	if (make(c, why, false, &fresh) != 0) {
		/* Read again each time, as it may pass; told once. */
		if (strcmp(why, c->stale) != 0)
			client_log(c, CLEAT_CLIENT_WARNING, "%s; what was "
			    "read before stays in use", why);
		(void)snprintf(c->stale, sizeof(c->stale), "%s", why);
		return;
	}
	for (unsigned i = 0; i < CLIENT_FILES; i++)
		if (stamps[i] != c->stamps[i])
			client_log(c, CLEAT_CLIENT_NOTICE, "%s has changed, "
			    "it counts from now on", path_of(&c->opts, i));
	memcpy(c->stamps, stamps, sizeof(c->stamps));
	c->stale[0] = '\0';
	tls_client_policy_free(&c->policy);
	c->policy = fresh;
}

int
client_make_policy(struct cleat_client *c, char *why)
{
	uint64_t stamps[CLIENT_FILES];
	int r;

	take_stamps(&c->opts, stamps);
	if (c->policy != NULL) {
		if (memcmp(stamps, c->stamps, sizeof(stamps)) != 0)
			renew(c, stamps);
		return 0;
	}
	r = make(c, why, true, &c->policy);
	if (r == 0)
		memcpy(c->stamps, stamps, sizeof(stamps));
	return r;
}
