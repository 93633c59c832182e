/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate half of an instance, shared by cert_host.c and cert_sign.c.
 */
#ifndef CT_PLUG_CERT_H
#define CT_PLUG_CERT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "plug/plug.h"
#include "tls/snapshot.h"

struct plug_inst;

#define CERT_SIGN_MAX 1024		/* requests that may wait */

struct cert_part {
	struct plug_inst *inst;
	struct tls_signer signer;	/* ctx is this */
	pthread_mutex_t lock;		/* guards the rest */
	struct list waiting;		/* struct sign, oldest first */
	unsigned waiting_n;
	bool stopped;
	uint64_t last_request, signs, failures;
	char why[PLUG_WHY_SIZE];	/* the last failure that was told */
};

void cert_sign_init(struct cert_part *);

#endif
