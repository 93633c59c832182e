/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two clocks.  Deadlines are only ever measured on the monotonic one, which
 * nobody can set; wall time is for texts that people or other machines read.
 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t (*mono_source)(void);
static int64_t (*wall_source)(void);

static uint64_t
mono_ms_of(clockid_t clock)
{
	struct timespec ts;

	if (mono_source != NULL)
		return mono_source();
	(void)clock_gettime(clock, &ts);	/* cannot fail on Linux */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
clock_mono_ms(void)
{
	return mono_ms_of(CLOCK_MONOTONIC);
}

uint64_t
clock_mono_coarse_ms(void)
{
	return mono_ms_of(CLOCK_MONOTONIC_COARSE);
}

int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	if (wall_source != NULL)
		return wall_source();
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* RFC 3339 has four digits for the year. */
#define WALL_MIN_MS (-62167219200000LL)
#define WALL_MAX_MS 253402300799999LL

void
clock_text(int64_t wall_ms, char *to)
{
	struct tm tm = { 0 };
	time_t seconds;
	unsigned ms;

	if (wall_ms < WALL_MIN_MS)
		wall_ms = WALL_MIN_MS;
	if (wall_ms > WALL_MAX_MS)
		wall_ms = WALL_MAX_MS;
	seconds = (time_t)(wall_ms / 1000);
	if (wall_ms % 1000 < 0)
		seconds--;
	ms = (unsigned)(wall_ms - (int64_t)seconds * 1000);
	(void)gmtime_r(&seconds, &tm);	/* the range was checked above */
	/* The moduli change nothing; they tell the compiler that it fits. */
	(void)snprintf(to, CLOCK_TEXT_SIZE,
	    "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
	    (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	    (unsigned)tm.tm_sec % 100, ms % 1000);
}

void
clock_replace(uint64_t (*mono_ms)(void), int64_t (*wall_ms)(void))
{
	mono_source = mono_ms;
	wall_source = wall_ms;
}
