# SPDX-License-Identifier: Apache-2.0
"""Steers tests/lib/faulty.c in a daemon or a tool: which calls fail and how, how
many socket calls are disturbed, how slow the disk and how wrong the clock is.
Standard library only."""
import errno
import mmap
import os
import re
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILDDIR, SRCDIR, Skip  # noqa: E402

FIELDS = ('io', 'io_hit', 'sync_ms', 'wall_ms', 'kill_type', 'kill_turn',
          'kill_after')
SLOT = ('count', 'fail_at', 'fail_for', 'failed', 'error', 'kinds')
FILE, NET, OTHER = 1, 2, 4      # what a descriptor is
SHORT = 'SHORT'                 # an error that is none: less is done than asked


def known_calls():
    with open(os.path.join(SRCDIR, 'tests', 'lib', 'faulty.h')) as f:
        text = f.read()
    text = text[text.index('#define FAULTY_CALLS'):]
    return re.findall(r'X\((\w+)\)', text[:text.index('\n\n')])


CALLS = known_calls()


class Faulty:
    def __init__(self, scene, spare=''):
        self.lib = os.path.join(BUILDDIR, 'tests', 'lib', '.libs',
                                'faulty.so')
        if not os.path.exists(self.lib):
            raise Skip(f'{self.lib} is not built')
        path = scene.path('faulty')
        size = 8 * (len(FIELDS) + len(SLOT) * len(CALLS))
        with open(path, 'wb') as f:
            f.write(bytes(size))
        self.file = open(path, 'r+b')
        self.map = mmap.mmap(self.file.fileno(), size)
        asan = os.environ.get('ASAN_OPTIONS', '')
        self.env = {'LD_PRELOAD': self.lib, 'CLEAT_FAULTY': path,
                    'CLEAT_FAULTY_SPARE': spare,
                    'ASAN_OPTIONS': asan +
                    ':verify_asan_link_order=0:handle_abort=1'}
        self.watch('malloc')

    def _at(self, field):
        if isinstance(field, tuple):
            call, name = field
            return 8 * (len(FIELDS) + len(SLOT) * CALLS.index(call) +
                        SLOT.index(name))
        return 8 * FIELDS.index(field)

    def __getitem__(self, field):
        at = self._at(field)
        return struct.unpack('=Q', self.map[at:at + 8])[0]

    def __setitem__(self, field, value):
        at = self._at(field)
        self.map[at:at + 8] = struct.pack('=q' if value < 0 else '=Q',
                                          value)

    def watch(self, call, error='ENOMEM', kinds=0):
        """Calls are counted from now on; only on those kinds of descriptors.
        error: of errno, SHORT, or a signal that comes instead."""
        self[call, 'fail_at'] = 0
        self[call, 'kinds'] = kinds
        if error.startswith('SIG'):
            number = -100 - getattr(signal, error)
        else:
            number = -1 if error == SHORT else getattr(errno, error)
        self[call, 'error'] = number

    def count(self, call='malloc'):
        return self[call, 'count']

    def fail(self, n, how_many=1, call='malloc'):
        """The n-th call from now, and how_many in all, fail."""
        self[call, 'fail_for'] = how_many
        self[call, 'fail_at'] = self.count(call) + n

    def kill(self, message, turn=1, after=False):
        """Whoever sends this message of an upgrade the turn-th time from now is
        killed, before or after it."""
        self['kill_turn'] = turn
        self['kill_after'] = after
        self['kill_type'] = 1 + (
            'HELLO START READY BATCH TAKEN GO FINISH DONE'.split()
            .index(message))

    def stop(self, call='malloc'):
        """No more; the number that failed since the last stop()."""
        self[call, 'fail_at'] = 0
        failed = self[call, 'failed']
        self[call, 'failed'] = 0
        return failed

    def forget(self, call):
        """Calls are not even counted; how many failed."""
        failed = self.stop(call)
        self[call, 'error'] = 0
        return failed
