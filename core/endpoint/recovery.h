/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time after a start (decision 0012): who was there when the last run ended
 * is unknown until heard, or until the window is over.  Main thread.
 */
#ifndef CT_ENDPOINT_RECOVERY_H
#define CT_ENDPOINT_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint_table;

/* When everything is loaded and devices may come. */
void recovery_begin(struct endpoint_table *, uint32_t window_ms);
/*
 * Ends it when nobody is unknown any more or the window is over, with one
 * daemon.recovered event; who was not heard is then what it had announced, or
 * disconnected.  At most about max events a call.  -> ms until the next call;
 * 0: it is over.
 */
uint32_t recovery_tick(struct endpoint_table *, size_t max);

struct recovery_figures {
	bool active;
	uint64_t heard, unknown;
	uint64_t expected, remaining_ms;	/* 0 when it is over */
};
/* Any thread. */
void recovery_figures(struct endpoint_table *, struct recovery_figures *ret);

#endif
