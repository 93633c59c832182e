/* SPDX-License-Identifier: Apache-2.0 */
/* What the two processes of an upgrade tell each other before channels move. */
#ifndef CT_DAEMON_UPGRADE_START_H
#define CT_DAEMON_UPGRADE_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/upgrade_wire.h"

#define UPGRADE_LISTENERS_MAX 200
#define UPGRADE_NAME_MAX 64
#define UPGRADE_PATH_MAX 107		/* of a unix socket */
#define UPGRADE_VERSION_MAX 64

/* HELLO: who comes, and what it can take. */
struct upgrade_hello {
	uint32_t pid, schema;
	uint64_t layout;
	char version[UPGRADE_VERSION_MAX + 1];
};
int upgrade_send_hello(int fd, const struct upgrade_hello *);
int upgrade_read_hello(const struct upgrade_message *,
    struct upgrade_hello *ret);

/* START: what is in force. */
struct upgrade_start {
	uint32_t pid;			/* the former's */
	uint64_t epoch;
	char version[UPGRADE_VERSION_MAX + 1];
	bool certificates;		/* no slot is without one */
	uint64_t last_id;		/* of channels */
	uint32_t channels;		/* about so many will come */
	int lock, control;		/* descriptors; control may be -1 */
	char control_path[UPGRADE_PATH_MAX + 1];
	unsigned listeners_n;
	struct upgrade_listener {
		char name[UPGRADE_NAME_MAX + 1];
		int fd;
	} listener[UPGRADE_LISTENERS_MAX];
};
int upgrade_send_start(int fd, const struct upgrade_start *);
/* The descriptors are the caller's and no longer the message's.  -EPROTO,
 * -ENOMEM. */
int upgrade_read_start(struct upgrade_message *, struct upgrade_start **ret);
void upgrade_start_free(struct upgrade_start **);

#endif
