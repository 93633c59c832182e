/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations.  Everything is done relative to one descriptor of DIR, and no
 * link inside of it is followed but `current`, which is only read: who owns DIR
 * may be less than who installs.  Each generation names the one before it
 * in the file `before`, so that the one link `current` is all that has to
 * be turned.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* renameat2 */
#endif
#include "cert/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define CURRENT "current"
#define NEW_LINK ".current.new"
#define NEW_DIR ".new"
#define BEFORE "before"
#define NUMBER_MAX 999999999u

struct place {
	const char *dir;
	int at;				/* DIR, locked */
	uid_t uid;
	gid_t gid;
	char *why;
};

static int
failed(const struct place *p, int err, const char *name, const char *what)
{
	return cert_why(p->why, err, "%s%s%s: %s: %s", p->dir,
	    name[0] == '\0' ? "" : "/", name, what, strerror(-err));
}

/* 0: not the name of a generation. */
static unsigned
number_of(const char *name)
{
	unsigned long v;
	char *end;

	if (strncmp(name, "g-", 2) != 0 || name[2] < '0' || name[2] > '9')
		return 0;
	errno = 0;
	v = strtoul(name + 2, &end, 10);
	return *end != '\0' || errno != 0 || v > NUMBER_MAX ? 0 :
	    (unsigned)v;
}

/* ---- the place ----------------------------------------------------------- */

static int
judge(struct place *p, const struct cert_install_spec *spec)
{
	struct stat st;

	if (fstat(p->at, &st) < 0)
		return failed(p, -errno, "", "cannot be looked at");
	if ((st.st_mode & 022) != 0)
		return cert_why(p->why, -EPERM, "%s: others may write there "
		    "(mode %04o), and so take the place of keys: chmod go-w "
		    "it", p->dir, (unsigned)st.st_mode & 07777);
	p->uid = spec != NULL && spec->has_owner ? spec->uid : st.st_uid;
	p->gid = spec != NULL && spec->has_owner ? spec->gid : st.st_gid;
	if (flock(p->at, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? cert_why(p->why, -EBUSY, "%s: "
		    "another installation is under way: try again when it has "
		    "ended", p->dir) : failed(p, -errno, "",
		    "cannot be locked");
	return 0;
}

static int
place_open(const char *dir, const struct cert_install_spec *spec, char *why,
    struct place *ret)
{
	struct place p = { .dir = dir, .why = why, .at = -1 };
	bool made = false;
	int err;

	if (spec != NULL && mkdir(dir, 0700) == 0)
		made = true;
	else if (spec != NULL && errno != EEXIST)
		return failed(&p, -errno, "", "cannot be made");
	p.at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.at < 0)
		return failed(&p, -errno, "", "cannot be opened");
	if (made && spec->has_owner && fchown(p.at, spec->uid, spec->gid) < 0) {
		err = failed(&p, -errno, "", "cannot be given to its owner");
		(void)rmdir(dir);	/* or the next one took it for ours */
	} else
		err = judge(&p, spec);
	if (err < 0)
		(void)close(p.at);
	else
		*ret = p;
	return err;
}

static int
current_of(const struct place *p, char *ret)
{
	char to[CERT_GENERATION_SIZE];
	ssize_t n = readlinkat(p->at, CURRENT, to, sizeof(to) - 1);

	if (n < 0 && errno == ENOENT)
		return cert_why(p->why, -ENOENT, "%s/" CURRENT ": nothing is "
		    "installed there", p->dir);
	if (n < 0 && errno != EINVAL)
		return failed(p, -errno, CURRENT, "cannot be read");
	to[n < 0 ? 0 : n] = '\0';
	if (number_of(to) == 0)
		return cert_why(p->why, -EINVAL, "%s/" CURRENT ": is not a "
		    "link to a generation: move it away", p->dir);
	memcpy(ret, to, sizeof(to));
	return 0;
}

/* ---- removing ------------------------------------------------------------ */

/* A directory with nothing but files.  Nobody has to hear of failures: what is
 * left over is in nobody's way, and the next one tries again. */
static void
remove_generation(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return;
	d = fdopendir(fd);
	if (d == NULL) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, 0);
	}
	(void)closedir(d);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

/* Calls fn for each generation. */
static int
each(const struct place *p, void (*fn)(const struct place *, const char *,
    void *), void *arg)
{
	int fd = openat(p->at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		int err = -errno;

		if (fd >= 0)
			(void)close(fd);
		return failed(p, err, "", "cannot be read");
	}
	while ((e = readdir(d)) != NULL) {
		if (number_of(e->d_name) != 0)
			fn(p, e->d_name, arg);
	}
	(void)closedir(d);
	return 0;
}

struct keep {
	const char *current, *before;
};

static void
drop_unless_kept(const struct place *p, const char *name, void *arg)
{
	const struct keep *k = arg;

	if (strcmp(name, k->current) != 0 && strcmp(name, k->before) != 0)
		remove_generation(p->at, name);
}

static void
take_highest(const struct place *p, const char *name, void *arg)
{
	unsigned *highest = arg, n = number_of(name);

	(void)p;
	if (n > *highest)
		*highest = n;
}

/* ---- writing ------------------------------------------------------------- */

static int
give(const struct place *p, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == p->uid && st.st_gid == p->gid)
		return 0;
	return fchown(fd, p->uid, p->gid) < 0 ? -errno : 0;
}

static int
write_file(const struct place *p, int in, const struct cert_install_file *f)
{
	int fd, err;

	fd = openat(in, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(p, -errno, f->name, "cannot be made");
	err = file_write_all(fd, f->p, f->n);
	if (err == 0 && fchmod(fd, 0600) < 0)
		err = -errno;
	if (err == 0)
		err = give(p, fd);
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	return err == 0 ? 0 : failed(p, err, f->name, err == -EPERM ?
	    "cannot be given to the owner of the directory (run it as root, "
	    "or as that user)" : "cannot be written");
}

static int
fill(const struct place *p, const struct cert_install_spec *spec,
    const char *before)
{
	struct cert_install_file f = { BEFORE, before, strlen(before) };
	int in, err = 0;

	in = openat(p->at, NEW_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (in < 0)
		return failed(p, -errno, NEW_DIR, "cannot be opened");
	for (size_t i = 0; err == 0 && i < spec->files_n; i++)
		err = write_file(p, in, &spec->files[i]);
	if (err == 0)
		err = write_file(p, in, &f);
	if (err == 0 && ((err = give(p, in)) < 0 ||
	    (err = fsync(in) < 0 ? -errno : 0) < 0))
		(void)failed(p, err, NEW_DIR, "cannot be finished");
	(void)close(in);
	return err;
}

/* The link is made beside and renamed: `current` is always there. */
static int
turn(const struct place *p, const char *name)
{
	(void)unlinkat(p->at, NEW_LINK, 0);	/* left by a crash */
	if (symlinkat(name, p->at, NEW_LINK) < 0)
		return failed(p, -errno, NEW_LINK, "cannot be made");
	if (fchownat(p->at, NEW_LINK, p->uid, p->gid,
	    AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(p->at, NEW_LINK, p->at, CURRENT) < 0) {
		int err = -errno;

		(void)unlinkat(p->at, NEW_LINK, 0);
		return failed(p, err, CURRENT, "cannot be replaced");
	}
	if (fsync(p->at) < 0)
		return failed(p, -errno, CURRENT, "the new one is in place, "
		    "but may not outlive a power failure");
	return 0;
}

static int
install(const struct place *p, const struct cert_install_spec *spec,
    char *name)
{
	char before[CERT_GENERATION_SIZE] = "";
	unsigned highest = 0;
	int err;

	err = current_of(p, before);
	if (err < 0 && err != -ENOENT)
		return err;
	err = each(p, take_highest, &highest);
	if (err < 0)
		return err;
	if (highest >= NUMBER_MAX)
		return cert_why(p->why, -EOVERFLOW, "%s: there are no more "
		    "numbers for generations", p->dir);
	(void)snprintf(name, CERT_GENERATION_SIZE, "g-%06u", highest + 1);
	remove_generation(p->at, NEW_DIR);	/* left by a crash */
	if (mkdirat(p->at, NEW_DIR, 0700) < 0)
		return failed(p, -errno, NEW_DIR, "cannot be made");
	err = fill(p, spec, before);
	if (err == 0 && renameat2(p->at, NEW_DIR, p->at, name,
	    RENAME_NOREPLACE) < 0)
		err = failed(p, -errno, name, "cannot be made");
	if (err < 0) {
		remove_generation(p->at, NEW_DIR);
		return err;
	}
	/* Durable before the link to it is. */
	err = fsync(p->at) < 0 ? failed(p, -errno, name, "cannot be written") :
	    turn(p, name);
	if (err == 0) {
		struct keep k = { name, before };

		(void)each(p, drop_unless_kept, &k);
	}
	return err;
}

int
cert_install(const struct cert_install_spec *spec, char *why,
    char ret_generation[CERT_GENERATION_SIZE])
{
	char name[CERT_GENERATION_SIZE] = "";
	struct place p;
	int err;

	err = place_open(spec->dir, spec, why, &p);
	if (err < 0)
		return err;
	err = install(&p, spec, name);
	(void)close(p.at);
	if (err == 0)
		memcpy(ret_generation, name, sizeof(name));
	return err;
}

/* ---- others -------------------------------------------------------------- */

/* What the file `before` of a generation names. */
static int
before_of(const struct place *p, const char *name, char *ret)
{
	char path[2 * CERT_GENERATION_SIZE], text[CERT_GENERATION_SIZE];
	struct stat st;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%.31s/" BEFORE, name);
	fd = openat(p->at, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd < 0)
		return failed(p, -errno, path, "cannot be opened");
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	if (number_of(text) == 0 || fstatat(p->at, text, &st,
	    AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return cert_why(p->why, -ENOENT, "%s: no generation before %s "
		    "is kept: install one", p->dir, name);
	memcpy(ret, text, sizeof(text));
	return 0;
}

int
cert_install_rollback(const char *dir, char *why,
    char ret_generation[CERT_GENERATION_SIZE])
{
	char name[CERT_GENERATION_SIZE] = "", before[CERT_GENERATION_SIZE];
	struct place p;
	int err;

	err = place_open(dir, NULL, why, &p);
	if (err < 0)
		return err;
	err = current_of(&p, name);
	if (err == 0)
		err = before_of(&p, name, before);
	if (err == 0)
		err = turn(&p, before);
	(void)close(p.at);
	if (err == 0)
		memcpy(ret_generation, before, sizeof(before));
	return err;
}

int
cert_install_current(const char *dir, char *why,
    char ret_generation[CERT_GENERATION_SIZE])
{
	struct place p = { .dir = dir, .why = why };
	int err;

	p.at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.at < 0)
		return failed(&p, -errno, "", "cannot be opened");
	err = current_of(&p, ret_generation);
	(void)close(p.at);
	return err;
}
