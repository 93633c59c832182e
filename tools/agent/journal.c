/* SPDX-License-Identifier: Apache-2.0 */
/* Lines "R ID", "O ID JSON", "F ID", and the entries they make. */
#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "log_file.h"

#define COMPACT_BYTES (512 * 1024)
#define INTERRUPTED "{\"outcome\":\"interrupted\"}"

struct journal {
	struct log_file file;
	struct journal_entry *list;
	size_t n, cap, open;
	size_t bytes;			/* of outcomes */
	off_t compact_at;		/* when the file is as long as this */
};

struct journal_entry *
journal_find(struct journal *j, const char *id)
{
	for (size_t i = j->n; i-- > 0;)
		if (strcmp(j->list[i].id, id) == 0)
			return &j->list[i];
	return NULL;
}

struct journal_entry *
journal_at(struct journal *j, size_t i)
{
	return i < j->n ? &j->list[i] : NULL;
}

static int
grow(struct journal *j)
{
	size_t cap = j->cap == 0 ? 16 : j->cap * 2;
	struct journal_entry *more;

	if (j->n < j->cap)
		return 0;
	more = mem_realloc(j->list, cap * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	j->list = more;
	j->cap = cap;
	return 0;
}

/* It has none then. */
static void
drop_oldest_final(struct journal *j)
{
	size_t i = 0;

	while (j->list[i].state != JOURNAL_FINAL)
		i++;
	memmove(&j->list[i], &j->list[i + 1],
	    (j->n - i - 1) * sizeof(j->list[0]));
	j->n--;
}

/* ---- changes in memory; the room was made before ----------------------- */

static void
add(struct journal *j, const char *id)
{
	struct journal_entry *e = &j->list[j->n++];

	*e = (struct journal_entry){ .state = JOURNAL_RECORDED };
	memcpy(e->id, id, strlen(id) + 1);
	j->open++;
}

/* Takes `outcome` over. */
static void
set_done(struct journal *j, struct journal_entry *e, char *outcome)
{
	e->outcome = outcome;
	e->state = JOURNAL_DONE;
	j->bytes += strlen(outcome);
}

static void
set_final(struct journal *j, struct journal_entry *e)
{
	if (e->state == JOURNAL_FINAL)
		return;
	e->state = JOURNAL_FINAL;
	if (e->outcome != NULL)
		j->bytes -= strlen(e->outcome);
	mem_free(e->outcome);
	e->outcome = NULL;
	j->open--;
	if (j->n - j->open > JOURNAL_FINAL_MAX)
		drop_oldest_final(j);
}

/* ---- reading ----------------------------------------------------------- */

static int
replay(struct journal *j, char kind, const char *id, const char *rest)
{
	struct journal_entry *e = journal_find(j, id);
	char *copy;

	if (kind == 'R' && e == NULL) {
		if (grow(j) != 0)
			return -ENOMEM;
		add(j, id);
	} else if (kind == 'O' && e != NULL && e->state == JOURNAL_RECORDED) {
		copy = mem_strdup(rest);
		if (copy == NULL)
			return -ENOMEM;
		set_done(j, e, copy);
	} else if (kind == 'F' && e != NULL) {
		set_final(j, e);
	}
	return 0;
}

static int
take_line(void *ctx, const char *text, size_t n, off_t at)
{
	char id[JOURNAL_ID_SIZE], *rest;
	const char *end;
	size_t id_n;
	int r;

	(void)at;
	if (n < 3 || text[1] != ' ')
		return 0;
	end = memchr(text + 2, ' ', n - 2);
	id_n = end == NULL ? n - 2 : (size_t)(end - text) - 2;
	if (id_n == 0 || id_n >= sizeof(id))
		return 0;
	memcpy(id, text + 2, id_n);
	id[id_n] = '\0';
	rest = mem_alloc(n);
	if (rest == NULL)
		return -ENOMEM;
	id_n = end == NULL ? 0 : n - (size_t)(end + 1 - text);
	if (id_n > 0)
		memcpy(rest, end + 1, id_n);
	rest[id_n] = '\0';
	r = replay(ctx, text[0], id, rest);
	mem_free(rest);
	return r;
}

/* ---- writing ----------------------------------------------------------- */

/* The line of a change, to be freed. */
static char *
make_line(char kind, const char *id, const char *rest)
{
	size_t n = strlen(id) + strlen(rest) + 4;
	char *line = mem_alloc(n);

	if (line != NULL)
		(void)snprintf(line, n, "%c %s%s%s", kind, id,
		    *rest == '\0' ? "" : " ", rest);
	return line;
}

static int
write_line(struct journal *j, char kind, const char *id, const char *rest)
{
	char *line = make_line(kind, id, rest);
	int r = line == NULL ? -ENOMEM : log_file_add(&j->file, line,
	    strlen(line), NULL);

	if (r == 0)
		r = log_file_sync(&j->file);
	mem_free(line);
	return r;
}

static int
text_line(struct log_text *t, char kind, const char *id, const char *rest)
{
	char *line = make_line(kind, id, rest);
	int r = line == NULL ? -ENOMEM : log_text_add(t, line, strlen(line),
	    NULL);

	mem_free(line);
	return r;
}

/* A shorter file that says the same.  When that fails, the long one is as
 * good. */
static void
compact(struct journal *j)
{
	struct log_text t = { NULL, 0, 0 };
	int r = 0;

	if (j->file.size < j->compact_at)
		return;
	for (size_t i = 0; r == 0 && i < j->n; i++) {
		const struct journal_entry *e = &j->list[i];

		r = text_line(&t, 'R', e->id, "");
		if (r == 0 && e->state == JOURNAL_DONE)
			r = text_line(&t, 'O', e->id, e->outcome);
		if (r == 0 && e->state == JOURNAL_FINAL)
			r = text_line(&t, 'F', e->id, "");
	}
	if (r == 0)
		(void)log_file_replace(&j->file, &t);
	mem_free(t.p);
	j->compact_at = j->file.size * 2 > COMPACT_BYTES ? j->file.size * 2 :
	    COMPACT_BYTES;
}

int
journal_open(const char *path, struct journal **ret)
{
	struct journal *j = mem_calloc(1, sizeof(*j));
	int r;

	if (j == NULL)
		return -ENOMEM;
	j->compact_at = COMPACT_BYTES;
	r = log_file_open(&j->file, path, take_line, j);
	for (size_t i = 0; r == 0 && i < j->n; i++)
		if (j->list[i].state == JOURNAL_RECORDED)
			r = journal_outcome(j, j->list[i].id, INTERRUPTED);
	if (r != 0) {
		journal_close(&j);
		return r;
	}
	compact(j);
	*ret = j;
	return 0;
}

void
journal_close(struct journal **pj)
{
	struct journal *j = *pj;

	if (j == NULL)
		return;
	for (size_t i = 0; i < j->n; i++)
		mem_free(j->list[i].outcome);
	mem_free(j->list);
	log_file_close(&j->file);
	mem_free(j);
	*pj = NULL;
}

int
journal_record(struct journal *j, const char *id)
{
	int r;

	if (!id_word_valid(id))
		return -EINVAL;
	if (journal_find(j, id) != NULL)
		return -EEXIST;
	if (j->open >= JOURNAL_OPEN_MAX)
		return -EBUSY;
	r = grow(j);
	if (r == 0)
		r = write_line(j, 'R', id, "");
	if (r == 0)
		add(j, id);
	return r;
}

int
journal_outcome(struct journal *j, const char *id, const char *outcome)
{
	struct journal_entry *e = journal_find(j, id);
	char *copy;
	int r;

	if (e == NULL)
		return -ENOENT;
	if (e->state != JOURNAL_RECORDED)
		return -EALREADY;
	if (strlen(outcome) > JOURNAL_OUTCOME_SMALL && j->bytes +
	    strlen(outcome) > JOURNAL_OUTCOMES_BYTES)
		return -EFBIG;
	copy = mem_strdup(outcome);
	if (copy == NULL)
		return -ENOMEM;
	r = write_line(j, 'O', id, outcome);
	if (r != 0) {
		mem_free(copy);
		return r;
	}
	set_done(j, e, copy);
	return 0;
}

int
journal_final(struct journal *j, const char *id)
{
	struct journal_entry *e = journal_find(j, id);
	int r;

	if (e == NULL)
		return -ENOENT;
	r = write_line(j, 'F', id, "");
	if (r == 0) {
		set_final(j, e);
		compact(j);
	}
	return r;
}
