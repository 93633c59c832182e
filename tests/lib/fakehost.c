/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host. */
#include "fakehost.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 4
#define NAMES 4
#define TIMERS 16
#define POSTS 64
#define FDS 8

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
static struct fakehost *
host_of(struct cleat_self *s)
{
	return (struct fakehost *)(void *)s;
}

struct cleat_self *
fakehost_self(struct fakehost *h)
{
	return (struct cleat_self *)(void *)h;
}

static void
die(const char *what)
{
	(void)fprintf(stderr, "fakehost: %s\n", what);
	abort();
}

static void
keep(struct fake_text *t, const void *p, size_t n, bool is_text)
{
	free(t->p);
	t->p = malloc(n + 1);
	if (t->p == NULL)
		die("no memory");
	if (n > 0)
		memcpy(t->p, p, n);
	t->p[n] = '\0';
	t->n = n;
	t->is_text = is_text;
}

static void
copy(char *to, size_t cap, const char *from)
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
		die("a log level that is none");
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
		die("an option that is not in the schema");
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

/* ---- certificate sources ---- */

static const char *
f_slot(struct cleat_self *s, unsigned i)
{
	struct fakehost *h = host_of(s);

	return i < h->slot_n ? h->slot[i] : NULL;
}

static const char *
f_slot_name(struct cleat_self *s, const char *slot, unsigned i)
{
	struct fakehost *h = host_of(s);

	for (unsigned k = 0; k < h->slot_n; k++) {
		if (strcmp(h->slot[k], slot) == 0)
			return i < h->name_n[k] ? h->name[k][i] : NULL;
	}
	return NULL;
}

static int
f_cred_publish(struct cleat_self *s, const char *slot,
    const struct cleat_cred *c)
{
	struct fakehost *h = host_of(s);

	if (c->size != sizeof(*c) || slot == NULL)
		die("a credential of the wrong size");
	keep(&h->chain, c->chain_pem.p, c->chain_pem.n, true);
	keep(&h->key, c->key_pem.p, c->key_pem.n, true);
	h->flags = c->flags;
	if (h->publish_error == 0)
		h->published++;
	return h->publish_error;
}

static void
f_cred_failed(struct cleat_self *s, const char *slot, const char *why)
{
	struct fakehost *h = host_of(s);

	(void)slot;
	h->failed++;
	copy(h->why, sizeof(h->why), why);
}

static int
f_sign_done(struct cleat_self *s, uint64_t request, int error,
    struct cleat_bytes signature)
{
	(void)s;
	(void)request;
	(void)error;
	(void)signature;
	return -ENOENT;
}

static int
f_challenge_http(struct cleat_self *s, uint64_t request, const char *token,
    const char *body)
{
	(void)s;
	(void)request;
	(void)token;
	(void)body;
	return 0;
}

static int
f_challenge_alpn(struct cleat_self *s, uint64_t request, const char *name,
    const struct cleat_cred *c)
{
	(void)s;
	(void)request;
	(void)name;
	(void)c;
	return 0;
}

static void
f_challenge_remove(struct cleat_self *s, const char *key)
{
	(void)s;
	(void)key;
}

/* ---- protocols ---- */

static uint64_t
f_chan_id(const struct cleat_chan *c)
{
	return c->id;
}

static struct cleat_chan *
f_chan_find(struct cleat_self *s, uint64_t id)
{
	(void)s;
	(void)id;
	return NULL;
}

static void
f_set_session(struct cleat_chan *c, void *session)
{
	c->session = session;
}

static int
f_send(struct cleat_chan *c, const struct cleat_msg *m)
{
	if (m->size != sizeof(*m))
		die("a message of the wrong size");
	if (c->closing)
		return -EPIPE;
	if (c->send_error != 0)
		return c->send_error;
	if (c->sent_n < FAKE_TEXTS)
		keep(&c->sent[c->sent_n], m->p, m->n, m->is_text != 0);
	c->sent_n++;
	return 0;
}

static void
f_close(struct cleat_chan *c, uint16_t code, const char *why)
{
	if (c->closing)
		return;
	c->closing = true;
	c->code = code;
	copy(c->why, sizeof(c->why), why);
}

static const char *
f_endpoint(const struct cleat_chan *c)
{
	return c->endpoint;
}

static int
f_challenge(struct cleat_chan *c, unsigned char ret[32])
{
	if (c->challenge_error != 0)
		return c->challenge_error;
	for (int i = 0; i < 32; i++)
		ret[i] = (unsigned char)(i * 7);
	return 0;
}

static int
f_hello(struct cleat_chan *c, const struct cleat_hello *h)
{
	if (h->size != sizeof(*h))
		die("a hello of the wrong size");
	c->hellos++;
	if (c->auth_error != 0)
		return c->auth_error;
	c->hello = *h;
	copy(c->endpoint, sizeof(c->endpoint), h->endpoint);
	copy(c->token, sizeof(c->token), h->token);
	copy(c->boot_id, sizeof(c->boot_id), h->boot_id);
	copy(c->agent, sizeof(c->agent), h->agent);
	return 0;
}

static int
f_power(struct cleat_chan *c, enum cleat_power power)
{
	c->powers++;
	c->power = power;
	return c->presence_error;
}

static int
f_sleep(struct cleat_chan *c, int64_t until)
{
	c->sleeps++;
	c->until = until;
	return c->presence_error;
}

static int
f_bye(struct cleat_chan *c)
{
	c->byes++;
	return c->presence_error;
}

static int
f_publish(struct cleat_chan *c, const char *json, size_t n)
{
	if (c->publish_error != 0)
		return c->publish_error;
	free(c->message);
	c->message = strndup(json, n);
	c->published++;
	return 0;
}

static int
f_settle(struct cleat_chan *c, uint64_t request)
{
	c->settles++;
	c->request = request;
	return c->product_error;
}

static int
f_telemetry(struct cleat_chan *c, uint64_t request, uint64_t seq,
    const char *json, size_t n)
{
	c->telemetries++;
	c->request = request;
	c->seq = seq;
	free(c->json);
	c->json = strndup(json, n);
	return c->product_error;
}

static int
f_inventory(struct cleat_chan *c, uint64_t request, const char *json, size_t n)
{
	c->inventories++;
	c->request = request;
	free(c->json);
	c->json = strndup(json, n);
	return c->product_error;
}

static int
f_outcome(struct cleat_chan *c, uint64_t request,
    const struct cleat_command_result *r)
{
	if (r->size != sizeof(*r))
		die("an outcome of the wrong size");
	c->outcomes++;
	c->request = request;
	c->outcome = r->outcome;
	copy(c->command, sizeof(c->command), r->id);
	copy(c->outcome_text, sizeof(c->outcome_text), r->message);
	free(c->json);
	c->json = strdup(r->result_json);
	return c->product_error;
}

static int
f_accepted(struct cleat_chan *c, const char *id)
{
	c->accepted++;
	copy(c->command, sizeof(c->command), id);
	return c->product_error;
}

static int
f_later(struct cleat_chan *c, const char *id)
{
	c->later++;
	copy(c->command, sizeof(c->command), id);
	return c->product_error;
}

static int
f_progress(struct cleat_chan *c, const char *id, int percent,
    const char *text)
{
	c->progressed++;
	c->percent = percent;
	copy(c->command, sizeof(c->command), id);
	copy(c->outcome_text, sizeof(c->outcome_text), text);
	return c->product_error;
}

static const struct cleat_host table = {
	.size = sizeof(table),
	.abi_major = CLEAT_ABI_MAJOR, .abi_minor = CLEAT_ABI_MINOR,
	.log = f_log, .instance = f_instance, .state_dir = f_state_dir,
	.opt_text = f_opt_text, .opt_secret = f_opt_secret,
	 .opt_number = f_opt_number,
	.opt_item = f_opt_item, .mono_ms = f_mono, .wall_ms = f_wall,
	.post = f_post, .timer_new = f_timer_new, .timer_set = f_timer_set,
	.timer_stop = f_timer_stop, .timer_free = f_timer_free,
	.fd_new = f_fd_new, .fd_set = f_fd_set, .fd_free = f_fd_free,
	.emit = f_emit, .slot = f_slot, .slot_name = f_slot_name,
	.cred_publish = f_cred_publish, .cred_failed = f_cred_failed,
	.sign_done = f_sign_done, .challenge_http = f_challenge_http,
	.challenge_alpn = f_challenge_alpn,
	.challenge_remove = f_challenge_remove, .chan_id = f_chan_id,
	.chan_find = f_chan_find, .chan_set_session = f_set_session,
	.chan_send = f_send, .chan_close = f_close,
	.chan_endpoint = f_endpoint, .auth_challenge = f_challenge,
	.auth_hello = f_hello, .presence_power = f_power,
	.presence_sleep = f_sleep, .presence_bye = f_bye,
	.message_publish = f_publish, .presence_settle = f_settle,
	.telemetry_put = f_telemetry,
	.inventory_patch = f_inventory, .command_outcome = f_outcome,
	.command_accepted = f_accepted, .command_later = f_later,
	.command_progress = f_progress,
	.metrics = f_metrics,
};

const struct cleat_host *
fakehost_table(void)
{
	return &table;
}

/* ---- for the test ---- */

struct fakehost *
fakehost_new(const char *instance, const char *state_dir,
    const struct cleat_opt *schema)
{
	struct fakehost *h = calloc(1, sizeof(*h));

	if (h == NULL)
		die("no memory");
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
			die("a timer is left");
	}
	for (int i = 0; i < FDS; i++) {
		if ((*p)->fd[i] != NULL)
			die("a descriptor is left");
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
			die("too many options");
		o = &h->opt[h->opt_n++];
		copy(o->name, sizeof(o->name), name);
	}
	o->set = text != NULL;
	if (text != NULL)
		copy(o->text, sizeof(o->text), text);
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
fakehost_slot(struct fakehost *h, const char *slot, const char *names)
{
	unsigned k = h->slot_n++;
	size_t n;

	if (k >= SLOTS)
		die("too many slots");
	copy(h->slot[k], sizeof(h->slot[k]), slot);
	while (names[0] != '\0' && h->name_n[k] < NAMES) {
		n = strcspn(names, ",");
		(void)snprintf(h->name[k][h->name_n[k]++], 128, "%.*s",
		    (int)n, names);
		names += n + (names[n] == ',');
	}
}

void
fakehost_publish_error(struct fakehost *h, int error)
{
	h->publish_error = error;
}

unsigned
fakehost_flags(const struct fakehost *h)
{
	return h->flags;
}

void
fakehost_jump(struct fakehost *h, int64_t ms)
{
	h->wall += ms;
}

unsigned
fakehost_published(const struct fakehost *h)
{
	return h->published;
}

const struct fake_text *
fakehost_chain(const struct fakehost *h)
{
	return &h->chain;
}

const struct fake_text *
fakehost_key(const struct fakehost *h)
{
	return &h->key;
}

unsigned
fakehost_failed(const struct fakehost *h)
{
	return h->failed;
}

const char *
fakehost_why(const struct fakehost *h)
{
	return h->why;
}

struct cleat_chan *
fake_chan_new(void)
{
	struct cleat_chan *c = calloc(1, sizeof(*c));

	if (c == NULL)
		die("no memory");
	c->id = 1;
	return c;
}

void
fake_chan_clear(struct cleat_chan *c)
{
	for (unsigned i = 0; i < FAKE_TEXTS; i++) {
		free(c->sent[i].p);
		c->sent[i].p = NULL;
	}
	c->sent_n = 0;
}

void
fake_chan_free(struct cleat_chan **p)
{
	fake_chan_clear(*p);
	free((*p)->message);
	free((*p)->json);
	free(*p);
	*p = NULL;
}
