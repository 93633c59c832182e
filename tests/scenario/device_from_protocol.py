#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""doc/protocol.md is enough to write a device: doc/examples/device.py
was written from it alone, and is a good device of the real daemon,
whoever dies."""
import importlib.util
import json
import os
import queue
import re
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, PATIENCE, SRCDIR, Failure, Skip,  # noqa: E402
                     check, endless, equal, main, wait_until)

PROGRAM = os.path.join(SRCDIR, 'doc', 'examples', 'device.py')


class Lamp:
    """The example as a process, and all that it has said in its lives."""

    def __init__(self, scene, d, token=True, ca=None):
        for module in ('websockets', 'cryptography'):
            if importlib.util.find_spec(module) is None:
                raise Skip(f'no module {module} (package python3-{module})')
        self.scene, self.said, self.process = scene, [], None
        self.state = scene.path('lamp')
        self.command = [sys.executable, PROGRAM, '-s', d.url(path=''),
                        '--ca', ca or scene.pki.ca, '-e', 'lamp',
                        '--state', self.state, '--interval', '0.1']
        self.token = scene.path('once') if token else None
        if token:
            with open(self.token, 'w') as f:
                f.write(ctl(d, 'enrol', 'token'))
            self.command += ['--enrol-token-file', self.token]

    def start(self):
        self.process = self.scene.spawn(
            *self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(
            target=endless, daemon=True,
            args=(self.process.stdout, self.lines, self.said))
        self.reader.start()
        return self

    def expect(self, pattern):
        """The next line that matches."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(
                    timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f'the lamp never said {pattern!r}, but:\n' +
                              '\n'.join(self.said[-30:]))
            if re.search(pattern, line):
                return line

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        check('Traceback' not in '\n'.join(self.said), '\n'.join(self.said))
        return code

    def count(self, line):
        return self.said.count(line)


def ctl(d, *args, code=0):
    done = subprocess.run(
        [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
         os.path.join(d.runtime, 'control.sock'), *args],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE)
    equal(done.returncode, code, f'cleatctl {args}: {done.stderr}')
    return done.stdout.strip()


def ask(d, *args):
    return json.loads(ctl(d, *args, '--json'))


def send(d, verb, *args):
    return ctl(d, 'command', 'send', 'lamp', verb, *args, '--no-wait')


def reports(d):
    """The numbers of what the daemon has stored, in its order."""
    return [json.loads(line)['seq'] for line in
            ctl(d, 'telemetry', 'read', 'lamp', '--json').splitlines()]


def prepare(scene):
    """A daemon that will be found again at its port."""
    d = scene.daemon(conf={'presence': {'retry_min': '50ms',
                                        'retry_max': '500ms'}})
    d.start()
    d.configure({'listener.main': {
        'address': '127.0.0.1:%d' % d.address()[1]}})
    return d


def test_enrols(scene):
    """enrols by a key that it makes, once, and says hello by it from then on"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online 1 wss$')
    key = os.path.join(lamp.state, 'key')
    equal(stat.S_IMODE(os.stat(key).st_mode), 0o600, 'mode of the key')
    with open(key, 'rb') as f:
        pem = f.read()
    lamp.end(signal.SIGKILL)
    os.truncate(lamp.token, 0)
    lamp.start().expect('^online 2 wss$')
    with open(key, 'rb') as f:
        equal(f.read(), pem, 'the key')
    kinds = [json.loads(line)['kind'] for line in
             ctl(d, 'credential', 'list', 'lamp', '--json').splitlines()]
    equal(kinds, ['key'], 'credentials')
    equal(lamp.end(signal.SIGTERM), 0, 'its exit status')
    d.stop()


def test_server_is_verified(scene):
    """says nothing to a server that it cannot verify"""
    d = prepare(scene)
    other = type(scene.pki)(scene.dir, 'other')
    lamp = Lamp(scene, d, ca=other.ca).start()
    lamp.expect('^closed None .*CERTIFICATE_VERIFY_FAILED')
    lamp.end(signal.SIGTERM)
    equal(ctl(d, 'endpoints', '--json'), '', 'endpoints')
    d.stop()


def test_obeys(scene):
    """does what it is told, says how far it is, and refuses what it
    cannot do"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online')
    with d.bus() as bus:
        blink = send(d, 'x-blink', 'times=4', 'every_ms=10')
        bus.expect('command.progress', 'lamp')
        done = bus.expect('command.done', 'lamp')
        equal(done['detail']['outcome'], 'ok')
    lamp.expect(f'^final {blink} ok$')
    equal(ask(d, 'command', 'show', blink)['result'], {'blinked': 4})
    ctl(d, 'command', 'send', 'lamp', 'message', 'text=hello')
    lamp.expect('^message hello$')
    ctl(d, 'command', 'send', 'lamp', 'power-off', code=6)
    ctl(d, 'command', 'send', 'lamp', 'x-blink', 'times=often', code=6)
    lamp.end(signal.SIGTERM)
    d.stop()


def test_cancelled(scene):
    """gives up what it does and what waits, when it is asked to"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online')
    first = send(d, 'x-blink', 'times=100000')
    lamp.expect(f'^blink {first} 1$')
    second = send(d, 'message', 'text=never')
    lamp.expect(f'^command {second} ')
    for command in (second, first):
        ctl(d, 'command', 'cancel', command)
        lamp.expect(f'^final {command} cancelled$')
    equal(lamp.count('message never'), 0)
    lamp.end(signal.SIGTERM)
    d.stop()


def test_once_interrupted(scene):
    """killed while it obeys, it does not begin again, and does what
    waited once"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online')
    first = send(d, 'x-blink', 'times=100000')
    lamp.expect(f'^blink {first} 1$')
    second = send(d, 'message', 'text=second')
    lamp.expect(f'^command {second} ')
    lamp.end(signal.SIGKILL)
    lamp.start()
    lamp.expect(f'^final {first} interrupted$')
    lamp.expect(f'^final {second} ok$')
    equal(lamp.count(f'blink {first} 1'), 1, 'it blinked')
    equal(lamp.count('message second'), 1, 'it showed')
    equal(ask(d, 'command', 'show', first)['state'], 'interrupted')
    equal(ask(d, 'command', 'show', second)['state'], 'ok')
    lamp.end(signal.SIGTERM)
    d.stop()


def test_once_again(scene):
    """what comes again after both were killed is not done again"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online')
    blink = send(d, 'x-blink', 'times=10', 'every_ms=300')
    lamp.expect(f'^blink {blink} 1$')
    d.kill()
    lamp.expect(f'^done {blink}$')
    lamp.end(signal.SIGKILL)
    lamp.start()
    d.start()
    lamp.expect(f'^again {blink} x-blink$')
    lamp.expect(f'^final {blink} ok$')
    for n in range(1, 11):
        equal(lamp.count(f'blink {blink} {n}'), 1, f'blink {n}')
    shown = ask(d, 'command', 'show', blink)
    equal((shown['state'], shown['result']), ('ok', {'blinked': 10}))
    lamp.end(signal.SIGTERM)
    d.stop()


def test_reports(scene):
    """each of its reports is stored once, in order; and what it is"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    wait_until('the first reports', lambda: lamp_known(d) and
               len(reports(d)) > 3)
    d.kill()
    lamp.expect('^closed None ')        # they pile up meanwhile
    lamp.end(signal.SIGKILL)
    d.start()
    before = reports(d)[-1]
    lamp.start().expect('^online')
    wait_until('more reports', lambda: reports(d)[-1] > before + 3)
    lamp.end(signal.SIGTERM)
    got = reports(d)
    equal(got, list(range(1, len(got) + 1)), 'numbers of the reports')
    shown = ask(d, 'inventory', 'show', 'lamp')
    check('lamp' in json.dumps(shown) and
          os.uname().release in json.dumps(shown), f'inventory: {shown}')
    d.stop()


def lamp_known(d):
    return '"lamp"' in ctl(d, 'endpoints', '--json')


def test_goodbye(scene):
    """says goodbye when it stops, and moves when the server asks for it"""
    d = prepare(scene)
    lamp = Lamp(scene, d).start()
    lamp.expect('^online 1 ')
    ctl(d, 'drain', '--window', '1s')
    lamp.expect('^closed 10(00|12) ')       # 1012: at the end of the window
    lamp.expect('^online 2 ')
    ctl(d, 'kick', 'lamp')
    lamp.expect('^closed 1013 ')
    lamp.expect('^online 3 ')
    equal(lamp.end(signal.SIGTERM), 0, 'its exit status')
    equal(lamp.said[-1], 'closed 1000 None')
    shown = ask(d, 'endpoint', 'show', 'lamp')
    equal((shown['state'], shown['reason']), ('offline', 'bye'))
    d.stop()


main()
