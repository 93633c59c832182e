/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that runs a loop until it is asked to stop.  All signals are blocked
 * in it: the main thread alone receives them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* pthread_setname_np */
#endif
#include "base/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct call {
	struct mail mail;
	void (*fn)(void *);
	void *arg;
	sem_t done;
};

struct stop {
	struct mail mail;
	struct loop *loop;
};

int
worker_init(struct worker *w, const char *name)
{
	int err;

	memset(w, 0, sizeof(*w));
	w->mailbox.watch.fd = -1;
	(void)snprintf(w->name, sizeof(w->name), "%s", name);
	err = loop_new(&w->loop);
	if (err < 0)
		return err;
	err = mailbox_init(&w->mailbox, w->loop);
	if (err < 0)
		loop_free(&w->loop);
	return err;
}

static void *
run(void *arg)
{
	struct worker *w = arg;

	(void)pthread_setname_np(pthread_self(), w->name); /* for people */
	/* Only a closed or foreign epoll descriptor makes this fail. */
	CT_ASSERT(loop_run(w->loop) == 0);
	return NULL;
}

int
worker_start(struct worker *w)
{
	sigset_t all, old;
	int err;

	CT_ASSERT(!w->started);
	(void)sigfillset(&all);
	/* A bug's own signals stay deliverable: they end the process. */
	(void)sigdelset(&all, SIGSEGV);
	(void)sigdelset(&all, SIGBUS);
	(void)sigdelset(&all, SIGFPE);
	(void)sigdelset(&all, SIGILL);
	(void)sigdelset(&all, SIGABRT);
	err = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (err != 0)
		return -err;
	err = pthread_create(&w->thread, NULL, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0)
		return -err;
	w->started = true;
	return 0;
}

static void
on_stop(struct mail *m)
{
	loop_stop(CT_CONTAINER(m, struct stop, mail)->loop);
}

void
worker_stop(struct worker *w)
{
	struct stop stop = { .mail.fn = on_stop, .loop = w->loop };

	if (!w->started)
		return;
	CT_ASSERT(!pthread_equal(pthread_self(), w->thread));
	mailbox_post(&w->mailbox, &stop.mail);
	CT_ASSERT(pthread_join(w->thread, NULL) == 0);
	w->started = false;
}

void
worker_fini(struct worker *w)
{
	CT_ASSERT(!w->started);
	mailbox_fini(&w->mailbox);
	loop_free(&w->loop);
}

static void
on_call(struct mail *m)
{
	struct call *c = CT_CONTAINER(m, struct call, mail);

	c->fn(c->arg);
	(void)sem_post(&c->done);	/* cannot overflow: once a call */
}

void
worker_call(struct worker *w, void (*fn)(void *), void *arg)
{
	struct call c = { .mail.fn = on_call, .fn = fn, .arg = arg };

	if (!w->started) {
		fn(arg);
		return;
	}
	CT_ASSERT(!pthread_equal(pthread_self(), w->thread));
	CT_ASSERT(sem_init(&c.done, 0, 0) == 0);
	mailbox_post(&w->mailbox, &c.mail);
	while (sem_wait(&c.done) < 0)
		CT_ASSERT(errno == EINTR);
	(void)sem_destroy(&c.done);
}
