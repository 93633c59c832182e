/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin ABI of cleat: what a plugin file is.
 *
 * A plugin is a shared object that exports exactly one symbol, the constant
 * `cleat_plugin`.  The daemon reads it as data and checks it before it calls
 * anything in it.  The file must belong to root or to the daemon's user and be
 * writable by nobody else: constructors run at dlopen(), so that ownership is
 * the gate.  A plugin links no symbol of the daemon; all calls go through the
 * host table (<cleat/host.h>), which also states threads and ownership.
 *
 * Versions.  MAJOR rises when anything is changed or removed, MINOR when
 * something is appended.  A plugin loads when its major equals the daemon's and
 * its minor is not higher.  Tables carry their size: what an older plugin does
 * not have reads as NULL.  Within a major nothing is ever reordered.
 *
 *   1.0  2026-11-20  first version
 *   1.1  2026-11-21  keys and enrolment in hello; commands, telemetry,
 *                    inventory, drain; completions; metrics for status
 *                    plugins; credentials beside each other
 *                    (CLEAT_CRED_BESIDE)
 */
#ifndef CLEAT_ABI_H
#define CLEAT_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEAT_ABI_MAGIC 0x74616c63u	/* "clat" */
#define CLEAT_ABI_MAJOR 1u
#define CLEAT_ABI_MINOR 1u

enum cleat_kind {
	CLEAT_CERT_SOURCE = 1,		/* <cleat/cert_source.h> */
	CLEAT_PROTOCOL = 2,		/* <cleat/protocol.h> */
	CLEAT_STATUS = 3		/* <cleat/status.h> */
};

struct cleat_host;
struct cleat_self;			/* an instance,
					 * as the daemon knows it */
struct cleat_opts;			/* a set of option values, see host.h */

struct cleat_bytes {
	const void *p;
	size_t n;
};

enum cleat_opt_type {
	CLEAT_OPT_STRING = 1,
	CLEAT_OPT_BOOL,			/* yes, no */
	CLEAT_OPT_UINT,			/* a decimal number in [min, max] */
	CLEAT_OPT_DURATION,		/* "500ms" "20s" "5m" "2h" "1d" */
	CLEAT_OPT_SIZE,			/* "4096" "64KiB" "1MiB" */
	CLEAT_OPT_PATH,			/* absolute */
	CLEAT_OPT_LIST			/* comma-separated */
};

#define CLEAT_OPT_RESTART 1u		/* a change needs a restart */
#define CLEAT_OPT_REQUIRED 2u		/* must be given */
#define CLEAT_OPT_SECRET 4u		/* its value is never logged */

/* One option of a plugin's section.  An array of these ends with name NULL. */
struct cleat_opt {
	const char *name;		/* [a-z][a-z0-9_]* */
	uint32_t type;			/* enum cleat_opt_type */
	uint32_t flags;
	const char *value;		/* default; NULL: unset */
	uint64_t min, max;		/* numbers, ms, bytes; 0, 0: no limit */
	const char *help;		/* one line */
};

/*
 * The life of an instance.  Order of calls: open, start, then any number of
 * (prepare, then commit or discard), stop, close.  Errors are negative errno;
 * the plugin logs why (host->log) before it returns one.
 */
struct cleat_life {
	uint32_t size;			/* sizeof(struct cleat_life) */
	uint32_t reserved;
	/* Makes an instance.  May block only in kinds with a thread of their
	 * own.  On failure *ret_inst is not looked at.  Mandatory. */
	int (*open)(struct cleat_self *, const struct cleat_host *,
	    void **ret_inst);
	/* Begins to work (timers, descriptors, first publish).  Optional. */
	int (*start)(void *inst);
	/*
	 * Reload, first half: checks new option values and builds what they
	 * need without changing what runs.  May fail.  *ret_staged comes back
	 * in exactly one of commit and discard.  Optional: without it a change
	 * of options needs a restart.
	 */
	int (*prepare)(void *inst, const struct cleat_opts *,
	    void **ret_staged);
	/* Second half: cannot fail.  Mandatory with prepare. */
	void (*commit)(void *inst, void *staged);
	void (*discard)(void *inst, void *staged);
	/* Ends work: no host call after it returns.  Optional. */
	void (*stop)(void *inst);
	/* Frees the instance.  Mandatory. */
	void (*close)(void *inst);
};

/* The one exported symbol has this type.  magic to kind never move. */
struct cleat_plugin {
	uint32_t magic;			/* CLEAT_ABI_MAGIC */
	uint16_t abi_major, abi_minor;
	uint32_t size;			/* sizeof(struct cleat_plugin) */
	uint32_t kind;			/* enum cleat_kind */
	const char *name;		/* equals the file name without ".so" */
	const char *version;		/* the plugin's own, for people */
	const struct cleat_opt *opts;	/* NULL: none */
	const struct cleat_life *life;
	const void *ops;		/* table of the kind;
					 * starts with its size */
};

#ifdef __cplusplus
#define CLEAT_EXTERN extern "C"
#else
#define CLEAT_EXTERN extern
#endif

/* Defines the exported symbol.  `name_` is the file name without ".so". */
#define CLEAT_PLUGIN(kind_, name_, version_, opts_, life_, ops_)	\
	CLEAT_EXTERN __attribute__((visibility("default")))		\
	const struct cleat_plugin cleat_plugin;				\
	const struct cleat_plugin cleat_plugin = {			\
		CLEAT_ABI_MAGIC, CLEAT_ABI_MAJOR, CLEAT_ABI_MINOR,	\
		(uint32_t)sizeof(struct cleat_plugin), (uint32_t)(kind_), \
		(name_), (version_), (opts_), (life_), (ops_)		\
	}

#ifdef __cplusplus
}
#endif

#endif
