#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small slice of the fault campaign (doc/faults.md), always the same: calls
fail while the daemon, the agent and the tools do their work.  What the campaign
found is here, each under its own name."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from fault_kinds import CLOCK, FAULTS  # noqa: E402
from fault_tools import AgentLife, Rig  # noqa: E402
from fault_world import SPARE, World  # noqa: E402
from faulty import Faulty  # noqa: E402
from harness import Failure, SANITIZER, Skip, check, equal, main  # noqa: E402

ALL = 1 << 40

# Phase, call, error, the n-th, how many.  A point with ! has to be reached: our
# own call of that number is made always, wherever this runs.  How often
# libraries make a call differs, and when it is theirs it may be spared
# (fault_world.SPARE).
POINTS = '''
connect malloc ENOMEM 200 5
! connect accept4 EMFILE 1 1
connect epoll_ctl ENOSPC 1 1
connect recv ECONNRESET 3 1
! connect pwrite ENOSPC 1 ALL
connect malloc SIGPIPE 5 500
! work fdatasync EIO 1 ALL
work pwrite SHORT 3 1
work wall -259200000 1 1
control recv SHORT 1 1
control malloc ENOMEM 1 ALL
! reload open EMFILE 1 1
reload malloc SIGHUP 100 200
! swap open EMFILE 1 ALL
swap connect ECONNREFUSED 1 ALL
! upgrade socketpair EMFILE 1 1
upgrade pthread_create EAGAIN 3 1
! upgrade fsync EIO 1 ALL
upgrade malloc SIGTERM 350 1
stop pwrite ENOSPC 1 ALL
start pthread_create EAGAIN 20 1
! start rename ENOSPC 1 1
start epoll_create1 EMFILE 4 1
! start epoll_ctl ENOSPC 1 ALL
start wall 1728000000 1 1
'''

TOOL_POINTS = '''
! install renameat ENOSPC 1 1
! install write ENOSPC 1 ALL
! install fsync EIO 1 1
! self openat EMFILE 1 1
rollback malloc ENOMEM 3 1
! ca-issue rename ENOSPC 1 1
! ca-issue fsync ENOSPC 6 1
! ca-crl fsync EIO 1 1
! status connect ECONNREFUSED 1 1
! endpoints-json recv SHORT 1 ALL
! agent-test socket EMFILE 1 ALL
agent poll EINTR 1 1
agent recv ECONNRESET 2 1
check-config open EMFILE 1 1
'''


def points(text):
    for line in text.split('\n'):
        if line:
            where, call, error, n, many = line.lstrip('! ').split()
            fault = [f for f in FAULTS + CLOCK
                     if (f.call, str(f.error)) == (call, error)][0]
            yield line, where, fault, int(n), ALL if many == 'ALL' else \
                int(many)


class Reached:
    """Which points were."""

    def __init__(self):
        self.missed = []

    def add(self, name, hit):
        if not hit:
            print(f'# not reached: {name}')
            self.missed.append(name)

    def judge(self):
        missed = [name for name in self.missed if name.startswith('!')]
        check(not missed, f'not reached: {missed}')


def no_tsan():
    if 'thread' in SANITIZER:
        raise Skip('the preloaded library does not go with TSan')


def test_daemon(scene):
    """the daemon goes on or ends with a word, and tells no lie"""
    no_tsan()
    world = World(scene)
    reached = Reached()
    for name, phase, fault, n, many in points(POINTS):
        try:
            hit = world.point(phase, fault, n, many)
        except AssertionError as e:
            raise Failure(f'{name}: {e}') from e
        if fault not in CLOCK:          # no call: it is off, and that is all
            reached.add(name, hit)
    reached.judge()
    world.down()


def test_accepting(scene):
    """a worker that cannot accept at the start does so as soon as it can"""
    no_tsan()
    world = World(scene)
    counted = world.calls_in('start', 0)['epoll_ctl']
    hit = 0
    for name, phase, fault, _, many in points('start epoll_ctl ENOSPC 1 ALL'):
        # The last ones are each worker's two listeners.
        for n in range(counted, counted - 4, -1):
            try:
                hit += world.point(phase, fault, n, many) > 0
            except AssertionError as e:
                raise Failure(f'{name} {n}: {e}') from e
    check(hit, 'none of them was reached')
    world.down()


def tools(scene):
    no_tsan()
    rig = Rig(scene, Faulty(scene, SPARE))
    return {t.name: t for t in [*rig.tools(), AgentLife(rig)]}


def test_tools(scene):
    """a tool does all of it or none, and says which, whatever fails"""
    known = tools(scene)
    reached = Reached()
    for name, tool, fault, n, many in points(TOOL_POINTS):
        try:
            reached.add(name, known[tool].point(fault, n, many))
        except AssertionError as e:
            raise Failure(f'{name}: {e}') from e
    reached.judge()


def test_output(scene):
    """an output that cannot be written is no success"""
    for tool in tools(scene).values():
        if tool.name in ('status', 'show', 'check-config', 'agent-test'):
            tool.full()


def test_authority(scene):
    """an authority that could not be written whole is not there"""
    tool = tools(scene)['ca-init']
    for n in (1, 2, 3):
        for name, _, fault, _, _ in points('x rename ENOSPC 1 1'):
            equal(tool.point(fault, n, 1), 1, name)


def test_agent_signals(scene):
    """an agent that cannot wait for signals, or for anything, says so"""
    tool = tools(scene)['agent']
    for name, _, fault, n, many in points('x signalfd EMFILE 1 1'):
        equal(tool.point(fault, n, many), 1, name)


if __name__ == '__main__':
    main()
