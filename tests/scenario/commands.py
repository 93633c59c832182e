#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands with the real daemon (decision 0014), given through the control
socket: whoever dies at whatever moment, each is done once and has one outcome.
What is durable is read from the database of a daemon that does not run."""
import json
import os
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control, Problem  # noqa: E402
from harness import (BUILDDIR, PATIENCE, Closed, Device,  # noqa: E402
                     Failure, check, equal, main, wait_until)

OUTCOMES = {2: 'ok', 3: 'error', 4: 'expired', 5: 'cancelled',
            6: 'interrupted'}


def prepare(scene):
    """A daemon that runs and knows two devices."""
    d = scene.daemon()
    for endpoint in ('dev', 'other'):
        d.token(endpoint)
    d.start()
    control = Control(d)
    for endpoint in ('dev', 'other'):
        control.post('/v1/endpoints', {'id': endpoint})
    control.close()
    return d


def database(d):
    return sqlite3.connect(os.path.join(d.state, 'cleat.db'))


def give(d, command, verb='message', args=None, endpoint='dev',
         seconds=3600):
    """As an operator does; it is durable when this returns."""
    control = Control(d)
    control.post('/v1/commands', {
        'id': command, 'endpoint': endpoint, 'verb': verb,
        'args': args or {'text': 'x'}, 'deadline_ms': int(seconds * 1000)})
    control.close()


def again(d):
    """Another daemon, as after kill -9 right now."""
    d.kill()
    d.start()


def state_of(d, command):
    """Of the database, while no daemon runs."""
    with database(d) as db:
        return db.execute('SELECT state FROM command WHERE id = ?',
                          (command,)).fetchone()[0]


class Dead(Exception):
    """Somebody was killed here."""


class Till:
    """A device with a record that outlives its channels."""

    def __init__(self, d, endpoint='dev'):
        self.d, self.endpoint = d, endpoint
        self.record = {}                # id: outcome, None while it works
        self.done = []                  # ids, as they were done
        self.order = []                 # ids, as they came, again or not
        self.final = {}
        self.channel = None

    def connect(self):
        self.channel = Device(self.d, self.endpoint)
        self.waiting = [m for m in self.channel.notifications
                        if m['method'] != 'challenge']
        self.channel.notifications = []

    def next(self):
        if self.waiting:
            return self.waiting.pop(0)
        return json.loads(self.channel.recv())

    def report(self, command):
        result = self.channel.call('outcome', {
            'command_id': command, 'outcome': self.record[command],
            'result': {'n': len(self.done)}})
        self.waiting += self.channel.notifications
        self.channel.notifications = []
        self.final[command] = result['final']

    def obey(self, here=lambda step: None):
        """Takes one request of the server; `here` is called at each step."""
        while True:
            m = self.next()
            if m.get('method') == 'command':
                break
        p = m['params']
        command = p['command_id']
        self.order.append(command)
        here('received')
        new = command not in self.record
        if new:
            self.record[command] = None
        here('recorded')
        self.channel.send_json({'jsonrpc': '2.0', 'id': m['id'],
                                'result': {}})
        here('answered')
        if new:
            self.done.append(command)
            self.record[command] = 'ok'
        elif self.record[command] is None:
            self.record[command] = 'interrupted'
        here('done')
        self.report(command)
        here('reported')
        return p


STEPS = ['received', 'recorded', 'answered', 'done', 'reported']


def test_order(scene):
    """commands of the last run come in order, and get their outcomes"""
    d = prepare(scene)
    for n in range(5):
        give(d, f'c-{n}')
    again(d)
    till = Till(d)
    with d.bus() as bus:
        till.connect()
        for n in range(5):
            p = till.obey()
            equal(p['command_id'], f'c-{n}')
            equal(p['verb'], 'message')
            check(p['again'], 'the last daemon may have sent it')
            check(3500000 < p['deadline_ms'] <= 3600000, str(p))
        for n in range(5):
            event = bus.expect('command.done', 'dev')
            equal(event['detail'], {'id': f'c-{n}', 'verb': 'message',
                                    'outcome': 'ok'})
        check(len(bus.find('command.accepted', 'dev')) <= 5, 'told twice')
    equal(till.final, {f'c-{n}': 'ok' for n in range(5)})
    till.channel.close()
    d.stop()
    for n in range(5):
        equal(state_of(d, f'c-{n}'), 2)


def test_daemon_dies(scene):
    """kill -9 of the daemon at any step: done once, one outcome"""
    d = prepare(scene)
    for step in STEPS:
        give(d, f'c-{step}')
        till = Till(d)
        till.connect()

        def here(at, step=step):
            if at == step:
                d.kill()
                raise Dead

        try:
            till.obey(here)
            raise AssertionError('it was not killed')
        except Dead:
            pass
        d.start()
        till.connect()
        if step != 'reported':
            till.obey()
        till.channel.close()
        equal(till.done, [f'c-{step}'] if step not in ('recorded', 'answered')
              else [], step)
        d.stop()
        equal(OUTCOMES[state_of(d, f'c-{step}')], till.final[f'c-{step}'],
              step)
        d.start()
    d.stop()


def test_daemon_dies_while_it_stores(scene):
    """kill -9 while an outcome is on its way: both have the same one"""
    d = prepare(scene)
    for n in range(8):
        command = f'c-{n}'
        give(d, command)
        till = Till(d)
        till.connect()
        m = till.next()
        equal(m['params']['command_id'], command)
        till.record[command] = 'ok'
        till.done.append(command)
        till.channel.send_json({
            'jsonrpc': '2.0', 'id': 77, 'method': 'outcome',
            'params': {'command_id': command, 'outcome': 'ok'}})
        time.sleep(n * 0.002)           # somewhere between nothing and all
        d.kill()
        before = state_of(d, command)
        d.start()
        till.connect()
        till.record[command] = 'error'  # a liar, to tell them apart
        till.report(command)
        equal(till.final[command], 'ok' if before == 2 else 'error')
        till.channel.close()
        d.stop()
        equal(OUTCOMES[state_of(d, command)], till.final[command])
        d.start()
    d.stop()


def test_device_dies(scene):
    """the device dies at any step: done once, one outcome"""
    d = prepare(scene)
    for step in STEPS:
        give(d, f'd-{step}')
    tills = []
    for step in STEPS:
        till = Till(d)
        # What was before it has ended, or is known to nobody else.
        till.connect()

        def here(at, step=step, till=till):
            if till.order[-1] == f'd-{step}' and at == step:
                till.channel.abort()
                raise Dead

        try:
            while True:
                till.obey(here)
        except Dead:
            pass
        tills.append(till)
        till.connect()
        if step != 'reported':
            while f'd-{step}' not in till.final:
                till.obey()
        check(till.done.count(f'd-{step}') <= 1, 'done twice')
        wait_until('final', lambda: till.final.get(f'd-{step}'))
        till.channel.close()
    d.stop()
    for step, till in zip(STEPS, tills):
        equal(OUTCOMES[state_of(d, f'd-{step}')], till.final[f'd-{step}'])


def test_offline(scene):
    """a command waits for its device, and for no other"""
    d = prepare(scene)
    give(d, 'c-1')
    give(d, 'c-2', endpoint='other')
    other = Till(d, 'other')
    other.connect()
    equal(other.obey()['command_id'], 'c-2')
    # It is not the other's to end.
    other.channel.counter += 1
    other.channel.send_json({
        'jsonrpc': '2.0', 'id': other.channel.counter, 'method': 'outcome',
        'params': {'command_id': 'c-1', 'outcome': 'ok'}})
    answer = json.loads(other.channel.recv())
    equal(answer['error']['code'], -32007)
    till = Till(d)
    till.connect()
    equal(till.obey()['command_id'], 'c-1')
    d.stop()


def test_expires(scene):
    """after its deadline the outcome is expired, whatever the device says"""
    d = prepare(scene)
    give(d, 'c-2', seconds=1)
    over = time.monotonic() + 1.1
    d.kill()
    wait_until('its deadline', lambda: time.monotonic() > over)
    d.start()
    give(d, 'c-1', seconds=6)
    with d.bus() as bus:
        till = Till(d)
        till.connect()
        m = till.next()
        while m['params']['command_id'] != 'c-1':
            m = till.next()
        done = {}
        while 'c-1' not in done:
            event = bus.expect('command.done', 'dev')
            done[event['detail']['id']] = event['detail']['outcome']
        equal(done['c-1'], 'expired')
    till.record['c-1'] = 'ok'
    till.report('c-1')
    equal(till.final['c-1'], 'expired')
    till.channel.close()
    d.stop()
    equal(state_of(d, 'c-1'), 4)
    equal(state_of(d, 'c-2'), 4)


def test_refused_by_device(scene):
    """an answer with an error is the outcome error"""
    d = prepare(scene)
    give(d, 'c-1', verb='x-dance', args={'a': [1]})
    with d.bus() as bus:
        till = Till(d)
        till.connect()
        m = till.next()
        equal(m['params']['args'], {'a': [1]})
        till.channel.send_json({
            'jsonrpc': '2.0', 'id': m['id'],
            'error': {'code': -32601, 'message': 'no such verb'}})
        event = bus.expect('command.done', 'dev')
        equal(event['detail']['outcome'], 'error')
        check('no such verb' in event['detail']['message'], str(event))
    till.channel.close()
    d.stop()


def test_no_room(scene):
    """an answer -32002 is no outcome: the command comes again, on
    this channel"""
    d = prepare(scene)
    give(d, 'c-1')
    till = Till(d)
    till.connect()
    m = till.next()
    till.channel.send_json({
        'jsonrpc': '2.0', 'id': m['id'],
        'error': {'code': -32002, 'message': 'not just now'}})
    p = till.obey()
    equal((p['command_id'], p['again']), ('c-1', True))
    equal(till.final, {'c-1': 'ok'})
    till.channel.close()
    d.stop()


def test_cancelling(scene):
    """who may have it is asked to cancel on every channel, not to do it"""
    d = prepare(scene)
    give(d, 'c-1')
    till = Till(d)
    till.connect()
    m = till.next()
    till.channel.send_json({'jsonrpc': '2.0', 'id': m['id'], 'result': {}})
    control = Control(d)
    wait_until('it is accepted', lambda: control.get(
        '/v1/commands/c-1')['state'] == 'accepted')
    equal(control.request('POST', '/v1/commands/c-1/cancel').status, 202)
    control.close()
    equal(till.next()['method'], 'cancel')
    till.channel.abort()
    again(d)
    for _ in range(2):
        till.connect()
        m = till.next()
        equal(m['method'], 'cancel')
        equal(m['params'], {'command_id': 'c-1'})
        till.channel.abort()
    with d.bus() as bus:
        till.connect()
        m = till.next()
        till.channel.send_json({
            'jsonrpc': '2.0', 'id': m['id'],
            'error': {'code': -32007, 'message': 'never had it'}})
        event = bus.expect('command.done', 'dev')
        equal(event['detail']['outcome'], 'cancelled')
    till.channel.close()
    d.stop()
    equal(state_of(d, 'c-1'), 5)


def test_made_up(scene):
    """answers and outcomes of commands that nobody gave do nothing"""
    d = prepare(scene)
    device = Device(d, 'dev')
    for what in ('command', 'cancel'):
        for end in ({'result': {}}, {'error': {'code': -32007,
                                               'message': ''}}):
            device.send_json({'jsonrpc': '2.0', 'id': f'{what} c-9', **end})
    device.notify('progress', {'command_id': 'c-9', 'percent': 3})
    equal(device.call('state', {'power': 'on'}), {})
    device.close()
    d.stop()


def test_cancelled_before_it_was_sent(scene):
    """what no device has had is cancelled at once, and once"""
    d = prepare(scene)
    control = Control(d)
    give(d, 'c-1')
    equal(control.post('/v1/commands/c-1/cancel')['state'], 'cancelled')
    try:
        control.post('/v1/commands/c-1/cancel')
        raise Failure('it was cancelled twice')
    except Problem as p:
        equal((p.status, p.type), (409, 'final'))
    control.close()
    again(d)
    give(d, 'c-2')
    till = Till(d)
    till.connect()
    equal(till.obey()['command_id'], 'c-2')
    till.channel.close()
    d.stop()
    equal(state_of(d, 'c-1'), 5)


def left(device):
    """The window that it was asked to go in, how and when it was let go."""
    window = None
    try:
        while True:
            m = json.loads(device.recv())
            if m.get('method') == 'drain':
                window = m['params']['window_ms']
    except Closed as e:
        return window, e.code, time.monotonic()


def test_drain_over_a_window(scene):
    """drain --window asks one by one, and lets go one by one who stayed"""
    d = prepare(scene)
    names = [f'd-{n}' for n in range(8)]
    for name in names:
        d.token(name)
    d.reload()
    with d.bus() as bus:
        devices = [Device(d, name) for name in names]
        for name in names:
            bus.expect('endpoint.online', name)
        begun = time.monotonic()
        done = subprocess.run(
            [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
             os.path.join(d.runtime, 'control.sock'), 'drain', '--window',
             '4s'], capture_output=True, text=True, timeout=PATIENCE,
            check=False)
        equal(done.returncode, 0, done.stderr)
        # One goes as it is asked to, and comes back.
        while json.loads(devices[0].recv()).get('method') != 'drain':
            pass
        devices[0].call('bye', {'reason': 'drain'})
        devices[0].expect_close()
        give(d, 'c-1', endpoint=names[0])
        till = Till(d, names[0])
        till.connect()
        equal(till.obey()['command_id'], 'c-1')
        seen = [left(device) for device in devices[1:]]
        for window, code, end in seen:
            check(window is not None and 0 < window <= 4000, f'{seen}')
            equal(code, 1012, f'{seen}')
            check(end - begun > 1.9, f'too early: {begun} {seen}')
        ends = [end for _, _, end in seen]
        check(max(ends) - min(ends) > 0.5, f'all at once: {seen}')
        gone = {}
        while len(gone) < 7:
            event = bus.expect('endpoint.disconnected')
            gone[event['endpoint']] = event['reason']
        equal(gone, {name: 'drain' for name in names[1:]})
        equal(till.channel.call('state', {'power': 'on'}), {}, 'it is back')
    till.channel.close()
    d.stop()


main()
