/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kind CLEAT_STATUS: tells somebody else what happens.  Each instance has a
 * thread and loop of its own; every call is on that thread.
 */
#ifndef CLEAT_STATUS_H
#define CLEAT_STATUS_H

#include <cleat/abi.h>
#include <cleat/event.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cleat_status_ops {
	uint32_t size;			/* sizeof(struct cleat_status_ops) */
	uint32_t reserved;
	/* One event, in order of seq.  `event` and all in it are valid during
	 * the call.  What waits for a slow plugin is bounded: the oldest is
	 * lost, and seq shows it.  Mandatory. */
	void (*event)(void *inst, const struct cleat_event *event);
};

/* 1.1: one value as host->metrics() gives it. */
struct cleat_metric {
	uint32_t size;			/* sizeof(struct cleat_metric) */
	uint32_t is_counter;		/* 1: only rises; 0: a gauge */
	const char *name;		/* "cleat_channels" */
	const char *help;		/* one line */
	const char *labels;		/* values are escaped: \\ \" \n */
	double value;
};

#ifdef __cplusplus
}
#endif

#endif
