/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's journal of commands and queue of telemetry, from files of any
 * content.  A line gets its checksum here unless it begins with '!', so that
 * what stands in it is reached.  Whatever was in them, they open, what is taken
 * is there after the next start, what is final stays final, and numbers rise.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "journal.h"
#include "log_file.h"
#include "queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)
#define QUEUE_MAX 4096

static char dir[64], path[80];

static void
clean(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

/* In memory where that can be: it is synced all the time. */
static void
make_place(void)
{
	if (dir[0] != '\0')
		return;
	(void)snprintf(dir, sizeof(dir), "/dev/shm/cleat-fuzz-XXXXXX");
	if (mkdtemp(dir) == NULL) {
		(void)snprintf(dir, sizeof(dir), "/tmp/cleat-fuzz-XXXXXX");
		CHECK(mkdtemp(dir) != NULL);
	}
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	CHECK(atexit(clean) == 0);
}

static void
write_file(const uint8_t *p, size_t n)
{
	struct log_text t = { NULL, 0, 0 };
	const char *text = (const char *)p, *end;
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	for (size_t at = 0; at < n; at += (size_t)(end - text) - at + 1) {
		end = memchr(text + at, '\n', n - at);
		if (end == NULL)
			end = text + n;
		if (text[at] == '!') {
			CHECK(fprintf(f, "%.*s\n", (int)(end - text - (long)at
			    - 1), text + at + 1) >= 0);
			continue;
		}
		t.n = 0;
		CHECK(log_text_add(&t, text + at, (size_t)(end - text) - at,
		    NULL) == 0);
		CHECK(fwrite(t.p, 1, t.n, f) == t.n);
	}
	mem_free(t.p);
	CHECK(fclose(f) == 0);
}

static size_t
count(struct journal *j, size_t *ret_final)
{
	const struct journal_entry *e;
	size_t i;

	*ret_final = 0;
	for (i = 0; (e = journal_at(j, i)) != NULL; i++) {
		CHECK(e->state != JOURNAL_RECORDED);
		CHECK((e->outcome == NULL) == (e->state == JOURNAL_FINAL));
		CHECK(journal_find(j, e->id) == e);
		*ret_final += e->state == JOURNAL_FINAL;
	}
	return i;
}

static void
play_journal(void)
{
	size_t n, final, now_final;
	struct journal *j = NULL;
	int r;

	CHECK(journal_open(path, &j) == 0);
	n = count(j, &final);
	r = journal_record(j, "new-1");
	CHECK(r == 0 || r == -EEXIST || r == -EBUSY);
	if (r == 0) {
		CHECK(journal_outcome(j, "new-1", "{\"outcome\":\"ok\"}") == 0);
		n++;
	}
	journal_close(&j);
	CHECK(journal_open(path, &j) == 0);
	CHECK(count(j, &now_final) == n && now_final == final);
	if (r == 0) {
		CHECK(strcmp(journal_find(j, "new-1")->outcome,
		    "{\"outcome\":\"ok\"}") == 0);
		CHECK(journal_final(j, "new-1") == 0);
		CHECK(journal_record(j, "new-1") == -EEXIST);
	}
	journal_close(&j);
}

/* How many there are, by their numbers. */
static size_t
walk(struct queue *q, uint64_t *ret_last)
{
	uint64_t seq, last = 0;
	char *json = NULL;
	size_t n = 0;

	while ((seq = queue_after(q, last, &json)) != 0) {
		CHECK(seq > last && seq <= INT64_MAX && json != NULL);
		mem_free(json);
		last = seq;
		n++;
	}
	*ret_last = last;
	return n;
}

static void
play_queue(uint64_t server_seq)
{
	struct queue *q = NULL;
	uint64_t last, mine;
	size_t n;
	int r;

	CHECK(queue_open(path, QUEUE_MAX, &q) == 0);
	r = queue_start(q, server_seq);
	CHECK(r == 0 || r == 1 || r == -ERANGE);
	if (r < 0) {
		queue_close(&q);
		return;
	}
	CHECK(walk(q, &last) == queue_count(q));
	r = queue_add(q, "[1]");
	CHECK(r == 0 || r == -ERANGE);
	n = queue_count(q);
	CHECK(n > 0 || r != 0);
	CHECK(walk(q, &mine) == n && (r != 0 || mine > last));
	queue_close(&q);
	CHECK(queue_open(path, QUEUE_MAX, &q) == 0);
	CHECK(queue_count(q) == n);
	CHECK(walk(q, &last) == n && last == mine);
	CHECK(queue_stored(q, last) == 0 && queue_count(q) == 0);
	queue_close(&q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint64_t server_seq = 0;

	if (n < 8)
		return 0;
	make_place();
	memcpy(&server_seq, p, 8);
	write_file(p + 8, n - 8);
	play_journal();
	write_file(p + 8, n - 8);
	play_queue(server_seq);
	return 0;
}
