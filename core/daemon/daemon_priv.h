/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of daemon/ share. */
#ifndef CT_DAEMON_PRIV_H
#define CT_DAEMON_PRIV_H

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/loop.h"
#include "base/mailbox.h"
#include "base/worker.h"
#include "event/bus.h"
#include "store/store.h"
#include "net/net.h"
#include "endpoint/endpoint.h"
#include "endpoint/identity.h"
#include "channel/channel.h"
#include "plug/plug.h"
#include "control/control.h"
#include "daemon/credentials.h"
#include "daemon/options.h"
#include "daemon/upgrade.h"

#define DAEMON_WHY_SIZE 512

struct daemon_worker {
	struct worker worker;
	struct net_worker *net;
	struct channel_worker *channels;
	unsigned index;
	struct daemon *daemon;
};

struct daemon {
	const char *conf_path;
	struct conf *conf;		/* in force */
	uint64_t epoch, files_max;
	int lock_fd;

	struct loop *loop;		/* the main thread's */
	struct mailbox mailbox;
	struct watch signals;
	struct timer second, watchdog, restate, recovery;
	uint32_t watchdog_ms, seconds;
	struct {
		uint64_t accepted;	/* a second ago */
		uint64_t given_back;	/* of those */
	} heap;				/* heap.c */
	_Atomic bool bus_lost;		/* events: the view may be behind */
	struct endpoint_cursor restated;
	_Atomic bool stopping;		/* written by the main thread */
	bool stop_passed_on;		/* it may still come to us as well */
	uint32_t stop_seconds;
	struct upgrade upgrade;
	bool followed;			/* another process was there before */

	struct event_bus *bus;
	struct store *store;
	struct telemetry_table *telemetry;
	struct command_table *commands;
	struct endpoint_table *endpoints;
	struct identity *identity;
	sem_t settled;			/* the store flushed presence */
	_Atomic(struct plugs *) plugs;	/* the bus' tap reads it */
	struct net *net;
	struct credentials *credentials;
	_Atomic(struct control *) control;	/* the bus' tap reads it */
	struct channel_counters channel_counters;
	_Atomic bool ready;
	_Atomic bool draining;		/* not ready because of it */
	struct {
		bool active, stays_out;
		uint64_t end_ms, near_ms;	/* clock_mono_ms() */
		size_t channels;	/* when it began */
	} drain;			/* drain.c */

	unsigned workers_n;
	struct daemon_worker *workers;
	/* The same by index, as others want them. */
	struct worker **worker_of;
	struct net_worker **net_of;
	struct channel_worker **channels_of;
};

/* Loads and checks configuration; logs what is wrong, the first of it also into
 * why[DAEMON_WHY_SIZE].  -EINVAL, -ENOMEM. */
int daemon_load_conf(const char *path, char *why, struct conf **ret);

/* An event about the daemon itself; sent now.  Any thread. */
void daemon_emit(struct daemon *, enum event_type, const char *text);

/* start.c: everything, in the order of dependence; why[DAEMON_WHY_SIZE].
 * -errno.  daemon_take_down() follows in any case. */
int daemon_start(struct daemon *, char *why);
/* In place of the former process: its channels come first, then what it stored,
 * and only then what it had open itself. */
int daemon_follow(struct daemon *, char *why);
/* The last step of both: operators and devices may come. */
int daemon_serve(struct daemon *, char *why);
/* What there is, in reverse. */
void daemon_take_down(struct daemon *);

/* state.c: the store and what is kept in memory of it.  Nothing is read yet. */
int daemon_state_new(struct daemon *, char *why);
/* Opens the store and reads all of it that is kept: presence, reports, open
 * commands, who may be which endpoint.  Passes over who came with a live
 * channel (decision 0015). */
int daemon_state_load(struct daemon *, char *why);
int daemon_state_start(struct daemon *, char *why);
/* Stores what waits, and the ends of the channels. */
void daemon_state_stop(struct daemon *);
void daemon_state_close(struct daemon *);

/* reload.c: SIGHUP.  Everything or nothing; says what and why, the reason also
 * in why[DAEMON_WHY_SIZE].  -errno. */
int daemon_reload(struct daemon *, char *why);

/* control.c: the control socket, and what operators ask of the main thread. */
void daemon_control_path(const struct daemon *, char *to, size_t cap);
int daemon_control_open(struct daemon *, char *why);
/* While channels move, no request begins. */
void daemon_control_hold(struct daemon *, bool on);
/* The thread ends; the store and the workers still run. */
void daemon_control_stop(struct daemon *);
/* After the bus. */
void daemon_control_free(struct daemon *);

/* heap.c: once a second; frees what handshakes have left, when they
 * are over. */
void daemon_give_back(struct daemon *);

/* balance.c: moves channels from the fullest worker to the emptiest. */
void daemon_balance(struct daemon *);

/* counters.c: what was counted, to the log.  Nothing before there is a net. */
void daemon_log_counters(struct daemon *);

/*
 * metrics.c: the hook of plug/; ctx is the daemon.  On a status instance's
 * thread, which waits for each worker in turn; between plugs_start() and
 * plugs_stop(), so that all there is to count lives.
 */
struct cleat_metric;
int daemon_metrics(void *ctx, void (*fn)(void *, const struct cleat_metric *),
    void *arg);

/* workers.c */
int daemon_workers_new(struct daemon *, char *why);
int daemon_workers_open(struct daemon *, const struct channel_limits *,
    char *why);
int daemon_workers_start(struct daemon *, char *why);
void daemon_workers_accept(struct daemon *, bool on);
void daemon_workers_close_channels(struct daemon *);
void daemon_workers_kill_channels(struct daemon *);
void daemon_workers_end_connections(struct daemon *);
/* All channels are to connect again within the window, at `servers` (URLs,
 * comma-separated; "" the same).  Not on a worker.  -ENOMEM: not all
 * of them. */
int daemon_drain(struct daemon *, uint32_t window_ms, const char *servers,
    const char *why);
/* drain.c: errands of operators, what is to do every second, and a look whether
 * the ticket master is due, which stays as it is near a drain. */
void daemon_drain_begin(struct daemon *, struct control_errand *);
void daemon_drain_abort(struct daemon *, struct control_errand *);
void daemon_drain_look(struct daemon *, struct control_errand *);
void daemon_drain_tick(struct daemon *);
void daemon_drain_tickets(struct daemon *);
/* Handshakes that wait for an external signature. */
size_t daemon_workers_suspended(struct daemon *);
size_t daemon_worker_channels(struct daemon_worker *);
size_t daemon_workers_channels(struct daemon *);
void daemon_workers_set(struct daemon *, const struct channel_limits *);
void daemon_workers_stop(struct daemon *);
void daemon_workers_free(struct daemon *);

#endif
