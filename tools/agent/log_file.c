/* SPDX-License-Identifier: Apache-2.0 */
/* Lines "CCCCCCCC TEXT\n"; the checksum is FNV-1a (32 bits) of the text. */
#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define HEAD 9				/* checksum and space */
#define FILE_MAX_BYTES (256u * 1024 * 1024)

static uint32_t
checksum(const char *p, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 16777619u;
	return h;
}

static int
write_head(char *to, const char *text, size_t n)
{
	return snprintf(to, HEAD + 1, "%08x ", checksum(text, n));
}

/* The length of the good line at p, with its end; 0: none. */
static size_t
good_line(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	char head[HEAD + 1];
	size_t len;

	if (end == NULL || end - p < HEAD)
		return 0;
	len = (size_t)(end - p);
	(void)write_head(head, p + HEAD, len - HEAD);
	return memcmp(head, p, HEAD) == 0 ? len + 1 : 0;
}

static int
read_lines(struct log_file *f, const char *p, size_t n,
    int (*line)(void *ctx, const char *text, size_t n, off_t at), void *ctx)
{
	size_t at = 0, len;
	int r;

	while ((len = good_line(p + at, n - at)) > 0) {
		r = line(ctx, p + at + HEAD, len - HEAD - 1,
		    (off_t)(at + HEAD));
		if (r != 0)
			return r;
		at += len;
	}
	f->size = (off_t)at;
	return 0;
}

/* The name of a new file has to be as durable as what is in it. */
static int
make_empty(const char *path)
{
	return access(path, F_OK) == 0 ? 0 : file_write_atomic(path, "", 0,
	    0600);
}

int
log_file_open(struct log_file *f, const char *path,
    int (*line)(void *ctx, const char *text, size_t n, off_t at), void *ctx)
{
	uint8_t *text = NULL;
	size_t n = 0;
	int r;

	*f = (struct log_file){ .fd = -1, .path = mem_strdup(path) };
	if (f->path == NULL)
		return -ENOMEM;
	r = make_empty(path);
	if (r == 0)
		r = file_read(path, FILE_MAX_BYTES, &text, &n);
	if (r == 0)
		r = read_lines(f, (const char *)text, n, line, ctx);
	mem_free(text);
	if (r == 0) {
		f->fd = open(path, O_RDWR | O_CLOEXEC);
		r = f->fd < 0 ? -errno : 0;
	}
	if (r == 0 && (size_t)f->size < n && (ftruncate(f->fd, f->size) != 0 ||
	    fsync(f->fd) != 0))
		r = -errno;
	if (r != 0)
		log_file_close(f);
	return r;
}

void
log_file_close(struct log_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	mem_free(f->path);
	*f = (struct log_file){ .fd = -1 };
}

static int
write_at(struct log_file *f, const char *p, size_t n)
{
	off_t at = f->size;

	while (n > 0) {
		ssize_t k = pwrite(f->fd, p, n, at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			int r = -errno;

			/* A rest is overwritten, or cut off at the start. */
			(void)!ftruncate(f->fd, f->size);
			return r;
		}
		p += k;
		n -= (size_t)k;
		at += k;
	}
	f->size = at;
	return 0;
}

int
log_file_add(struct log_file *f, const char *text, size_t n, off_t *ret_at)
{
	struct log_text line = { NULL, 0, 0 };
	off_t at = f->size;
	int r = log_text_add(&line, text, n, NULL);

	if (r == 0)
		r = write_at(f, line.p, line.n);
	mem_free(line.p);
	if (r == 0 && ret_at != NULL)
		*ret_at = at + HEAD;
	return r;
}

int
log_file_sync(struct log_file *f)
{
	int r = f->unsure ? file_sync_name(f->path) : 0;

	if (r != 0)
		return r;
	f->unsure = false;
	return fdatasync(f->fd) == 0 ? 0 : -errno;
}

int
log_text_add(struct log_text *t, const char *text, size_t n, off_t *ret_at)
{
	size_t need = t->n + HEAD + n + 2, cap = t->cap == 0 ? 256 : t->cap;
	char *more;

	while (cap < need)
		cap *= 2;
	if (cap > t->cap) {
		more = mem_realloc(t->p, cap);
		if (more == NULL)
			return -ENOMEM;
		t->p = more;
		t->cap = cap;
	}
	t->n += (size_t)write_head(t->p + t->n, text, n);
	if (ret_at != NULL)
		*ret_at = (off_t)t->n;
	memcpy(t->p + t->n, text, n);
	t->n += n;
	t->p[t->n++] = '\n';
	return 0;
}

int
log_file_replace(struct log_file *f, struct log_text *t)
{
	int fd = -1, r = file_replace(f->path, t->p == NULL ? "" : t->p, t->n,
	    0600, &fd);

	/* Once the name is the new file's, nothing may go into the old one.  If
	 * a power cut could bring that back, it says the same as yet. */
	if (fd >= 0) {
		(void)close(f->fd);
		f->fd = fd;
		f->size = (off_t)t->n;
		f->unsure = r != 0;
		r = 0;
	}
	mem_free(t->p);
	*t = (struct log_text){ NULL, 0, 0 };
	return r;
}
