/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the daemon and the tools by tests: makes the n-th call of a
 * kind fail (faulty_calls.c has all but the allocations), socket calls short,
 * interrupted or not ready, the disk slow, and the wall clock wrong, and kills
 * one side of an upgrade at a chosen message.  Steered through a file that both
 * sides map (CLEAT_FAULTY), so that a test can begin and end at any moment.
 *
 * Libraries that end the process when memory is short can be left out by name
 * (CLEAT_FAULTY_SPARE).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* RTLD_NEXT, dladdr */
#endif
#include "faulty.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT FAULTY_EXPORT
#define SPARES 16

static struct faulty_steering none;
struct faulty_steering *faulty = &none;
static char spare[256], *spares[SPARES];

/* dlsym() allocates before it can say where malloc() is. */
static _Alignas(16) char early[65536];
static size_t early_n;
static __thread bool asking __attribute__((tls_model("initial-exec")));

/* What comes next in the order of libraries; a union, because ISO C has no cast
 * from an object to a function, and memcpy() may be what asks. */
union next {
	void *p;
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	int (*clock_gettime)(clockid_t, struct timespec *);
};

static union next real_malloc, real_calloc, real_realloc, real_free;
static union next real_clock_gettime;
static void *real[FAULTY_N];

#define NAME(name) #name,
static const char *const names[FAULTY_N] = { FAULTY_CALLS(NAME) };

static void *
early_get(size_t n)
{
	void *p = early + early_n;

	n = (n + 15) & ~(size_t)15;
	if (n > sizeof(early) - early_n)
		_exit(120);
	early_n += n;
	return p;
}

static bool
is_early(const void *p)
{
	return (const char *)p >= early &&
	    (const char *)p < early + sizeof(early);
}

static void *
next_of(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		_exit(121);
	return p;
}

bool
faulty_ready(void)
{
	if (real_free.p == NULL && !asking) {
		asking = true;
		real_malloc.p = next_of("malloc");
		real_calloc.p = next_of("calloc");
		real_realloc.p = next_of("realloc");
		real_clock_gettime.p = next_of("clock_gettime");
		for (int i = 0; i < FAULTY_N; i++)
			real[i] = next_of(names[i]);
		real_free.p = next_of("free");
		asking = false;
	}
	return real_free.p != NULL;
}

void *
faulty_real(enum faulty_call call)
{
	(void)faulty_ready();
	return real[call] != NULL ? real[call] : next_of(names[call]);
}

static __attribute__((constructor)) void
start(void)
{
	const char *path = getenv("CLEAT_FAULTY"), *spared;
	char *at;
	void *map;
	int fd;

	(void)faulty_ready();
	if (path == NULL)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, sizeof(*faulty), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		_exit(122);
	(void)close(fd);
	spared = getenv("CLEAT_FAULTY_SPARE");
	if (spared != NULL && strlen(spared) < sizeof(spare)) {
		memcpy(spare, spared, strlen(spared) + 1);
		at = spare;
		for (int i = 0; i < SPARES && at != NULL; i++)
			spares[i] = strsep(&at, ":");
	}
	faulty = map;
}

/* Whether code that cannot bear it asks. */
static bool
is_spared(void *caller)
{
	Dl_info info;

	if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
		return true;
	for (int i = 0; i < SPARES && spares[i] != NULL; i++)
		if (spares[i][0] != '\0' &&
		    strstr(info.dli_fname, spares[i]) != NULL)
			return true;
	return false;
}

bool
faulty_own(void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
	    strncmp(info.dli_fname, "/lib", 4) != 0 &&
	    strncmp(info.dli_fname, "/usr/lib", 8) != 0;
}

static unsigned
kind_of(int fd)
{
	int (*look)(int, struct stat *);
	struct stat st;

	*(void **)&look = faulty_real(CALL_fstat);
	if (look(fd, &st) != 0)
		return FAULTY_OTHER;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return FAULTY_FILE;
	return S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode) ? FAULTY_NET :
	    FAULTY_OTHER;
}

enum faulty_verdict
faulty_verdict(enum faulty_call call, int fd, void *caller)
{
	struct faulty_slot *s = &faulty->slot[call];
	int error = (int)atomic_load(&s->error), was = errno;
	uint64_t at, n, kinds;

	if (error == 0)
		return FAULTY_PASS;
	kinds = atomic_load(&s->kinds);
	if (fd >= 0 && kinds != 0 && (kind_of(fd) & kinds) == 0) {
		errno = was;
		return FAULTY_PASS;
	}
	at = atomic_load(&s->fail_at);
	n = atomic_fetch_add(&s->count, 1) + 1;
	if (at == 0 || n < at || n - at >= atomic_load(&s->fail_for) ||
	    is_spared(caller)) {
		errno = was;
		return FAULTY_PASS;
	}
	atomic_fetch_add(&s->failed, 1);
	if (error <= FAULTY_SIGNAL) {
		(void)kill(getpid(), FAULTY_SIGNAL - error);
		errno = was;
		return FAULTY_PASS;
	}
	if (error == FAULTY_SHORT) {
		errno = was;
		return FAULTY_LESS;
	}
	errno = error;
	return FAULTY_FAIL;
}

static bool
must_fail(void *caller)
{
	return faulty_verdict(CALL_malloc, -1, caller) == FAULTY_FAIL;
}

EXPORT void *
malloc(size_t n)
{
	if (!faulty_ready())
		return early_get(n);
	return must_fail(__builtin_return_address(0)) ? NULL :
	    real_malloc.malloc(n);
}

EXPORT void *
calloc(size_t n, size_t size)
{
	if (!faulty_ready())
		return early_get(n * size);
	return must_fail(__builtin_return_address(0)) ? NULL :
	    real_calloc.calloc(n, size);
}

EXPORT void *
realloc(void *p, size_t n)
{
	char *fresh;

	if (faulty_ready() && !is_early(p))
		return must_fail(__builtin_return_address(0)) ? NULL :
		    real_realloc.realloc(p, n);
	fresh = faulty_ready() ? real_malloc.malloc(n) : early_get(n);
	for (size_t i = 0; fresh != NULL && p != NULL && i < n &&
	    (const char *)p + i < early + sizeof(early); i++)
		fresh[i] = ((const char *)p)[i];
	return fresh;
}

EXPORT void
free(void *p)
{
	if (p != NULL && !is_early(p) && faulty_ready())
		real_free.free(p);
}

/* ---- clock -------------------------------------------------------------- */

/* Both clocks of the wall, and what else tells its time. */
EXPORT int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t off = atomic_load(&faulty->wall_ms), ms;
	int r;

	if (!faulty_ready())
		return -1;
	r = real_clock_gettime.clock_gettime(clock, ret);
	if (r == 0 && off != 0 && (clock == CLOCK_REALTIME ||
	    clock == CLOCK_REALTIME_COARSE)) {
		ms = ret->tv_nsec / 1000000 + off % 1000 + 1000;
		ret->tv_sec += off / 1000 + ms / 1000 - 1;
		ret->tv_nsec = ret->tv_nsec % 1000000 + ms % 1000 * 1000000;
	}
	return r;
}

EXPORT time_t
time(time_t *ret)
{
	struct timespec t;

	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return -1;
	if (ret != NULL)
		*ret = t.tv_sec;
	return t.tv_sec;
}

EXPORT int
gettimeofday(struct timeval *ret, void *zone)
{
	struct timespec t;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return -1;
	ret->tv_sec = t.tv_sec;
	ret->tv_usec = t.tv_nsec / 1000;
	return 0;
}
