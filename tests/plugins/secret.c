/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A status plugin with a secret option; it writes into the file `notes` of its
 * state directory how long the secret is and the sum of its bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

static const struct cleat_opt opts[] = {
	{ "pin", CLEAT_OPT_STRING, CLEAT_OPT_SECRET, "", 0, 0, "a secret" },
	{ .name = NULL }
};

static int
note(struct inst *in, const struct cleat_opts *o)
{
	const char *pin = in->host->opt_text(in->self, o, "pin");
	unsigned sum = 0;
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/notes",
	    in->host->state_dir(in->self));
	f = fopen(path, "a");
	if (f == NULL)
		return -errno;
	for (const char *p = pin == NULL ? "" : pin; *p != '\0'; p++)
		sum += (unsigned char)*p;
	(void)fprintf(f, "%zu %u\n", pin == NULL ? 0 : strlen(pin), sum);
	return fclose(f) == 0 ? 0 : -EIO;
}

static int
open_it(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	*ret = in;
	return note(in, NULL);
}

static int
prepare_it(void *inst, const struct cleat_opts *o, void **ret)
{
	*ret = NULL;
	return note(inst, o);
}

static void
commit_it(void *inst, void *staged)
{
	(void)inst;
	(void)staged;
}

static void
close_it(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_it,
	.prepare = prepare_it,
	.commit = commit_it,
	.discard = commit_it,
	.close = close_it,
};

static void
event(void *inst, const struct cleat_event *ev)
{
	(void)inst;
	(void)ev;
}

static const struct cleat_status_ops ops = {
	.size = sizeof(ops),
	.event = event,
};

CLEAT_PLUGIN(CLEAT_STATUS, "secret", "1", opts, &life, &ops);
