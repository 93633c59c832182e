/* SPDX-License-Identifier: Apache-2.0 */
/* The record layer and its strict peer, joined.  Only for tests. */
#include "record_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/aead.h"

struct rig *
rig_new(unsigned suite, bool we_are_client)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	assert_int_equal(stage_init(&g->st), 0);
	assert_int_equal(aead_cache_new(16, &g->st.aead), 0);
	strict_init(&g->peer, &strict_suites[suite], we_are_client, suite + 1,
	    &g->detach);
	assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
	return g;
}

void
rig_free(struct rig **gp)
{
	struct rig *g = *gp;

	if (g->t != NULL)
		g->t->ops->free(&g->t);
	assert_null(g->t);
	aead_cache_free(&g->st.aead);
	stage_fini(&g->st);
	free(g);
	*gp = NULL;
}

void
rig_padded(struct rig *g, uint8_t type, const void *p, size_t n, size_t pad)
{
	assert_true(g->n + n + pad + 64 <= sizeof(g->wire));
	g->n += strict_seal(&g->peer, type, p, n, pad, g->wire + g->n);
}

void
rig_record(struct rig *g, uint8_t type, const void *p, size_t n)
{
	rig_padded(g, type, p, n, 0);
}

void
rig_text(struct rig *g, const char *data)
{
	rig_record(g, 23, data, strlen(data));
}

void
rig_key_update(struct rig *g, bool ask)
{
	g->n += strict_key_update(&g->peer, ask, g->wire + g->n);
}

ssize_t
rig_read(struct rig *g)
{
	/* exact size on the heap: a sanitizer sees a step beyond the end */
	uint8_t *copy = malloc(g->n + 1);
	ssize_t rc;

	assert_non_null(copy);
	memcpy(copy, g->wire, g->n);
	rc = g->t->ops->read(g->t, &g->st, copy, g->n);
	free(copy);
	g->n = 0;
	return rc;
}

void
rig_read_ok(struct rig *g)
{
	size_t n = g->n;

	assert_int_equal(rig_read(g), n);
}

void
rig_flush(struct rig *g)
{
	if (!strict_take(&g->peer, g->st.tx.p, g->st.tx.n))
		fail_msg("%s: %s", g->peer.suite->name, g->peer.wrong);
	g->st.tx.n = 0;
}

void
rig_got(struct rig *g, const char *data)
{
	assert_int_equal(g->st.rx.n, strlen(data));
	assert_memory_equal(g->st.rx.p, data, strlen(data));
	g->st.rx.n = 0;
}

void
rig_echo(struct rig *g)
{
	size_t had = g->peer.data_n;

	rig_text(g, "to us");
	rig_read_ok(g);
	rig_got(g, "to us");
	assert_int_equal(g->t->ops->write(g->t, &g->st,
	    (const uint8_t *)"to them", 7), 7);
	rig_flush(g);
	assert_int_equal(g->peer.data_n, had + 7);
	assert_memory_equal(g->peer.data + had, "to them", 7);
	g->peer.data_n = had;
}

void
rig_refuses(struct rig *g, int alert)
{
	assert_int_equal(rig_read(g), -EPROTO);
	rig_flush(g);
	assert_int_equal(g->peer.alert, alert);
	assert_int_equal(g->peer.level, 2);
	/* nothing more may come out, and nothing more goes in */
	assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
	assert_int_equal(g->st.tx.n, 0);
	assert_int_equal(g->t->ops->write(g->t, &g->st, NULL, 0), -EPIPE);
	assert_string_not_equal(g->t->ops->reason(g->t), "no error");
}
