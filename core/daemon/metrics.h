/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make metrics share.  Any thread. */
#ifndef CT_DAEMON_METRICS_H
#define CT_DAEMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cleat_metric;

/* Who is told. */
struct metrics {
	void (*fn)(void *arg, const struct cleat_metric *);
	void *arg;
};

/* One value that only rises, and one that does not.  `labels`: "" or
 * a="b",… with metrics_label()'s escapes. */
void metrics_total(const struct metrics *, const char *name, const char *help,
    const char *labels, double value);
void metrics_now(const struct metrics *, const char *name, const char *help,
    const char *labels, double value);
/* Appends name="value" to the n bytes that labels[size] has, escaped and cut
 * if need be; returns the new length. */
size_t metrics_label(char *labels, size_t size, size_t n, const char *name,
    const char *value);

/* metrics_process.c */
void metrics_process(struct metrics *);

#endif
