/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary of one listener: every so often it connects to the listener's own
 * path as a peer would, and waits for nng to say that it got a pipe.  nng 1.5.2
 * goes on negotiating but never gives the pipe to the socket once a peer left
 * during the negotiation (nng issue 1518), so only that tells.
 * Publisher thread; no nng call in here.
 */
#ifndef CT_EVENT_CANARY_H
#define CT_EVENT_CANARY_H

#include <stdbool.h>
#include <stdint.h>

/* Time for a pipe to appear. */
#define CANARY_PATIENCE_MS 1000

/* Scalability Protocols numbers, as sent in the header of ipc and tcp. */
#define CANARY_SUB 0x21
#define CANARY_REQ 0x30

enum canary_verdict {
	CANARY_IDLE,			/* nothing to do yet */
	CANARY_WAITING,			/* a probe is out */
	CANARY_ALIVE,			/* a probe just succeeded */
	CANARY_DEAD			/* nobody took it: listen again */
};

struct canary {
	const char *path;		/* of the unix socket; the owner's */
	uint32_t every_ms;		/* 0: off */
	uint8_t protocol;
	int fd;				/* -1: no probe is out */
	uint32_t pipes_before;
	uint64_t next_ms, deadline_ms;	/* monotonic */
};

/* The first probe is due every_ms from now_ms. */
void canary_init(struct canary *, const char *path, uint8_t protocol,
    uint32_t every_ms, uint64_t now_ms);
void canary_fini(struct canary *);
/* `pipes`: how many the socket ever got (it may wrap). */
enum canary_verdict canary_turn(struct canary *, uint32_t pipes,
    uint64_t now_ms);
/* Waits, for CANARY_PATIENCE_MS at most, until a peer that connects to the path
 * makes *pipes change.  Also true when descriptors or memory are too short to
 * tell. */
bool canary_confirm(const char *path, uint8_t protocol,
    const _Atomic uint32_t *pipes);
/* Milliseconds until canary_turn() has something to do; -1 = never. */
int canary_wait(const struct canary *, uint64_t now_ms);

#endif
