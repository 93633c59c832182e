/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text format, version 0.0.4: HELP and TYPE once in front of the
 * values of a name.  Names and labels come from the daemon as the format wants
 * them; what is not a name of the format is left out.
 */
#ifndef STATUS_PROMETHEUS_TEXT_H
#define STATUS_PROMETHEUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <cleat/status.h>

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_MAX (4u * 1024 * 1024)

struct text {
	char *p;			/* n bytes; the caller frees it */
	size_t n, cap;
	char last[128];			/* name of the value before */
	int error;			/* 0, -ENOMEM, -EMSGSIZE */
};

/* Appends one value; starts with all zero.  The first error stays. */
void text_add(struct text *, const struct cleat_metric *);

#endif
