/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On which certificate open channels began.  A channel keeps a number, in bits
 * that were free, and the workers count by it; here is what the numbers mean.
 */
#include "daemon/credentials_priv.h"

#include <stdatomic.h>
#include <string.h>

#include "channel/channel.h"

static uint64_t
open_now(const struct credentials *c, unsigned number)
{
	return c->workers.counters == NULL ? 0 : atomic_load_explicit(
	    &c->workers.counters->began[number], memory_order_relaxed);
}

static bool
serves(const struct published *p, unsigned number)
{
	for (int k = 0; k < TLS_SLOT_CREDS; k++)
		if (p->cred[k] != NULL && p->number[k] == number)
			return true;
	return false;
}

static bool
is_free(const struct credentials *c, unsigned number)
{
	const struct began *b = &c->began[number];

	return b->slot == NULL ||
	    (!serves(b->slot, number) && open_now(c, number) == 0);
}

uint16_t
began_number(struct credentials *c, const struct published *p,
    const struct tls_cred *cred)
{
	struct tls_cred_info info;
	unsigned n, i;

	tls_cred_info(cred, &info);
	for (n = 1; n < c->began_n; n++)
		if (c->began[n].slot == p && memcmp(c->began[n].sha256,
		    info.sha256, sizeof(info.sha256)) == 0)
			return (uint16_t)n;
	n = c->began_last;
	for (i = 1; i < CHANNEL_BEGAN_MAX; i++) {
		n = n + 1 < CHANNEL_BEGAN_MAX ? n + 1 : 1;
		if (is_free(c, n))
			break;
	}
	if (i == CHANNEL_BEGAN_MAX)
		return 0;
	c->began_last = n;
	if (n >= c->began_n)
		c->began_n = n + 1;
	c->began[n].slot = p;
	memcpy(c->began[n].sha256, info.sha256, sizeof(info.sha256));
	return (uint16_t)n;
}

uint64_t
began_now(const struct credentials *c, const struct published *p, int k)
{
	return p->number[k] == 0 ? 0 : open_now(c, p->number[k]);
}

uint64_t
began_before(const struct credentials *c, const struct published *p)
{
	uint64_t sum = 0;

	for (unsigned n = 1; n < c->began_n; n++)
		if (c->began[n].slot == p && !serves(p, n))
			sum += open_now(c, n);
	return sum;
}
