/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines "D N JSON" (data with our number), "A N" (everything up to N is gone)
 * and "B N" (what the server calls our 0).  Only positions are in memory.
 */
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "log_file.h"

#define COMPACT_BYTES (64 * 1024)
/* Of ours and of the server's: their sum is a number of the protocol. */
#define NUMBER_MAX ((uint64_t)INT64_MAX / 2)

struct item {
	uint64_t n;			/* our number */
	off_t at;			/* of its JSON in the file */
	size_t len;
};

struct queue {
	struct log_file file;
	struct item *list;		/* list[first..end) waits */
	size_t first, end, cap;
	size_t bytes, max_bytes;
	uint64_t last;			/* number */
	uint64_t base;
	bool started;			/* base is known */
	uint64_t dropped;
};

static int
grow(struct queue *q)
{
	size_t cap = q->cap == 0 ? 64 : q->cap * 2;
	struct item *more;

	if (q->first > 0 && q->first >= q->end / 2) {
		memmove(q->list, q->list + q->first,
		    (q->end - q->first) * sizeof(*q->list));
		q->end -= q->first;
		q->first = 0;
	}
	if (q->end < q->cap)
		return 0;
	more = mem_realloc(q->list, cap * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	q->list = more;
	q->cap = cap;
	return 0;
}

static void
push(struct queue *q, const struct item *i)
{
	q->list[q->end++] = *i;
	q->bytes += i->len;
	q->last = i->n;
}

static void
forget(struct queue *q, uint64_t up_to)
{
	while (q->first < q->end && q->list[q->first].n <= up_to)
		q->bytes -= q->list[q->first++].len;
	if (q->last < up_to)
		q->last = up_to;
}

static int
take_line(void *ctx, const char *text, size_t n, off_t at)
{
	struct queue *q = ctx;
	char number[24];
	const char *space = n > 2 ? memchr(text + 2, ' ', n - 2) : NULL;
	size_t digits = (space == NULL ? n : (size_t)(space - text)) - 2;
	uint64_t v;

	if (n < 3 || digits == 0 || digits >= sizeof(number))
		return 0;
	memcpy(number, text + 2, digits);
	number[digits] = '\0';
	if (strspn(number, "0123456789") != digits)
		return 0;
	v = strtoull(number, NULL, 10);
	if (v > NUMBER_MAX)
		return 0;
	if (text[0] == 'A') {
		forget(q, v);
	} else if (text[0] == 'B') {
		q->base = v;
		q->started = true;
	} else if (text[0] == 'D' && space != NULL && v > q->last) {
		if (grow(q) != 0)
			return -ENOMEM;
		push(q, &(struct item){ .n = v, .len = n - digits - 3,
		    .at = at + (off_t)digits + 3 });
	}
	return 0;
}

int
queue_open(const char *path, size_t max_bytes, struct queue **ret)
{
	struct queue *q = mem_calloc(1, sizeof(*q));
	int r;

	if (q == NULL)
		return -ENOMEM;
	q->max_bytes = max_bytes;
	r = log_file_open(&q->file, path, take_line, q);
	if (r != 0) {
		queue_close(&q);
		return r;
	}
	*ret = q;
	return 0;
}

void
queue_close(struct queue **pq)
{
	struct queue *q = *pq;

	if (q == NULL)
		return;
	if (q->file.path != NULL)
		log_file_close(&q->file);
	mem_free(q->list);
	mem_free(q);
	*pq = NULL;
}

static int
read_item(const struct queue *q, const struct item *i, char **ret)
{
	char *text = mem_alloc(i->len + 1);
	ssize_t k;

	if (text == NULL)
		return -ENOMEM;
	k = pread(q->file.fd, text, i->len, i->at);
	if (k != (ssize_t)i->len) {
		int r = k < 0 ? -errno : -EIO;

		mem_free(text);
		return r;
	}
	text[i->len] = '\0';
	*ret = text;
	return 0;
}

/* ---- writing ----------------------------------------------------------- */

static char *
make_line(char kind, uint64_t n, const char *json)
{
	size_t size = strlen(json) + 32;
	char *line = mem_alloc(size);

	if (line != NULL)
		(void)snprintf(line, size, "%c %" PRIu64 "%s%s", kind, n,
		    *json == '\0' ? "" : " ", json);
	return line;
}

static int
add_line(struct queue *q, char kind, uint64_t n, const char *json,
    off_t *ret_at)
{
	char *line = make_line(kind, n, json);
	int r = line == NULL ? -ENOMEM : log_file_add(&q->file, line,
	    strlen(line), ret_at);

	if (r == 0 && ret_at != NULL)
		*ret_at += (off_t)(strlen(line) - strlen(json));
	mem_free(line);
	return r;
}

static int
text_line(struct log_text *t, char kind, uint64_t n, const char *json,
    off_t *ret_at)
{
	char *line = make_line(kind, n, json);
	int r = line == NULL ? -ENOMEM : log_text_add(t, line, strlen(line),
	    ret_at);

	if (r == 0 && ret_at != NULL)
		*ret_at += (off_t)(strlen(line) - strlen(json));
	mem_free(line);
	return r;
}

static int
copy_item(const struct queue *q, const struct item *i, struct log_text *t,
    off_t *ret_at)
{
	char *json;
	int r = read_item(q, i, &json);

	if (r == 0) {
		r = text_line(t, 'D', i->n, json, ret_at);
		mem_free(json);
	}
	return r;
}

/* Once more than half of the file is about what is gone. */
static int
compact(struct queue *q)
{
	size_t count = q->end - q->first;
	struct log_text t = { NULL, 0, 0 };
	off_t *at;
	int r;

	if (q->file.size < COMPACT_BYTES ||
	    (size_t)q->file.size < 2 * (q->bytes + 40 * count))
		return 0;
	at = mem_calloc(count + 1, sizeof(*at));
	if (at == NULL)
		return -ENOMEM;
	r = q->started ? text_line(&t, 'B', q->base, "", NULL) : 0;
	if (r == 0)
		r = text_line(&t, 'A', count > 0 ? q->list[q->first].n - 1 :
		    q->last, "", NULL);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = copy_item(q, &q->list[q->first + i], &t, &at[i]);
	if (r == 0)
		r = log_file_replace(&q->file, &t);
	for (size_t i = 0; r == 0 && i < count; i++)
		q->list[q->first + i].at = at[i];
	mem_free(t.p);
	mem_free(at);
	return r;
}

int
queue_add(struct queue *q, const char *json)
{
	struct item item = { .n = q->last + 1, .len = strlen(json) };
	int r;

	if (item.len > q->max_bytes)
		return -EMSGSIZE;
	if (q->last >= NUMBER_MAX)
		return -ERANGE;
	while (q->bytes + item.len > q->max_bytes) {
		uint64_t oldest = q->list[q->first].n;

		r = add_line(q, 'A', oldest, "", NULL);
		if (r != 0)
			return r;
		forget(q, oldest);
		q->dropped++;
	}
	r = grow(q);
	if (r == 0)
		r = compact(q);
	if (r == 0)
		r = add_line(q, 'D', item.n, json, &item.at);
	if (r == 0)
		push(q, &item);
	return r;
}

int
queue_sync(struct queue *q)
{
	return log_file_sync(&q->file);
}

int
queue_start(struct queue *q, uint64_t server_seq)
{
	uint64_t base = server_seq;
	int r;

	if (server_seq > NUMBER_MAX)
		return -ERANGE;
	/* Known, and the server has not more than we ever sent. */
	if (q->started && server_seq <= q->base + q->last)
		return 0;
	/* Somebody else's numbers: what waits gets higher ones. */
	if (q->started)
		base = server_seq - (q->first < q->end ?
		    q->list[q->first].n - 1 : q->last);
	r = add_line(q, 'B', base, "", NULL);
	if (r == 0)
		r = log_file_sync(&q->file);
	if (r == 0) {
		r = q->started;
		q->base = base;
		q->started = true;
	}
	return r;
}

uint64_t
queue_after(struct queue *q, uint64_t seq, char **ret_json)
{
	size_t low = q->first, high = q->end;

	if (!q->started)
		return 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (q->list[middle].n + q->base > seq)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == q->end || read_item(q, &q->list[low], ret_json) != 0)
		return 0;
	return q->list[low].n + q->base;
}

int
queue_stored(struct queue *q, uint64_t seq)
{
	uint64_t n = seq <= q->base ? 0 : seq - q->base;
	int r;

	if (q->first == q->end || q->list[q->first].n > n)
		return 0;
	if (n > q->last)
		n = q->last;
	/* Not synced: sent again, it would be known by its number. */
	r = add_line(q, 'A', n, "", NULL);
	if (r != 0)
		return r;
	forget(q, n);
	return compact(q);
}

size_t
queue_count(const struct queue *q)
{
	return q->end - q->first;
}

uint64_t
queue_dropped(const struct queue *q)
{
	return q->dropped;
}
