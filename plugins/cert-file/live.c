/* SPDX-License-Identifier: Apache-2.0 */
/* A line for each: SHA-256 in hex, "rsa" or "other", name of the slot. */
#include "live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"

#define FILE_NAME "live"
#define SLOT_SIZE 128
#define LINE_SIZE (SLOT_SIZE + 80)
#define LIMIT ((size_t)LIVE_MAX * LINE_SIZE)

struct live_entry {
	char slot[SLOT_SIZE];
	char sha256[65];
	bool rsa;
};

/* Its place is made at the end; false without memory. */
static bool
add(struct live *l, const struct live_entry *e)
{
	struct live_entry *more;

	if (l->n == LIVE_MAX)		/* of slots that are gone */
		memmove(l->entry, l->entry + 1, --l->n * sizeof(*l->entry));
	more = realloc(l->entry, (l->n + 1) * sizeof(*more));
	if (more == NULL)
		return false;
	l->entry = more;
	l->entry[l->n++] = *e;
	return true;
}

void
live_load(struct live *l, const char *dir)
{
	char path[4096], kind[8], *line, *rest;
	struct live_entry e;
	uint8_t *p;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	if (file_read(path, LIMIT, &p, &n) < 0)
		return;
	rest = (char *)p;
	while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
		memset(&e, 0, sizeof(e));
		if (sscanf(line, "%64[0-9a-f] %7s %127[^\n]", e.sha256, kind,
		    e.slot) != 3)
			continue;
		e.rsa = strcmp(kind, "rsa") == 0;
		if (!add(l, &e))
			break;
	}
	mem_free(p);
}

void
live_fini(struct live *l)
{
	free(l->entry);
	*l = (struct live){ NULL, 0 };
}

bool
live_knows(const struct live *l, const char *slot, const uint8_t sha256[32])
{
	char text[65];

	hex_write(sha256, 32, text);
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->entry[i].slot, slot) == 0 &&
		    strcmp(l->entry[i].sha256, text) == 0)
			return true;
	}
	return false;
}

static int
save(const struct live *l, const char *dir)
{
	char path[4096], *text = malloc(l->n * LINE_SIZE + 1);
	size_t at = 0;
	int err;

	if (text == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		at += (size_t)snprintf(text + at, LINE_SIZE, "%s %s %s\n",
		    l->entry[i].sha256, l->entry[i].rsa ? "rsa" : "other",
		    l->entry[i].slot);
	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	err = file_write_atomic(path, text, at, 0600);
	free(text);
	return err;
}

int
live_put(struct live *l, const char *dir, const char *slot, bool rsa,
    const uint8_t sha256[32])
{
	struct live_entry e = { .rsa = rsa };

	if (strlen(slot) >= sizeof(e.slot))
		return -ENAMETOOLONG;
	memcpy(e.slot, slot, strlen(slot) + 1);
	hex_write(sha256, 32, e.sha256);
	for (size_t i = 0; i < l->n; i++) {
		if (l->entry[i].rsa != rsa ||
		    strcmp(l->entry[i].slot, slot) != 0)
			continue;
		if (strcmp(l->entry[i].sha256, e.sha256) == 0)
			return 0;
		l->entry[i] = e;
		return save(l, dir);
	}
	return add(l, &e) ? save(l, dir) : -ENOMEM;
}
