/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: monotonic milliseconds for every deadline, wall time for people.
 * A test may replace both sources.  Thread: any (replace before threads start).
 */
#ifndef CT_CLOCK_H
#define CT_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ms(void);		/* CLOCK_MONOTONIC */
/* The same as of the last tick (up to 10 ms ago), for a quarter of the cost. */
uint64_t clock_mono_coarse_ms(void);
int64_t clock_wall_ms(void);		/* since 1970-01-01 UTC */

#define CLOCK_TEXT_SIZE 25
/* "2026-11-20T23:17:40.123Z" (RFC 3339) into to[CLOCK_TEXT_SIZE]. */
void clock_text(int64_t wall_ms, char *to);

/* Tests only; NULL restores the real clock. */
void clock_replace(uint64_t (*mono_ms)(void), int64_t (*wall_ms)(void));

#endif
