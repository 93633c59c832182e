/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request says: target (RFC 3986), parameters, members of the body.  The
 * target is taken apart here and not by libmicrohttpd, which ends a path
 * at "%00".
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* timegm */
#endif
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/id.h"
#include "control/control_priv.h"

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place.  What stands for a NUL or a control character is refused. */
static bool
decode(char *s)
{
	char *to = s;
	int high, low;
	unsigned char c;

	while (*s != '\0') {
		c = (unsigned char)*s++;
		if (c == '%') {
			high = digit(s[0]);
			low = high < 0 ? -1 : digit(s[1]);
			if (low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			s += 2;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		*to++ = (char)c;
	}
	*to = '\0';
	return true;
}

bool
target_parse(char *target, struct param *to, unsigned *ret_n)
{
	char *query = strchr(target, '?'), *next, *value;
	unsigned n = 0;

	if (query != NULL)
		*query++ = '\0';
	if (target[0] != '/' || !decode(target))
		return false;
	for (; query != NULL && *query != '\0'; query = next) {
		next = strchr(query, '&');
		if (next != NULL)
			*next++ = '\0';
		value = strchr(query, '=');
		if (value == NULL || n == PARAMS_MAX)
			return false;
		*value++ = '\0';
		if (!decode(query) || !decode(value))
			return false;
		to[n++] = (struct param){ .name = query, .value = value };
	}
	*ret_n = n;
	return true;
}

int
number_parse(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p;

	for (p = s; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	if (p == s || *p != '\0')
		return -EINVAL;
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static bool
fixed_number(const char **p, unsigned digits, char end, int *ret)
{
	int v = 0;

	for (; digits > 0; digits--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	if (end != '\0' && *(*p)++ != end)
		return false;
	return true;
}

int
time_parse(const char *s, int64_t *ret_wall_ms)
{
	struct tm tm = { 0 }, again;
	int year, month, ms = 0, scale = 100;
	time_t t;

	if (!fixed_number(&s, 4, '-', &year) ||
	    !fixed_number(&s, 2, '-', &month) ||
	    !fixed_number(&s, 2, 'T', &tm.tm_mday) ||
	    !fixed_number(&s, 2, ':', &tm.tm_hour) ||
	    !fixed_number(&s, 2, ':', &tm.tm_min) ||
	    !fixed_number(&s, 2, '\0', &tm.tm_sec))
		return -EINVAL;
	if (*s == '.') {
		if (s[1] < '0' || s[1] > '9')
			return -EINVAL;
		for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
			ms += (*s - '0') * scale;
	}
	if (strcmp(s, "Z") != 0 || year < 1970 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 59)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	again = tm;
	t = timegm(&again);
	/* timegm() takes 31 February for 3 March. */
	if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday)
		return -EINVAL;
	*ret_wall_ms = (int64_t)t * 1000 + ms;
	return 0;
}

bool
label_valid(const char *s, size_t max)
{
	if (strlen(s) > max)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

const char *
param_of(const struct exchange *x, const char *name)
{
	for (unsigned i = 0; i < x->params; i++)
		if (strcmp(x->param[i].name, name) == 0)
			return x->param[i].value;
	return NULL;
}

bool
param_number(struct exchange *x, const char *name, uint64_t otherwise,
    uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *s = param_of(x, name);
	uint64_t v = otherwise;

	if (s == NULL || (number_parse(s, max, &v) == 0 && v >= min)) {
		*ret = v;
		return true;
	}
	exchange_problem(x, PROBLEM_INVALID, name, "%s: a number from %llu to "
	    "%llu is expected", name, (unsigned long long)min,
	    (unsigned long long)max);
	return false;
}

bool
id_param_valid(struct exchange *x, const char *name)
{
	const char *s = param_of(x, name);

	if (s == NULL || id_valid(s))
		return true;
	exchange_problem(x, PROBLEM_INVALID, name,
	    "%s: an endpoint id is expected", name);
	return false;
}

static const char *
type_name(json_type t)
{
	switch (t) {
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	default:
		return "another type";
	}
}

bool
body_members(struct exchange *x, const struct member *table, json_t **ret)
{
	const struct member *m;
	const char *name;
	json_t *v;

	for (m = table; m->name != NULL; m++)
		ret[m - table] = NULL;
	json_object_foreach(x->json, name, v) {
		for (m = table; m->name != NULL; m++)
			if (strcmp(m->name, name) == 0)
				break;
		if (m->name == NULL) {
			exchange_problem(x, PROBLEM_UNKNOWN_MEMBER, name,
			    "there is no member \"%.100s\" in this request",
			    name);
			return false;
		}
		if (json_typeof(v) != m->type) {
			exchange_problem(x, PROBLEM_INVALID, m->name,
			    "%s: %s is expected", m->name, type_name(m->type));
			return false;
		}
		ret[m - table] = v;
	}
	for (m = table; m->name != NULL; m++) {
		if (!m->required || ret[m - table] != NULL)
			continue;
		exchange_problem(x, PROBLEM_INVALID, m->name, "the member "
		    "\"%s\" is missing", m->name);
		return false;
	}
	return true;
}
