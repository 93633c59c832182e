/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the former process of an upgrade share:
 * upgrade_former.c (the talk with the next one) and upgrade_move.c (the
 * channels).  Main thread. */
#ifndef CT_DAEMON_UPGRADE_FORMER_H
#define CT_DAEMON_UPGRADE_FORMER_H

#include <stdint.h>

#include "daemon/upgrade.h"
#include "daemon/upgrade_wire.h"

/* A sign for the watchdog, whose timer does not run while somebody waits
 * outside of the loop.  Often is not too often. */
void upgrade_alive(struct daemon *);
/* For operators who ask how it went. */
void upgrade_note(struct upgrade *, enum control_upgrade_state,
    const char *why);
/* The next message, which has to be of this type; the caller's.  -EPROTO it is
 * another one (a refusal is logged), -errno of upgrade_recv(). */
int upgrade_expect(struct upgrade *, enum upgrade_type,
    struct upgrade_message *ret);
/* It goes on here, as if nothing had been asked; the next process ends. */
void upgrade_give_up(struct daemon *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The number of the newest channel of all workers. */
uint64_t upgrade_last_id(struct daemon *);
/* The next one is ready: it gets the channels, and our loop ends; or nothing
 * has happened, or what it had taken by then is lost with it. */
void upgrade_move(struct daemon *);

#endif
