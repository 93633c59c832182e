/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that do nothing, for test plugins; what is wrong in a bad plugin stands
 * in its own file.
 */
#ifndef BAD_H
#define BAD_H

#include <cleat/host.h>

#define UNUSED __attribute__((unused))

static int UNUSED
bad_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	(void)self;
	(void)host;
	*ret = NULL;
	return 0;
}

static void UNUSED
bad_close(void *inst)
{
	(void)inst;
}

static int UNUSED
bad_prepare(void *inst, const struct cleat_opts *o, void **ret)
{
	(void)inst;
	(void)o;
	*ret = NULL;
	return 0;
}

static void UNUSED
bad_event(void *inst, const struct cleat_event *ev)
{
	(void)inst;
	(void)ev;
}

static void UNUSED
bad_refresh(void *inst, const char *slot)
{
	(void)inst;
	(void)slot;
}

static void UNUSED
bad_chan(void *inst, struct cleat_chan *c, const struct cleat_request *r)
{
	(void)inst;
	(void)c;
	(void)r;
}

static void UNUSED
bad_message(void *inst, struct cleat_chan *c, void *session,
    const struct cleat_msg *m)
{
	(void)inst;
	(void)c;
	(void)session;
	(void)m;
}

static void UNUSED
bad_closed(void *inst, struct cleat_chan *c, void *session, uint16_t code)
{
	(void)inst;
	(void)c;
	(void)session;
	(void)code;
}

static const struct cleat_life bad_life UNUSED = {
	.size = sizeof(bad_life),
	.open = bad_open,
	.close = bad_close,
};

static const struct cleat_status_ops bad_ops UNUSED = {
	.size = sizeof(bad_ops),
	.event = bad_event,
};

/* A descriptor of a status plugin with one thing after the other replaced. */
#define BAD_PLUGIN(name_, ...)						\
	_Pragma("GCC diagnostic ignored \"-Woverride-init\"")		\
	CLEAT_EXTERN __attribute__((visibility("default")))		\
	const struct cleat_plugin cleat_plugin;				\
	const struct cleat_plugin cleat_plugin = {			\
		.magic = CLEAT_ABI_MAGIC,				\
		.abi_major = CLEAT_ABI_MAJOR,				\
		.abi_minor = CLEAT_ABI_MINOR,				\
		.size = sizeof(struct cleat_plugin),			\
		.kind = CLEAT_STATUS,					\
		.name = name_,						\
		.version = "1",						\
		.life = &bad_life,					\
		.ops = &bad_ops,					\
		__VA_ARGS__						\
	}

#endif
