/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the modes of the load generator (load_*.c) share with its start
 * (load.c): options, connections, counters.  One thread.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "wsc.h"

#define PIDS_MAX 8

/* One way of making load.  Connections are handled by the callbacks of wsc. */
struct mode {
	const char *name;
	void (*opened)(struct wsc *);
	void (*message)(struct wsc *, int opcode, const uint8_t *, size_t);
	void (*failed)(struct wsc *, const char *why);
	void (*woken)(struct wsc *);	/* after its wake-up; may be NULL */
	void (*run)(void);		/* all of it, with what it prints */
};

extern const struct mode *const modes[];	/* ends with NULL */
extern const struct mode upgrade_mode;	/* load_upgrade.c */

struct device {
	char id[80], token[160];
};

struct options {
	const struct mode *mode;
	unsigned conns, size, depth;
	unsigned long ops;		/* end after so many; 0: by time */
	unsigned long rate;		/* messages a second, of all together */
	const char *ca;			/* NULL: any certificate will do */
	unsigned tls12, agents;		/* upgrade: of conns; beside them */
	double visits, delay;		/* upgrade: a second; until
					 * an outcome */
	double seconds, warm_up, hold;
	clockid_t clocks[PIDS_MAX];
	unsigned pids;
	unsigned tls;			/* WSC_* */
	struct device *devices;		/* of each connection; NULL: no hello */
};

extern struct options opt;
extern struct wsc_target target;
extern struct wsc *conns;
extern uint8_t *payload;
extern unsigned long done, failures;
extern unsigned started, opening, ready;
extern char first_failure[128];

/* Seconds; ends the program when the clock is gone with its process. */
double now(clockid_t);
/* CPU seconds of the server's processes. */
double cpu(void);
/* Starts connection i as number `number` (source address, device). */
void start(unsigned i, unsigned number);
/* One epoll_wait() and what comes of it. */
void turn(int timeout_ms);
/* A device's first words, by the number of its connection. */
void say_hello(struct wsc *);
/* Counts it, and keeps the first. */
void note_failure(const char *why);
/* Whether somebody wants it to end, or to go on. */
bool told(void);
/* Opens all connections, some at a time; ends the program if it takes long. */
void open_all(void);

#endif
