/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about endpoints.  Every function: on the store's thread inside a job or
 * a flush, or on store_reader() before the thread runs.  0, -ENOENT, or the
 * errno of the database; a text pointer in a row is valid during the call. */
#ifndef CT_STORE_ENDPOINTS_H
#define CT_STORE_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_db;

enum store_status { STORE_ACTIVE, STORE_PENDING, STORE_DENIED };

/* Presence: what endpoint/endpoint keeps in memory. */
struct store_presence {
	const char *id;
	uint8_t state, reason, intent;	/* enum presence_state, …_reason,
					 * …_intent */
	uint8_t security;		/* of the last channel */
	uint64_t channel, revision;
	int64_t since_ms, last_seen_ms;	/* wall; 0 never */
	int64_t asleep_until_ms;
	uint32_t rtt_us;
};

/* Everything else that is known about one. */
struct store_endpoint {
	struct store_presence presence;
	enum store_status status;
	const char *name, *group;	/* the operator's; "" none */
	const char *agent, *boot_id;	/* of the last hello */
	const char *peer, *listener;	/* of the last channel */
	const char *mac;		/* 12 hex digits, from inventory;
					 * "" unknown */
	int64_t created_ms;
	uint64_t inventory_revision, telemetry_seq;
};

/* Inserts or updates the presence columns only. */
int store_presence_save(struct store_db *, const struct store_presence *);
/* Makes it known, or changes its status. */
int store_endpoint_admit(struct store_db *, const char *id, enum store_status,
    int64_t now_ms);
/* -ENOENT: nobody knows it. */
int store_endpoint_status(struct store_db *, const char *id,
    enum store_status *ret);
int store_endpoint_hello(struct store_db *, const char *id, const char *agent,
    const char *boot_id, const char *peer, const char *listener);
/* NULL: leave as it is. */
int store_endpoint_describe(struct store_db *, const char *id,
    const char *name, const char *group);
/* Forgets it with its credentials, commands, telemetry and inventory;
 * these also if its own row is not there (-ENOENT). */
int store_endpoint_forget(struct store_db *, const char *id);
int store_endpoint_get(struct store_db *, const char *id,
    void (*fn)(void *, const struct store_endpoint *), void *ctx);

struct store_endpoint_filter {
	const char *after;		/* ids behind this one;
					 * "" from the start */
	const char *prefix, *group;	/* "" any */
	int state;			/* -1 any */
	int status;			/* -1 any */
	unsigned limit;
};
/* In the order of their ids.  fn false: enough. */
int store_endpoint_list(struct store_db *, const struct store_endpoint_filter *,
    bool (*fn)(void *, const struct store_endpoint *), void *ctx);

#endif
