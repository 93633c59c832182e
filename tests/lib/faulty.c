/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the daemon by tests: makes chosen allocations fail, socket
 * calls short, interrupted or not ready, the disk slow, and the wall clock
 * wrong, and kills one side of an upgrade at a chosen message.  Steered through
 * a file that both sides map (CLEAT_FAULTY), so that a test can begin and end
 * at any moment.
 *
 * Libraries that end the process when memory is short can be left out by name
 * (CLEAT_FAULTY_SPARE).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* RTLD_NEXT, dladdr */
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The layout is known to faulty.py. */
struct steering {
	_Atomic uint64_t count;		/* allocations so far */
	_Atomic uint64_t fail_at;	/* 0: never; counted as `count` */
	_Atomic uint64_t fail_for;	/* that many from there on */
	_Atomic uint64_t failed;
	_Atomic uint64_t io;		/* per mille of socket calls */
	_Atomic uint64_t io_hit;
	_Atomic uint64_t sync_ms;	/* each fsync() takes so much longer */
	_Atomic int64_t wall_ms;	/* the wall clock is off by so much */
	/* Whoever sends this message of an upgrade (enum upgrade_type) for that
	 * many times is killed, before or after it. */
	_Atomic uint64_t kill_type, kill_turn, kill_after;
};

#define EXPORT __attribute__((visibility("default")))
#define SPARES 12

static struct steering none, *steering = &none;
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
	ssize_t (*recv)(int, void *, size_t, int);
	ssize_t (*send)(int, const void *, size_t, int);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*sync)(int);
	int (*clock_gettime)(clockid_t, struct timespec *);
};

static union next real_malloc, real_calloc, real_realloc, real_free;
static union next real_recv, real_send, real_sendmsg, real_accept4;
static union next real_fsync, real_fdatasync, real_clock_gettime;

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

static bool
ready(void)
{
	if (real_free.p == NULL && !asking) {
		asking = true;
		real_malloc.p = next_of("malloc");
		real_calloc.p = next_of("calloc");
		real_realloc.p = next_of("realloc");
		real_recv.p = next_of("recv");
		real_send.p = next_of("send");
		real_sendmsg.p = next_of("sendmsg");
		real_accept4.p = next_of("accept4");
		real_fsync.p = next_of("fsync");
		real_fdatasync.p = next_of("fdatasync");
		real_clock_gettime.p = next_of("clock_gettime");
		real_free.p = next_of("free");
		asking = false;
	}
	return real_free.p != NULL;
}

static __attribute__((constructor)) void
start(void)
{
	const char *path = getenv("CLEAT_FAULTY"), *names;
	char *at;
	void *map;
	int fd;

	(void)ready();
	if (path == NULL)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, sizeof(*steering), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		_exit(122);
	(void)close(fd);
	names = getenv("CLEAT_FAULTY_SPARE");
	if (names != NULL && strlen(names) < sizeof(spare)) {
		memcpy(spare, names, strlen(names) + 1);
		at = spare;
		for (int i = 0; i < SPARES && at != NULL; i++)
			spares[i] = strsep(&at, ":");
	}
	steering = map;
}

/* Whether code that cannot bear it asks. */
static bool
is_spared(void *caller)
{
	Dl_info info;

	if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
		return true;
	for (int i = 0; i < SPARES && spares[i] != NULL; i++)
		if (strstr(info.dli_fname, spares[i]) != NULL)
			return true;
	return false;
}

static bool
must_fail(void *caller)
{
	struct steering *s = steering;
	uint64_t at = atomic_load(&s->fail_at);
	uint64_t n = atomic_fetch_add(&s->count, 1) + 1;

	if (at == 0 || n < at || n >= at + atomic_load(&s->fail_for) ||
	    is_spared(caller))
		return false;
	atomic_fetch_add(&s->failed, 1);
	errno = ENOMEM;
	return true;
}

EXPORT void *
malloc(size_t n)
{
	if (!ready())
		return early_get(n);
	return must_fail(__builtin_return_address(0)) ? NULL :
	    real_malloc.malloc(n);
}

EXPORT void *
calloc(size_t n, size_t size)
{
	if (!ready())
		return early_get(n * size);
	return must_fail(__builtin_return_address(0)) ? NULL :
	    real_calloc.calloc(n, size);
}

EXPORT void *
realloc(void *p, size_t n)
{
	char *fresh;

	if (ready() && !is_early(p))
		return must_fail(__builtin_return_address(0)) ? NULL :
		    real_realloc.realloc(p, n);
	fresh = ready() ? real_malloc.malloc(n) : early_get(n);
	for (size_t i = 0; fresh != NULL && p != NULL && i < n &&
	    (const char *)p + i < early + sizeof(early); i++)
		fresh[i] = ((const char *)p)[i];
	return fresh;
}

EXPORT void
free(void *p)
{
	if (p != NULL && !is_early(p) && ready())
		real_free.free(p);
}

/* ---- sockets ------------------------------------------------------------- */

static __thread uint32_t dice __attribute__((tls_model("initial-exec")));

static uint32_t
roll(void)
{
	dice = dice * 1664525u + 1013904223u + (uint32_t)getpid();
	return dice >> 8;
}

/* Libraries may rely on edges, and a socketpair gives all it has: only the
 * program's own calls on network sockets are disturbed. */
static bool
is_own(int fd, void *caller)
{
	int domain = AF_UNSPEC;
	socklen_t n = sizeof(domain);
	Dl_info info;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	    (domain == AF_INET || domain == AF_INET6) &&
	    dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
	    strstr(info.dli_fname, ".so") == NULL;
}

/* 0 nothing, -1 an error to return, else at most that many bytes. */
static ssize_t
disturb(int fd, size_t n, void *caller)
{
	struct steering *s = steering;

	if (n == 0 || atomic_load(&s->io) == 0 || !is_own(fd, caller) ||
	    roll() % 1000 >= atomic_load(&s->io))
		return 0;
	atomic_fetch_add(&s->io_hit, 1);
	switch (roll() % 4) {
	case 0:
		errno = EINTR;
		return -1;
	case 1:
		errno = EAGAIN;
		return -1;
	default:
		return (ssize_t)(roll() % (n < 20 ? n : 20)) + 1;
	}
}

EXPORT ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	ssize_t r = disturb(fd, n, __builtin_return_address(0));

	if (!ready() || r < 0)
		return -1;
	return real_recv.recv(fd, p, r > 0 ? (size_t)r : n, flags);
}

EXPORT ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	ssize_t r = disturb(fd, n, __builtin_return_address(0));

	if (!ready() || r < 0)
		return -1;
	return real_send.send(fd, p, r > 0 ? (size_t)r : n, flags);
}

/* The head of a message of core/daemon/upgrade_wire.c. */
struct upgrade_head {
	uint32_t magic;
	uint16_t type, fds_n;
	uint64_t n;
};

static bool
is_last_turn(const struct msghdr *m)
{
	struct steering *s = steering;
	struct upgrade_head h;

	if (atomic_load(&s->kill_type) == 0 || m->msg_iovlen != 1 ||
	    m->msg_iov[0].iov_len != sizeof(h))
		return false;
	memcpy(&h, m->msg_iov[0].iov_base, sizeof(h));
	return h.magic == 0x75706772u && h.type == atomic_load(&s->kill_type) &&
	    atomic_fetch_sub(&s->kill_turn, 1) == 1;
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	bool last = is_last_turn(m);
	ssize_t r;

	if (!ready())
		return -1;
	if (last && atomic_load(&steering->kill_after) == 0)
		(void)raise(SIGKILL);
	r = real_sendmsg.sendmsg(fd, m, flags);
	if (last)
		(void)raise(SIGKILL);
	return r;
}

EXPORT int
accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	if (!ready() || disturb(fd, 1, __builtin_return_address(0)) < 0)
		return -1;
	return real_accept4.accept4(fd, a, n, flags);
}

/* ---- disk and clock ---------------------------------------------------- */

/* In small steps, so that the end of a stall is the end of the waiting. */
static void
stall(void)
{
	const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };

	for (uint64_t ms = 0; ms < atomic_load(&steering->sync_ms); ms += 10)
		(void)nanosleep(&step, NULL);
}

EXPORT int
fsync(int fd)
{
	if (!ready())
		return -1;
	stall();
	return real_fsync.sync(fd);
}

EXPORT int
fdatasync(int fd)
{
	if (!ready())
		return -1;
	stall();
	return real_fdatasync.sync(fd);
}

EXPORT int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t off = atomic_load(&steering->wall_ms), ms;
	int r;

	if (!ready())
		return -1;
	r = real_clock_gettime.clock_gettime(clock, ret);
	if (r == 0 && off != 0 && clock == CLOCK_REALTIME) {
		ms = ret->tv_nsec / 1000000 + off % 1000 + 1000;
		ret->tv_sec += off / 1000 + ms / 1000 - 1;
		ret->tv_nsec = ret->tv_nsec % 1000000 + ms % 1000 * 1000000;
	}
	return r;
}
