/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of live channels (core/channel/handover.c): how many descriptors came
 * with it (one byte), then its bytes.  Whatever they are,
 * each channel is made and works or ends, or is refused and leaves nothing.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/command.h"
#include "channel/handover.h"
#include "channel/telemetry.h"
#include "../lib/channel_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define FDS 4
#define MUST(c) ((c) ? (void)0 : abort())

static struct rig rig;

static int
on_command(struct channel *c, const struct channel_command *cmd)
{
	(void)c;
	MUST(cmd->id[0] != '\0' && cmd->verb[0] != '\0');
	return 0;
}

static void
start(void)
{
	rig_init(&rig);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.command = on_command;
	rig_start(&rig);
}

/* Nobody is there yet, as in a process that has just begun. */
static void
make_tables(struct channel_shared *s)
{
	static const struct command_rules rules = {
		.queue_max = 8, .open_max = 100, .args_max = 200,
		.deadline_max_ms = 86400000
	};
	struct command_deps deps = {
		.store = rig.store, .bus = rig.tap.bus
	};

	MUST(endpoint_table_new(rig.tap.bus, &s->endpoints) == 0);
	MUST(telemetry_table_new(rig.store, rig.tap.bus, &s->telemetry) == 0);
	deps.endpoints = s->endpoints;
	deps.telemetry = s->telemetry;
	MUST(command_table_new(&deps, &rules, &s->commands) == 0);
}

static void
free_tables(struct channel_shared *s)
{
	command_table_free(&s->commands);
	telemetry_table_free(&s->telemetry);
	endpoint_table_free(&s->endpoints);
}

static void
use(const int *fd, unsigned fds_n, const uint8_t *p, size_t n)
{
	size_t tail = n < 64 ? n : 64;

	rig_settle(&rig);
	for (unsigned i = 0; i < fds_n; i++)
		(void)send(fd[i], "\x81\x81\0\0\0\0x", 7,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	rig_settle(&rig);
	for (unsigned i = 0; i < fds_n && tail > 0; i++)
		(void)send(fd[i], p + n - tail, tail,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	rig_advance(&rig, 100);
	channel_worker_kill_all(rig.cw[0]);
}

static void
arrive(const uint8_t *p, size_t n, unsigned fds_n)
{
	struct handover_arrivals *a = NULL;
	uint8_t refused[HANDOVER_MAX];
	int here[FDS] = { 0 }, there[FDS], pair[2];
	size_t known;

	for (unsigned i = 0; i < fds_n; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0, pair) == 0);
		here[i] = pair[0];
		there[i] = pair[1];
	}
	if (handover_arrive(rig.cw[0], p, n, here, fds_n, refused, &a) != 0) {
		MUST(a == NULL);
		for (unsigned i = 0; i < fds_n; i++)
			(void)close(here[i]);
	} else {
		/* Whoever is known now has a channel. */
		known = endpoint_table_count(rig.cw[0]->shared.endpoints);
		for (unsigned i = 0; i < fds_n; i++)
			known += refused[i] != 0;
		MUST(known <= fds_n);
		handover_begin(&a);
		use(there, fds_n, p, n);
	}
	for (unsigned i = 0; i < fds_n; i++)
		(void)close(there[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t *copy;

	if (n == 0)
		return 0;
	if (rig.net == NULL)
		start();
	copy = malloc(n);		/* its end is guarded */
	MUST(copy != NULL);
	memcpy(copy, p + 1, n - 1);
	make_tables(&rig.cw[0]->shared);
	arrive(copy, n - 1, p[0] % (FDS + 1));
	MUST(rig_channels(&rig) == 0 && rig.sessions == 0);
	MUST(atomic_load(&net_counters(rig.net)->connections) == 0);
	free_tables(&rig.cw[0]->shared);
	free(copy);
	return 0;
}
