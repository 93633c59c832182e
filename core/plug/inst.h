/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance: one section [plugin.NAME] and what runs for it.  A protocol has
 * one `struct cleat_self` for each network worker; the other kinds have one
 * with a worker of its own.  The life cycle is driven by the main thread; every
 * op is called on the self's thread.
 */
#ifndef CT_PLUG_INST_H
#define CT_PLUG_INST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/worker.h"
#include "channel/protocol.h"
#include "plug/load.h"

struct cert_part;
struct plug_inst;
struct plug_settings;
struct plugs;
struct status_part;

#define PLUG_SELF_MAGIC 0x5e1f0a7cu
#define PLUG_SLOW_MS 50u
#define PLUG_STATUS_QUEUE 4096u		/* events that wait for a status */

/* An instance as the plugin's host calls name it. */
struct cleat_self {
	uint32_t magic;
	struct plug_inst *inst;
	struct worker *worker;		/* whose thread it lives on */
	struct channel_worker *channels;	/* protocols, from start on */
	unsigned index;			/* of the worker; 0 for other kinds */
	void *data;			/* what life.open gave */
	bool opened, started;
	/* In force; replaced by a reload on the self's thread. */
	struct plug_settings *settings;
	struct list timers, fds;	/* of the plugin, own thread */
	pthread_mutex_t lock;		/* guards the next three */
	bool stopped;			/* nothing is posted any more */
	char *said;			/* self_said(); NULL: nobody asks */
	unsigned posted;		/* mails on their way */
	/* What channels call (proto_host.c). */
	struct channel_protocol proto;
	bool in_row;			/* messages, since self_enter() then */
	uint64_t row_began;
};

enum plug_state { PLUG_NEW, PLUG_OPEN, PLUG_UP, PLUG_FAILED, PLUG_STOPPED };

struct plug_inst {
	struct plug_inst *next;		/* in the order of the configuration */
	struct plugs *plugs;
	char *name;
	char *module_name;		/* as configured */
	char *state_dir;
	struct plug_module *module;	/* NULL: a stub */
	bool required;
	_Atomic int state;		/* enum plug_state */
	struct worker own;		/* kinds with a thread of their own */
	bool has_own;
	struct cleat_self *self;	/* selfs_n of them */
	unsigned selfs_n;
	struct cert_part *cert;		/* by kind, else NULL */
	struct status_part *status;
	struct log_site log_site;
	_Atomic uint64_t slow;
};

/*
 * Makes the instance: checks the state directory, starts its thread, calls
 * life.open everywhere.  Takes `module` over, and the settings by reference,
 * on success only.  why[PLUG_WHY_SIZE].  -ENOMEM, -errno of the directory, or
 * what life.open returned.
 */
int inst_new(struct plugs *, const char *name, const char *module_name,
    struct plug_module *module, struct plug_settings *, char *why,
    struct plug_inst **ret);
/* The place of an instance that could not be made and is not required: its
 * module is NULL, its state PLUG_FAILED.  -ENOMEM. */
int inst_stub(struct plugs *, const char *name, const char *module_name,
    struct plug_inst **ret);
/* life.start everywhere.  When it fails the instance is stopped and closed. */
int inst_start(struct plug_inst *, char *why);
/* life.stop where started; then no callback comes any more and its thread has
 * ended.  Idempotent. */
void inst_stop(struct plug_inst *);
/* life.close where opened, frees.  After inst_stop(). */
void inst_free(struct plug_inst **);

/*
 * Reload.  inst_prepare makes one staged value for each self in ret_staged[
 * selfs_n]; on failure those made are discarded.  An instance whose plugin has
 * no life.prepare is fine as long as its options are as they were.
 */
int inst_prepare(struct plug_inst *, struct plug_settings *, char *why,
    void **ret_staged);
void inst_commit(struct plug_inst *, struct plug_settings *, void **staged);
void inst_discard(struct plug_inst *, void **staged);

/* Hands a mail to the self's thread.  Any thread.  -ESHUTDOWN: it was not
 * posted and stays the caller's. */
int self_post(struct cleat_self *, struct mail *);
/* First thing in such a mail's fn.  false: stopped meanwhile, free it only. */
bool self_arrived(struct cleat_self *);

/* It logged an error.  Any thread. */
void self_said(struct cleat_self *, const char *text);
/* Around each op, or a row of messages: what takes longer than PLUG_SLOW_MS is
 * logged and counted. */
uint64_t self_enter(void);
void self_leave(struct cleat_self *, const char *op, uint64_t entered);

#endif
