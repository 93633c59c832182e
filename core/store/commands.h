/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about commands; as in endpoints.h.  An outcome, once there,
 * never changes. */
#ifndef CT_STORE_COMMANDS_H
#define CT_STORE_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

struct store_db;

enum store_command_state {
	COMMAND_QUEUED,			/* not known to be with the device */
	COMMAND_ACCEPTED,		/* the device has recorded it */
	COMMAND_OK, COMMAND_ERROR, COMMAND_EXPIRED, COMMAND_CANCELLED,
	COMMAND_INTERRUPTED		/* these five are outcomes */
};

struct store_command {
	const char *id;			/* unique for ever */
	const char *endpoint;
	uint64_t order;			/* rising; given by the store */
	const char *verb, *args;	/* args: a JSON object */
	const char *by;			/* who asked, for the record */
	int64_t created_ms, deadline_ms, changed_ms;
	enum store_command_state state;
	bool cancelling;		/* an operator asked for it */
	const char *result, *message;	/* JSON value or ""; text */
};
/* -EEXIST: the id is taken. */
int store_command_add(struct store_db *, const struct store_command *,
    uint64_t *ret_order);
/* Only forward: -EALREADY when it has an outcome (*ret_state says which). */
int store_command_set(struct store_db *, const char *id,
    enum store_command_state, const char *result, const char *message,
    int64_t now_ms, enum store_command_state *ret_state);
int store_command_cancelling(struct store_db *, const char *id);
int store_command_get(struct store_db *, const char *id,
    void (*fn)(void *, const struct store_command *), void *ctx);

struct store_command_filter {
	const char *endpoint;		/* "" any */
	bool open_only;			/* without an outcome */
	uint64_t after;			/* order; 0 from the start */
	unsigned limit;
};
/* In their order.  fn false: enough. */
int store_command_list(struct store_db *, const struct store_command_filter *,
    bool (*fn)(void *, const struct store_command *), void *ctx);

#endif
