/* SPDX-License-Identifier: Apache-2.0 */
/* Labels and values of metrics (core/daemon/metrics.c, metrics_process.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <cleat/status.h>

#include "daemon/metrics.h"

static void
values_of_labels_are_escaped(void **state)
{
	char l[64];
	size_t n;

	(void)state;
	n = metrics_label(l, sizeof(l), 0, "a", "x\\y\"z\n");
	assert_string_equal(l, "a=\"x\\\\y\\\"z\\n\"");
	n = metrics_label(l, sizeof(l), n, "b", "");
	assert_string_equal(l, "a=\"x\\\\y\\\"z\\n\",b=\"\"");
	assert_int_equal(n, strlen(l));
}

static void
labels_that_do_not_fit_are_cut_but_stay_whole(void **state)
{
	char l[40], guard[8] = "guard";
	const char *value = "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\";

	(void)state;
	for (size_t size = 1; size <= sizeof(l); size++) {
		size_t n;

		memset(l, 'x', sizeof(l));
		l[0] = '\0';
		n = metrics_label(l, size, 0, "name", value);
		assert_true(n < size);
		assert_int_equal(l[n], '\0');
		if (n > 0) {
			assert_int_equal(l[n - 1], '"');
			/* name=" and " around pairs */
			assert_int_equal((n - 7) % 2, 0);
		}
		if (size < sizeof(l))
			assert_int_equal(l[size], 'x');
	}
	assert_string_equal(guard, "guard");
}

static void
a_cut_leaves_no_half_a_character(void **state)
{
	char l[40];

	(void)state;
	for (size_t size = 10; size < 26; size++) {
		size_t n = metrics_label(l, size, 0, "a",
		    "\xc3\xa4\xc3\xb6\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80-end");

		/* a="…": each character begins and ends inside. */
		for (size_t i = 3; i + 1 < n;) {
			unsigned char c = (unsigned char)l[i];
			size_t k = c < 0x80 ? 1 : c < 0xe0 ? 2 :
			    c < 0xf0 ? 3 : 4;

			assert_true(c < 0x80 || c >= 0xc0);
			i += k;
			assert_true(i + 1 <= n);
		}
	}
}

struct seen {
	const char *last[16];
	double value[16];
	unsigned n;
};

static void
note(void *arg, const struct cleat_metric *m)
{
	struct seen *s = arg;

	assert_int_equal(m->size, sizeof(*m));
	assert_true(s->n < 16);
	s->last[s->n] = m->name;
	s->value[s->n++] = m->value;
}

static void
the_process_tells_memory_files_time_and_start(void **state)
{
	static const char *const names[] = {
		"process_cpu_seconds_total", "process_virtual_memory_bytes",
		"process_resident_memory_bytes", "process_open_fds",
		"process_max_fds", "process_start_time_seconds"
	};
	struct seen s = { .n = 0 };
	struct metrics m = { .fn = note, .arg = &s };

	(void)state;
	metrics_process(&m);
	assert_int_equal(s.n, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_string_equal(s.last[i], names[i]);
		assert_true(s.value[i] >= 0);
	}
	assert_true(s.value[1] >= s.value[2]);
	assert_true(s.value[3] >= 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_labels_are_escaped),
		cmocka_unit_test(labels_that_do_not_fit_are_cut_but_stay_whole),
		cmocka_unit_test(a_cut_leaves_no_half_a_character),
		cmocka_unit_test(the_process_tells_memory_files_time_and_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
