/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From text to typed values.  Strict: a number is decimal digits without a sign
 * or a leading zero (which some would read as octal), a duration has its unit.
 */
#include "conf/conf_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/mem.h"

#define ITEMS_MAX 256

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit time_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },
	{ "ms", 1 }, { NULL, 0 },
};
static const struct unit size_units[] = {
	{ "GiB", UINT64_C(1) << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 },
	{ "", 1 }, { NULL, 0 },
};

static const struct unit *
units_of(enum conf_type type)
{
	if (type == CONF_DURATION)
		return time_units;
	return type == CONF_SIZE ? size_units : no_units;
}

static int
parse_number(const char *s, const struct unit *units, uint64_t *ret)
{
	const char *p = s;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -EINVAL;
	}
	if (p == s || (s[0] == '0' && p - s > 1))
		return -EINVAL;
	if (v == 0 && *p == '\0') {	/* nothing of anything */
		*ret = 0;
		return 0;
	}
	for (; units->name != NULL; units++) {
		if (strcmp(p, units->name) != 0)
			continue;
		if (__builtin_mul_overflow(v, units->factor, &v))
			return -EINVAL;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

static int
parse_bool(const char *s, uint64_t *ret)
{
	static const char *const words[] = { "no", "yes", "false", "true",
	    "off", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(s, words[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	}
	return -EINVAL;
}

/* The index of s in "a|b|c". */
static int
parse_word(const char *s, const char *words, uint64_t *ret)
{
	size_t n = strlen(s), len;
	uint64_t at = 0;

	for (; words != NULL && *words != '\0'; at++) {
		len = strcspn(words, "|");
		if (len == n && memcmp(words, s, n) == 0) {
			*ret = at;
			return 0;
		}
		words += len + (words[len] == '|');
	}
	return -EINVAL;
}

/* Letters, digits, "-" and "_" in labels of 1 to 63; RFC 1035 2.3.4. */
static bool
is_host(const char *s)
{
	size_t label = 0, all = strlen(s);

	if (strncmp(s, "*.", 2) == 0)
		s += 2;
	if (*s == '\0' || all > 253)
		return false;
	for (; *s != '\0'; s++) {
		if (*s == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || *s == '-' || *s == '_') ||
		    ++label > 63)
			return false;
	}
	return label > 0;
}

static bool
is_address(const char *s)
{
	struct sockaddr_storage ss;
	unsigned len;

	/* What sd_listen_fds_with_names(3) allows is more; this is enough. */
	if (strncmp(s, "systemd:", 8) == 0)
		return strlen(s) < 255 && s[8] != '\0' &&
		    strpbrk(s + 8, ": /") == NULL;
	return addr_parse(s, &ss, &len) == 0;
}

static bool
is_ipc(const char *s)
{
	struct sockaddr_storage ss;
	unsigned len;
	char text[128];

	if (strncmp(s, "ipc://", 6) != 0 || strlen(s) >= sizeof(text))
		return false;
	(void)snprintf(text, sizeof(text), "unix:%s", s + 6);
	return addr_parse(text, &ss, &len) == 0;
}

/* One element. */
static int
parse_one(const struct conf_key *k, const char *s, uint64_t *ret,
    struct addr_range *ret_range)
{
	bool good = true;
	int err;

	switch (k->type) {
	case CONF_BOOL:
		return parse_bool(s, ret);
	case CONF_ENUM:
		return parse_word(s, k->words, ret);
	case CONF_UINT:
		if (k->words != NULL && strcmp(s, k->words) == 0) {
			*ret = 0;
			return 0;
		}
		/* fall through */
	case CONF_DURATION:
	case CONF_SIZE:
		err = parse_number(s, units_of(k->type), ret);
		if (err < 0)
			return err;
		if (*ret < k->min || (k->max != 0 && *ret > k->max))
			return -EINVAL;
		return 0;
	case CONF_RANGE:
		return addr_range_parse(s, ret_range);
	case CONF_STRING:
		break;
	case CONF_PATH:
		good = s[0] == '/';
		break;
	case CONF_ADDRESS:
		good = is_address(s);
		break;
	case CONF_NAME:
		good = conf_is_name(s);
		break;
	case CONF_HOST:
		good = is_host(s);
		break;
	case CONF_IPC:
		good = is_ipc(s);
		break;
	}
	return good ? 0 : -EINVAL;
}

static int
add_item(struct conf_value *v, const char *s, size_t n)
{
	char *item = mem_alloc(n + 1);
	int err;

	if (item == NULL)
		return -ENOMEM;
	memcpy(item, s, n);
	item[n] = '\0';
	v->items[v->items_n++] = item;
	for (char *p = item; v->key->type == CONF_HOST && *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	err = parse_one(v->key, item, &v->number,
	    v->ranges == NULL ? NULL : &v->ranges[v->ranges_n]);
	if (err == 0 && v->ranges != NULL)
		v->ranges_n++;
	return err;
}

static int
parse_list(struct conf_value *v, const char *text)
{
	size_t count = 1, n, len;
	int err;

	for (const char *p = text; *p != '\0'; p++)
		count += *p == ',';
	if (count > ITEMS_MAX)
		return -EINVAL;
	v->items = mem_calloc(count, sizeof(*v->items));
	if (v->items == NULL)
		return -ENOMEM;
	if (v->key->type == CONF_RANGE) {
		v->ranges = mem_calloc(count, sizeof(*v->ranges));
		if (v->ranges == NULL)
			return -ENOMEM;
	}
	for (;;) {
		text += strspn(text, " \t");
		len = n = strcspn(text, ",");
		while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
			n--;
		if (n == 0)
			return -EINVAL;
		err = add_item(v, text, n);
		if (err < 0)
			return err;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

void
conf_value_fini(struct conf_value *v)
{
	for (unsigned i = 0; i < v->items_n; i++)
		mem_free(v->items[i]);
	mem_free(v->items);
	mem_free(v->ranges);
	if (v->text != NULL)
		mem_free_wiped(v->text, strlen(v->text));
	if (v->source != NULL)
		mem_free_wiped(v->source, strlen(v->source));
	mem_free(v->where);
	memset(v, 0, sizeof(*v));
}

static bool
may_be_empty(const struct conf_key *k)
{
	return k->type == CONF_STRING || (k->flags & CONF_LIST) != 0 ||
	    k->value == NULL || k->value[0] == '\0';
}

int
conf_value_set(struct conf_value *v, const struct conf_key *k,
    const char *text, const char *where)
{
	int err = 0;

	v->key = k;
	if (where != NULL && (v->where = mem_strdup(where)) == NULL)
		return -ENOMEM;
	if (text == NULL || text[0] == '\0') {
		if (!may_be_empty(k))
			err = -EINVAL;
	} else {
		v->text = mem_strdup(text);
		if (v->text == NULL)
			err = -ENOMEM;
		else if ((k->flags & CONF_LIST) != 0)
			err = parse_list(v, text);
		else
			err = parse_one(k, text, &v->number, NULL);
	}
	if (err < 0)
		conf_value_fini(v);
	return err;
}

bool
conf_value_same(const struct conf_value *a, const struct conf_value *b)
{
	if (a->text == NULL || b->text == NULL)
		return a->text == b->text;
	if (a->source != NULL && b->source != NULL &&
	    strcmp(a->source, b->source) != 0)
		return false;
	if ((a->key->flags & CONF_LIST) != 0) {
		if (a->items_n != b->items_n)
			return false;
		for (unsigned i = 0; i < a->items_n; i++) {
			if (strcmp(a->items[i], b->items[i]) != 0)
				return false;
		}
		return true;
	}
	switch (a->key->type) {
	case CONF_BOOL:
	case CONF_UINT:
	case CONF_DURATION:
	case CONF_SIZE:
		return a->number == b->number;
	default:
		return strcmp(a->text, b->text) == 0;
	}
}

/* In the largest unit that divides it. */
static void
number_text(uint64_t v, const struct unit *u, char to[32])
{
	while (v != 0 && v % u->factor != 0)
		u++;
	(void)snprintf(to, 32, "%" PRIu64 "%s", v == 0 ? 0 : v / u->factor,
	    v == 0 ? "" : u->name);
}

static void
expected_number(const struct conf_key *k, char to[CONF_EXPECTED_SIZE])
{
	const struct unit *u = units_of(k->type);
	char min[32], max[32], limits[80] = "";
	const char *what = "a number without leading zeros";

	if (k->type == CONF_DURATION)
		what = "a duration with its unit (ms, s, m, h, d)";
	else if (k->type == CONF_SIZE)
		what = "a size (4096, 64KiB, 1MiB)";
	number_text(k->min, u, min);
	number_text(k->max, u, max);
	if (k->max != 0)
		(void)snprintf(limits, sizeof(limits), " from %s to %s", min,
		    max);
	else if (k->min != 0)
		(void)snprintf(limits, sizeof(limits), " from %s", min);
	(void)snprintf(to, CONF_EXPECTED_SIZE, "%s%s%s%s", what, limits,
	    k->words != NULL ? ", or " : "", k->words != NULL ? k->words : "");
}

static const char *
expected_text(enum conf_type type)
{
	switch (type) {
	case CONF_BOOL:
		return "yes or no";
	case CONF_PATH:
		return "an absolute path";
	case CONF_ADDRESS:
		return "an address such as 0.0.0.0:443, [::1]:443, *:443,"
		    " unix:/path or systemd:NAME";
	case CONF_RANGE:
		return "192.0.2.0/24, 2001:db8::/32, 192.0.2.1 or unix";
	case CONF_NAME:
		return "a name of a-z, 0-9, _ and -";
	case CONF_HOST:
		return "a host name such as a.example.org or *.example.org";
	case CONF_IPC:
		return "ipc:///path of at most 107 bytes";
	default:
		return "a text";
	}
}

const char *
conf_value_expected(const struct conf_key *k, char to[CONF_EXPECTED_SIZE])
{
	char one[CONF_EXPECTED_SIZE] = "one of ";
	size_t n = strlen(one);

	switch (k->type) {
	case CONF_UINT:
	case CONF_DURATION:
	case CONF_SIZE:
		expected_number(k, one);
		break;
	case CONF_ENUM:
		for (const char *p = k->words; *p != '\0' &&
		    n + 3 < sizeof(one); p++) {
			one[n++] = *p == '|' ? ',' : *p;
			if (*p == '|')
				one[n++] = ' ';
		}
		one[n] = '\0';
		break;
	default:
		(void)snprintf(one, sizeof(one), "%s", expected_text(k->type));
		break;
	}
	(void)snprintf(to, CONF_EXPECTED_SIZE, "%s%.170s",
	    (k->flags & CONF_LIST) != 0 ? "a list with commas of " : "", one);
	return to;
}
