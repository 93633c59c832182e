/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices report: telemetry and inventory on their way to the store, and
 * what of it is asked for often, in memory: the last number of each device's
 * telemetry, the MAC address and the IPv4 networks of its inventory.
 *
 * The last number is told in the result of hello.  It is kept here and not read
 * by a job at hello, because a stalled disk must not keep a fleet out, and 0
 * would be a lie; it follows the commits, so that it never promises more than
 * is durable.  Only endpoints that have reported something cost anything.
 *
 * Thread: any; one mutex, held for a look-up.
 */
#ifndef CT_CHANNEL_TELEMETRY_H
#define CT_CHANNEL_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_bus;
struct store;
struct telemetry_table;

#define TELEMETRY_NETWORKS 8		/* kept of one endpoint */

struct telemetry_network {
	uint32_t address, mask;		/* IPv4, host order */
};

struct telemetry_facts {
	uint64_t seq;			/* last one stored; 0 none */
	bool has_mac;
	uint8_t mac[6];
	unsigned networks;
	struct telemetry_network network[TELEMETRY_NETWORKS];
};

/* The others outlive it.  -ENOMEM. */
int telemetry_table_new(struct store *, struct event_bus *,
    struct telemetry_table **ret);
/* Reads what is stored, before store_start(), also of who is known already.
 * why[256] on failure: -ENOMEM, the store's. */
int telemetry_table_load(struct telemetry_table *, char *why);
void telemetry_table_free(struct telemetry_table **);

/* false: nothing is known of it (all zero). */
bool telemetry_facts(struct telemetry_table *, const char *endpoint,
    struct telemetry_facts *ret);
/* An endpoint that shares one of these networks, other than `endpoint`, for
 * which usable() is true.  usable is called with the table locked: it only
 * looks.  -ENOENT. */
int telemetry_neighbour(struct telemetry_table *, const char *endpoint,
    const struct telemetry_facts *of,
    bool (*usable)(void *ctx, const char *endpoint), void *ctx,
    char *ret_endpoint, struct telemetry_network *ret);
/* Reports of devices that were not stored, by what was wrong; counted. */
enum report_kind { REPORT_TELEMETRY, REPORT_INVENTORY, REPORT_KINDS };
enum report_refusal {
	REPORT_REFUSED_INVALID, REPORT_REFUSED_SIZE,
	REPORT_REFUSED_BUSY,		/* too much waits for the store */
	REPORT_REFUSED_STORE,		/* could not write */
	REPORT_REFUSED_MEMORY, REPORT_REFUSALS
};
const char *report_kind_name(enum report_kind);
const char *report_refusal_name(enum report_refusal);
uint64_t telemetry_refused(const struct telemetry_table *, enum report_kind,
    enum report_refusal);
/* The operator forgets the endpoint. */
void telemetry_forget(struct telemetry_table *, const char *endpoint);

/* What is known goes with a live channel to the next process (handover.h). */
struct telemetry_passed {
	struct telemetry_facts facts;
	uint64_t asked;			/* last number that the
					 * channel brought */
};
/* false: nothing is known. */
bool telemetry_pass(struct telemetry_table *, const char *endpoint,
    uint64_t channel_id, struct telemetry_passed *ret);
int telemetry_receive(struct telemetry_table *, const char *endpoint,
    uint64_t channel_id, const struct telemetry_passed *);	/* -ENOMEM */

/* Facts of an inventory document, as far as they are there and well-formed. */
void telemetry_read_inventory(const char *json, size_t n,
    struct telemetry_facts *);

#endif
