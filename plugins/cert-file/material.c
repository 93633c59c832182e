/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what an instance is made of. */
#include "material.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "choose.h"

void
material_fini(struct material *m)
{
	cert_bundle_free(&m->bundle);
	cert_bundle_free(&m->anchors);
	free(m->chain);
	for (size_t i = 0; i < m->staple_n; i++)
		cert_blob_free(&m->staple[i]);
	memset(m, 0, sizeof(*m));
}

/* ---- files --------------------------------------------------------------- */

static int
add_file(struct material *m, const char *path, const char *password,
    char *why)
{
	size_t keys = m->bundle->keys_n;
	unsigned mode = 0;
	int err;

	err = cert_bundle_add_file(m->bundle, path, password, why, NULL,
	    &mode);
	if (err == 0 && m->bundle->keys_n > keys &&
	    (mode & MODE_OTHERS) != 0 &&
	    !m->bundle->keys[keys].was_encrypted)
		(void)snprintf(m->open_key, sizeof(m->open_key), "%s", path);
	return err;
}

struct entry {
	int64_t mtime_s, mtime_ns;
	char *name;
};

struct listing {
	struct entry *e;
	size_t n;
};

static void
listing_fini(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->e[i].name);
	free(l->e);
}

static int
listing_add(struct listing *l, const char *name, const struct stat *st)
{
	struct entry *e;

	if ((l->n & (l->n - 1)) == 0) {		/* full: 0, 1, 2, 4, … */
		e = realloc(l->e, (l->n == 0 ? 1 : 2 * l->n) * sizeof(*e));
		if (e == NULL)
			return -ENOMEM;
		l->e = e;
	}
	e = &l->e[l->n];
	e->mtime_s = st->st_mtim.tv_sec;
	e->mtime_ns = st->st_mtim.tv_nsec;
	e->name = strdup(name);
	if (e->name == NULL)
		return -ENOMEM;
	l->n++;
	return 0;
}

static int
by_age(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->mtime_s != b->mtime_s)
		return a->mtime_s < b->mtime_s ? 1 : -1;
	if (a->mtime_ns != b->mtime_ns)
		return a->mtime_ns < b->mtime_ns ? 1 : -1;
	return strcmp(a->name, b->name);
}

/* The files of a directory, the newest first: what limits keep out is the
 * oldest, whatever order the file system has. */
static int
list(const char *dir, char *why, struct listing *ret)
{
	char path[4096];
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(dir);
	int err = 0;

	if (d == NULL) {
		err = -errno;
		return cert_why(why, err, "%s: %s", dir, strerror(-err));
	}
	while (err == 0 && (e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] == '.')
			continue;
		memset(&st, 0, sizeof(st));
		if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			err = listing_add(ret, e->d_name, &st);
	}
	(void)closedir(d);
	if (err < 0)
		return cert_why(why, err, "%s: out of memory", dir);
	if (ret->n > 0)
		qsort(ret->e, ret->n, sizeof(*ret->e), by_age);
	return 0;
}

/* A file of a directory need not be ours: one that cannot be used is passed
 * over, and told when nothing else was found; one that only a limit keeps out
 * is told in any case. */
static void
skip(struct material *m, int error, const char *text)
{
	m->skipped_n++;
	(void)snprintf(m->skipped, sizeof(m->skipped), "%s", text);
	if (error == -E2BIG && m->limited_n++ < LIMITED_MAX)
		(void)snprintf(m->limited[m->limited_n - 1],
		    sizeof(m->limited[0]), "%s", text);
}

static int
add_directory(struct material *m, const char *dir, const char *password,
    char *why)
{
	struct listing l = { NULL, 0 };
	char path[4096], text[CERT_WHY_SIZE];
	int err = list(dir, why, &l), one;

	for (size_t i = 0; err == 0 && i < l.n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, l.e[i].name);
		one = add_file(m, path, password, text);
		if (one == -ENOMEM)
			err = cert_why(why, one, "%s: out of memory", dir);
		else if (one < 0)
			skip(m, one, text);
	}
	listing_fini(&l);
	return err;
}

static int
add_all(struct material *m, const struct config *c, const char *password,
    char *why)
{
	int err = 0;

	if (c->directory != NULL)
		return add_directory(m, c->directory, password, why);
	for (size_t i = 0; err == 0 && c->path[CHAIN][i] != NULL; i++)
		err = add_file(m, c->path[CHAIN][i], password, why);
	for (size_t i = 0; err == 0 && c->path[KEY][i] != NULL; i++)
		err = add_file(m, c->path[KEY][i], password, why);
	return err;
}

static int
read_anchors(struct material *m, char *const *path, char *why)
{
	int err = 0;

	if (*path == NULL)
		return 0;
	if (cert_bundle_new(&m->anchors) < 0)
		return cert_why(why, -ENOMEM, "out of memory");
	for (; err == 0 && *path != NULL; path++)
		err = cert_bundle_add_file(m->anchors, *path, NULL, why, NULL,
		    NULL);
	return err;
}

static int
read_staples(struct material *m, char *const *path, char *why)
{
	int err = 0;

	for (; err == 0 && *path != NULL; path++) {
		if (m->staple_n == STAPLES_MAX)
			return cert_why(why, -E2BIG, "more than %d OCSP "
			    "responses", STAPLES_MAX);
		err = cert_file_read(*path, why, &m->staple[m->staple_n], NULL,
		    NULL);
		if (err == 0)
			m->staple_n++;
		if (err != -ENOENT)
			continue;
		/* Whether it is needed is the certificate's to say. */
		(void)snprintf(m->no_staple, sizeof(m->no_staple), "%s",
		    *path);
		err = 0;
	}
	return err;
}

/* ---- chains -------------------------------------------------------------- */

static int
none_allowed(const struct material *m, const char *how, char *why)
{
	return cert_why(why, -ENOKEY, "no certificate that has its private key "
	    "matches \"%.80s\"%s%.300s", how != NULL ? how : "newest",
	    m->skipped_n > 0 ? "; passed over: " : "",
	    m->skipped_n > 0 ? m->skipped : "");
}

int
material_chains(struct material *m, const char *how, int64_t now_s, char *why)
{
	char text[CERT_WHY_SIZE];
	size_t n = 0, k = 0;
	int err;

	m->chain = calloc(CERT_BUNDLE_KEYS, sizeof(*m->chain));
	if (m->chain == NULL)
		return cert_why(why, -ENOMEM, "out of memory");
	err = cert_chain_all(m->bundle, m->anchors, now_s,
	    CERT_BUNDLE_KEYS, text, m->chain, &n);
	if (err < 0)
		return m->skipped_n == 0 ? cert_why(why, err, "%s", text) :
		    cert_why(why, err, "%.200s; passed over: %.280s", text,
		    m->skipped);
	for (size_t i = 0; i < n; i++) {
		if (choose_allows(how, &m->chain[i]))
			m->chain[k++] = m->chain[i];
	}
	m->chain_n = k;
	return k > 0 ? 0 : none_allowed(m, how, why);
}

int
material_read(const struct config *c, const char *password, int64_t now_s,
    char *why, struct material *ret)
{
	struct material m;
	int err;

	memset(&m, 0, sizeof(m));
	err = cert_bundle_new(&m.bundle);
	if (err < 0)
		(void)cert_why(why, err, "out of memory");
	if (err == 0)
		err = add_all(&m, c, password, why);
	if (err == 0)
		err = read_anchors(&m, c->path[ANCHORS], why);
	if (err == 0)
		err = read_staples(&m, c->path[OCSP], why);
	if (err == 0)
		err = material_chains(&m, c->choose, now_s, why);
	if (err < 0)
		material_fini(&m);
	else
		*ret = m;
	return err;
}
