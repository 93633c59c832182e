/* SPDX-License-Identifier: Apache-2.0 */
/* The plain transport (core/base/transport_plain.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/transport.h"

static struct stage st;
static struct transport *t;

static int
set_up(void **state)
{
	(void)state;
	t = NULL;
	return stage_init(&st) < 0 ? -1 : transport_plain_new(&t);
}

static int
tear_down(void **state)
{
	(void)state;
	stage_fini(&st);
	transport_plain_ops.free(&t);
	transport_plain_ops.free(&t);
	return 0;
}

static void
bytes_pass_both_ways(void **state)
{
	(void)state;
	assert_int_equal(t->ops->read(t, &st, (const uint8_t *)"in", 2), 2);
	assert_int_equal(t->ops->write(t, &st, (const uint8_t *)"out", 3), 3);
	assert_int_equal(st.rx.n, 2);
	assert_memory_equal(st.rx.p, "in", 2);
	assert_int_equal(st.tx.n, 3);
	assert_memory_equal(st.tx.p, "out", 3);
	assert_int_equal(t->ops->write(t, &st, NULL, 0), 0);
}

static void
a_full_area_takes_only_a_part(void **state)
{
	(void)state;
	st.rx.n = st.rx.cap - 1;
	st.tx.n = st.tx.cap - 2;
	assert_int_equal(t->ops->read(t, &st, (const uint8_t *)"in", 2), 1);
	assert_int_equal(t->ops->read(t, &st, (const uint8_t *)"n", 1), 0);
	assert_int_equal(t->ops->write(t, &st, (const uint8_t *)"out", 3), 2);
	assert_int_equal(st.tx.n, st.tx.cap);
}

static void
an_end_of_file_is_a_clean_end(void **state)
{
	(void)state;
	assert_int_equal(t->ops->shutdown(t, &st), 0);
	assert_int_equal(st.tx.n, 0);
	assert_int_equal(t->ops->eof(t), -EPIPE);
	assert_string_equal(t->ops->reason(t), "");
}

static void
export_and_import_are_inverse_and_strict(void **state)
{
	uint8_t bytes[16];
	struct outbuf out = { bytes, 0, 3 };
	struct transport *u = NULL;

	(void)state;
	assert_int_equal(t->ops->export(t, &out), -ENOBUFS);
	assert_int_equal(out.n, 0);
	out.cap = sizeof(bytes);
	assert_int_equal(t->ops->export(t, &out), 0);
	assert_int_equal(bytes[0], transport_plain_ops.tag);
	assert_int_equal(transport_plain_ops.import(bytes, out.n, &u), 0);
	assert_ptr_equal(u->ops, &transport_plain_ops);
	u->ops->free(&u);
	for (size_t i = 0; i < out.n; i++) {
		bytes[i] ^= 1;
		assert_int_equal(transport_plain_ops.import(bytes, out.n, &u),
		    -EINVAL);
		bytes[i] ^= 1;
		assert_int_equal(transport_plain_ops.import(bytes, i, &u),
		    -EINVAL);
	}
	assert_int_equal(transport_plain_ops.import(bytes, out.n + 1, &u),
	    -EINVAL);
	(void)mem_fail_nth(1);
	assert_int_equal(transport_plain_ops.import(bytes, out.n, &u),
	    -ENOMEM);
	(void)mem_fail_nth(0);
	assert_null(u);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(bytes_pass_both_ways),
		T(a_full_area_takes_only_a_part),
		T(an_end_of_file_is_a_clean_end),
		T(export_and_import_are_inverse_and_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
