/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host table, and the half of it that every kind has: log, options, time,
 * mail, timers, descriptors, events.  Never trusts the plugin with a pointer it
 * could still use after stop: what it leaves behind is freed then.
 */
#include "plug/host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json_check.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "event/event.h"
#include "plug/inst.h"
#include "plug/opts.h"
#include "plug/plug_priv.h"
#include "plug/settings.h"

#define LOG_TEXT_MAX 1024
#define EMIT_MAX (16 * 1024)
#define TIMER_STEP_MS (24u * 3600 * 1000)	/* well within the wheel */
#define TIMER_MAX_MS (UINT64_MAX / 4)

struct cleat_timer {
	struct timer timer;
	struct list link;		/* self->timers */
	struct cleat_self *self;
	void (*fn)(void *);
	void *arg;
	uint64_t due_ms;
};

struct cleat_fd {
	struct watch watch;
	struct list link;		/* self->fds */
	struct cleat_self *self;
	void (*fn)(void *, unsigned);
	void *arg;
};

struct post {
	struct mail mail;
	struct cleat_self *self;
	void (*fn)(void *);
	void *arg;
};

/* ---- log, options, time -------------------------------------------------- */

static void __attribute__((format(printf, 3, 4)))
host_log(struct cleat_self *s, int level, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;

	if (level < (int)LOG_LVL_ERROR)
		level = LOG_LVL_ERROR;
	if (level > (int)LOG_LVL_DEBUG)
		level = LOG_LVL_DEBUG;
	if (level > (int)log_get_level())
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (level == (int)LOG_LVL_ERROR)
		self_said(s, text);
	log_write(&s->inst->log_site, (enum log_level)level, "%s: %s",
	    s->inst->name, text);
}

static const char *
host_instance(struct cleat_self *s)
{
	return s->inst->name;
}

static const char *
host_state_dir(struct cleat_self *s)
{
	return s->inst->state_dir;
}

static const struct cleat_opts *
opts_of(struct cleat_self *s, const struct cleat_opts *opts)
{
	return opts != NULL ? opts : settings_opts(s->settings);
}

static const char *
host_opt_text(struct cleat_self *s, const struct cleat_opts *opts,
    const char *name)
{
	return plug_opt_text(opts_of(s, opts), name);
}

static int
host_opt_secret(struct cleat_self *s, const struct cleat_opts *opts,
    const char *name, void (*fn)(void *, const char *, const char *),
    void *ctx)
{
	return plug_opt_secret(opts_of(s, opts), name, fn, ctx);
}

static uint64_t
host_opt_number(struct cleat_self *s, const struct cleat_opts *opts,
    const char *name)
{
	return plug_opt_number(opts_of(s, opts), name);
}

static const char *
host_opt_item(struct cleat_self *s, const struct cleat_opts *opts,
    const char *name, unsigned i)
{
	return plug_opt_item(opts_of(s, opts), name, i);
}

static uint64_t
host_mono_ms(struct cleat_self *s)
{
	(void)s;
	return clock_mono_ms();
}

static int64_t
host_wall_ms(struct cleat_self *s)
{
	(void)s;
	return clock_wall_ms();
}

/* ---- mail, timers, descriptors ------------------------------------------- */

static void
on_post(struct mail *m)
{
	struct post *p = CT_CONTAINER(m, struct post, mail);
	struct post c = *p;
	uint64_t t;

	mem_free(p);
	if (!self_arrived(c.self))
		return;
	t = self_enter();
	c.fn(c.arg);
	self_leave(c.self, "post", t);
}

static int
host_post(struct cleat_self *s, void (*fn)(void *), void *arg)
{
	struct post *p;
	int err;

	if (fn == NULL)
		return -EINVAL;
	p = mem_alloc(sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct post){ .mail.fn = on_post, .self = s, .fn = fn,
	    .arg = arg };
	err = self_post(s, &p->mail);
	if (err < 0)
		mem_free(p);
	return err;
}

static void
arm(struct cleat_timer *t, uint64_t now)
{
	uint64_t left = t->due_ms > now ? t->due_ms - now : 0;

	loop_timer_set(t->self->worker->loop, &t->timer,
	    left < TIMER_STEP_MS ? left : TIMER_STEP_MS);
}

static void
on_timer(struct timer *timer)
{
	struct cleat_timer *t = CT_CONTAINER(timer, struct cleat_timer, timer);
	struct cleat_self *s = t->self;
	uint64_t now = clock_mono_ms();

	if (now < t->due_ms) {
		arm(t, now);
		return;
	}
	t->fn(t->arg);			/* may free t */
	self_leave(s, "timer", now);
}

static int
host_timer_new(struct cleat_self *s, void (*fn)(void *), void *arg,
    struct cleat_timer **ret)
{
	struct cleat_timer *t;

	if (fn == NULL)
		return -EINVAL;
	t = mem_calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	timer_init(&t->timer, on_timer);
	t->self = s;
	t->fn = fn;
	t->arg = arg;
	list_append(&s->timers, &t->link);
	*ret = t;
	return 0;
}

static void
host_timer_set(struct cleat_timer *t, uint64_t ms)
{
	uint64_t now = clock_mono_ms();

	t->due_ms = now + (ms < TIMER_MAX_MS ? ms : TIMER_MAX_MS);
	arm(t, now);
}

static void
host_timer_stop(struct cleat_timer *t)
{
	loop_timer_stop(t->self->worker->loop, &t->timer);
}

static void
host_timer_free(struct cleat_timer *t)
{
	if (t == NULL)
		return;
	host_timer_stop(t);
	list_remove(&t->link);
	mem_free(t);
}

static uint32_t
epoll_events(unsigned events)
{
	return ((events & CLEAT_FD_READ) != 0 ? EPOLLIN | EPOLLRDHUP : 0u) |
	    ((events & CLEAT_FD_WRITE) != 0 ? EPOLLOUT : 0u);
}

static void
on_fd(struct watch *w, uint32_t events)
{
	struct cleat_fd *f = CT_CONTAINER(w, struct cleat_fd, watch);
	struct cleat_self *s = f->self;
	unsigned ready = 0;
	uint64_t t;

	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0)
		ready |= CLEAT_FD_READ;
	if ((events & EPOLLOUT) != 0)
		ready |= CLEAT_FD_WRITE;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		ready |= CLEAT_FD_ERROR;
	t = self_enter();
	f->fn(f->arg, ready);		/* may free f */
	self_leave(s, "descriptor", t);
}

static int
host_fd_new(struct cleat_self *s, int fd, unsigned events,
    void (*fn)(void *, unsigned), void *arg, struct cleat_fd **ret)
{
	struct cleat_fd *f;
	int err;

	if (fn == NULL || fd < 0)
		return -EINVAL;
	f = mem_calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->watch.fn = on_fd;
	f->watch.fd = fd;
	f->self = s;
	f->fn = fn;
	f->arg = arg;
	err = loop_add(s->worker->loop, &f->watch, epoll_events(events));
	if (err < 0) {
		mem_free(f);
		return err;
	}
	list_append(&s->fds, &f->link);
	*ret = f;
	return 0;
}

static int
host_fd_set(struct cleat_fd *f, unsigned events)
{
	return loop_mod(f->self->worker->loop, &f->watch,
	    epoll_events(events));
}

static void
host_fd_free(struct cleat_fd *f)
{
	if (f == NULL)
		return;
	loop_del(f->self->worker->loop, &f->watch);
	list_remove(&f->link);
	mem_free(f);
}

void
host_drop_left(struct cleat_self *s)
{
	struct list *it, *next;
	unsigned n = 0;

	LIST_FOREACH_SAFE(it, next, &s->timers) {
		host_timer_free(CT_CONTAINER(it, struct cleat_timer, link));
		n++;
	}
	LIST_FOREACH_SAFE(it, next, &s->fds) {
		host_fd_free(CT_CONTAINER(it, struct cleat_fd, link));
		n++;
	}
	if (n > 0)
		log_warning("plugin %s: left timers or descriptors behind, "
		    "freed them count=%u", s->inst->name, n);
}

/* ---- events -------------------------------------------------------------- */

static int
host_emit(struct cleat_self *s, const char *text, const char *detail_json)
{
	size_t n = detail_json == NULL ? 0 : strlen(detail_json);
	struct outbuf out = { .cap = n + 256 };
	struct event ev = { .type = EVENT_PLUGIN_EVENT, .text = text };
	struct json_out j;

	if (text == NULL)
		return -EINVAL;
	if (n > EMIT_MAX || strlen(text) > EMIT_MAX)
		return -EMSGSIZE;
	if (n > 0 && json_check_object(detail_json, n) < 0)
		return -EINVAL;
	out.p = mem_alloc(out.cap);
	if (out.p == NULL)
		return -ENOMEM;
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_string(&j, "plugin", s->inst->name);
	if (n > 0)
		jout_raw(&j, "data", detail_json, n);
	jout_object_end(&j);
	CT_ASSERT(jout_ok(&j));		/* a name is at most 64 characters */
	ev.detail = (const char *)out.p;
	ev.detail_n = out.n;
	event_emit(s->inst->plugs->deps.bus, &ev);
	event_kick(s->inst->plugs->deps.bus);
	mem_free(out.p);
	return 0;
}

static const struct cleat_host table = {
	.size = sizeof(struct cleat_host),
	.abi_major = CLEAT_ABI_MAJOR,
	.abi_minor = CLEAT_ABI_MINOR,
	.log = host_log,
	.instance = host_instance,
	.state_dir = host_state_dir,
	.opt_text = host_opt_text,
	.opt_number = host_opt_number,
	.opt_item = host_opt_item,
	.mono_ms = host_mono_ms,
	.wall_ms = host_wall_ms,
	.post = host_post,
	.timer_new = host_timer_new,
	.timer_set = host_timer_set,
	.timer_stop = host_timer_stop,
	.timer_free = host_timer_free,
	.fd_new = host_fd_new,
	.fd_set = host_fd_set,
	.fd_free = host_fd_free,
	.emit = host_emit,
	.slot = cert_slot,
	.slot_name = cert_slot_name,
	.cred_publish = cert_publish,
	.cred_failed = cert_failed,
	.sign_done = cert_sign_done,
	.challenge_http = cert_challenge_http,
	.challenge_alpn = cert_challenge_alpn,
	.challenge_remove = cert_challenge_remove,
	.chan_id = proto_chan_id,
	.chan_find = proto_chan_find,
	.chan_set_session = proto_set_session,
	.chan_send = proto_send,
	.chan_close = proto_close,
	.chan_endpoint = proto_endpoint,
	.auth_challenge = proto_challenge,
	.auth_hello = proto_hello,
	.presence_power = proto_power,
	.presence_sleep = proto_sleep,
	.presence_bye = proto_bye,
	.message_publish = proto_publish,
	.presence_settle = proto_settle,
	.telemetry_put = proto_telemetry,
	.inventory_patch = proto_inventory,
	.command_outcome = proto_outcome,
	.command_accepted = proto_accepted,
	.command_later = proto_later,
	.command_progress = proto_progress,
	.metrics = status_metrics,
	.opt_secret = host_opt_secret,
};

const struct cleat_host *
plug_host(void)
{
	return &table;
}
