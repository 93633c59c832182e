/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that claim to be an exported connection.  What is accepted must export
 * to the same bytes, and must be usable in every way without harm.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/transport.h"
#include "tls/aead.h"
#include "tls/record.h"
#include "tls/record_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
use(struct transport *t, struct stage *st, const uint8_t *p, size_t n)
{
	st->rx.n = st->tx.n = 0;
	(void)rec_sealed_size(t, n);
	(void)t->ops->eof(t);
	(void)tls_record_rekey(t, n % 2);
	(void)t->ops->write(t, st, p, n);
	(void)t->ops->write(t, st, NULL, 0);
	(void)t->ops->read(t, st, p, n);
	(void)t->ops->shutdown(t, st);
	CT_ASSERT(t->ops->reason(t) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct stage st;
	uint8_t b[512];
	struct outbuf out = { b, 0, sizeof(b) };
	struct transport *t = NULL;

	if (st.aead == NULL) {
		CT_ASSERT(stage_init(&st) == 0);
		CT_ASSERT(aead_cache_new(4, &st.aead) == 0);
	}
	if (tls_record_ops.import(p, n, &t) < 0) {
		CT_ASSERT(t == NULL);
		return 0;
	}
	CT_ASSERT(t->ops->export(t, &out) == 0);
	CT_ASSERT(out.n == n && memcmp(b, p, n) == 0);
	use(t, &st, p, n);
	t->ops->free(&t);
	return 0;
}
