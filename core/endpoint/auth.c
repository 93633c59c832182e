/* SPDX-License-Identifier: Apache-2.0 */
/* The token file: parsed once into a sorted array, searched by id. */
#include "endpoint/auth.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/id.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "endpoint/endpoint.h"

struct entry {
	const char *id;			/* in auth_file.text */
	uint8_t sha256[32];
};

struct auth_file {
	_Atomic unsigned refs;
	size_t n;
	struct entry *entry;		/* sorted by id */
	uint8_t *text;			/* the file; ids are terminated in it */
	size_t text_n;
};

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->id,
	    ((const struct entry *)b)->id);
}

/* Takes one line apart in place; 1 an entry, 0 nothing, -EINVAL. */
static int
parse_line(char *line, struct entry *ret, const char **ret_expected)
{
	char *id = line + strspn(line, " \t"), *hex, *end;

	if (*id == '\0' || *id == '#')
		return 0;
	hex = id + strcspn(id, " \t");
	*ret_expected = "an endpoint id, a space and 64 hex digits";
	if (*hex == '\0')
		return -EINVAL;
	*hex++ = '\0';
	hex += strspn(hex, " \t");
	end = hex + strcspn(hex, " \t");
	if (end[strspn(end, " \t")] != '\0' || end - hex != 64)
		return -EINVAL;
	*end = '\0';
	if (hex_read(hex, ret->sha256, 32) != 0)
		return -EINVAL;
	*ret_expected = "an endpoint id of letters, digits and ._:@-";
	if (!id_valid(id))
		return -EINVAL;
	ret->id = id;
	return 1;
}

static size_t
count_lines(const uint8_t *p, size_t n)
{
	size_t lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

static int
parse(struct auth_file *f, const char *path, char *why)
{
	char *line = (char *)f->text, *next;
	const char *expected = "";
	unsigned number = 1;
	int r;

	if (memchr(f->text, '\0', f->text_n) != NULL) {
		(void)snprintf(why, 256, "%s: a NUL byte; expected text", path);
		return -EINVAL;
	}
	f->entry = mem_calloc(count_lines(f->text, f->text_n),
	    sizeof(*f->entry));
	if (f->entry == NULL)
		return -ENOMEM;
	for (; line != NULL; line = next, number++) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		r = parse_line(line, &f->entry[f->n], &expected);
		if (r < 0) {
			(void)snprintf(why, 256, "%s:%u: expected %s", path,
			    number, expected);
			return r;
		}
		f->n += (size_t)r;
	}
	qsort(f->entry, f->n, sizeof(*f->entry), by_id);
	return 0;
}

int
auth_file_load(const char *path, char *why, struct auth_file **ret)
{
	struct auth_file *f = mem_calloc(1, sizeof(*f));
	int r = 0;

	why[0] = '\0';
	if (f == NULL)
		return -ENOMEM;
	atomic_init(&f->refs, 1);
	if (path != NULL) {
		r = file_read(path, AUTH_FILE_MAX, &f->text, &f->text_n);
		if (r != 0)
			(void)snprintf(why, 256, "[auth] token_file: %s: %s",
			    path, strerror(-r));
		else
			r = parse(f, path, why);
	}
	if (r != 0) {
		auth_file_unref(&f);
		return r;
	}
	*ret = f;
	return 0;
}

struct auth_file *
auth_file_ref(struct auth_file *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void
auth_file_unref(struct auth_file **pf)
{
	struct auth_file *f = *pf;

	*pf = NULL;
	if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	mem_free(f->entry);
	mem_free(f->text);
	mem_free(f);
}

size_t
auth_file_count(const struct auth_file *f)
{
	return f->n;
}

/* Index of the first entry of `id`, or of where it would be. */
static size_t
lower_bound(const struct auth_file *f, const char *id)
{
	size_t lo = 0, hi = f->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(f->entry[mid].id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool
auth_file_has(const struct auth_file *f, const char *endpoint,
    const uint8_t sha256[32])
{
	static const uint8_t nobody[32];
	size_t i = lower_bound(f, endpoint);
	bool known = i < f->n && strcmp(f->entry[i].id, endpoint) == 0;
	bool has = false;

	do {
		has |= digest_equal(known ? f->entry[i].sha256 : nobody,
		    sha256, 32) & known;
		i++;
	} while (known && i < f->n && strcmp(f->entry[i].id, endpoint) == 0);
	return has;
}

size_t
auth_file_find(const struct auth_file *f, const char *endpoint)
{
	return lower_bound(f, endpoint);
}

bool
auth_file_entry(const struct auth_file *f, size_t i, const char **ret_id,
    const uint8_t **ret_sha256)
{
	if (i >= f->n)
		return false;
	*ret_id = f->entry[i].id;
	*ret_sha256 = f->entry[i].sha256;
	return true;
}

int
auth_token_digest(const char *token, uint8_t ret[32])
{
	size_t n = strlen(token);

	if (n < AUTH_TOKEN_MIN || n > AUTH_TOKEN_MAX)
		return -EACCES;
	return digest_sha256(token, n, ret);
}
