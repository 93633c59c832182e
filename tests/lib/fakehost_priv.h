/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the fake host: fakehost.c has what every kind of plugin gets,
 * fakehost_cert.c and fakehost_chan.c the rest.
 */
#ifndef TEST_FAKEHOST_PRIV_H
#define TEST_FAKEHOST_PRIV_H

#include "fakehost.h"

#define SLOTS 4
#define NAMES 4
#define TIMERS 16
#define POSTS 64
#define FDS 8

struct fake_opt {
	char name[64], text[512], item[512];
	bool set;
};

struct fakehost {
	const char *instance, *state_dir;
	const struct cleat_opt *schema;
	struct fake_opt opt[FAKE_OPTS];
	unsigned opt_n;
	uint64_t now;
	int64_t wall;
	struct cleat_timer *timer[TIMERS];
	struct { void (*fn)(void *); void *arg; } post[POSTS];
	unsigned post_n;
	struct cleat_fd *fd[FDS];
	int fd_error, metrics_error;
	const struct cleat_metric *metric;
	size_t metric_n;
	unsigned logged[8];
	char last_log[1024];
	char slot[SLOTS][64], name[SLOTS][NAMES][128];
	unsigned slot_n, name_n[SLOTS];
	int publish_error;
	unsigned published, failed, flags;
	struct fake_text chain, key;
	char why[512];
};

/* The plugin sees the host itself under this name. */
static inline struct fakehost *
host_of(struct cleat_self *s)
{
	return (struct fakehost *)(void *)s;
}

_Noreturn void fake_die(const char *what);
/* A copy of n bytes, with a NUL behind them. */
void fake_keep(struct fake_text *, const void *p, size_t n, bool is_text);
/* Cut to fit; "(null)" for NULL. */
void fake_copy(char *to, size_t cap, const char *from);

/* Their part of the host table. */
void fake_cert_calls(struct cleat_host *);
void fake_chan_calls(struct cleat_host *);

#endif
