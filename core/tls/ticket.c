/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ticket master on disk: 64 random bytes in a file that nobody else may
 * read, because whoever has them can mint a resumed session of any device.  The
 * age of the file is the age of the master.  Never overwrites what does not
 * look like a master: the path may be a mistake.  One that nodes share is only
 * read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "tls/secret.h"
#include "tls/snapshot.h"
#include "tls/vendor.h"

static int
make(const char *path, char *why, uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	uint8_t fresh[TLS_TICKET_MASTER_SIZE];
	int r;

	r = digest_random(fresh, sizeof(fresh));
	if (r < 0)
		return tls_why(why, r, "no random bytes for the ticket master");
	r = file_write_atomic(path, fresh, sizeof(fresh), 0600);
	if (r == 0)
		memcpy(ret, fresh, sizeof(fresh));
	else
		(void)tls_why(why, r, "ticket master %s cannot be written: %s",
		    path, strerror(-r));
	mem_wipe(fresh, sizeof(fresh));
	return r;
}

/* `deny`: mode bits that must not be set. */
static int
check(const char *path, const struct stat *st, mode_t deny, char *why)
{
	if (!S_ISREG(st->st_mode))
		return tls_why(why, -ENOTSUP,
		    "ticket master %s is not a regular file", path);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return tls_why(why, -EPERM,
		    "ticket master %s belongs to somebody else", path);
	if ((st->st_mode & deny) != 0)
		return tls_why(why, -EPERM,
		    "ticket master %s may be read by others (mode %04o, 0600 "
		    "is needed)", path, (unsigned)(st->st_mode & 07777));
	if (st->st_size != TLS_TICKET_MASTER_SIZE)
		return tls_why(why, -EINVAL,
		    "ticket master %s does not have %d bytes", path,
		    TLS_TICKET_MASTER_SIZE);
	return 0;
}

static int
read_whole(int fd, const char *path, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	uint8_t buf[TLS_TICKET_MASTER_SIZE];
	size_t n = 0;
	int r = file_read_up_to(fd, buf, sizeof(buf), &n);

	if (r == 0 && n < sizeof(buf))
		r = -EINVAL;
	if (r == 0)
		memcpy(ret, buf, sizeof(buf));
	else
		(void)tls_why(why, r, "ticket master %s cannot be read: %s",
		    path, r == -EINVAL ? "too short" : strerror(-r));
	mem_wipe(buf, sizeof(buf));
	return r;
}

/* A file from a far future (the clock was wrong) is old too, or it would never
 * be replaced. */
static bool
is_old(const struct stat *st, uint64_t rotate_s)
{
	int64_t age = clock_wall_ms() / 1000 - (int64_t)st->st_mtime;

	if (age < 0)
		age = -age;
	return rotate_s > 0 && (uint64_t)age >= rotate_s;
}

int
tls_ticket_master_load(const char *path, uint64_t rotate_s, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		if (r == -ENOENT)
			return make(path, why, ret);
		return tls_why(why, r, "ticket master %s cannot be opened: %s",
		    path, strerror(-r));
	}
	if (fstat(fd, &st) < 0)
		r = tls_why(why, -errno, "ticket master %s: %s", path,
		    strerror(errno));
	else
		r = check(path, &st, 077, why);
	if (r == 0 && is_old(&st, rotate_s))
		r = make(path, why, ret);
	else if (r == 0)
		r = read_whole(fd, path, why, ret);
	(void)close(fd);
	return r;
}

/* A file of one byte over and over was not made by chance. */
static bool
is_plain(const uint8_t *p)
{
	for (size_t i = 1; i < TLS_TICKET_MASTER_SIZE; i++)
		if (p[i] != p[0])
			return false;
	return true;
}

static int
read_shared(const char *path, mode_t deny, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	uint8_t master[TLS_TICKET_MASTER_SIZE];
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return tls_why(why, -errno,
		    "ticket master %s cannot be opened: %s", path,
		    strerror(errno));
	if (fstat(fd, &st) < 0)
		r = tls_why(why, -errno, "ticket master %s: %s", path,
		    strerror(errno));
	else
		r = check(path, &st, deny, why);
	if (r == 0)
		r = read_whole(fd, path, why, master);
	if (r == 0 && is_plain(master))
		r = tls_why(why, -EINVAL,
		    "ticket master %s is not random: all its bytes are equal",
		    path);
	else if (r == 0)
		memcpy(ret, master, sizeof(master));
	mem_wipe(master, sizeof(master));
	(void)close(fd);
	return r;
}

int
tls_ticket_master_share(const char *where, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	static const char credential[] = "credential:";
	char path[4096];
	int r;

	if (strncmp(where, credential, sizeof(credential) - 1) == 0) {
		r = secret_credential(where + sizeof(credential) - 1, why,
		    path, sizeof(path));
		/* The service manager lets the service in by its group or by
		 * an access list, whose mask shows there. */
		return r != 0 ? r : read_shared(path, 07, why, ret);
	}
	if (where[0] != '/')
		return tls_why(why, -EINVAL, "ticket_master_file: /PATH or "
		    "credential:NAME is expected");
	return read_shared(where, 077, why, ret);
}
