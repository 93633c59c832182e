/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life cycle of instances.  All of it is driven by the main thread, which
 * waits while an op runs on the self's thread; that is what makes "never two at
 * a time" true without a lock.
 */
#include "plug/inst.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "plug/cert.h"
#include "plug/host.h"
#include "plug/kinds.h"
#include "plug/plug_priv.h"
#include "plug/settings.h"

int
plug_why(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, PLUG_WHY_SIZE, fmt, ap);
	va_end(ap);
	return err;
}

uint64_t
self_enter(void)
{
	return clock_mono_coarse_ms();
}

void
self_leave(struct cleat_self *s, const char *op, uint64_t entered)
{
	uint64_t took = clock_mono_coarse_ms() - entered;

	/* The other kinds may block as they like. */
	if (took <= PLUG_SLOW_MS || s->inst->has_own)
		return;
	atomic_fetch_add(&s->inst->slow, 1);
	log_warning("plugin %s: %s held its worker up worker=%u ms=%llu",
	    s->inst->name, op, s->index, (unsigned long long)took);
}

int
self_post(struct cleat_self *s, struct mail *m)
{
	int err = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->stopped)
		err = -ESHUTDOWN;
	else
		mailbox_post(&s->worker->mailbox, m);
	if (err == 0)
		s->posted++;
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}

bool
self_arrived(struct cleat_self *s)
{
	bool live;

	(void)pthread_mutex_lock(&s->lock);
	s->posted--;
	live = !s->stopped;
	(void)pthread_mutex_unlock(&s->lock);
	return live;
}

/* ---- ops on the self's thread -------------------------------------------- */

#define SAID_SIZE 400			/* of PLUG_WHY_SIZE */

struct op {
	struct cleat_self *self;
	struct plug_settings *settings;
	void *staged;
	int result;
	char said[SAID_SIZE];		/* its last error; "" none */
};

/* What the plugin logs as an error from now on, so that who asked for the op is
 * told the reason and not only its errno; NULL: no more. */
static void
listen_to(struct cleat_self *s, char *said)
{
	(void)pthread_mutex_lock(&s->lock);
	s->said = said;
	if (said != NULL)
		said[0] = '\0';
	(void)pthread_mutex_unlock(&s->lock);
}

/* One line, as all that says why: it goes to the service manager, too. */
static void
take_said(const char *text, char to[SAID_SIZE])
{
	size_t n = strnlen(text, SAID_SIZE);

	if (n == SAID_SIZE)
		for (n--; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80; n--)
			;		/* no character is cut in two */
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)text[i] < 0x20 || text[i] == 0x7f ? ' ' :
		    text[i];
	to[n] = '\0';
}

void
self_said(struct cleat_self *s, const char *text)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->said != NULL)
		take_said(text, s->said);
	(void)pthread_mutex_unlock(&s->lock);
}

static const char *
reason(const struct op *o)
{
	return o->said[0] != '\0' ? o->said : strerror(-o->result);
}

/* From here on no callback of the plugin runs but close. */
static void
silence(struct cleat_self *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stopped = true;
	(void)pthread_mutex_unlock(&s->lock);
	host_drop_left(s);
}

static void
op_open(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	uint64_t t = self_enter();

	listen_to(s, o->said);
	o->result = s->inst->module->life.open(s, plug_host(), &s->data);
	self_leave(s, "open", t);
	listen_to(s, NULL);
	s->opened = o->result >= 0;
	if (!s->opened)
		silence(s);
}

static void
op_start(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	const struct cleat_life *life = &s->inst->module->life;
	uint64_t t = self_enter();

	listen_to(s, o->said);
	o->result = life->start == NULL ? 0 : life->start(s->data);
	self_leave(s, "start", t);
	listen_to(s, NULL);
	s->started = o->result >= 0;
	if (!s->started)
		silence(s);
}

/* A start that failed has no stop: it has undone what it began. */
static void
op_stop(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	const struct cleat_life *life = &s->inst->module->life;
	uint64_t t = self_enter();

	if (s->started && life->stop != NULL)
		life->stop(s->data);
	self_leave(s, "stop", t);
	s->started = false;
	silence(s);
	if (s->inst->cert != NULL)
		cert_part_stop(s->inst);
	if (s->inst->status != NULL)
		status_part_stop(s->inst);
}

/* Comes behind every mail that was posted before `stopped`. */
static void
op_close(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	uint64_t t = self_enter();

	/* The worker has never run: what was posted to it still waits. */
	if (s->posted > 0)
		mailbox_drain(&s->worker->mailbox);
	if (!s->opened)
		return;
	s->inst->module->life.close(s->data);
	self_leave(s, "close", t);
	s->opened = false;
	s->data = NULL;
}

static void
op_prepare(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	uint64_t t = self_enter();

	o->staged = NULL;
	listen_to(s, o->said);
	o->result = s->inst->module->life.prepare(s->data,
	    settings_opts(o->settings), &o->staged);
	self_leave(s, "prepare", t);
	listen_to(s, NULL);
}

static void
op_commit(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	const struct cleat_life *life = &s->inst->module->life;
	uint64_t t = self_enter();

	settings_unref(&s->settings);
	s->settings = settings_ref(o->settings);
	if (s->inst->module->kind == CLEAT_PROTOCOL)
		proto_part_settings(s, o->settings);
	if (life->commit != NULL)
		life->commit(s->data, o->staged);
	self_leave(s, "commit", t);
}

static void
op_discard(void *arg)
{
	struct op *o = arg;
	struct cleat_self *s = o->self;
	uint64_t t = self_enter();

	s->inst->module->life.discard(s->data, o->staged);
	self_leave(s, "discard", t);
}

static int
call(struct cleat_self *s, void (*fn)(void *), struct op *o)
{
	o->self = s;
	worker_call(s->worker, fn, o);
	return o->result;
}

/* ---- making and ending --------------------------------------------------- */

/* One level below `at`, private to the daemon. */
static int
private_dir(int at, const char *name)
{
	struct stat st;
	int fd, err = 0;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (st.st_uid != geteuid())
		err = -EPERM;
	else if ((st.st_mode & 077) != 0 && fchmod(fd, 0700) < 0)
		err = -errno;
	if (err == 0)
		return fd;
	(void)close(fd);
	return err;
}

static int
make_state_dir(struct plug_inst *in, char *why)
{
	const char *top = in->plugs->state_dir;
	size_t n = strlen(top) + strlen(in->name) + sizeof("/plugins/");
	int fd, plugins = -1, own = -1;

	in->state_dir = mem_alloc(n);
	if (in->state_dir == NULL)
		return plug_why(why, -ENOMEM, "out of memory");
	(void)snprintf(in->state_dir, n, "%s/plugins/%s", top, in->name);
	fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		own = -errno;
	} else {
		plugins = private_dir(fd, "plugins");
		own = plugins < 0 ? plugins : private_dir(plugins, in->name);
		(void)close(fd);
	}
	if (plugins >= 0)
		(void)close(plugins);
	if (own < 0)
		return plug_why(why, own, "%s: %s", in->state_dir,
		    strerror(-own));
	(void)close(own);
	return 0;
}

static void
self_init(struct cleat_self *s, struct plug_inst *in, unsigned index,
    struct plug_settings *settings)
{
	s->magic = PLUG_SELF_MAGIC;
	s->inst = in;
	s->index = index;
	s->worker = in->has_own ? &in->own : in->plugs->deps.workers[index];
	s->settings = settings_ref(settings);
	list_init(&s->timers);
	list_init(&s->fds);
	(void)pthread_mutex_init(&s->lock, NULL);	/* always 0 on Linux */
}

static int
make_selfs(struct plug_inst *in, struct plug_settings *settings)
{
	bool is_proto = in->module->kind == CLEAT_PROTOCOL;
	unsigned n = is_proto ? in->plugs->deps.workers_n : 1;

	in->self = mem_calloc(n, sizeof(*in->self));
	if (in->self == NULL)
		return -ENOMEM;
	in->selfs_n = n;
	for (unsigned i = 0; i < n; i++) {
		self_init(&in->self[i], in, i, settings);
		if (is_proto) {
			proto_part_init(&in->self[i]);
			proto_part_settings(&in->self[i], settings);
		}
	}
	if (in->module->kind == CLEAT_CERT_SOURCE)
		return cert_part_new(in);
	if (in->module->kind == CLEAT_STATUS)
		return status_part_new(in, PLUG_STATUS_QUEUE);
	return 0;
}

static int
make_thread(struct plug_inst *in, char *why)
{
	char name[16];
	int err;

	if (in->module->kind == CLEAT_PROTOCOL)
		return 0;
	(void)snprintf(name, sizeof(name), "%.15s", in->name);
	err = worker_init(&in->own, name);
	if (err < 0)
		return plug_why(why, err, "no thread for it: %s",
		    strerror(-err));
	in->has_own = true;
	err = worker_start(&in->own);
	if (err < 0)
		return plug_why(why, err, "no thread for it: %s",
		    strerror(-err));
	return 0;
}

static int
open_all(struct plug_inst *in, char *why)
{
	struct op o = { .settings = NULL };
	int err;

	for (unsigned i = 0; i < in->selfs_n; i++) {
		err = call(&in->self[i], op_open, &o);
		if (err < 0)
			return plug_why(why, err, "it could not be opened: %s",
			    reason(&o));
	}
	return 0;
}

int
inst_new(struct plugs *plugs, const char *name, const char *module_name,
    struct plug_module *module, struct plug_settings *settings, char *why,
    struct plug_inst **ret)
{
	struct plug_inst *in;
	int err;

	(void)plug_why(why, 0, "out of memory");
	in = mem_calloc(1, sizeof(*in));
	if (in == NULL)
		return -ENOMEM;
	in->plugs = plugs;
	in->module = module;
	in->required = settings_required(settings);
	in->name = mem_strdup(name);
	in->module_name = mem_strdup(module_name);
	if (in->name == NULL || in->module_name == NULL)
		err = -ENOMEM;
	else
		err = make_state_dir(in, why);
	if (err >= 0)
		err = make_thread(in, why);
	if (err >= 0) {
		err = make_selfs(in, settings);
		if (err < 0)
			(void)plug_why(why, 0, "out of memory");
	}
	if (err >= 0)
		err = open_all(in, why);
	if (err < 0) {
		inst_stop(in);
		in->module = NULL;	/* stays the caller's */
		inst_free(&in);
		return err;
	}
	atomic_store(&in->state, PLUG_OPEN);
	*ret = in;
	return 0;
}

int
inst_stub(struct plugs *plugs, const char *name, const char *module_name,
    struct plug_inst **ret)
{
	struct plug_inst *in = mem_calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->plugs = plugs;
	in->name = mem_strdup(name);
	in->module_name = mem_strdup(module_name);
	atomic_init(&in->state, PLUG_FAILED);
	if (in->name == NULL || in->module_name == NULL) {
		inst_free(&in);
		return -ENOMEM;
	}
	*ret = in;
	return 0;
}

int
inst_start(struct plug_inst *in, char *why)
{
	struct op o = { .settings = NULL };
	int err;

	for (unsigned i = 0; i < in->selfs_n; i++) {
		struct cleat_self *s = &in->self[i];

		if (in->module->kind == CLEAT_PROTOCOL)
			s->channels = in->plugs->deps.channels[i];
		err = call(s, op_start, &o);
		if (err >= 0)
			continue;
		inst_stop(in);
		atomic_store(&in->state, PLUG_FAILED);
		return plug_why(why, err, "it could not be started: %s",
		    in->cert != NULL && in->cert->why[0] != '\0' ?
		    in->cert->why : reason(&o));
	}
	atomic_store(&in->state, PLUG_UP);
	return 0;
}

void
inst_stop(struct plug_inst *in)
{
	struct op o = { .settings = NULL };

	if (in->state == PLUG_STOPPED || in->state == PLUG_FAILED)
		return;
	atomic_store(&in->state, PLUG_STOPPED);
	for (unsigned i = 0; i < in->selfs_n; i++)
		(void)call(&in->self[i], op_stop, &o);
	for (unsigned i = 0; i < in->selfs_n; i++)
		(void)call(&in->self[i], op_close, &o);
	if (in->has_own)
		worker_stop(&in->own);
}

void
inst_free(struct plug_inst **p)
{
	struct plug_inst *in = *p;

	if (in == NULL)
		return;
	*p = NULL;
	cert_part_free(in);
	status_part_free(in);
	if (in->has_own)
		worker_fini(&in->own);
	for (unsigned i = 0; i < in->selfs_n; i++) {
		settings_unref(&in->self[i].settings);
		(void)pthread_mutex_destroy(&in->self[i].lock);
	}
	mem_free(in->self);
	plug_unload(&in->module);
	mem_free(in->name);
	mem_free(in->module_name);
	mem_free(in->state_dir);
	mem_free(in);
}

/* ---- reload -------------------------------------------------------------- */

int
inst_prepare(struct plug_inst *in, struct plug_settings *settings, char *why,
    void **ret_staged)
{
	struct op o = { .settings = settings };
	int err;

	if (in->module->life.prepare == NULL) {
		if (settings_same_opts(in->self[0].settings, settings))
			return 0;
		return plug_why(why, -EINVAL, "a change of its options "
		    PLUG_NEEDS_RESTART);
	}
	for (unsigned i = 0; i < in->selfs_n; i++) {
		err = call(&in->self[i], op_prepare, &o);
		if (err < 0) {
			while (i-- > 0) {
				o.staged = ret_staged[i];
				(void)call(&in->self[i], op_discard, &o);
			}
			return plug_why(why, err, "it refuses its new options: "
			    "%s", reason(&o));
		}
		ret_staged[i] = o.staged;
	}
	return 0;
}

void
inst_commit(struct plug_inst *in, struct plug_settings *settings,
    void **staged)
{
	struct op o = { .settings = settings };

	for (unsigned i = 0; i < in->selfs_n; i++) {
		o.staged = staged[i];
		(void)call(&in->self[i], op_commit, &o);
	}
}

void
inst_discard(struct plug_inst *in, void **staged)
{
	struct op o = { .settings = NULL };

	if (in->module->life.prepare == NULL)
		return;
	for (unsigned i = 0; i < in->selfs_n; i++) {
		o.staged = staged[i];
		(void)call(&in->self[i], op_discard, &o);
	}
}
