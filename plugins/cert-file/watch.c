/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify on directories, not on files: a file that is replaced by rename() is
 * another inode, and a `current` link that is turned changes no file at all.
 */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert/file.h"

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | \
	IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define DIRS_MAX 64

struct watch {
	struct cleat_self *self;
	const struct cleat_host *host;
	void (*on_change)(void *);
	void *arg;
	struct cleat_fd *handle;
	int fd;
	int wd[DIRS_MAX];
	size_t wd_n;
};

/* ---- inotify ------------------------------------------------------------- */

static void
on_event(void *arg, unsigned events)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct watch *w = arg;
	bool any = false;

	(void)events;
	while (read(w->fd, buf, sizeof(buf)) > 0)
		any = true;
	if (any)
		w->on_change(w->arg);
}

int
watch_new(struct cleat_self *self, const struct cleat_host *host,
    void (*on_change)(void *), void *arg, struct watch **ret)
{
	struct watch *w = calloc(1, sizeof(*w));
	int err;

	if (w == NULL)
		return -ENOMEM;
	w->self = self;
	w->host = host;
	w->on_change = on_change;
	w->arg = arg;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	err = w->fd < 0 ? -errno : host->fd_new(self, w->fd, CLEAT_FD_READ,
	    on_event, w, &w->handle);
	if (err == 0) {
		*ret = w;
		return 0;
	}
	watch_free(&w);
	*ret = NULL;
	if (err == -ENOMEM)
		return err;
	host->log(self, CLEAT_LOG_NOTICE, "changes of files are found only by "
	    "looking every now and then: inotify: %s", strerror(-err));
	return 0;
}

void
watch_free(struct watch **pw)
{
	struct watch *w = *pw;

	*pw = NULL;
	if (w == NULL)
		return;
	w->host->fd_free(w->handle);
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w);
}

static void
add_dir(struct watch *w, const char *dir)
{
	int wd = inotify_add_watch(w->fd, dir[0] != '\0' ? dir : "/", EVENTS);

	for (size_t i = 0; i < w->wd_n; i++) {
		if (w->wd[i] == wd)
			return;
	}
	if (wd >= 0 && w->wd_n < DIRS_MAX)
		w->wd[w->wd_n++] = wd;
}

/* The directory of the file, and that of each link among the directories before
 * it; what the links lead to is then watched as a directory of its own. */
static void
add_path(struct watch *w, const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	char *slash;

	if (strlen(path) >= sizeof(part))
		return;
	for (const char *p = strchr(path + 1, '/'); ; p = strchr(p + 1, '/')) {
		size_t n = p != NULL ? (size_t)(p - path) : strlen(path);

		memcpy(part, path, n);
		part[n] = '\0';
		slash = strrchr(part, '/');
		if (slash != NULL && (p == NULL || (lstat(part, &st) == 0 &&
		    S_ISLNK(st.st_mode)))) {
			*slash = '\0';
			add_dir(w, part);
		}
		if (p == NULL)
			return;
	}
}

/* The file itself may be a link into another directory. */
static void
add_file(struct watch *w, const char *path)
{
	char *real;

	if (path == NULL)
		return;
	add_path(w, path);
	real = realpath(path, NULL);
	if (real != NULL && strcmp(real, path) != 0)
		add_path(w, real);
	free(real);
}

void
watch_set(struct watch *w, const struct config *c)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->wd_n; i++)
		(void)inotify_rm_watch(w->fd, w->wd[i]);
	w->wd_n = 0;
	for (int i = 0; i < LISTS; i++) {
		for (size_t k = 0; c->path[i][k] != NULL; k++)
			add_file(w, c->path[i][k]);
	}
	if (c->directory != NULL) {
		add_path(w, c->directory);
		add_dir(w, c->directory);
	}
}

/* ---- looking ------------------------------------------------------------- */

/* FNV-1a; files are told apart from their former selves, not from attacks. */
static uint64_t
mix(uint64_t h, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ c[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t
print_of(const char *path)
{
	struct cert_stamp st;
	uint64_t h = UINT64_C(14695981039346656037);

	if (path == NULL)
		return 0;
	cert_stamp_of(path, &st);
	return mix(mix(h, path, strlen(path)), &st, sizeof(st));
}

uint64_t
watch_print(const struct config *c)
{
	char path[PATH_MAX];
	struct dirent *e;
	uint64_t sum = 0;
	DIR *d;

	for (int i = 0; i < LISTS; i++) {
		for (size_t k = 0; c->path[i][k] != NULL; k++)
			sum += print_of(c->path[i][k]);
	}
	d = c->directory != NULL ? opendir(c->directory) : NULL;
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", c->directory,
		    e->d_name);
		sum += print_of(path);
	}
	if (d != NULL)
		(void)closedir(d);
	return sum;
}

uint64_t
watch_print_add(uint64_t print, const char *text)
{
	return mix(print, text, strlen(text));
}
