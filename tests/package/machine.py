# SPDX-License-Identifier: Apache-2.0
"""A Debian system to try packages in: made by debootstrap, booted by
systemd-nspawn without a network, commands run in it by nsenter.  Needs root."""
import ctypes
import glob
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import Failure, Skip, need, wait_until  # noqa: E402

# The packages are built here, so they need the libraries of this release.
SUITE = platform.freedesktop_os_release()['VERSION_CODENAME']
MIRROR = os.environ.get('CLEAT_DEBIAN_MIRROR', 'http://deb.debian.org/debian')
CLONE_NEWNET = 0x40000000


def run(*command, ok=True, stderr=subprocess.STDOUT, **kw):
    """What it said, both streams unless told else, and its exit status."""
    p = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                       stdout=subprocess.PIPE, stderr=stderr,
                       errors='replace', check=False, **kw)
    if ok and p.returncode != 0:
        raise Failure(f'{" ".join(command)}: exit status {p.returncode}\n'
                      + p.stdout[-3000:])
    return p.stdout, p.returncode


def base(work, depends, name='base'):
    """A root with systemd and what the packages depend on; the network is asked
    only the first time."""
    path = os.path.join(work, name)
    mark = os.path.join(path, 'etc', 'cleat-test-base')
    try:
        with open(mark) as f:
            if f.read() == depends:
                return path
    except FileNotFoundError:
        pass
    need('debootstrap', 'debootstrap')
    shutil.rmtree(path, ignore_errors=True)
    said, code = run('debootstrap', '--variant=minbase',
                     '--include=systemd,systemd-sysv,dbus', SUITE, path,
                     MIRROR, ok=False)
    if code != 0:
        raise Skip('debootstrap cannot make a root here: ' +
                   said.strip().splitlines()[-1])
    shutil.copy('/etc/resolv.conf', os.path.join(path, 'etc'))
    env = dict(os.environ, DEBIAN_FRONTEND='noninteractive', LC_ALL='C')
    run('chroot', path, 'apt-get', '-q', 'update', env=env)
    run('chroot', path, 'apt-get', '-q', '-y', 'satisfy',
        '--no-install-recommends', depends, env=env)
    # A test wants promtool, and no server.
    os.symlink('/dev/null', os.path.join(
        path, 'etc/systemd/system/prometheus.service'))
    with open(mark, 'w') as f:
        f.write(depends)
    return path


def ends_with_us():
    # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


class Machine:
    """A copy of a base that is booted and has a network of its own: lo."""

    def __init__(self, work, base_path):
        need('systemd-nspawn', 'systemd-container')
        self.root = os.path.join(work, 'root')
        self.log = os.path.join(work, 'boot.log')
        self.nspawn = self.init = None
        shutil.rmtree(self.root, ignore_errors=True)
        run('cp', '-a', '--reflink=auto', base_path, self.root)
        self.write('127.0.0.1 localhost\n', 'etc/hosts')

    def boot(self):
        with open(self.log, 'w') as log:
            self.nspawn = subprocess.Popen(
                ['systemd-nspawn', '-q', '-D', self.root, '--private-network',
                 '--register=no', '--keep-unit', '--hostname=localhost',
                 '-M', f'cleat-{os.getpid()}', '-b', '--console=read-only'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=ends_with_us)
        try:
            wait_until('it is up', self._is_up)
        except Failure as e:
            with open(self.log) as log:
                said = ' '.join(log.read().split())[-300:]
            self.close()
            raise Skip(f'no system boots here: {e}; {said}') from None

    def _is_up(self):
        if self.nspawn.poll() is not None:
            raise Failure('systemd-nspawn ended')
        self.init = self._find_init()
        if self.init is None:
            return False
        said, _ = self.run('systemctl', 'is-system-running', ok=False)
        return said.strip() in ('running', 'degraded')

    def _find_init(self):
        """The child that is the first process of its name space; before it
        there is one that prepares it."""
        pid = self.nspawn.pid
        with open(f'/proc/{pid}/task/{pid}/children') as f:
            children = f.read().split()
        for child in children:
            try:
                with open(f'/proc/{child}/status') as f:
                    if re.search(r'^NSpid:\t\d+\t1$', f.read(), re.M):
                        return child
            except FileNotFoundError:
                pass
        return None

    def run(self, *command, ok=True, **kw):
        env = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
               'HOME': '/root', 'DEBIAN_FRONTEND': 'noninteractive'}
        return run('nsenter', '-t', self.init, '-a', *command, ok=ok,
                   env=env, **kw)

    def out(self, *command):
        """All that is said by what has to succeed."""
        return self.run(*command)[0]

    def result(self, *command):
        """Only its standard output."""
        return self.run(*command, stderr=subprocess.DEVNULL)[0]

    def json(self, *command):
        return json.loads(self.result(*command))

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, text, *parts):
        """A file that everybody may read, as an editor of root makes it."""
        os.makedirs(os.path.dirname(self.path(*parts)), exist_ok=True)
        with open(self.path(*parts), 'w') as f:
            f.write(text)

    def install(self, debs):
        """As apt would unpack and configure them; what that said."""
        os.makedirs(self.path('debs'), exist_ok=True)
        for deb in debs:
            shutil.copy(deb, self.path('debs'))
        return self.out('dpkg', '-i', '--force-confold', *(
            '/debs/' + os.path.basename(deb) for deb in debs))

    def join_network(self):
        """This thread's new sockets are in there from now on."""
        with open(f'/proc/{self.init}/ns/net') as f:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), 'setns')

    def close(self):
        if self.nspawn is None:
            return
        self.nspawn.terminate()         # an orderly shutdown
        try:
            self.nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.nspawn = None


def unpack(tarball, into):
    """The sources; (their folder, their version)."""
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    run('tar', '-x', '-f', tarball, '-C', into)
    folder = glob.glob(os.path.join(into, '*'))[0]
    return folder, os.path.basename(folder).rsplit('-', 1)[1]
