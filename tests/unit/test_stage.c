/* SPDX-License-Identifier: Apache-2.0 */
/* The staging areas (core/base/stage.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/transport.h"

static void
all_areas_have_their_size(void **state)
{
	struct stage st;

	(void)state;
	assert_int_equal(stage_init(&st), 0);
	assert_int_equal(outbuf_room(&st.in), STAGE_IN_SIZE);
	assert_int_equal(outbuf_room(&st.rx), STAGE_RX_SIZE);
	assert_int_equal(outbuf_room(&st.plain), STAGE_PLAIN_SIZE);
	assert_int_equal(outbuf_room(&st.tx), STAGE_TX_SIZE);
	assert_null(st.aead);
	memset(st.in.p, 1, st.in.cap);
	memset(st.tx.p, 1, st.tx.cap);
	stage_fini(&st);
	stage_fini(&st);
}

static void
short_memory_leaves_nothing_behind(void **state)
{
	struct stage st;
	unsigned long n = 0;
	int err;

	(void)state;
	do {
		(void)mem_fail_nth(++n);
		err = stage_init(&st);
		assert_true(err == 0 || err == -ENOMEM);
	} while (err < 0);
	(void)mem_fail_nth(0);
	assert_int_equal(n, 5);
	stage_fini(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_areas_have_their_size),
		cmocka_unit_test(short_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
