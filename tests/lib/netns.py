# SPDX-License-Identifier: Apache-2.0
"""A network namespace with one link to ours, made and removed by the test that
needs it.  Standard library only; needs root and iproute2.

    with Netns() as ns:
        daemon on ns.our ...
        with ns.inside():
            sock = socket.create_connection((ns.our, port))
        ns.silence()            # packets of either side are lost
"""
import contextlib
import ctypes
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, need  # noqa: E402

CLONE_NEWNET = 0x40000000


def ip(*args):
    done = subprocess.run(['ip', *args], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise OSError(f'ip {" ".join(args)}: {done.stderr.strip()}')


class Netns:
    def __init__(self):
        need('ip', 'iproute2')
        if os.geteuid() != 0:
            raise Skip('needs root')
        tag = f'{os.getpid() % 100000}{random.randrange(100):02}'
        self.name, self.link = f'cleat{tag}', f'ct{tag}'
        # RFC 2544 gives 198.18.0.0/15 to tests; a /30 for one link.
        net = f'198.18.{random.randrange(256)}'
        last = random.randrange(64) * 4
        self.our, self.their = f'{net}.{last + 1}', f'{net}.{last + 2}'
        try:
            ip('netns', 'add', self.name)
            ip('link', 'add', self.link, 'type', 'veth', 'peer', 'name',
               'eth0', 'netns', self.name)
            ip('addr', 'add', f'{self.our}/30', 'dev', self.link)
            ip('link', 'set', self.link, 'up')
            for args in (['addr', 'add', f'{self.their}/30', 'dev', 'eth0'],
                         ['link', 'set', 'eth0', 'up'],
                         ['link', 'set', 'lo', 'up']):
                ip('-n', self.name, *args)
        except OSError as e:
            self.close()
            raise Skip(f'no network namespace can be made: {e}') from e

    @contextlib.contextmanager
    def inside(self):
        """Sockets made here by this thread belong to the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        there = os.open(f'/run/netns/{self.name}', os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), 'setns')
            yield
        finally:
            libc.setns(here, CLONE_NEWNET)
            os.close(here)
            os.close(there)

    def silence(self):
        """From now on every packet of either side is lost.  No socket learns of
        it: a link that is down is no error to a TCP connection."""
        ip('-n', self.name, 'link', 'set', 'eth0', 'down')

    def speak(self):
        """Packets arrive again."""
        ip('-n', self.name, 'link', 'set', 'eth0', 'up')

    def close(self):
        for args in (['netns', 'del', self.name], ['link', 'del', self.link]):
            try:
                ip(*args)
            except OSError:
                pass        # not there, or gone with its other end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
