#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One of the two processes of an upgrade is killed at each step (decision
0015): before the first GO nothing happens, after it what is lost is
counted, and at no time is a channel served twice or a daemon in the way of
the next one."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control, Problem  # noqa: E402
from faulty import Faulty  # noqa: E402
from harness import (Closed, Device, Follower, SANITIZER,  # noqa: E402
                     Skip, check, equal, main, wait_until)

DEVICES = 12
BATCH = 253                             # channels go together


class Fleet:
    def __init__(self, scene):
        if SANITIZER == 'thread':
            raise Skip('the preloaded library does not go with TSan')
        Follower.adopt()
        self.faulty = Faulty(scene)
        self.d = scene.daemon(conf={
            'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'},
            'presence': {'recovery': '30s', 'clone_replacements': '0'},
            'limits': {'connections_per_address': '0'}},
            env=self.faulty.env)
        self.names = [f'd{i}' for i in range(DEVICES)]
        for name in self.names:
            self.d.token(name)
        self.d.start()
        self.come()

    def come(self):
        self.devices = {n: Device(self.d, n) for n in self.names}

    def grow(self):
        """So many, quickly, that they make at least two batches."""
        self.names += [f'p{i}' for i in range(BATCH)]
        for name in self.names[DEVICES:]:
            self.d.tokens[name] = self.d.tokens['d0']
        self.d.write_tokens()
        check(self.d.reload(), 'reload')
        for name in self.names[DEVICES:]:
            self.again(name)

    def again(self, name):
        self.devices[name] = Device(self.d, name, listener='plain', tls=False)

    def upgrade(self, message, turn=1, after=False):
        self.faulty.kill(message, turn, after)
        self.epoch = self.status()['epoch']
        control = Control(self.d)
        control.post('/v1/upgrade', {})
        control.close()

    def status(self):
        control = Control(self.d)
        answer = control.get('/v1/status')
        control.close()
        return answer

    def refused(self):
        try:
            return self.status()['upgrade']['state'] == 'refused'
        except Problem as p:            # channels are still held
            equal((p.status, p.type), (503, 'upgrading'))
            return False

    def talk(self):
        """Who still has its channel."""
        there = []
        for name, device in self.devices.items():
            try:
                device.call('event', {'type': 'x', 'data': {}})
                there.append(name)
            except (Closed, OSError):
                pass
        return there

    def end(self):
        self.d.stop()


def as_before(scene, message, because):
    f = Fleet(scene)
    with f.d.bus() as bus:
        pid = f.d.process.pid
        f.upgrade(message)
        f.d.expect_log(rf'no upgrade: .*{because}')
        # What is left of the next process is put away after that.
        wait_until('it is over', f.refused)
        equal(f.d.process.pid, pid)
        equal(f.talk(), f.names)
        status = f.status()
        equal((status['epoch'], status['state']), (f.epoch, 'ready'))
        equal(bus.find('endpoint.disconnected'), [])
    Device(f.d, 'd0').close()           # who comes is let in
    code, said = f.d.upgrade()          # and it may be tried again
    equal(code, 0, said)
    equal(len(f.talk()), DEVICES - 1)
    f.end()


def test_next_dies_first(scene):
    """the next dies before it says hello: as before, and it may be
    tried again"""
    as_before(scene, 'HELLO', 'ended before it was ready')


def test_next_dies_ready(scene):
    """the next dies before it is ready: as before"""
    as_before(scene, 'READY', 'ended before it was ready')


def test_next_dies_with_a_batch(scene):
    """the next dies with a batch that was not given to it: as before"""
    as_before(scene, 'TAKEN', 'did not take the channels')


def test_next_dies_committed(scene):
    """the next dies with channels of its own: they are counted, the
    rest stays"""
    f = Fleet(scene)
    f.grow()
    with f.d.bus() as bus:
        f.upgrade('TAKEN', 2)
        f.d.expect_log(r'no upgrade: .*did not take the channels')
        line = f.d.expect_log(r'went with the next process')
        there = f.talk()
        lost = sorted(set(f.names) - set(there))
        check(lost and there, 'all or nothing')
        check(f'count={len(lost)} endpoints={len(lost)}' in line, line)
        for _ in lost:
            event = bus.expect('endpoint.disconnected', reason='reset')
            check(event['endpoint'] in lost, str(event))
        equal(f.status()['channels']['open'], len(there))
        for name in lost:
            f.again(name)
        equal(f.talk(), f.names)
    code, said = f.d.upgrade()
    equal(code, 0, said)
    equal(f.talk(), f.names)
    f.end()


def all_lost(scene, message, turn=1, after=False):
    """The former died without a GO: nobody is in the way of a new one."""
    f = Fleet(scene)
    f.upgrade(message, turn, after)
    equal(f.d.process.wait(60), -9)
    f.d.wait()                          # the next one has ended, too
    equal(f.talk(), [])
    f.d.process = None
    f.d.check_clean()
    f.faulty['kill_type'] = 0
    f.d.start()
    f.come()
    equal(f.talk(), f.names)
    f.end()


def test_former_dies_first(scene):
    """the former dies before it said what is in force"""
    all_lost(scene, 'START')


def test_former_dies_before_the_batch(scene):
    """the former dies before the first batch"""
    all_lost(scene, 'BATCH')


def test_former_dies_before_go(scene):
    """the former dies between batch and GO"""
    all_lost(scene, 'GO')


def goes_on(scene, message, turn, after, all_of_them):
    """The former died after a GO: the next one serves what it has."""
    f = Fleet(scene)
    if not all_of_them:
        f.grow()
    f.upgrade(message, turn, after)
    equal(f.d.process.wait(60), -9)
    f.d.adopt_next()
    there = f.talk()
    if all_of_them:
        equal(there, f.names)
    else:
        check(0 < len(there) < len(f.names), str(there))
    check(f.status()['epoch'] > f.epoch, 'epoch')
    with f.d.request() as ask:
        states = {e['endpoint']: e['state'] for e in ask.endpoints()}
    for name in f.names:
        if name in there:
            equal(states[name], 'online', name)
        else:
            equal(states[name], 'unknown', name)
            f.again(name)
    equal(f.talk(), f.names)
    wait_until('all are back',
               lambda: not f.status()['recovery']['active'])
    f.faulty['kill_type'] = 0
    code, said = f.d.upgrade()
    equal(code, 0, said)
    equal(f.talk(), f.names)
    f.end()


def test_former_dies_after_go(scene):
    """the former dies after the first GO: the next one has that batch"""
    goes_on(scene, 'GO', 1, True, False)


def test_former_dies_between_batches(scene):
    """the former dies before the second batch"""
    goes_on(scene, 'BATCH', 2, False, False)


def test_former_dies_at_the_end(scene):
    """the former dies when all have gone"""
    goes_on(scene, 'FINISH', 1, False, True)


def test_former_dies_after_the_end(scene):
    """the former dies after its last word"""
    goes_on(scene, 'FINISH', 1, True, True)


def test_next_dies_at_the_end(scene):
    """the next dies before it serves: both have ended, and one can
    be started"""
    f = Fleet(scene)
    f.upgrade('DONE')
    check(f.d.process.wait(60) != 0, 'the former says that it went well')
    f.d.wait()
    f.d.process = None
    f.d.check_clean()
    f.faulty['kill_type'] = 0
    f.d.start()
    f.come()
    equal(f.talk(), f.names)
    f.end()


if __name__ == '__main__':
    main()
