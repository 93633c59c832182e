/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next process of an upgrade (decision 0015): joins the former one, takes
 * its channels, and says when it serves.  Whatever fails before the first GO
 * ends this process and leaves the former as it was.
 */
#include "config.h"

#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel/handover.h"
#include "daemon/daemon_priv.h"
#include "daemon/upgrade_spawn.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"

#define ANSWER_MS 60000			/* the former waits for busy channels */
#define CERTIFICATES_MS 15000
#define DEATH_MS 5000			/* from the end of its socket to
					 * its own */
#define NAP_MS 10
#define ROOM_SPARE 256			/* descriptors that are no channels */

static bool
is_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t n = sizeof(domain), type_n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	    domain == AF_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_n) == 0 &&
	    type == SOCK_STREAM;
}

int
upgrade_detach(void)
{
	char pid[16];
	pid_t child;

	if (!is_stream(UPGRADE_SOCKET_FD))
		return -ENOTSOCK;
	child = fork();
	if (child < 0)
		return -errno;
	/* The service manager takes over a grandchild without complaint. */
	if (child > 0)
		_exit(EXIT_SUCCESS);
	(void)close(UPGRADE_BINARY_FD);
	/* Executed by descriptor, it would be called by that number. */
	(void)prctl(PR_SET_NAME, "cleatd");
	/* sd_watchdog_enabled(3): it names the former. */
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	if (getenv("WATCHDOG_PID") != NULL &&
	    setenv("WATCHDOG_PID", pid, 1) != 0)
		return -errno;
	return 0;
}

static int
wrong(int r, char *why)
{
	(void)snprintf(why, UPGRADE_WHY_SIZE, "the former process %s: %s",
	    r == -EPIPE || r == -ECONNRESET ? "ended or gave up" :
	    "cannot be heard", strerror(-r));
	return r;
}

/*
 * The kernel doubles a process' table of descriptors when it is full, and once
 * there are threads it waits for all CPUs each time (expand_fdtable(),
 * synchronize_rcu()): 10 to 15 ms, in which a batch of channels would stand
 * still.  So it is made large enough now, before there are any.
 */
static void
make_room(const struct daemon *d)
{
	uint64_t room = d->upgrade.start->channels;
	int high;

	room += room / 8 + ROOM_SPARE;
	if (room >= d->files_max)
		room = d->files_max - 1;
	high = fcntl(d->upgrade.former, F_DUPFD_CLOEXEC, (int)room);
	if (high >= 0)
		(void)close(high);
}

int
upgrade_join(struct daemon *d, char *why)
{
	struct upgrade *u = &d->upgrade;
	struct upgrade_hello h = {
		.pid = (uint32_t)getpid(), .schema = store_schema(),
		.layout = handover_layout()
	};
	struct upgrade_message m;
	int r = upgrade_timeouts(u->former, ANSWER_MS);

	(void)snprintf(h.version, sizeof(h.version), "%s", daemon_version());
	if (r == 0)
		r = upgrade_send_hello(u->former, &h);
	if (r == 0)
		r = upgrade_recv(u->former, &m);
	if (r == 0) {
		r = upgrade_read_start(&m, &u->start);
		upgrade_message_fini(&m);
	}
	if (r == 0)
		make_room(d);
	if (r == 0) {
		u->former_pid = (pid_t)u->start->pid;
		u->former_process = upgrade_pidfd(u->former_pid);
		r = u->former_process < 0 ? u->former_process : 0;
	}
	return r == 0 ? 0 : wrong(r, why);
}

void
upgrade_refuse(struct upgrade *u, const char *why)
{
	if (u->former < 0)
		return;
	(void)upgrade_send(u->former, UPGRADE_REFUSED, why, strlen(why), NULL,
	    0);
}

/* ---- the channels ------------------------------------------------------ */

struct arriving {
	struct channel_worker *channels;
	struct upgrade_message m;
	uint8_t refused[HANDOVER_MAX];
	struct handover_arrivals *arrivals;
	uint64_t first_id;
	int error;
};

static void
arrive_on(void *arg)
{
	struct arriving *a = arg;

	a->error = handover_arrive(a->channels, a->m.p, a->m.n, a->m.fds,
	    a->m.fds_n, a->refused, &a->arrivals);
}

static void
begin_on(void *arg)
{
	struct arriving *a = arg;

	handover_begin(&a->arrivals);
}

static void
abandon_on(void *arg)
{
	struct arriving *a = arg;

	handover_abandon(&a->arrivals);
}

static void
first_id_on(void *arg)
{
	struct arriving *a = arg;

	handover_first_id(a->channels, a->first_id);
}

static void
number_from(struct daemon *d, uint64_t above)
{
	struct arriving a = { .first_id = above };

	for (unsigned i = 0; i < d->workers_n; i++) {
		a.channels = d->channels_of[i];
		worker_call(&d->workers[i].worker, first_id_on, &a);
	}
}

/* A batch that nothing can be made of is refused as a whole. */
static int
take_batch(struct daemon *d, struct daemon_worker *w, struct arriving *a)
{
	unsigned count = a->m.fds_n;
	struct upgrade_message go;
	int r;

	if (count == 0 || count > HANDOVER_MAX)
		return -EPROTO;
	a->channels = w->channels;
	worker_call(&w->worker, arrive_on, a);
	if (a->error == 0)
		a->m.fds_n = 0;		/* theirs now */
	else
		memset(a->refused, 1, count);
	r = upgrade_send(d->upgrade.former, UPGRADE_TAKEN, a->refused, count,
	    NULL, 0);
	if (r == 0)
		r = upgrade_recv(d->upgrade.former, &go);
	if (r == 0 && go.type != UPGRADE_GO) {
		upgrade_message_fini(&go);
		r = -EPROTO;
	}
	/* Without a GO the former may have gone on with them before it died. */
	if (a->arrivals != NULL)
		worker_call(&w->worker, r == 0 ? begin_on : abandon_on, a);
	if (r == 0)
		upgrade_message_fini(&go);
	return r;
}

static int
wait_for_certificates(struct daemon *d, char *why)
{
	const struct timespec nap = { .tv_nsec = NAP_MS * 1000000L };
	uint64_t until = clock_mono_ms() + CERTIFICATES_MS;
	const char *missing;

	while (d->upgrade.start->certificates &&
	    (missing = credentials_missing(d->credentials)) != NULL) {
		if (clock_mono_ms() >= until) {
			(void)snprintf(why, UPGRADE_WHY_SIZE, "no certificate "
			    "in slot %s", missing);
			return -ETIMEDOUT;
		}
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}

/* 1: that was all, and the former has closed what it had. */
static int
take_finish(struct upgrade *u, const struct upgrade_message *m)
{
	if (m->n != sizeof(u->subscribers))
		return -EPROTO;
	memcpy(&u->subscribers, m->p, sizeof(u->subscribers));
	return 1;
}

static int
take_message(struct daemon *d, unsigned turn, bool *taken)
{
	struct arriving a = { .arrivals = NULL };
	int r = upgrade_recv(d->upgrade.former, &a.m);

	if (r != 0)
		return r;
	if (a.m.type == UPGRADE_FINISH)
		r = take_finish(&d->upgrade, &a.m);
	else if (a.m.type != UPGRADE_BATCH)
		r = -EPROTO;
	else
		r = take_batch(d, &d->workers[turn % d->workers_n], &a);
	*taken |= r == 0;
	upgrade_message_fini(&a.m);
	return r;
}

int
upgrade_take_over(struct daemon *d, char *why, bool *ret_died)
{
	struct upgrade *u = &d->upgrade;
	bool taken = false;
	int r = wait_for_certificates(d, why);

	*ret_died = false;
	if (r != 0)
		return r;
	number_from(d, u->start->last_id);
	r = upgrade_send(u->former, UPGRADE_READY, NULL, 0, NULL, 0);
	/* From here on the former may take as long as it lives: what it closes
	 * at its end may be slow to close. */
	if (r == 0)
		r = upgrade_timeouts(u->former, 0);
	for (unsigned turn = 0; r == 0; turn++)
		r = take_message(d, turn, &taken);
	if (r == 1)
		return 0;
	if (taken && (r == -EPIPE || r == -ECONNRESET) &&
	    upgrade_ended(u->former_process, DEATH_MS)) {
		log_error("the former process ended before it had handed over "
		    "everything");
		*ret_died = true;
		return 0;
	}
	return wrong(r, why);
}

void
upgrade_done(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;

	if (u->former < 0)
		return;
	(void)upgrade_send(u->former, UPGRADE_DONE, NULL, 0, NULL, 0);
	(void)close(u->former);
	u->former = -1;
	upgrade_start_free(&u->start);
}
