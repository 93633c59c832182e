/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of each kind as it was written for ABI 1.0: every layout is spelled
 * out here and not taken from the headers, so that a change of these shows. 
 * Frozen: never changed while the major is 1.  -DKIND=1, 2 or 3.
 */
#include <stddef.h>
#include <stdint.h>

struct opt_1_0 {
	const char *name;
	uint32_t type, flags;
	const char *value;
	uint64_t min, max;
	const char *help;
};

struct life_1_0 {
	uint32_t size, reserved;
	int (*open)(void *self, const void *host, void **ret);
	int (*start)(void *inst);
	int (*prepare)(void *inst, const void *opts, void **ret);
	void (*commit)(void *inst, void *staged);
	void (*discard)(void *inst, void *staged);
	void (*stop)(void *inst);
	void (*close)(void *inst);
};

struct plugin_1_0 {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size, kind;
	const char *name, *version;
	const struct opt_1_0 *opts;
	const struct life_1_0 *life;
	const void *ops;
};

/* The beginning of the host table. */
struct host_1_0 {
	uint32_t size;
	uint16_t abi_major, abi_minor;
	void (*log)(void *self, int level, const char *fmt, ...);
	const char *(*instance)(void *self);
	const char *(*state_dir)(void *self);
	const char *(*opt_text)(void *self, const void *opts, const char *);
	uint64_t (*opt_number)(void *self, const void *opts, const char *);
};

struct cert_ops_1_0 {
	uint32_t size, reserved;
	void (*refresh)(void *inst, const char *slot);
	void (*sign)(void *inst, const void *request);
	void (*challenge_done)(void *inst, uint64_t request, int result);
};

struct proto_ops_1_0 {
	uint32_t size, flags;
	const char *const *subprotocols, *const *paths;
	void (*open)(void *inst, void *chan, const void *request);
	void (*message)(void *inst, void *chan, void *session, const void *m);
	void (*drained)(void *inst, void *chan, void *session);
	void (*authenticated)(void *inst, void *chan, void *session,
	    const void *result);
	void (*closed)(void *inst, void *chan, void *session, uint16_t code);
	int (*session_export)(void *inst, void *chan, void *session, void *to,
	    size_t cap);
	int (*session_import)(void *inst, void *chan, const void *p, size_t n);
	void (*session_forget)(void *inst, void *session);
};

struct status_ops_1_0 {
	uint32_t size, reserved;
	void (*event)(void *inst, const void *event);
};

static int
open_it(void *self, const void *table, void **ret)
{
	const struct host_1_0 *host = table;

	if (host->size < sizeof(*host) || host->abi_major != 1)
		return -22;
	host->log(self, 7, "abi_1_0 opened as %s, text %s",
	    host->instance(self), host->opt_text(self, NULL, "text"));
	if (host->opt_number(self, NULL, "number") != 7)
		return -22;
	*ret = self;
	return 0;
}

static void
close_it(void *inst)
{
	(void)inst;
}

static const struct opt_1_0 opts[] = {
	{ "text", 1, 0, "as ever", 0, 0, "a text" },
	{ "number", 3, 0, "7", 1, 9, "a number" },
	{ .name = NULL }
};

static const struct life_1_0 life = {
	.size = sizeof(life), .open = open_it, .close = close_it
};

#if KIND == 1
#define NAME "abi_1_0_cert"
static void
refresh(void *inst, const char *slot)
{
	(void)inst;
	(void)slot;
}

static const struct cert_ops_1_0 ops = {
	.size = sizeof(ops), .refresh = refresh
};
#elif KIND == 2
#define NAME "abi_1_0_proto"
static void
open_chan(void *inst, void *chan, const void *request)
{
	(void)inst;
	(void)chan;
	(void)request;
}

static void
message(void *inst, void *chan, void *session, const void *m)
{
	(void)inst;
	(void)chan;
	(void)session;
	(void)m;
}

static void
closed(void *inst, void *chan, void *session, uint16_t code)
{
	(void)inst;
	(void)chan;
	(void)session;
	(void)code;
}

static const struct proto_ops_1_0 ops = {
	.size = sizeof(ops), .flags = 1, .open = open_chan,
	.message = message, .closed = closed
};
#else
#define NAME "abi_1_0_status"
static void
event(void *inst, const void *ev)
{
	(void)inst;
	(void)ev;
}

static const struct status_ops_1_0 ops = {
	.size = sizeof(ops), .event = event
};
#endif

extern __attribute__((visibility("default")))
const struct plugin_1_0 cleat_plugin;
const struct plugin_1_0 cleat_plugin = {
	0x74616c63u, 1, 0, sizeof(struct plugin_1_0), KIND, NAME, "1.0", opts,
	&life, &ops
};
