/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host table without a daemon, to test plugins by themselves: what they do is
 * written down, what comes back is set by the test.  Time stands still until
 * fakehost_tick().  Single thread.  It defines struct cleat_self and friends of
 * its own, so it is not linked with core/plug.
 */
#ifndef TEST_FAKEHOST_H
#define TEST_FAKEHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cleat/host.h>

#define FAKE_TEXTS 64
#define FAKE_OPTS 16

struct fake_text {
	char *p;			/* NUL behind n bytes */
	size_t n;
	bool is_text;
};

struct cleat_chan {
	uint64_t id;
	void *session;
	bool closing;
	uint16_t code;			/* of the first chan_close */
	char why[128];
	struct fake_text sent[FAKE_TEXTS];
	unsigned sent_n;		/* counts on beyond FAKE_TEXTS */
	int send_error, auth_error, presence_error, publish_error;
	int challenge_error;
	/* What was asked of the core. */
	unsigned hellos, powers, sleeps, byes, published;
	struct cleat_hello hello;
	char endpoint[128], token[128], boot_id[128], agent[300];
	enum cleat_power power;
	int64_t until;
	char *message;			/* last published */
	/* What has a request number: the last one's, and what it brought. */
	int product_error;
	unsigned settles, telemetries, inventories, outcomes, accepted,
	    later;
	unsigned progressed;
	uint64_t request, seq;
	char *json;
	char command[80], outcome_text[500];	/* id; message or progress */
	uint32_t outcome;
	int percent;
};

struct fakehost;
struct cleat_self *fakehost_self(struct fakehost *);
const struct cleat_host *fakehost_table(void);

struct fakehost *fakehost_new(const char *instance, const char *state_dir,
    const struct cleat_opt *schema);
/* Fails the test program if timers or descriptors are left. */
void fakehost_free(struct fakehost **);
/* Sets an option as text (numbers: decimal, lists: comma-separated); NULL:
 * the default again. */
void fakehost_opt(struct fakehost *, const char *name, const char *text);
/* Moves the clock and fires what is due; runs what was posted. */
void fakehost_tick(struct fakehost *, uint64_t ms);
/* Waits up to `ms` of real time for a descriptor and calls whose it is; false:
 * none was ready. */
bool fakehost_poll(struct fakehost *, int ms);
void fakehost_fd_error(struct fakehost *, int error);
/* What host->metrics() tells: kept, not copied. */
void fakehost_metrics(struct fakehost *, const struct cleat_metric *,
    size_t n, int error);
unsigned fakehost_logged(const struct fakehost *, int level);
const char *fakehost_last_log(const struct fakehost *);

/* ---- certificate sources ---- */

/* Slot names and the names of each; up to 4 slots of up to 4 names. */
void fakehost_slot(struct fakehost *, const char *slot, const char *names);
void fakehost_publish_error(struct fakehost *, int error);
unsigned fakehost_published(const struct fakehost *);
unsigned fakehost_flags(const struct fakehost *);	/* of the last one */
/* Moves the wall clock alone. */
void fakehost_jump(struct fakehost *, int64_t ms);
/* Last chain and key that were published. */
const struct fake_text *fakehost_chain(const struct fakehost *);
const struct fake_text *fakehost_key(const struct fakehost *);
unsigned fakehost_failed(const struct fakehost *);
const char *fakehost_why(const struct fakehost *);

/* ---- protocols ---- */

struct cleat_chan *fake_chan_new(void);
void fake_chan_free(struct cleat_chan **);
/* Forgets what was sent. */
void fake_chan_clear(struct cleat_chan *);

#endif
