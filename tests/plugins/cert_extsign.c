/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate source whose key stays with it: signs on a thread of its own,
 * `delay` later, as a token or a remote signer would.  delay = 0s:
 * never answers.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cleat/host.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	gnutls_privkey_t key;
	gnutls_datum_t chain;
};

struct job {
	struct inst *in;
	uint64_t request;
	uint32_t scheme;
	int error;
	gnutls_datum_t data, sig;
	pthread_t thread;
};

static const struct cleat_opt opts[] = {
	{ "chain", CLEAT_OPT_PATH, CLEAT_OPT_REQUIRED, NULL, 0, 0, "PEM" },
	{ "key", CLEAT_OPT_PATH, CLEAT_OPT_REQUIRED, NULL, 0, 0, "PEM" },
	{ "delay", CLEAT_OPT_DURATION, 0, "20ms", 0, 0, "time to sign" },
	{ .name = NULL }
};

static void
on_done(void *arg)
{
	struct job *j = arg;
	struct cleat_bytes sig = { j->sig.data, j->sig.size };

	(void)pthread_join(j->thread, NULL);
	(void)j->in->host->sign_done(j->in->self, j->request, j->error, sig);
	gnutls_free(j->sig.data);
	free(j->data.data);
	free(j);
}

static void *
run(void *arg)
{
	struct job *j = arg;
	uint64_t ms = j->in->host->opt_number(j->in->self, NULL, "delay");
	struct timespec t = { (time_t)(ms / 1000),
	    (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
	j->error = gnutls_privkey_sign_hash2(j->in->key,
	    GNUTLS_SIGN_ECDSA_SHA256, 0, &j->data, &j->sig) < 0 ? -EIO : 0;
	if (j->in->host->post(j->in->self, on_done, j) < 0)
		abort();		/* stop() came too early
					 * for this test */
	return NULL;
}

static void
on_sign(void *inst, const struct cleat_sign_request *r)
{
	struct inst *in = inst;
	struct cleat_bytes none = { NULL, 0 };
	struct job *j;

	if (in->host->opt_number(in->self, NULL, "delay") == 0)
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL || strcmp(r->key_id, "the key") != 0 || !r->is_hash ||
	    r->scheme != 0x0403 || (j->data.data = malloc(r->data.n)) ==
	    NULL) {
		free(j);
		(void)in->host->sign_done(in->self, r->request, -EINVAL, none);
		return;
	}
	memcpy(j->data.data, r->data.p, r->data.n);
	j->data.size = (unsigned)r->data.n;
	j->in = in;
	j->request = r->request;
	if (pthread_create(&j->thread, NULL, run, j) != 0)
		abort();
}

static void
on_refresh(void *inst, const char *slot)
{
	struct inst *in = inst;
	struct cleat_cred c = {
		.size = sizeof(c),
		.chain_pem = { in->chain.data, in->chain.size },
		.key_id = "the key",
	};

	(void)in->host->cred_publish(in->self, slot, &c);
}

static int
load(struct inst *in)
{
	gnutls_datum_t pem = { NULL, 0 };
	int r;

	if (gnutls_load_file(in->host->opt_text(in->self, NULL, "chain"),
	    &in->chain) < 0 || gnutls_load_file(in->host->opt_text(in->self,
	    NULL, "key"), &pem) < 0)
		return -ENOENT;
	r = gnutls_privkey_init(&in->key);
	if (r >= 0)
		r = gnutls_privkey_import_x509_raw(in->key, &pem,
		    GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_free(pem.data);
	return r < 0 ? -EINVAL : 0;
}

static int
open_it(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));
	int err;

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	err = load(in);
	if (err < 0)
		free(in);
	else
		*ret = in;
	return err;
}

static int
start_it(void *inst)
{
	struct inst *in = inst;
	const char *slot;

	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL; i++)
		on_refresh(in, slot);
	return 0;
}

static void
close_it(void *inst)
{
	struct inst *in = inst;

	gnutls_privkey_deinit(in->key);
	gnutls_free(in->chain.data);
	free(in);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_it,
	.start = start_it,
	.close = close_it,
};

static const struct cleat_cert_source_ops ops = {
	.size = sizeof(ops),
	.refresh = on_refresh,
	.sign = on_sign,
};

CLEAT_PLUGIN(CLEAT_CERT_SOURCE, "cert_extsign", "1", opts, &life, &ops);
