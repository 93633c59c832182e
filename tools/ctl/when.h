/* SPDX-License-Identifier: Apache-2.0 */
/* Times and spans, as people write and read them.  Thread: main only. */
#ifndef CT_CTL_WHEN_H
#define CT_CTL_WHEN_H

#include <stddef.h>
#include <stdint.h>

#define WHEN_SIZE 32

/* RFC 3339 in UTC, with or without a fraction, to milliseconds since 1970.
 * -EINVAL. */
int when_parse(const char *s, int64_t *ret_ms);
/* "now", "3m ago", "in 2h". */
void when_age(int64_t then_ms, int64_t now_ms, char to[WHEN_SIZE]);
/* "2026-11-20 23:17:40", local time. */
void when_local(int64_t ms, char to[WHEN_SIZE]);
/* "45s", "3h 12m", "4d 6h". */
void when_span(uint64_t ms, char to[WHEN_SIZE]);
/* "1500ms", "30s", "5m", "2h", "30d", "0", as in cleat.conf(5).  -EINVAL,
 * -ERANGE above 100 years. */
int when_span_parse(const char *s, uint64_t *ret_ms);

#endif
