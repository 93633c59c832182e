/* SPDX-License-Identifier: Apache-2.0 */
/* Times and spans, as people write and read them. */
#include "when.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define SPAN_MAX (36525ull * DAY)

/* n digits; -1: they are not. */
static int
digits(const char *s, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = 10 * v + (s[i] - '0');
	}
	return v;
}

/* The fraction behind the seconds in milliseconds, and the Z; -1. */
static int
fraction(const char *s)
{
	int ms = 0, n = 0;

	if (*s == '.') {
		for (s++; *s >= '0' && *s <= '9'; s++, n++)
			if (n < 3)
				ms = 10 * ms + (*s - '0');
		if (n == 0 || n > 9)
			return -1;
		for (; n < 3; n++)
			ms *= 10;
	}
	return strcmp(s, "Z") == 0 ? ms : -1;
}

int
when_parse(const char *s, int64_t *ret_ms)
{
	static const char form[] = "0000-00-00T00:00:00";
	struct tm tm = { 0 }, back;
	time_t seconds;
	int ms;

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == '0' ? digits(s + i, 1) < 0 : s[i] != form[i])
			return -EINVAL;
	ms = fraction(s + sizeof(form) - 1);
	tm.tm_year = digits(s, 4) - 1900;
	tm.tm_mon = digits(s + 5, 2) - 1;
	tm.tm_mday = digits(s + 8, 2);
	tm.tm_hour = digits(s + 11, 2);
	tm.tm_min = digits(s + 14, 2);
	tm.tm_sec = digits(s + 17, 2);
	back = tm;
	seconds = timegm(&back);
	/* 31 February would come back as 3 March. */
	if (ms < 0 || back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday ||
	    back.tm_hour != tm.tm_hour || back.tm_min != tm.tm_min ||
	    back.tm_sec != tm.tm_sec)
		return -EINVAL;
	*ret_ms = (int64_t)seconds * 1000 + ms;
	return 0;
}

/* The largest unit alone. */
static void
short_span(uint64_t ms, char to[WHEN_SIZE])
{
	static const struct {
		uint64_t ms;
		char name;
	} units[] = { { DAY, 'd' }, { HOUR, 'h' }, { MINUTE, 'm' },
		{ SECOND, 's' } };
	size_t i = 0;

	while (i < 3 && ms < units[i].ms)
		i++;
	(void)snprintf(to, WHEN_SIZE, "%llu%c",
	    (unsigned long long)(ms / units[i].ms), units[i].name);
}

void
when_age(int64_t then_ms, int64_t now_ms, char to[WHEN_SIZE])
{
	int64_t d = now_ms - then_ms;
	char span[WHEN_SIZE];

	/* What was asked for as "2h" is not "1h" at once. */
	short_span(d < 0 ? (uint64_t)-d + SECOND - 1 : (uint64_t)d, span);
	if (d > -1000 && d < 1000)
		(void)snprintf(to, WHEN_SIZE, "now");
	else if (d < 0)
		(void)snprintf(to, WHEN_SIZE, "in %.24s", span);
	else
		(void)snprintf(to, WHEN_SIZE, "%.24s ago", span);
}

void
when_local(int64_t ms, char to[WHEN_SIZE])
{
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0 ? 1 : 0));
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL ||
	    strftime(to, WHEN_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(to, WHEN_SIZE, "?");
}

void
when_span(uint64_t ms, char to[WHEN_SIZE])
{
	unsigned long long s = ms / SECOND;

	if (ms >= DAY)
		(void)snprintf(to, WHEN_SIZE, "%llud %lluh", s / 86400,
		    s % 86400 / 3600);
	else if (ms >= HOUR)
		(void)snprintf(to, WHEN_SIZE, "%lluh %llum", s / 3600,
		    s % 3600 / 60);
	else
		short_span(ms, to);
}

int
when_span_parse(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", SECOND }, { "m", MINUTE },
		{ "h", HOUR }, { "d", DAY } };
	uint64_t v = 0;
	size_t n = strspn(s, "0123456789");

	if (n == 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		v = 10 * v + (uint64_t)(s[i] - '0');
		if (v > SPAN_MAX)
			return -ERANGE;
	}
	if (v == 0 && s[n] == '\0') {
		*ret_ms = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(s + n, units[i].name) != 0)
			continue;
		if (v > SPAN_MAX / units[i].ms)
			return -ERANGE;
		*ret_ms = v * units[i].ms;
		return 0;
	}
	return -EINVAL;
}
