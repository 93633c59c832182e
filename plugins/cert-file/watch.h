/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices changes: inotify tells at once, and a look at the files now and then
 * finds what it does not (network file systems, limits of the system).
 */
#ifndef WATCH_H
#define WATCH_H

#include "options.h"

struct watch;

/* on_change(arg) when something near the files has happened.  *ret is NULL, and
 * looking now and then has to do, when the system has no inotify to give.
 * -ENOMEM. */
int watch_new(struct cleat_self *, const struct cleat_host *,
    void (*on_change)(void *arg), void *arg, struct watch **ret);
/* Watches the directories of these files from now on, and of every symbolic
 * link on the way to them.  NULL is fine. */
void watch_set(struct watch *, const struct config *);
void watch_free(struct watch **);

/* A number that is another one when a file was changed, came or went. */
uint64_t watch_print(const struct config *);
/* The same, and when the text is another one. */
uint64_t watch_print_add(uint64_t print, const char *text);

#endif
