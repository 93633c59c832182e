/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host: what every kind of plugin gets, and the test's side. */
#include "fakehost_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cleat_timer {
	struct fakehost *host;
	void (*fn)(void *);
	void *arg;
	uint64_t due;			/* 0: stopped */
};

struct cleat_fd {
	struct fakehost *host;
	int fd;
	unsigned events;
	void (*fn)(void *, unsigned);
	void *arg;
};

struct cleat_self *
fakehost_self(struct fakehost *h)
{
	return (struct cleat_self *)(void *)h;
}

void
fake_die(const char *what)
{
	(void)fprintf(stderr, "fakehost: %s\n", what);
	abort();
}

void
fake_keep(struct fake_text *t, const void *p, size_t n, bool is_text)
{
	free(t->p);
	t->p = malloc(n + 1);
	if (t->p == NULL)
		fake_die("no memory");
	if (n > 0)
		memcpy(t->p, p, n);
	t->p[n] = '\0';
	t->n = n;
	t->is_text = is_text;
}

void
fake_copy(char *to, size_t cap, const char *from)
{
	(void)snprintf(to, cap, "%s", from == NULL ? "(null)" : from);
}

/* ---- every kind ---- */

static void __attribute__((format(printf, 3, 4)))
f_log(struct cleat_self *s, int level, const char *fmt, ...)
{
	struct fakehost *h = host_of(s);
	va_list ap;

	if (level < 0 || level > 7)
		fake_die("a log level that is none");
	h->logged[level]++;
	va_start(ap, fmt);
	(void)vsnprintf(h->last_log, sizeof(h->last_log), fmt, ap);
	va_end(ap);
}

static const char *
f_instance(struct cleat_self *s)
{
	return host_of(s)->instance;
}

static const char *
f_state_dir(struct cleat_self *s)
{
	return host_of(s)->state_dir;
}

static struct fake_opt *
find_opt(struct fakehost *h, const char *name)
{
	for (unsigned i = 0; i < h->opt_n; i++) {
		if (strcmp(h->opt[i].name, name) == 0)
			return &h->opt[i];
	}
	return NULL;
}

static const char *
f_opt_text(struct cleat_self *s, const struct cleat_opts *o, const char *name)
{
	struct fakehost *h = host_of(s);
	struct fake_opt *set = find_opt(h, name);
	const struct cleat_opt *e = h->schema;

	(void)o;
	while (e != NULL && e->name != NULL && strcmp(e->name, name) != 0)
		e++;
	if (e == NULL || e->name == NULL)
		fake_die("an option that is not in the schema");
	return set != NULL && set->set ? set->text : e->value;
}

static int
f_opt_secret(struct cleat_self *s, const struct cleat_opts *o,
    const char *name, void (*fn)(void *, const char *, const char *),
    void *ctx)
{
	const char *t = f_opt_text(s, o, name);

	fn(ctx, t == NULL ? "" : t, NULL);
	return 0;
}

static uint64_t
f_opt_number(struct cleat_self *s, const struct cleat_opts *o,
    const char *name)
{
	const char *t = f_opt_text(s, o, name);
	char *end = NULL;
	uint64_t v;

	if (t == NULL || strcmp(t, "no") == 0)
		return 0;
	if (strcmp(t, "yes") == 0)
		return 1;
	v = strtoull(t, &end, 10);
	return strcmp(end, "s") == 0 ? v * 1000 : v;
}

static const char *
f_opt_item(struct cleat_self *s, const struct cleat_opts *o,
    const char *name, unsigned i)
{
	struct fake_opt *set = find_opt(host_of(s), name);
	const char *t = f_opt_text(s, o, name);
	size_t n;

	if (t == NULL || t[0] == '\0' || set == NULL)
		return NULL;
	for (; i > 0; i--) {
		t = strchr(t, ',');
		if (t == NULL)
			return NULL;
		t++;
	}
	n = strcspn(t, ",");
	(void)snprintf(set->item, sizeof(set->item), "%.*s", (int)n, t);
	return set->item;
}

static uint64_t
f_mono(struct cleat_self *s)
{
	return host_of(s)->now;
}

static int64_t
f_wall(struct cleat_self *s)
{
	return host_of(s)->wall;
}

static int
f_post(struct cleat_self *s, void (*fn)(void *), void *arg)
{
	struct fakehost *h = host_of(s);

	if (h->post_n == POSTS)
		return -ENOMEM;
	h->post[h->post_n].fn = fn;
	h->post[h->post_n++].arg = arg;
	return 0;
}

static int
f_timer_new(struct cleat_self *s, void (*fn)(void *), void *arg,
    struct cleat_timer **ret)
{
	struct fakehost *h = host_of(s);
	struct cleat_timer *t;

	for (int i = 0; i < TIMERS; i++) {
		if (h->timer[i] != NULL)
			continue;
		t = calloc(1, sizeof(*t));
		if (t == NULL)
			return -ENOMEM;
		t->host = h;
		t->fn = fn;
		t->arg = arg;
		*ret = h->timer[i] = t;
		return 0;
	}
	return -ENOMEM;
}

static void
f_timer_set(struct cleat_timer *t, uint64_t ms)
{
	t->due = t->host->now + (ms > 0 ? ms : 1);
}

static void
f_timer_stop(struct cleat_timer *t)
{
	t->due = 0;
}

static void
f_timer_free(struct cleat_timer *t)
{
	for (int i = 0; t != NULL && i < TIMERS; i++) {
		if (t->host->timer[i] == t) {
			t->host->timer[i] = NULL;
			free(t);
			return;
		}
	}
}

static int
f_fd_new(struct cleat_self *s, int fd, unsigned events,
    void (*fn)(void *, unsigned), void *arg, struct cleat_fd **ret)
{
	struct fakehost *h = host_of(s);
	struct cleat_fd *f;

	if (h->fd_error != 0)
		return h->fd_error;
	for (int i = 0; i < FDS; i++) {
		if (h->fd[i] != NULL)
			continue;
		f = calloc(1, sizeof(*f));
		if (f == NULL)
			return -ENOMEM;
		*f = (struct cleat_fd){ h, fd, events, fn, arg };
		*ret = h->fd[i] = f;
		return 0;
	}
	return -ENOMEM;
}

static int
f_fd_set(struct cleat_fd *f, unsigned events)
{
	f->events = events;
	return 0;
}

static void
f_fd_free(struct cleat_fd *f)
{
	for (int i = 0; f != NULL && i < FDS; i++) {
		if (f->host->fd[i] == f) {
			f->host->fd[i] = NULL;
			free(f);
			return;
		}
	}
}

/* ---- statuses ---- */

static int
f_metrics(struct cleat_self *s, void (*fn)(void *,
    const struct cleat_metric *), void *ctx)
{
	struct fakehost *h = host_of(s);

	if (h->metrics_error != 0)
		return h->metrics_error;
	for (size_t i = 0; i < h->metric_n; i++)
		fn(ctx, &h->metric[i]);
	return 0;
}

static int
f_emit(struct cleat_self *s, const char *text, const char *json)
{
	(void)s;
	(void)text;
	(void)json;
	return 0;
}

const struct cleat_host *
fakehost_table(void)
{
	static struct cleat_host table = {
		.size = sizeof(table),
		.abi_major = CLEAT_ABI_MAJOR, .abi_minor = CLEAT_ABI_MINOR,
		.log = f_log, .instance = f_instance, .state_dir = f_state_dir,
		.opt_text = f_opt_text, .opt_secret = f_opt_secret,
		.opt_number = f_opt_number, .opt_item = f_opt_item,
		.mono_ms = f_mono, .wall_ms = f_wall, .post = f_post,
		.timer_new = f_timer_new, .timer_set = f_timer_set,
		.timer_stop = f_timer_stop, .timer_free = f_timer_free,
		.fd_new = f_fd_new, .fd_set = f_fd_set, .fd_free = f_fd_free,
		.emit = f_emit, .metrics = f_metrics,
	};

	fake_cert_calls(&table);
	fake_chan_calls(&table);
	return &table;
}

/* ---- for the test ---- */

struct fakehost *
fakehost_new(const char *instance, const char *state_dir,
    const struct cleat_opt *schema)
{
	struct fakehost *h = calloc(1, sizeof(*h));

	if (h == NULL)
		fake_die("no memory");
	h->instance = instance;
	h->state_dir = state_dir;
	h->schema = schema;
	h->now = 1000;
	h->wall = INT64_C(1800000000000);
	return h;
}

void
fakehost_free(struct fakehost **p)
{
	for (int i = 0; i < TIMERS; i++) {
		if ((*p)->timer[i] != NULL)
			fake_die("a timer is left");
	}
	for (int i = 0; i < FDS; i++) {
		if ((*p)->fd[i] != NULL)
			fake_die("a descriptor is left");
	}
	free((*p)->chain.p);
	free((*p)->key.p);
	free(*p);
	*p = NULL;
}

void
fakehost_opt(struct fakehost *h, const char *name, const char *text)
{
	struct fake_opt *o = find_opt(h, name);

	if (o == NULL) {
		if (h->opt_n == FAKE_OPTS)
			fake_die("too many options");
		o = &h->opt[h->opt_n++];
		fake_copy(o->name, sizeof(o->name), name);
	}
	o->set = text != NULL;
	if (text != NULL)
		fake_copy(o->text, sizeof(o->text), text);
}

void
fakehost_tick(struct fakehost *h, uint64_t ms)
{
	uint64_t end = h->now + ms;
	struct cleat_timer *next;

	for (;;) {
		for (unsigned i = 0; i < h->post_n; i++)
			h->post[i].fn(h->post[i].arg);
		h->post_n = 0;
		next = NULL;
		for (int i = 0; i < TIMERS; i++) {
			struct cleat_timer *t = h->timer[i];

			if (t != NULL && t->due != 0 && t->due <= end &&
			    (next == NULL || t->due < next->due))
				next = t;
		}
		if (next == NULL)
			break;
		h->wall += (int64_t)(next->due - h->now);
		h->now = next->due;
		next->due = 0;
		next->fn(next->arg);
	}
	h->wall += (int64_t)(end - h->now);
	h->now = end;
}

bool
fakehost_poll(struct fakehost *h, int ms)
{
	struct pollfd set[FDS];
	struct cleat_fd *of[FDS];
	nfds_t n = 0;

	for (int i = 0; i < FDS; i++) {
		if (h->fd[i] == NULL)
			continue;
		of[n] = h->fd[i];
		set[n].events = (short)(
		    ((h->fd[i]->events & CLEAT_FD_READ) != 0 ? POLLIN : 0) |
		    ((h->fd[i]->events & CLEAT_FD_WRITE) != 0 ? POLLOUT : 0));
		set[n++].fd = h->fd[i]->fd;
	}
	if (poll(set, n, ms) <= 0)
		return false;
	for (nfds_t i = 0; i < n; i++) {
		bool there = false;

		for (int k = 0; k < FDS; k++)
			there |= h->fd[k] == of[i];
		if (there && set[i].revents != 0)
			of[i]->fn(of[i]->arg,
			    ((set[i].revents & POLLIN) != 0 ?
			    CLEAT_FD_READ : 0u) |
			    ((set[i].revents & POLLOUT) != 0 ?
			    CLEAT_FD_WRITE : 0u) |
			    ((set[i].revents & (POLLERR | POLLHUP)) != 0 ?
			    CLEAT_FD_ERROR : 0u));
	}
	return true;
}

void
fakehost_fd_error(struct fakehost *h, int error)
{
	h->fd_error = error;
}

void
fakehost_metrics(struct fakehost *h, const struct cleat_metric *m, size_t n,
    int error)
{
	h->metric = m;
	h->metric_n = n;
	h->metrics_error = error;
}

unsigned
fakehost_logged(const struct fakehost *h, int level)
{
	return h->logged[level];
}

const char *
fakehost_last_log(const struct fakehost *h)
{
	return h->last_log;
}

void
fakehost_jump(struct fakehost *h, int64_t ms)
{
	h->wall += ms;
}
