/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds add to an instance's life; called by inst.c, plug.c and
 * reload.c only.
 */
#ifndef CT_PLUG_KINDS_H
#define CT_PLUG_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cleat_self;
struct event;
struct plug_info;
struct plug_inst;
struct plug_settings;

/* ---- protocol (proto_host.c) ---- */

/* Fills self->proto for channels.  Before the workers route to it. */
void proto_part_init(struct cleat_self *);
/* Puts the limits and paths of the settings in force.  Self's thread. */
void proto_part_settings(struct cleat_self *, const struct plug_settings *);

/* ---- certificate source (cert_host.c, cert_sign.c) ---- */

int cert_part_new(struct plug_inst *);		/* -ENOMEM */
/* Self's thread, after life.stop: answers every request that waits. */
void cert_part_stop(struct plug_inst *);
/* When no credential of it is left. */
void cert_part_free(struct plug_inst *);
/* Calls ops.refresh.  Any thread.  -ENOMEM, -ESHUTDOWN. */
int cert_part_refresh(struct plug_inst *, const char *slot);
/* Refuses sign requests that have waited too long.  Any thread. */
void cert_part_expire(struct plug_inst *, uint64_t now_ms);
bool cert_part_waits(struct plug_inst *);	/* any request?  Any thread. */
void cert_part_info(struct plug_inst *, struct plug_info *ret);

/* ---- status (status_host.c) ---- */

int status_part_new(struct plug_inst *, unsigned queue);	/* -ENOMEM */
void status_part_stop(struct plug_inst *);	/* self's thread */
void status_part_free(struct plug_inst *);
/* Queues a copy; when it is full the oldest goes.  Any one thread. */
void status_part_event(struct plug_inst *, uint64_t seq,
    const struct event *, const char *json, size_t n);
void status_part_info(struct plug_inst *, struct plug_info *ret);

#endif
