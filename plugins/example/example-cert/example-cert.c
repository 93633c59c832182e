/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate source in a page: one file with the chain and the key, read at
 * the start and whenever the daemon asks.  See cleat-plugin(7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

#define FILE_MAX 65536

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

static const struct cleat_opt opts[] = {
	{ "file", CLEAT_OPT_PATH, CLEAT_OPT_REQUIRED | CLEAT_OPT_RESTART,
	    NULL, 0, 0, "PEM file: the certificate, its intermediates, the "
	    "key" },
	{ .name = NULL }
};

static size_t
read_file(const char *path, char *to, size_t cap)
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		return 0;
	n = fread(to, 1, cap, f);
	(void)fclose(f);
	return n;
}

static void
on_refresh(void *inst, const char *slot)
{
	struct inst *in = inst;
	const char *path = in->host->opt_text(in->self, NULL, "file");
	char *pem = malloc(FILE_MAX);
	struct cleat_cred c = { .size = sizeof(c) };

	if (pem != NULL)
		c.chain_pem.n = read_file(path, pem, FILE_MAX);
	if (c.chain_pem.n == 0) {
		in->host->cred_failed(in->self, slot,
		    "the file cannot be read");
	} else {
		c.chain_pem.p = pem;
		c.key_pem = c.chain_pem;
		/* What is wrong with it, the host says. */
		(void)in->host->cred_publish(in->self, slot, &c);
		memset(pem, 0, FILE_MAX);
	}
	free(pem);
}

static int
start(void *inst)
{
	struct inst *in = inst;
	const char *slot;

	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL; i++)
		on_refresh(in, slot);
	return 0;
}

static int
open_inst(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = malloc(sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	*ret = in;
	return 0;
}

static void
close_inst(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_inst,
	.start = start,
	.close = close_inst,
};

static const struct cleat_cert_source_ops ops = {
	.size = sizeof(ops),
	.refresh = on_refresh,
};

CLEAT_PLUGIN(CLEAT_CERT_SOURCE, "example-cert", "1.0", opts, &life, &ops);
