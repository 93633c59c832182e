/* SPDX-License-Identifier: Apache-2.0 */
/* What a span, a number or a time on the command line is. */
#include <string.h>

#include "base/clock.h"
#include "ctl.h"
#include "when.h"

int
option_span(const struct ctl *x, enum opt o, uint64_t *ret_ms)
{
	if (when_span_parse(x->option[o], ret_ms) == 0)
		return EXIT_OK;
	say("--%s %s: a span is expected, such as 1500ms, 30s, 5m, 2h or 1d",
	    ctl_options[o].name, x->option[o]);
	return EXIT_USAGE;
}

int
option_number(const struct ctl *x, enum opt o, uint64_t *ret)
{
	const char *s = x->option[o];
	uint64_t v = 0;
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n > 18 || s[n] != '\0') {
		say("--%s %s: a number is expected", ctl_options[o].name, s);
		return EXIT_USAGE;
	}
	for (; *s != '\0'; s++)
		v = 10 * v + (uint64_t)(*s - '0');
	*ret = v;
	return EXIT_OK;
}

int
option_time(const struct ctl *x, enum opt o, char *to)
{
	const char *s = x->option[o];
	int64_t at;
	uint64_t span;

	if (when_parse(s, &at) != 0) {
		if (when_span_parse(s, &span) != 0) {
			say("--%s %s: a time such as 2030-01-31T12:00:00Z, or "
			    "a span such as 30d, is expected",
			    ctl_options[o].name, s);
			return EXIT_USAGE;
		}
		at = clock_wall_ms() + (int64_t)span;
	}
	clock_text(at, to);
	return EXIT_OK;
}
