/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handshake takes 83 KB for a moment, and hundreds are under way when a fleet
 * comes back.  What that leaves in the heaps is given back to the kernel once
 * nobody has come for a second; with a connection now and then it is little,
 * and giving it back costs less than one handshake.
 */
#include "daemon/daemon_priv.h"

#include "base/mem.h"

void
daemon_give_back(struct daemon *d)
{
	struct net_counters *c = net_counters(d->net);
	uint64_t accepted = atomic_load(&c->accepted);
	bool quiet = accepted == d->heap.accepted &&
	    atomic_load(&c->handshakes_now) == 0;

	d->heap.accepted = accepted;
	if (!quiet || accepted == d->heap.given_back)
		return;
	d->heap.given_back = accepted;
	mem_give_back();
}
