/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client certificate by which a channel was let in, while it lives: when a
 * CA is removed or a revocation list comes, the channels that it concerns end
 * (4005) and no other.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tls/handshake.h"
#include "tls/snapshot.h"

int
channel_cert_keep(struct channel *c, const struct tls_peer *peer,
    unsigned listener)
{
	if (peer == NULL || !peer->has_cert)
		return 0;
	c->cert = mem_calloc(1, sizeof(*c->cert));
	if (c->cert == NULL)
		return -ENOMEM;
	c->cert->proof = peer->cert;
	c->cert->listener = listener;
	memcpy(c->cert->cn, peer->cert_cn, sizeof(c->cert->cn));
	return 0;
}

void
channel_cert_check(struct channel *c)
{
	const struct tls_snapshot *s = c->owner->trust;
	const char *why = "";

	if (c->cert == NULL || c->ended || s == NULL ||
	    tls_snapshot_holds(s, c->cert->listener, &c->cert->proof, &why))
		return;
	log_notice("a channel ends: %s endpoint=%s cn=\"%s\"", why,
	    channel_endpoint(c), c->cert->cn);
	channel_close(c, CLOSE_REVOKED, "the certificate was revoked");
}

void
channel_worker_set_trust(struct channel_worker *cw, struct tls_snapshot *s)
{
	struct tls_snapshot *old = cw->trust;
	bool same = old != NULL && tls_snapshot_same_trust(old, s);

	cw->trust = tls_snapshot_ref(s);
	if (old != NULL)
		tls_snapshot_unref(&old);
	/* A new server certificate is nothing to them. */
	for (size_t i = 0; !same && i < cw->table.cap; i++)
		if (cw->table.place[i] != NULL)
			channel_cert_check(cw->table.place[i]);
}
