/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of telemetry share. */
#ifndef CT_CHANNEL_TELEMETRY_PRIV_H
#define CT_CHANNEL_TELEMETRY_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/strtab.h"
#include "channel/telemetry.h"

struct report {
	struct strtab_node node;
	struct telemetry_facts facts;
	uint64_t channel_id, asked;	/* the last seq that channel brought */
	char endpoint[];
};

struct telemetry_table {
	pthread_mutex_t lock;		/* guards `report` */
	struct strtab report;
	struct store *store;
	struct event_bus *bus;
	_Atomic uint64_t refused[REPORT_KINDS][REPORT_REFUSALS];
};

/* Under the lock; made if there is none.  -ENOMEM. */
int telemetry_report(struct telemetry_table *, const char *endpoint,
    struct report **ret);
/* Counts what was not stored, if it was not (t NULL: nowhere).  Returns err. */
int telemetry_judged(struct telemetry_table *, enum report_kind, int err);

#endif
