/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live upgrade (decision 0015): the former process starts the next one and
 * hands it everything, from what it listens on to each live channel.  Main
 * thread of either, unless a function says otherwise.
 */
#ifndef CT_DAEMON_UPGRADE_H
#define CT_DAEMON_UPGRADE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "control/control.h"

#define UPGRADE_WHY_SIZE 512
/* Where the next process finds its end of the socket pair, and its
 * own binary. */
#define UPGRADE_SOCKET_FD 3
#define UPGRADE_BINARY_FD 4

struct daemon;

struct upgrade {
	/* The former's. */
	char binary[4096];		/* what runs, to be started again */
	struct watch socket;		/* fd -1: no upgrade is under way */
	struct timer deadline;
	pid_t started;			/* to be reaped; 0: has been */
	int next;			/* pidfd of the next process, or -1 */
	pid_t next_pid;
	bool committed;			/* the next one has channels */
	bool passed;			/* it has all there was */
	size_t moved, refused;
	uint32_t subscribers;		/* of the bus, who will come back */
	uint64_t alive_ms;		/* mono; the last sign for
					 * the watchdog */
	pthread_mutex_t lock;		/* guards `told` */
	struct control_upgrade told;

	/* The next one's. */
	int former;			/* socket, or -1: an ordinary start */
	int former_process;		/* pidfd, or -1 */
	pid_t former_pid;		/* 0: an ordinary start */
	struct upgrade_start *start;
};

void upgrade_init(struct upgrade *, int former);
void upgrade_fini(struct upgrade *);

/* Of both: no hello is heard on any worker. */
void upgrade_hold(struct daemon *, bool on);

/* ---- the former -------------------------------------------------------- */

/* Starts `binary` ("": the one that runs, as its path is now).  0: under way.
 * -EAGAIN while devices are waited for after a start or asked to go, -EACCES it
 * may not be executed so, -errno; why[UPGRADE_WHY_SIZE].  None is under way. */
int upgrade_begin(struct daemon *, const char *binary, char *why);
/* Ends one that has not got channels yet. */
void upgrade_abort(struct daemon *, const char *why);
/* Everything here is closed: the next one may open it.  Waits until it serves
 * and the service manager knows it.  -errno: it does not. */
int upgrade_finish(struct daemon *);
/* What came of the last one.  Any thread. */
void upgrade_tell(struct upgrade *, struct control_upgrade *ret);

/* ---- the next one ------------------------------------------------------ */

/* First of all: away from the process that was started, and what it left.
 * -ENOTSOCK: no former process has started this one; -errno of fork(2). */
int upgrade_detach(void);
/* Says who we are and hears what is in force.  why as above. */
int upgrade_join(struct daemon *, char *why);
/* Everything is up: takes channels until the former has closed its store.
 * *ret_died: it ended without a word, after it gave us channels.  Its
 * subscribers of the bus are in `subscribers` then. */
int upgrade_take_over(struct daemon *, char *why, bool *ret_died);
/* Both do nothing after an ordinary start. */
void upgrade_done(struct daemon *);
void upgrade_refuse(struct upgrade *, const char *why);

#endif
