/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of the preloaded library share (see faulty.c), and the
 * calls that can be made to fail.  faulty.py reads that list from here.
 */
#ifndef CT_FAULTY_H
#define CT_FAULTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

/* malloc stands for calloc and realloc, fcntl for what makes descriptors. */
#define FAULTY_CALLS(X) \
	X(malloc) X(pthread_create) X(posix_spawn) X(fork) X(mmap) \
	X(open) X(openat) X(fopen) X(opendir) X(fdopendir) X(socket) \
	X(socketpair) X(accept4) X(pipe2) X(eventfd) X(epoll_create1) \
	X(signalfd) X(memfd_create) X(inotify_init1) X(fcntl) \
	X(epoll_ctl) X(epoll_wait) X(poll) \
	X(read) X(write) X(recv) X(send) X(recvmsg) X(sendmsg) X(sendto) \
	X(pread) X(pwrite) X(fsync) X(fdatasync) X(ftruncate) \
	X(rename) X(renameat) X(renameat2) X(link) X(symlinkat) X(unlink) \
	X(unlinkat) X(mkdir) X(mkdirat) X(chmod) X(fchmod) X(flock) \
	X(fstat) X(stat) X(lstat) X(readlink) \
	X(connect) X(bind) X(listen) X(setsockopt) X(getsockopt) \
	X(getsockname) X(getaddrinfo) X(getrandom) X(waitpid)

#define FAULTY_NAME(name) CALL_##name,
enum faulty_call { FAULTY_CALLS(FAULTY_NAME) FAULTY_N };
#undef FAULTY_NAME

/* What a descriptor is: the same error is not plausible for all. */
enum { FAULTY_FILE = 1, FAULTY_NET = 2, FAULTY_OTHER = 4 };

/* As `error`: does less than asked; -100 and less: that signal comes, and the
 * call is made. */
#define FAULTY_SHORT (-1)
#define FAULTY_SIGNAL (-100)

/* The layout is known to faulty.py. */
struct faulty_slot {
	_Atomic uint64_t count;		/* calls so far, of those kinds */
	_Atomic uint64_t fail_at;	/* 0: never; counted as `count` */
	_Atomic uint64_t fail_for;	/* that many from there on */
	_Atomic uint64_t failed;
	_Atomic int64_t error;		/* 0: calls are not even counted */
	_Atomic uint64_t kinds;
};

struct faulty_steering {
	_Atomic uint64_t io;		/* per mille of socket calls */
	_Atomic uint64_t io_hit;
	_Atomic uint64_t sync_ms;	/* each fsync() takes so much longer */
	_Atomic int64_t wall_ms;	/* the wall clock is off by so much */
	/* Whoever sends this message of an upgrade (enum upgrade_type) for that
	 * many times is killed, before or after it. */
	_Atomic uint64_t kill_type, kill_turn, kill_after;
	struct faulty_slot slot[FAULTY_N];
};

enum faulty_verdict { FAULTY_PASS, FAULTY_FAIL, FAULTY_LESS };

extern struct faulty_steering *faulty;

/* False while dlsym() is being asked. */
bool faulty_ready(void);
/* The function behind ours; never NULL. */
void *faulty_real(enum faulty_call);
/* What becomes of this call.  fd < 0: there is none.  With FAULTY_FAIL errno is
 * set. */
enum faulty_verdict faulty_verdict(enum faulty_call, int fd, void *caller);
/* Whether the caller is cleat, not a library of the system. */
bool faulty_own(void *caller);

#define FAULTY_EXPORT __attribute__((visibility("default")))
#define FAULTY_CALLER __builtin_return_address(0)

#endif
