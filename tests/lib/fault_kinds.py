# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a call, as a kernel or the C library may say it."""
import collections

from faulty import FILE, NET, SHORT

# many: also tried with every call from the n-th on, as when the disk is full.
Fault = collections.namedtuple('Fault', 'call error kinds many family')


def _faults():
    def add(family, calls, errors, kinds=0, many=False):
        for call in calls.split():
            for error in errors.split():
                yield Fault(call, error, kinds, many, family)
    yield from add('memory', 'malloc', 'ENOMEM', many=True)
    yield from add('memory', 'mmap', 'ENOMEM', many=True)
    yield from add('threads', 'pthread_create posix_spawn fork', 'EAGAIN',
                   many=True)
    yield from add('descriptors', 'open openat fopen opendir fdopendir socket '
                   'socketpair accept4 pipe2 eventfd epoll_create1 signalfd '
                   'memfd_create inotify_init1 fcntl', 'EMFILE', many=True)
    yield from add('descriptors', 'open socket accept4', 'ENFILE')
    yield from add('descriptors', 'epoll_ctl', 'ENOSPC ENOMEM', many=True)
    yield from add('disk', 'open openat fopen', 'EIO EACCES')
    yield from add('disk', 'open openat mkdir mkdirat symlinkat rename '
                   'renameat renameat2 link', 'ENOSPC', many=True)
    yield from add('disk', 'write pwrite', 'ENOSPC EIO', FILE, True)
    yield from add('disk', 'read pread', 'EIO', FILE, True)
    yield from add('disk', 'fsync fdatasync', 'EIO ENOSPC', many=True)
    yield from add('disk', 'ftruncate rename renameat renameat2 link unlink '
                   'unlinkat symlinkat fstat stat lstat', 'EIO', many=True)
    yield from add('disk', 'chmod fchmod', 'EPERM')
    yield from add('disk', 'flock', 'ENOLCK EINTR')
    yield from add('disk', 'read pread write pwrite', SHORT, FILE)
    yield from add('sockets', 'read recv recvmsg write send sendmsg sendto',
                   'EAGAIN SHORT', NET, True)
    yield from add('sockets', 'read recv recvmsg write send sendmsg sendto',
                   'EINTR', NET)
    yield from add('sockets', 'read recv recvmsg', 'ECONNRESET ETIMEDOUT',
                   NET)
    yield from add('sockets', 'write send sendmsg sendto', 'EPIPE ENOBUFS',
                   NET)
    yield from add('sockets', 'accept4', 'ECONNABORTED EINTR EPERM')
    yield from add('sockets', 'connect', 'ECONNREFUSED ETIMEDOUT')
    yield from add('sockets', 'bind', 'EADDRINUSE EACCES')
    yield from add('sockets', 'listen setsockopt getsockopt getsockname',
                   'ENOBUFS')
    yield from add('sockets', 'getaddrinfo', 'EIO')
    yield from add('other', 'poll epoll_wait', 'EINTR')
    yield from add('other', 'getrandom waitpid', 'EINTR')
    yield from add('other', 'readlink', 'EIO ENOENT')
    # At any moment: there is no other call that is made so often.
    yield from add('signals', 'malloc', 'SIGTERM SIGHUP SIGUSR1 SIGPIPE '
                   'SIGCHLD SIGUSR2 SIGALRM')


# The wall clock is off by so much while the phase runs, and is right again.
# Certificates are not valid yet in the past: nobody loads one then.
DAY = 86400 * 1000
CLOCK = [Fault('wall', ms, 0, False, 'clock') for ms in
         (20 * DAY, 3600 * 1000, -3 * DAY, -3600 * 1000)]
IN_THE_PAST = ('connect', 'work', 'control', 'stop')


FAULTS = list(_faults())


def draw(rng, total):
    """Which of the calls: half of the time one of the first."""
    if rng.random() < 0.5:
        return min(total, int(total ** rng.random()) or 1)
    return rng.randint(1, total)



