/* SPDX-License-Identifier: Apache-2.0 */
/* See upgrade_start.h. */
#include "daemon/upgrade_start.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pack.h"

static int
send_packed(int fd, enum upgrade_type type, struct pack *w, const int *fds,
    unsigned fds_n)
{
	int r = w->error;

	if (r == 0)
		r = upgrade_send(fd, type, w->out.p, w->out.n, fds, fds_n);
	pack_fini(w);
	return r;
}

static int
whole(const struct unpack *r)
{
	return r->error != 0 || r->n != 0 ? -EPROTO : 0;
}

/* ---- HELLO ------------------------------------------------------------- */

int
upgrade_send_hello(int fd, const struct upgrade_hello *h)
{
	struct pack w = { .error = 0 };

	pack_u32(&w, h->pid);
	pack_u32(&w, h->schema);
	pack_u64(&w, h->layout);
	pack_text(&w, h->version);
	return send_packed(fd, UPGRADE_HELLO, &w, NULL, 0);
}

int
upgrade_read_hello(const struct upgrade_message *m, struct upgrade_hello *ret)
{
	struct unpack r = { .p = m->p, .n = m->n };

	if (m->type != UPGRADE_HELLO)
		return -EPROTO;
	ret->pid = unpack_u32(&r);
	ret->schema = unpack_u32(&r);
	ret->layout = unpack_u64(&r);
	(void)snprintf(ret->version, sizeof(ret->version), "%s",
	    unpack_text(&r, UPGRADE_VERSION_MAX));
	return whole(&r);
}

/* ---- START ------------------------------------------------------------- */

/* Descriptors: the lock, one for each listener, the control socket if there is
 * one. */
int
upgrade_send_start(int fd, const struct upgrade_start *s)
{
	struct pack w = { .error = 0 };
	int fds[UPGRADE_LISTENERS_MAX + 2];
	unsigned n = 0;

	fds[n++] = s->lock;
	pack_u32(&w, s->pid);
	pack_u64(&w, s->epoch);
	pack_text(&w, s->version);
	pack_u32(&w, s->certificates);
	pack_u64(&w, s->last_id);
	pack_u32(&w, s->channels);
	pack_text(&w, s->control_path);
	pack_u32(&w, s->listeners_n);
	for (unsigned i = 0; i < s->listeners_n; i++) {
		pack_text(&w, s->listener[i].name);
		fds[n++] = s->listener[i].fd;
	}
	if (s->control >= 0)
		fds[n++] = s->control;
	return send_packed(fd, UPGRADE_START, &w, fds, n);
}

static int
parse(const struct upgrade_message *m, struct upgrade_start *s)
{
	struct unpack r = { .p = m->p, .n = m->n };

	s->pid = unpack_u32(&r);
	s->epoch = unpack_u64(&r);
	(void)snprintf(s->version, sizeof(s->version), "%s",
	    unpack_text(&r, UPGRADE_VERSION_MAX));
	s->certificates = unpack_u32(&r) != 0;
	s->last_id = unpack_u64(&r);
	s->channels = unpack_u32(&r);
	(void)snprintf(s->control_path, sizeof(s->control_path), "%s",
	    unpack_text(&r, UPGRADE_PATH_MAX));
	s->listeners_n = unpack_u32(&r);
	if (r.error != 0 || s->listeners_n > UPGRADE_LISTENERS_MAX ||
	    m->fds_n < s->listeners_n + 1 || m->fds_n > s->listeners_n + 2) {
		s->listeners_n = 0;
		return -EPROTO;
	}
	for (unsigned i = 0; i < s->listeners_n; i++) {
		(void)snprintf(s->listener[i].name,
		    sizeof(s->listener[i].name), "%s",
		    unpack_text(&r, UPGRADE_NAME_MAX));
		s->listener[i].fd = -1;
	}
	return whole(&r);
}

int
upgrade_read_start(struct upgrade_message *m, struct upgrade_start **ret)
{
	struct upgrade_start *s;
	int r;

	if (m->type != UPGRADE_START)
		return -EPROTO;
	s = mem_calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->lock = s->control = -1;
	r = parse(m, s);
	if (r != 0) {
		upgrade_start_free(&s);
		return r;
	}
	s->lock = m->fds[0];
	for (unsigned i = 0; i < s->listeners_n; i++)
		s->listener[i].fd = m->fds[i + 1];
	if (m->fds_n == s->listeners_n + 2)
		s->control = m->fds[s->listeners_n + 1];
	m->fds_n = 0;
	*ret = s;
	return 0;
}

void
upgrade_start_free(struct upgrade_start **ps)
{
	struct upgrade_start *s = *ps;

	*ps = NULL;
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->listeners_n; i++)
		if (s->listener[i].fd >= 0)
			(void)close(s->listener[i].fd);
	if (s->lock >= 0)
		(void)close(s->lock);
	if (s->control >= 0)
		(void)close(s->control);
	mem_free(s);
}
