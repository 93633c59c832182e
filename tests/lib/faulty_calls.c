/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that faulty.c makes fail or do less than asked, each in front of
 * the C library's.  What happens is what a kernel may do: no EAGAIN where a
 * call blocks, and nothing short from what is no stream.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "faulty.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT FAULTY_EXPORT

/* Fails, or not; fd is -1 when there is none. */
#define PLAIN(name, type, bad, fd, params, args) \
EXPORT type \
name params \
{ \
	union { void *p; type (*f)params; } u = { \
		.p = faulty_real(CALL_##name) }; \
	if (faulty_verdict(CALL_##name, fd, FAULTY_CALLER) != FAULTY_PASS) \
		return bad; \
	return u.f args; \
}
/* The same under its other name. */
#define ALSO(other, name, type, params) \
EXPORT type other params __attribute__((alias(#name)));

PLAIN(pthread_create, int, errno, -1, (pthread_t *t, const pthread_attr_t *a,
    void *(*fn)(void *), void *arg), (t, a, fn, arg))
PLAIN(posix_spawn, int, errno, -1, (pid_t *pid, const char *path,
    const posix_spawn_file_actions_t *f, const posix_spawnattr_t *a,
    char *const argv[], char *const env[]), (pid, path, f, a, argv, env))
PLAIN(fork, pid_t, -1, -1, (void), ())
PLAIN(mmap, void *, MAP_FAILED, -1, (void *at, size_t n, int prot, int flags,
    int fd, off_t off), (at, n, prot, flags, fd, off))
PLAIN(fopen, FILE *, NULL, -1, (const char *path, const char *mode),
    (path, mode))
PLAIN(opendir, DIR *, NULL, -1, (const char *path), (path))
PLAIN(fdopendir, DIR *, NULL, -1, (int fd), (fd))
PLAIN(socket, int, -1, -1, (int d, int t, int p), (d, t, p))
PLAIN(socketpair, int, -1, -1, (int d, int t, int p, int fds[2]),
    (d, t, p, fds))
PLAIN(pipe2, int, -1, -1, (int fds[2], int flags), (fds, flags))
PLAIN(eventfd, int, -1, -1, (unsigned n, int flags), (n, flags))
PLAIN(epoll_create1, int, -1, -1, (int flags), (flags))
PLAIN(signalfd, int, -1, -1, (int fd, const sigset_t *set, int flags),
    (fd, set, flags))
PLAIN(memfd_create, int, -1, -1, (const char *name, unsigned flags),
    (name, flags))
PLAIN(inotify_init1, int, -1, -1, (int flags), (flags))
PLAIN(epoll_wait, int, -1, -1, (int fd, struct epoll_event *ev, int n, int ms),
    (fd, ev, n, ms))
PLAIN(poll, int, -1, -1, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
PLAIN(ftruncate, int, -1, fd, (int fd, off_t n), (fd, n))
PLAIN(rename, int, -1, -1, (const char *a, const char *b), (a, b))
PLAIN(renameat, int, -1, -1, (int da, const char *a, int db, const char *b),
    (da, a, db, b))
PLAIN(renameat2, int, -1, -1, (int da, const char *a, int db, const char *b,
    unsigned flags), (da, a, db, b, flags))
PLAIN(link, int, -1, -1, (const char *a, const char *b), (a, b))
PLAIN(symlinkat, int, -1, -1, (const char *to, int d, const char *a),
    (to, d, a))
PLAIN(unlink, int, -1, -1, (const char *a), (a))
PLAIN(unlinkat, int, -1, -1, (int d, const char *a, int flags), (d, a, flags))
PLAIN(mkdir, int, -1, -1, (const char *a, mode_t mode), (a, mode))
PLAIN(mkdirat, int, -1, -1, (int d, const char *a, mode_t mode), (d, a, mode))
PLAIN(chmod, int, -1, -1, (const char *a, mode_t mode), (a, mode))
PLAIN(fchmod, int, -1, fd, (int fd, mode_t mode), (fd, mode))
PLAIN(flock, int, -1, fd, (int fd, int op), (fd, op))
PLAIN(fstat, int, -1, fd, (int fd, struct stat *st), (fd, st))
PLAIN(stat, int, -1, -1, (const char *path, struct stat *st), (path, st))
PLAIN(lstat, int, -1, -1, (const char *path, struct stat *st), (path, st))
PLAIN(readlink, ssize_t, -1, -1, (const char *path, char *to, size_t n),
    (path, to, n))
PLAIN(connect, int, -1, fd, (int fd, const struct sockaddr *a, socklen_t n),
    (fd, a, n))
PLAIN(bind, int, -1, fd, (int fd, const struct sockaddr *a, socklen_t n),
    (fd, a, n))
PLAIN(listen, int, -1, fd, (int fd, int n), (fd, n))
PLAIN(setsockopt, int, -1, fd, (int fd, int level, int name, const void *p,
    socklen_t n), (fd, level, name, p, n))
PLAIN(getsockname, int, -1, fd, (int fd, struct sockaddr *a, socklen_t *n),
    (fd, a, n))
PLAIN(getaddrinfo, int, EAI_MEMORY, -1, (const char *host, const char *port,
    const struct addrinfo *hints, struct addrinfo **ret),
    (host, port, hints, ret))
PLAIN(getrandom, ssize_t, -1, -1, (void *p, size_t n, unsigned flags),
    (p, n, flags))
PLAIN(waitpid, pid_t, -1, -1, (pid_t pid, int *status, int flags),
    (pid, status, flags))
ALSO(ftruncate64, ftruncate, int, (int fd, off_t n))
ALSO(mmap64, mmap, void *, (void *at, size_t n, int prot, int flags, int fd,
    off_t off))
ALSO(fopen64, fopen, FILE *, (const char *path, const char *mode))

/* Removing never fails for want of room. */
EXPORT int
epoll_ctl(int fd, int op, int of, struct epoll_event *ev)
{
	union { void *p; int (*f)(int, int, int, struct epoll_event *); } u = {
		.p = faulty_real(CALL_epoll_ctl) };

	if (op == EPOLL_CTL_ADD && faulty_verdict(CALL_epoll_ctl, -1,
	    FAULTY_CALLER) != FAULTY_PASS)
		return -1;
	return u.f(fd, op, of, ev);
}

EXPORT int
getsockopt(int fd, int level, int name, void *p, socklen_t *n)
{
	union { void *p; int (*f)(int, int, int, void *, socklen_t *); } u = {
		.p = faulty_real(CALL_getsockopt) };

	if (faulty_verdict(CALL_getsockopt, fd, FAULTY_CALLER) != FAULTY_PASS)
		return -1;
	return u.f(fd, level, name, p, n);
}

static mode_t
mode_of(int flags, va_list ap)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ?
	    (mode_t)va_arg(ap, int) : 0;
}

EXPORT int
open(const char *path, int flags, ...)
{
	union { void *p; int (*f)(const char *, int, ...); } u = {
		.p = faulty_real(CALL_open) };
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (faulty_verdict(CALL_open, -1, FAULTY_CALLER) != FAULTY_PASS)
		return -1;
	return u.f(path, flags, mode);
}
ALSO(open64, open, int, (const char *path, int flags, ...))

EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	union { void *p; int (*f)(int, const char *, int, ...); } u = {
		.p = faulty_real(CALL_openat) };
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (faulty_verdict(CALL_openat, -1, FAULTY_CALLER) != FAULTY_PASS)
		return -1;
	return u.f(dir, path, flags, mode);
}

/* Only what makes a descriptor runs out of them. */
EXPORT int
fcntl(int fd, int op, ...)
{
	union { void *p; int (*f)(int, int, ...); } u = {
		.p = faulty_real(CALL_fcntl) };
	va_list ap;
	void *arg;

	va_start(ap, op);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((op == F_DUPFD || op == F_DUPFD_CLOEXEC) && faulty_verdict(
	    CALL_fcntl, -1, FAULTY_CALLER) != FAULTY_PASS)
		return -1;
	return u.f(fd, op, arg);
}
ALSO(fcntl64, fcntl, int, (int fd, int op, ...))

/* ---- bytes -------------------------------------------------------------- */

static __thread uint32_t dice __attribute__((tls_model("initial-exec")));

static uint32_t
roll(void)
{
	dice = dice * 1664525u + 1013904223u + (uint32_t)getpid();
	return dice >> 8;
}

static int
option_of(int fd, int name)
{
	union { void *p; int (*f)(int, int, int, void *, socklen_t *); } u = {
		.p = faulty_real(CALL_getsockopt) };
	int value = -1;
	socklen_t n = sizeof(value);

	return u.f(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

/* A socketpair gives all that it has, so only network sockets are disturbed at
 * random.  0 nothing, -1 an error to return, else at most that many bytes. */
static ssize_t
disturb(int fd, size_t n, void *caller)
{
	int was = errno, domain;

	if (n == 0 || atomic_load(&faulty->io) == 0)
		return 0;
	domain = option_of(fd, SO_DOMAIN);
	errno = was;
	if ((domain != AF_INET && domain != AF_INET6) || !faulty_own(caller) ||
	    roll() % 1000 >= atomic_load(&faulty->io))
		return 0;
	atomic_fetch_add(&faulty->io_hit, 1);
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

/* Whether this call could block, and whether it could be short. */
static bool
may_block(int fd, int flags)
{
	union { void *p; int (*f)(int, int, ...); } u = {
		.p = faulty_real(CALL_fcntl) };

	return (flags & MSG_DONTWAIT) == 0 && (u.f(fd, F_GETFL) &
	    O_NONBLOCK) == 0;
}

static bool
is_datagram(int fd)
{
	int type = option_of(fd, SO_TYPE);

	return type != -1 && type != SOCK_STREAM;
}

static bool
is_sending(enum faulty_call call)
{
	return call == CALL_write || call == CALL_send || call == CALL_sendto ||
	    call == CALL_sendmsg;
}

/* 0 nothing, -1 an error, else so many bytes. */
static ssize_t
less(enum faulty_call call, int fd, size_t n, int flags, void *caller)
{
	int was = errno, error = (int)atomic_load(&faulty->slot[call].error);
	bool pass = error == 0 || fd == STDERR_FILENO;	/* tests read the log */

	pass = pass || (error == EAGAIN && (may_block(fd, flags) ||
	    !faulty_own(caller)));
	/* A look that says that nothing is there is believed. */
	pass = pass || (flags & MSG_PEEK) != 0;
	/* A socket that blocks takes all, and gives all if it is asked to. */
	pass = pass || (error == FAULTY_SHORT && (n < 2 || is_datagram(fd) ||
	    (flags & MSG_WAITALL) != 0 || (is_sending(call) &&
	    option_of(fd, SO_TYPE) != -1 && may_block(fd, flags))));
	errno = was;
	if (pass)
		return 0;
	switch (faulty_verdict(call, fd, caller)) {
	case FAULTY_FAIL:
		return -1;
	case FAULTY_LESS:
		return 1;
	default:
		return 0;
	}
}

#define BYTES(name, data) \
EXPORT ssize_t \
name(int fd, data *p, size_t n) \
{ \
	union { void *p; ssize_t (*f)(int, data *, size_t); } u = { \
		.p = faulty_real(CALL_##name) }; \
	ssize_t r = less(CALL_##name, fd, n, 0, FAULTY_CALLER); \
 \
	return r < 0 ? -1 : u.f(fd, p, r > 0 ? (size_t)r : n); \
}
BYTES(read, void)
BYTES(write, const void)

#define BYTES_AT(name, data) \
EXPORT ssize_t \
name(int fd, data *p, size_t n, off_t at) \
{ \
	union { void *p; ssize_t (*f)(int, data *, size_t, off_t); } u = { \
		.p = faulty_real(CALL_##name) }; \
	ssize_t r = less(CALL_##name, fd, n, 0, FAULTY_CALLER); \
 \
	return r < 0 ? -1 : u.f(fd, p, r > 0 ? (size_t)r : n, at); \
} \
ALSO(name##64, name, ssize_t, (int fd, data *p, size_t n, off_t at))
BYTES_AT(pread, void)
BYTES_AT(pwrite, const void)

#define BYTES_NET(name, data) \
EXPORT ssize_t \
name(int fd, data *p, size_t n, int flags) \
{ \
	union { void *p; ssize_t (*f)(int, data *, size_t, int); } u = { \
		.p = faulty_real(CALL_##name) }; \
	ssize_t r = less(CALL_##name, fd, n, flags, FAULTY_CALLER); \
 \
	if (r == 0) \
		r = disturb(fd, n, FAULTY_CALLER); \
	return r < 0 ? -1 : u.f(fd, p, r > 0 ? (size_t)r : n, flags); \
}
BYTES_NET(recv, void)
BYTES_NET(send, const void)

EXPORT ssize_t
sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *a,
    socklen_t a_n)
{
	union { void *p; ssize_t (*f)(int, const void *, size_t, int,
	    const struct sockaddr *, socklen_t); } u = {
		.p = faulty_real(CALL_sendto) };
	ssize_t r = less(CALL_sendto, fd, n, flags, FAULTY_CALLER);

	return r < 0 ? -1 : u.f(fd, p, r > 0 ? (size_t)r : n, flags, a, a_n);
}

/* The first part, or its first byte. */
static ssize_t
less_of(enum faulty_call call, int fd, struct msghdr *m, struct iovec *v,
    int flags, void *caller)
{
	ssize_t r;

	if (m->msg_iovlen == 0)
		return 0;
	*v = m->msg_iov[0];
	r = less(call, fd, v->iov_len, flags, caller);
	if (r > 0) {
		v->iov_len = (size_t)r;
		m->msg_iov = v;
		m->msg_iovlen = 1;
	}
	return r;
}

EXPORT ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	union { void *p; ssize_t (*f)(int, struct msghdr *, int); } u = {
		.p = faulty_real(CALL_recvmsg) };
	struct msghdr part = *m;
	struct iovec v;
	ssize_t r = less_of(CALL_recvmsg, fd, &part, &v, flags, FAULTY_CALLER);

	if (r <= 0)
		return r < 0 ? -1 : u.f(fd, m, flags);
	r = u.f(fd, &part, flags);
	m->msg_namelen = part.msg_namelen;
	m->msg_controllen = part.msg_controllen;
	m->msg_flags = part.msg_flags;
	return r;
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
	struct upgrade_head h;

	if (atomic_load(&faulty->kill_type) == 0 || m->msg_iovlen != 1 ||
	    m->msg_iov[0].iov_len != sizeof(h))
		return false;
	memcpy(&h, m->msg_iov[0].iov_base, sizeof(h));
	return h.magic == 0x75706772u &&
	    h.type == atomic_load(&faulty->kill_type) &&
	    atomic_fetch_sub(&faulty->kill_turn, 1) == 1;
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	union { void *p; ssize_t (*f)(int, const struct msghdr *, int); } u = {
		.p = faulty_real(CALL_sendmsg) };
	bool last = is_last_turn(m);
	struct msghdr part = *m;
	struct iovec v;
	ssize_t r;

	if (last && atomic_load(&faulty->kill_after) == 0)
		(void)raise(SIGKILL);
	r = less_of(CALL_sendmsg, fd, &part, &v, flags, FAULTY_CALLER);
	r = r < 0 ? -1 : u.f(fd, &part, flags);
	if (last)
		(void)raise(SIGKILL);
	return r;
}

EXPORT int
accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	union { void *p; int (*f)(int, struct sockaddr *, socklen_t *, int); }
	    u = { .p = faulty_real(CALL_accept4) };

	if (faulty_verdict(CALL_accept4, -1, FAULTY_CALLER) != FAULTY_PASS ||
	    disturb(fd, 1, FAULTY_CALLER) < 0)
		return -1;
	return u.f(fd, a, n, flags);
}

/* ---- disk --------------------------------------------------------------- */

/* In small steps, so that the end of a stall is the end of the waiting. */
static void
stall(void)
{
	const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };

	for (uint64_t ms = 0; ms < atomic_load(&faulty->sync_ms); ms += 10)
		(void)nanosleep(&step, NULL);
}

#define SYNC(name) \
EXPORT int \
name(int fd) \
{ \
	union { void *p; int (*f)(int); } u = { \
		.p = faulty_real(CALL_##name) }; \
 \
	stall(); \
	if (faulty_verdict(CALL_##name, fd, FAULTY_CALLER) != FAULTY_PASS) \
		return -1; \
	return u.f(fd); \
}
SYNC(fsync)
SYNC(fdatasync)
