# SPDX-License-Identifier: Apache-2.0
"""Steers tests/lib/faulty.c in a daemon: which allocations fail, how many
socket calls are disturbed, how slow the disk and how wrong the clock is.
Standard library only."""
import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILDDIR, Skip  # noqa: E402

FIELDS = ('count', 'fail_at', 'fail_for', 'failed', 'io', 'io_hit',
          'sync_ms', 'wall_ms', 'kill_type', 'kill_turn', 'kill_after')


class Faulty:
    def __init__(self, scene, spare=''):
        self.lib = os.path.join(BUILDDIR, 'tests', 'lib', '.libs',
                                'faulty.so')
        if not os.path.exists(self.lib):
            raise Skip(f'{self.lib} is not built')
        path = scene.path('faulty')
        with open(path, 'wb') as f:
            f.write(bytes(8 * len(FIELDS)))
        self.file = open(path, 'r+b')
        self.map = mmap.mmap(self.file.fileno(), 8 * len(FIELDS))
        asan = os.environ.get('ASAN_OPTIONS', '')
        self.env = {'LD_PRELOAD': self.lib, 'CLEAT_FAULTY': path,
                    'CLEAT_FAULTY_SPARE': spare,
                    'ASAN_OPTIONS': asan + 
                    ':verify_asan_link_order=0:handle_abort=1'}

    def __getitem__(self, field):
        at = FIELDS.index(field) * 8
        return struct.unpack('=Q', self.map[at:at + 8])[0]

    def __setitem__(self, field, value):
        at = FIELDS.index(field) * 8
        self.map[at:at + 8] = struct.pack('=q' if value < 0 else '=Q',
                                          value)

    def fail(self, n, how_many=1):
        """The n-th allocation from now, and how_many in all, fail."""
        self['fail_for'] = how_many
        self['fail_at'] = self['count'] + n

    def kill(self, message, turn=1, after=False):
        """Whoever sends this message of an upgrade the turn-th time from now is
        killed, before or after it."""
        self['kill_turn'] = turn
        self['kill_after'] = after
        self['kill_type'] = 1 + (
            'HELLO START READY BATCH TAKEN GO FINISH DONE'.split()
            .index(message))

    def stop(self):
        """No more; the number that failed since the last stop()."""
        self['fail_at'] = 0
        failed = self['failed']
        self['failed'] = 0
        return failed
