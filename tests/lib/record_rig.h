/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A detached connection of core/tls/record.h joined to a strict peer, with the
 * worker's areas around it.  For the tests of the record layer.
 */
#ifndef CT_TEST_RECORD_RIG_H
#define CT_TEST_RECORD_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/transport.h"
#include "strict_tls.h"
#include "tls/record.h"

struct rig {
	struct stage st;
	struct transport *t;
	struct strict_peer peer;
	struct tls_detach detach;
	uint8_t wire[160 * 1024];	/* what a test has sealed */
	size_t n;
};

/* Aborts the test on failure.  Suites 0..STRICT_SUITES_13-1 are TLS 1.3. */
struct rig *rig_new(unsigned suite, bool we_are_client);
void rig_free(struct rig **);

/* Adds to wire. */
void rig_record(struct rig *, uint8_t type, const void *p, size_t n);
void rig_padded(struct rig *, uint8_t type, const void *p, size_t n,
    size_t pad);
void rig_text(struct rig *, const char *data);
void rig_key_update(struct rig *, bool ask);

/* Gives wire to read(), whole, and empties it.  Returns what read() did. */
ssize_t rig_read(struct rig *);
/* Like that, but must use all and return it. */
void rig_read_ok(struct rig *);
/* Gives tx to the peer, which must like it. */
void rig_flush(struct rig *);
/* Data one way each, checked; shows that keys and numbers still agree. */
void rig_echo(struct rig *);
/* read() must refuse wire with -EPROTO, sending this alert. */
void rig_refuses(struct rig *, int alert);
/* What came in: compares and empties rx. */
void rig_got(struct rig *, const char *data);

#endif
