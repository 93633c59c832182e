/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a trust: one, or those of a directory,
 * as OpenSSL and others keep them (links by hash included). */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "tls/snapshot.h"
#include "tls/trust.h"
#include "tls/vendor.h"

static int
join(const char *dir, const char *name, char **ret)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = mem_alloc(n);

	if (path == NULL)
		return -ENOMEM;
	(void)snprintf(path, n, "%s/%s", dir, name);
	*ret = path;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct tls_blob *)a)->name,
	    ((const struct tls_blob *)b)->name);
}

/* The names of a directory's files, sorted, without their contents. */
static int
list(const char *path, struct tls_blobs *to)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	struct tls_blob *grown;
	int r = 0;

	if (dir == NULL)
		return -errno;
	while (r == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (to->n == TLS_BLOBS_MAX) {
			r = -EFBIG;
			break;
		}
		grown = mem_realloc(to->blob, (to->n + 1) * sizeof(*grown));
		if (grown == NULL) {
			r = -ENOMEM;
			break;
		}
		to->blob = grown;
		grown[to->n] = (struct tls_blob){ .among_others = true };
		r = join(path, e->d_name, &grown[to->n].name);
		if (r == 0)
			to->n++;
	}
	if (r == 0 && errno != 0)
		r = -errno;
	(void)closedir(dir);
	if (to->n > 1)
		qsort(to->blob, to->n, sizeof(*to->blob), by_name);
	return r;
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
read_all(struct tls_blobs *b, char *why)
{
	size_t total = 0, kept = 0;
	uint8_t *p;
	int r = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct tls_blob one = b->blob[i];

		if (r == 0 && one.among_others && is_dir(one.name)) {
			mem_free(one.name);
			continue;
		}
		if (r == 0) {
			r = file_read(one.name, TLS_BLOB_MAX - total, &p,
			    &one.n);
			if (r < 0)
				(void)tls_why(why, r, "%.150s: %s", one.name,
				    strerror(-r));
			else
				one.p = p;
			total += r < 0 ? 0 : one.n;
		}
		b->blob[kept++] = one;
	}
	b->n = kept;
	return r;
}

int
tls_blobs_read(const char *path, char *why, struct tls_blobs *ret)
{
	struct tls_blobs b = { NULL, 0 };
	int r = 0;

	if (is_dir(path)) {
		r = list(path, &b);
		if (r == 0 && b.n == 0)
			r = -ENOENT;
		if (r < 0)
			(void)tls_why(why, r, "%.150s: %s", path, r == -ENOENT ?
			    "no file in it" : r == -EFBIG ?
			    "too many files" : strerror(-r));
	} else {
		b.blob = mem_calloc(1, sizeof(*b.blob));
		if (b.blob == NULL || (b.blob->name = mem_strdup(path)) == NULL)
			r = tls_why(why, -ENOMEM, "out of memory");
		b.n = b.blob != NULL;
	}
	if (r == 0)
		r = read_all(&b, why);
	if (r < 0)
		tls_blobs_free(&b);
	else
		*ret = b;
	return r;
}

void
tls_blobs_free(struct tls_blobs *b)
{
	for (size_t i = 0; i < b->n; i++) {
		mem_free(b->blob[i].p);
		mem_free(b->blob[i].name);
	}
	mem_free(b->blob);
	*b = (struct tls_blobs){ NULL, 0 };
}

/* ---- stamps ------------------------------------------------------------- */

static uint64_t
stir(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n-- > 0)
		h = (h ^ *b++) * 1099511628211u;	/* FNV-1a */
	return h;
}

/* 0 stays 0. */
static uint64_t
stamp_one(uint64_t h, const char *path)
{
	struct stat st;
	uint64_t facts[6];

	if (h == 0 || stat(path, &st) != 0)
		return 0;
	facts[0] = (uint64_t)st.st_dev;
	facts[1] = (uint64_t)st.st_ino;
	facts[2] = (uint64_t)st.st_size;
	facts[3] = (uint64_t)st.st_mtim.tv_sec;
	facts[4] = (uint64_t)st.st_mtim.tv_nsec;
	facts[5] = (uint64_t)st.st_ctim.tv_sec ^
	    (uint64_t)st.st_ctim.tv_nsec << 32;
	h = stir(stir(h, path, strlen(path)), facts, sizeof(facts));
	return h != 0 ? h : 1;
}

uint64_t
tls_blobs_stamp(const char *path)
{
	struct tls_blobs b = { NULL, 0 };
	uint64_t h = stamp_one(14695981039346656037u, path);

	if (h == 0 || !is_dir(path))
		return h;
	if (list(path, &b) < 0)
		h = 0;
	for (size_t i = 0; i < b.n; i++)
		h = stamp_one(h, b.blob[i].name);
	tls_blobs_free(&b);
	return h;
}
