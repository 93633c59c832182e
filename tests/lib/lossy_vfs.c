/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lossy_vfs.h.  Each open file is an image in memory over the real one,
 * with a mark for each sector that differs; xSync writes those.  Locks and
 * shared memory are the real file's.
 */
#include "lossy_vfs.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/check.h"

#define SECTOR 512

struct lossy_file {
	sqlite3_file base;
	struct lossy_file *next;	/* of all that are open */
	uint8_t *now;			/* as the living see it */
	bool *dirty;			/* by sector */
	sqlite3_int64 n, cap;
	sqlite3_file *real;		/* in the memory behind this */
};

static sqlite3_vfs *below, vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* the rest */
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static struct lossy_file *files;
static unsigned long ops, die_at, fail_at, fail_count;
static unsigned rnd;
static bool dead, failed, stall, stalled;
static int fail_code;

static struct lossy_file *
file_of(sqlite3_file *f)
{
	return (struct lossy_file *)f;
}

/* ---- one file ---------------------------------------------------------- */

static void
grow(struct lossy_file *f, sqlite3_int64 n)
{
	sqlite3_int64 cap = (n + 65535) / 65536 * 65536;

	if (n > f->cap) {
		f->now = realloc(f->now, (size_t)cap);
		f->dirty = realloc(f->dirty, (size_t)(cap / SECTOR));
		CT_ASSERT(f->now != NULL && f->dirty != NULL);
		memset(f->now + f->cap, 0, (size_t)(cap - f->cap));
		memset(f->dirty + f->cap / SECTOR, 0,
		    (size_t)((cap - f->cap) / SECTOR));
		f->cap = cap;
	}
	if (n > f->n)
		f->n = n;
}

static void
change_bytes(struct lossy_file *f, const void *p, int n, sqlite3_int64 at)
{
	grow(f, at + n);
	memcpy(f->now + at, p, (size_t)n);
	for (sqlite3_int64 i = at / SECTOR; i * SECTOR < at + n; i++)
		f->dirty[i] = true;
}

static void
write_sector(struct lossy_file *f, sqlite3_int64 i)
{
	sqlite3_int64 at = i * SECTOR, n = f->n - at;

	if (n > SECTOR)
		n = SECTOR;
	if (n > 0)
		CT_ASSERT(f->real->pMethods->xWrite(f->real, f->now + at,
		    (int)n, at) == SQLITE_OK);
}

static void
make_durable(struct lossy_file *f)
{
	sqlite3_int64 size = 0;

	for (sqlite3_int64 i = 0; i * SECTOR < f->n; i++)
		if (f->dirty[i])
			write_sector(f, i);
	memset(f->dirty, 0, (size_t)(f->cap / SECTOR));
	CT_ASSERT(f->real->pMethods->xFileSize(f->real, &size) == SQLITE_OK);
	if (size > f->n)
		CT_ASSERT(f->real->pMethods->xTruncate(f->real, f->n) ==
		    SQLITE_OK);
}

/* ---- faults ------------------------------------------------------------ */

static bool
toss(void)
{
	rnd ^= rnd << 13;
	rnd ^= rnd >> 17;
	rnd ^= rnd << 5;
	return (rnd & 1) != 0;
}

static void
die(void)
{
	dead = true;
	for (struct lossy_file *f = files; f != NULL; f = f->next)
		for (sqlite3_int64 i = 0; i * SECTOR < f->n; i++)
			if (f->dirty[i] && rnd != 0 && toss())
				write_sector(f, i);
}

/* Under the lock, for every operation; f, p: a write that may come half-way. */
static int
fault(int code, struct lossy_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (dead)
		return code;
	ops++;
	if (ops == die_at) {
		if (f != NULL)
			change_bytes(f, p, n, at);
		die();
		return code;
	}
	if (fail_at != 0 && ops >= fail_at && ops - fail_at < fail_count) {
		failed = true;
		return fail_code;
	}
	return SQLITE_OK;
}

/* ---- what SQLite calls ------------------------------------------------- */

static int
on_close(sqlite3_file *sf)
{
	struct lossy_file *f = file_of(sf), **p = &files;
	int rc;

	(void)pthread_mutex_lock(&lock);
	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	/* A crash of the program alone loses nothing. */
	if (!dead && f->cap > 0)
		make_durable(f);
	(void)pthread_mutex_unlock(&lock);
	free(f->now);
	free(f->dirty);
	rc = f->real->pMethods->xClose(f->real);
	return rc;
}

static int
on_read(sqlite3_file *sf, void *p, int n, sqlite3_int64 at)
{
	struct lossy_file *f = file_of(sf);
	sqlite3_int64 there = f->n > at ? f->n - at : 0;

	if (there > n)
		there = n;
	if (there > 0)
		memcpy(p, f->now + at, (size_t)there);
	memset((uint8_t *)p + there, 0, (size_t)(n - there));
	return there == n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
on_write(sqlite3_file *sf, const void *p, int n, sqlite3_int64 at)
{
	struct lossy_file *f = file_of(sf);
	int rc;

	(void)pthread_mutex_lock(&lock);
	rc = fault(SQLITE_IOERR_WRITE, f, p, n, at);
	if (rc == SQLITE_OK)
		change_bytes(f, p, n, at);
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

static int
on_truncate(sqlite3_file *sf, sqlite3_int64 n)
{
	struct lossy_file *f = file_of(sf);
	int rc;

	(void)pthread_mutex_lock(&lock);
	rc = fault(SQLITE_IOERR_TRUNCATE, NULL, NULL, 0, 0);
	if (rc == SQLITE_OK && n < f->n) {
		memset(f->now + n, 0, (size_t)(f->n - n));
		f->n = n;
	}
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

static int
on_sync(sqlite3_file *sf, int flags)
{
	struct lossy_file *f = file_of(sf);
	int rc;

	(void)flags;
	(void)pthread_mutex_lock(&lock);
	while (stall) {
		stalled = true;
		(void)pthread_cond_broadcast(&change);
		(void)pthread_cond_wait(&change, &lock);
	}
	stalled = false;
	rc = fault(SQLITE_IOERR_FSYNC, NULL, NULL, 0, 0);
	if (rc == SQLITE_OK && f->cap > 0)
		make_durable(f);
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

static int
on_size(sqlite3_file *sf, sqlite3_int64 *ret)
{
	*ret = file_of(sf)->n;
	return SQLITE_OK;
}

#define REAL(sf) (file_of(sf)->real)
#define CALL(sf, what, ...) REAL(sf)->pMethods->what(REAL(sf), ##__VA_ARGS__)

static int
on_lock(sqlite3_file *sf, int level)
{
	return CALL(sf, xLock, level);
}

static int
on_unlock(sqlite3_file *sf, int level)
{
	return CALL(sf, xUnlock, level);
}

static int
on_reserved(sqlite3_file *sf, int *ret)
{
	return CALL(sf, xCheckReservedLock, ret);
}

static int
on_control(sqlite3_file *sf, int op, void *arg)
{
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE)
		return SQLITE_OK;
	return CALL(sf, xFileControl, op, arg);
}

static int
on_sector(sqlite3_file *sf)
{
	return CALL(sf, xSectorSize);
}

static int
on_traits(sqlite3_file *sf)
{
	return CALL(sf, xDeviceCharacteristics);
}

static int
on_shm_map(sqlite3_file *sf, int page, int size, int extend,
    void volatile **ret)
{
	return CALL(sf, xShmMap, page, size, extend, ret);
}

static int
on_shm_lock(sqlite3_file *sf, int at, int n, int flags)
{
	return CALL(sf, xShmLock, at, n, flags);
}

static void
on_shm_barrier(sqlite3_file *sf)
{
	CALL(sf, xShmBarrier);
}

static int
on_shm_unmap(sqlite3_file *sf, int remove)
{
	return CALL(sf, xShmUnmap, remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2, .xClose = on_close, .xRead = on_read,
	.xWrite = on_write, .xTruncate = on_truncate, .xSync = on_sync,
	.xFileSize = on_size, .xLock = on_lock, .xUnlock = on_unlock,
	.xCheckReservedLock = on_reserved, .xFileControl = on_control,
	.xSectorSize = on_sector, .xDeviceCharacteristics = on_traits,
	.xShmMap = on_shm_map, .xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier, .xShmUnmap = on_shm_unmap
};

static int
on_open(sqlite3_vfs *v, const char *name, sqlite3_file *sf, int flags,
    int *ret_flags)
{
	struct lossy_file *f = file_of(sf);
	sqlite3_int64 n = 0;
	int rc;

	(void)v;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	rc = below->xOpen(below, name, f->real, flags, ret_flags);
	if (rc != SQLITE_OK)
		return rc;
	rc = f->real->pMethods->xFileSize(f->real, &n);
	if (rc == SQLITE_OK && n > 0) {
		grow(f, n);
		rc = f->real->pMethods->xRead(f->real, f->now, (int)n, 0);
	}
	if (rc != SQLITE_OK) {
		(void)f->real->pMethods->xClose(f->real);
		free(f->now);
		free(f->dirty);
		return rc;
	}
	(void)pthread_mutex_lock(&lock);
	f->next = files;
	files = f;
	(void)pthread_mutex_unlock(&lock);
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

static int
on_delete(sqlite3_vfs *v, const char *name, int sync)
{
	int rc;

	(void)v;
	(void)pthread_mutex_lock(&lock);
	rc = fault(SQLITE_IOERR_DELETE, NULL, NULL, 0, 0);
	(void)pthread_mutex_unlock(&lock);
	return rc == SQLITE_OK ? below->xDelete(below, name, sync) : rc;
}

/* ---- what a test calls ------------------------------------------------- */

void
lossy_install(void)
{
	below = sqlite3_vfs_find(NULL);
	CT_ASSERT(below != NULL && below != &vfs);
	vfs = *below;
	vfs.pNext = NULL;
	vfs.zName = "lossy";
	vfs.szOsFile = (int)sizeof(struct lossy_file) + below->szOsFile;
	vfs.xOpen = on_open;
	vfs.xDelete = on_delete;
	CT_ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

static void
set(unsigned long death, unsigned seed, unsigned long failure,
    unsigned long count, int code)
{
	(void)pthread_mutex_lock(&lock);
	ops = 0;
	die_at = death;
	rnd = seed;
	fail_at = failure;
	fail_count = count;
	fail_code = code;
	dead = failed = false;
	(void)pthread_mutex_unlock(&lock);
}

void
lossy_reset(void)
{
	set(0, 0, 0, 0, 0);
}

void
lossy_die_at(unsigned long n, unsigned seed)
{
	set(n, seed, 0, 0, 0);
}

void
lossy_fail_at(unsigned long n, unsigned long count, int code)
{
	set(0, 0, n, count, code);
}

static bool
get(const bool *what)
{
	bool is;

	(void)pthread_mutex_lock(&lock);
	is = *what;
	(void)pthread_mutex_unlock(&lock);
	return is;
}

bool
lossy_is_dead(void)
{
	return get(&dead);
}

bool
lossy_has_failed(void)
{
	return get(&failed);
}

void
lossy_stall(bool on)
{
	(void)pthread_mutex_lock(&lock);
	stall = on;
	(void)pthread_cond_broadcast(&change);
	(void)pthread_mutex_unlock(&lock);
}

void
lossy_wait_stalled(void)
{
	(void)pthread_mutex_lock(&lock);
	while (!stalled)
		(void)pthread_cond_wait(&change, &lock);
	(void)pthread_mutex_unlock(&lock);
}
