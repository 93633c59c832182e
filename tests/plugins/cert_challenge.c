/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate source that puts challenges at its start, as an ACME client
 * does, and takes them away when they are served.  It publishes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <cleat/host.h>

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

static void
on_refresh(void *inst, const char *slot)
{
	(void)inst;
	(void)slot;
}

static void
on_done(void *inst, uint64_t request, int result)
{
	struct inst *in = inst;
	char key[32];

	(void)snprintf(key, sizeof(key), "done-%d-%d", (int)request, result);
	in->host->challenge_remove(in->self, key);
}

static int
start(void *inst)
{
	struct inst *in = inst;
	const struct cleat_host *h = in->host;
	struct cleat_self *s = in->self;

	if (h->challenge_http(s, 7, "a/b", "x") != -EINVAL ||
	    h->challenge_http(s, 7, "", "x") != -EINVAL ||
	    h->challenge_http(s, 7, "tok", NULL) != -EINVAL ||
	    h->challenge_alpn(s, 7, "", NULL) != -EINVAL ||
	    h->sign_done(s, 7, 0, (struct cleat_bytes){ "x", 1 }) != -ENOENT ||
	    h->emit(s, "text", "[]") != -EINVAL ||
	    h->emit(s, "text", "{\"a\":1}") != 0 ||
	    h->emit(s, "text", NULL) != 0 ||
	    h->chan_find(s, 1) != NULL)
		return -EINVAL;
	return h->challenge_http(s, 8, "tok-_1", "tok.thumb");
}

static int
open_it(struct cleat_self *self, const struct cleat_host *host, void **ret)
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
close_it(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_it,
	.start = start,
	.close = close_it,
};

static const struct cleat_cert_source_ops ops = {
	.size = sizeof(ops),
	.refresh = on_refresh,
	.challenge_done = on_done,
};

CLEAT_PLUGIN(CLEAT_CERT_SOURCE, "cert_challenge", "1", NULL, &life, &ops);
