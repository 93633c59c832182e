/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A status plugin in a page: appends the JSON of each event to a file in its
 * state directory, and says how many there were now and then.  See
 * cleat-plugin(7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <cleat/host.h>

#define PATH_SIZE 1024

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct cleat_timer *timer;
	FILE *file;
	unsigned long written;
};

static const struct cleat_opt opts[] = {
	{ "every", CLEAT_OPT_DURATION, CLEAT_OPT_RESTART, "1m", 1000, 86400000,
	    "how often to say how many events there were" },
	{ .name = NULL }
};

static void
on_event(void *inst, const struct cleat_event *ev)
{
	struct inst *in = inst;

	if (fprintf(in->file, "%s\n", ev->json) > 0 && fflush(in->file) == 0)
		in->written++;
	else
		in->host->log(in->self, CLEAT_LOG_WARNING,
		    "event %llu was not written", (unsigned long long)ev->seq);
}

static void
on_timer(void *arg)
{
	struct inst *in = arg;

	in->host->log(in->self, CLEAT_LOG_INFO, "%lu events", in->written);
	in->host->timer_set(in->timer,
	    in->host->opt_number(in->self, NULL, "every"));
}

static int
start(void *inst)
{
	struct inst *in = inst;
	int err = in->host->timer_new(in->self, on_timer, in, &in->timer);

	if (err == 0)
		in->host->timer_set(in->timer,
		    in->host->opt_number(in->self, NULL, "every"));
	return err;
}

static void
stop(void *inst)
{
	struct inst *in = inst;

	in->host->timer_free(in->timer);
}

static int
open_inst(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));
	char path[PATH_SIZE];

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	(void)snprintf(path, sizeof(path), "%s/events.json",
	    host->state_dir(self));
	in->file = fopen(path, "ae");
	if (in->file == NULL) {
		host->log(self, CLEAT_LOG_ERROR, "%s cannot be opened", path);
		free(in);
		return -EIO;
	}
	*ret = in;
	return 0;
}

static void
close_inst(void *inst)
{
	struct inst *in = inst;

	(void)fclose(in->file);		/* flushed after each event */
	free(in);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_inst,
	.start = start,
	.stop = stop,
	.close = close_inst,
};

static const struct cleat_status_ops ops = {
	.size = sizeof(ops),
	.event = on_event,
};

CLEAT_PLUGIN(CLEAT_STATUS, "example-status", "1.0", opts, &life, &ops);
