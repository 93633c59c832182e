/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a moving channel (core/channel/export.c): whatever they are, the
 * import refuses them or makes a channel that works or ends.  Its place under
 * the connection limits cannot be checked by an import, so here it is always
 * that of a local peer.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/net_priv.h"
#include "net/admission.h"
#include "../lib/channel_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define ADMITTED_AT 40			/* struct addr in the head */
#define MUST(c) ((c) ? (void)0 : abort())

static struct rig rig;

/* One good frame, then whatever the input ends with. */
static void
use(int fd, const uint8_t *p, size_t n)
{
	size_t tail = n < 64 ? n : 64;

	(void)send(fd, "\x81\x81\0\0\0\0x", 7, MSG_DONTWAIT | MSG_NOSIGNAL);
	rig_settle(&rig);
	(void)send(fd, p + n - tail, tail, MSG_DONTWAIT | MSG_NOSIGNAL);
	rig_settle(&rig);
	rig_advance(&rig, 100);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct addr local;
	struct channel *c = NULL;
	uint8_t *copy;
	int pair[2];

	if (rig.net == NULL) {
		rig_init(&rig);
		rig_start(&rig);
	}
	copy = malloc(n + 1);
	MUST(copy != NULL);
	memcpy(copy, p, n);
	if (n >= ADMITTED_AT + sizeof(local))
		memcpy(copy + ADMITTED_AT, &local, sizeof(local));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(admission_enter(rig.net->admission) == 0);
	atomic_fetch_add(&rig.net->counters.connections, 1);
	if (channel_import(rig.cw[0], pair[0], copy, n, &c) != 0) {
		MUST(c == NULL);
		(void)close(pair[0]);
		net_release(rig.net, &local);
	} else {
		use(pair[1], copy, n);
		channel_worker_kill_all(rig.cw[0]);
	}
	MUST(rig_channels(&rig) == 0 && rig.sessions == 0);
	(void)close(pair[1]);
	free(copy);
	return 0;
}
