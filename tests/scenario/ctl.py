#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleatctl (issue 3) against the real daemon: each command, each exit status,
what a terminal gets to see, and completion."""
import fcntl
import json
import os
import pty
import pwd
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, PATIENCE, SRCDIR, Closed, Device,  # noqa: E402
                     Failure, Skip, check, connect, equal, main, wait_until)
from control import SPEC, sock_of, start  # noqa: E402

PROGRAM = os.path.join(BUILDDIR, 'cleatctl')
COLOUR = {'online': '32', 'suspect': '33', 'disconnected': '38;5;208',
          'offline': '31', 'asleep': '34', 'unknown': '90',
          'unlinked': '90'}


def environment(d, **more):
    env = dict(os.environ, TERM='xterm-256color', TZ='UTC')
    for name in ('NO_COLOR', 'COLUMNS', 'LINES', 'LC_ALL'):
        env.pop(name, None)
    if d is not None:
        env['CLEAT_CONTROL'] = sock_of(d)
    env.update(more)
    return env


class Run:
    def __init__(self, d, *args, status=0, env=None, stdin='', **kw):
        p = subprocess.run([PROGRAM, *args], env=environment(d, **(env or {})),
                           input=stdin, capture_output=True, text=True,
                           timeout=PATIENCE * 2, **kw)
        self.out, self.err = p.stdout, p.stderr
        check('Sanitizer' not in p.stderr and 'runtime error' not in p.stderr,
              p.stderr)
        equal(p.returncode, status, f'{args}: {p.stdout}{p.stderr}')

    def rows(self):
        return [line.split() for line in self.out.splitlines()]

    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, d, *args, columns=80, lines=24, env=None,
                 program=PROGRAM):
        self.output = ''
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            [program, *args], stdin=slave, stdout=slave, stderr=slave,
            env=environment(d, **(env or {})), start_new_session=True)
        os.close(slave)

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack('HHHH', lines, columns, 0, 0))

    def write(self, keys):
        os.write(self.master, keys.encode())

    def read(self, timeout=None):
        """Takes some more; False at the end."""
        if not select.select([self.master], [], [],
                             PATIENCE if timeout is None else timeout)[0]:
            raise Failure(f'the terminal stays silent: {self.output!r}')
        try:
            more = os.read(self.master, 65536)
        except OSError:         # EIO: the other side is closed
            more = b''
        self.output += more.decode()
        return bool(more)

    def expect(self, pattern):
        """The output up to there is dropped."""
        deadline = time.monotonic() + PATIENCE
        while True:
            m = re.search(pattern, self.output, re.S)
            if m:
                self.output = self.output[m.end():]
                return m
            check(time.monotonic() < deadline and self.read(),
                  f'no {pattern!r} in {self.output!r}')

    def end(self, status=0):
        while self.read():
            pass
        os.close(self.master)
        equal(self.process.wait(PATIENCE), status, self.output)
        return self.output.replace('\r\n', '\n')


def on_terminal(d, *args, status=0, **kw):
    return Terminal(d, *args, **kw).end(status)


def plain(text):
    return re.sub(r'\033\[[0-9;]*m', '', text)


class Follower:
    """A command that goes on; its lines as they come."""

    def __init__(self, scene, d, *args):
        self.process = scene.spawn(PROGRAM, *args, env=environment(d),
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)

    def line(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Failure('no line')
        line = self.process.stdout.readline()
        check(line != '', 'it ended')
        return line.rstrip('\n')

    def until(self, pattern):
        while True:
            line = self.line()
            if re.search(pattern, line):
                return line

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def test_reload_says_why(scene):
    """who reloads is told what a plugin has against it, and of a certificate
    that is not taken"""
    d = start(scene)
    good = dict(d.conf['plugin.cert'])
    d.configure({'plugin.cert': {'key': '/nowhere/key.pem'}})
    said = Run(d, 'reload', status=1).err
    check('[plugin.cert]: it refuses its new options: /nowhere/key.pem: cannot '
          'be opened: No such file' in said, said)
    old = scene.pki.issue('old', sans=['DNS:localhost'], days=-1)
    d.configure({'plugin.cert': {'chain': old[0], 'key': old[1]}})
    said = Run(d, 'reload').err
    check(re.search(r'in force\n.*slot main goes on with the certificate that it '
                    r'had: .*expired at', said), said)
    d.configure({'plugin.cert': good})
    said = Run(d, 'reload').err
    check('goes on' not in said, said)
    d.configure({'plugin.new': {'module': 'status-journal'}})
    said = Run(d, 'reload', status=1).err
    check('needs a restart, or cleatctl upgrade' in said, said)
    d.control.close()
    d.stop()


def test_status(scene):
    """status, log-level, reload and drain do what they say"""
    d = start(scene, ['a'])
    events = d.bus()
    a = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    out = Run(d, 'status').out
    for wanted in (r'^state: +ready$', r'^states: +1 online$',
                   r'^store: +healthy', r'^plugin: +endpoint \(proto-endpo'
                   r'int\): up', r'^endpoints: +1 known, 0 pending$'):
        check(re.search(wanted, out, re.M), f'{wanted}: {out}')
    equal(Run(d, 'status', '--json').json()[0]['endpoints']['states'][
        'online'], 1)
    equal(Run(d, 'log-level').out, 'debug\n')
    equal(Run(d, 'log-level', 'info').out, 'info\n')
    equal(d.control.get('/v1/log-level')['level'], 'info')
    Run(d, 'log-level', 'loud', status=1)
    Run(d, 'reload')
    d.configure({'daemon': {'workers': '3'}})
    said = Run(d, 'reload', status=1).err
    check('workers' in said, said)
    Run(d, 'drain', status=2)
    check('1 channels' in Run(d, 'drain', '--window', '1s', '--why',
                              'moved', '--servers',
                              'wss://x.example/v1/channel').err, 'drain')
    out = Run(d, 'drain', '--wait').err
    check('0 of 1' in out or 'not ready: drain --abort' in out, out)
    check('ready' in Run(d, 'drain', '--abort').err, 'abort')
    Run(d, 'drain', '--window', '1s', '--to', 'wss://x', '--servers',
        'wss://x', status=2)
    while True:
        said = json.loads(a.recv())
        if said.get('method') == 'drain':
            break
    equal((said['params']['why'], said['params']['servers']),
          ('moved', ['wss://x.example/v1/channel']))
    a.close()
    d.control.close()
    d.stop()


def is_ready(d):
    s = connect(d.address())
    context = d.scene.client_context()
    with context.wrap_socket(s, server_hostname='localhost') as s:
        s.sendall(b'GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close'
                  b'\r\n\r\n')
        return s.recv(4096).split()[1] == b'200'


class Sent(threading.Thread):
    """A device that stays until it is closed: what it was told, and when."""

    def __init__(self, d, name):
        super().__init__(daemon=True)
        self.d, self.device = d, Device(d, name)
        self.told = self.asked = self.ready = self.code = self.gone = None

    def run(self):
        try:
            while True:
                said = json.loads(self.device.recv())
                if said.get('method') == 'drain':
                    self.asked, self.told = time.monotonic(), said['params']
                    self.ready = is_ready(self.d)
        except Closed as e:
            self.code, self.gone = e.code, time.monotonic()
            self.device.abort()


def test_drain_to(scene):
    """drain --to: not ready any more before the first is asked; each is told
    where to go and within which time, who stays is let go (1012), some now and
    some then; --wait shows how far it is, --abort makes it ready again"""
    names = [f'd-{n}' for n in range(12)]
    d = start(scene, names)
    devices = [Sent(d, name) for name in names]
    for device in devices:
        device.start()
    check(is_ready(d), 'not ready at first')
    drain = Follower(scene, d, 'drain', '--window', '12s', '--to',
                     'wss://other.example/v1/channel', '--why', 'restart',
                     '--wait')
    for device in devices:
        device.join(PATIENCE)
        equal(device.code, 1012, 'its end')
        equal((device.ready, device.told['why'], device.told['servers']),
              (False, 'restart', ['wss://other.example/v1/channel']))
        check(0 < device.told['window_ms'] <= 12000, f'{device.told}')
        check(device.gone - device.asked > 1.5, 'it had no time to go')
    for when in ('asked', 'gone'):
        all_of = sorted(getattr(device, when) for device in devices)
        check(all_of[-1] - all_of[0] > 1, f'{when} all at once: {all_of}')
    said = drain.process.communicate(timeout=PATIENCE)[1].splitlines()
    equal(drain.process.returncode, 0, f'{said}')
    left = [int(m.group(1)) for line in said for m in [re.search(
        r'(\d+) of 12 channels are left, for ', line)] if m]
    check(left and left == sorted(left, reverse=True), f'{said}')
    check('not ready: drain --abort ends that' in said[-1], f'{said}')
    check(not is_ready(d), 'ready after it')
    Run(d, 'drain', '--abort')
    check(is_ready(d), 'not ready again')
    # Given up before anybody was closed: they stay.
    stay = [Device(d, name) for name in names[:4]]
    Run(d, 'drain', '--window', '1h', '--to', 'wss://other.example/v1/channel')
    said = Run(d, 'drain', '--abort').err
    # Those who were closed may not have answered yet.
    check(re.search(r'given up: 4 of \d+ channels stay, ready', said), said)
    for device in stay:
        device.call('state', {'power': 'on'})
        device.close()
    d.control.close()
    d.stop()


def test_endpoints(scene):
    """endpoints are listed whole, filtered, added, changed and forgotten"""
    d = start(scene, ['a'])
    for n in range(1203):
        d.control.post('/v1/endpoints', {'id': f'n{n:04}', 'group':
                                         'odd' if n % 2 else 'even'})
    rows = Run(d, 'endpoints', '--columns', 'id,group').rows()
    equal(rows[0], ['ID', 'GROUP'])
    equal([r[0] for r in rows[1:]], [f'n{n:04}' for n in range(1203)])
    equal(len(Run(d, 'endpoints', '--group', 'odd', '--prefix', 'n00',
                  '--json').json()), 50)
    equal(len(Run(d, 'endpoints', '--state', 'online').rows()), 1)
    Run(d, 'endpoints', '--state', 'away', status=1)
    check('did you mean "since"' in Run(
        d, 'endpoints', '--columns', 'id,sinc', status=2).err, 'column')
    Run(d, 'endpoint', 'add', 'x:1@h', '--name', 'A "name"', '--group', 'g')
    Run(d, 'endpoint', 'add', 'x:1@h', status=1)
    shown = Run(d, 'endpoint', 'show', 'x:1@h').out
    check(re.search('^name: +A "name"$', shown, re.M), shown)
    Run(d, 'endpoint', 'rename', 'x:1@h', 'ä\tb', status=1)
    Run(d, 'endpoint', 'rename', 'x:1@h', 'Tür')
    Run(d, 'endpoint', 'group', 'x:1@h', '')
    one = Run(d, 'endpoint', 'show', 'x:1@h', '--json').json()[0]
    equal((one['name'], one['group']), ('Tür', ''))
    Run(d, 'endpoint', 'deny', 'x:1@h')
    equal(Run(d, 'endpoints', '--status', 'denied', '--json').json()[0]['id'],
          'x:1@h')
    Run(d, 'endpoint', 'approve', 'x:1@h')
    Run(d, 'kick', 'x:1@h', status=1)
    Run(d, 'endpoint', 'forget', 'x:1@h')
    for ident in ('.', '..'):
        Run(d, 'endpoint', 'add', ident)
        check(f' {ident}\n' in Run(d, 'endpoint', 'show', ident).out, ident)
        Run(d, 'endpoint', 'forget', ident)
        Run(d, 'endpoint', 'show', ident, status=5)
    for ident in ('', 'a/b'):
        check('no ENDPOINT' in Run(d, 'endpoint', 'forget', ident,
                                   status=2).err, ident)
    for args in (('endpoint', 'show', 'x:1@h'), ('endpoint', 'forget',
                 'x:1@h'), ('endpoint', 'approve', 'x:1@h'),
                 ('kick', 'x:1@h'), ('inventory', 'show', 'x:1@h'),
                 ('command', 'show', 'none'), ('credential', 'list', 'x'),
                 ('credential', 'revoke', '999'), ('enrol', 'remove', '999'),
                 ('telemetry', 'read', 'x')):
        Run(d, *args, status=5)
    d.control.close()
    d.stop()


def test_credentials(scene):
    """a token that was made is alone on standard output, and lets in"""
    d = start(scene)
    Run(d, 'endpoint', 'add', 'n1')
    made = Run(d, 'credential', 'add', 'n1', '--label', 'l', '--expires',
               '1d')
    check(re.fullmatch(r'\S{22,}\n', made.out), made.out)
    number = re.search(r'number (\d+)', made.err).group(1)
    Run(d, 'credential', 'add', 'n1', '--certificate', ':'.join(['Ab'] * 32))
    Run(d, 'credential', 'add', 'n1', '--key', 'cd' * 32)
    check('n1 has that' in Run(d, 'credential', 'add', 'n1', '--key',
                               'cd' * 32, status=1).err, 'a second time')
    Run(d, 'credential', 'add', 'n1', '--key', 'cd', status=2)
    Run(d, 'credential', 'add', 'n1', '--expires', 'soon', status=2)
    equal([(r['kind'], r.get('fingerprint', '')[:2]) for r in
           Run(d, 'credential', 'list', 'n1', '--json').json()][:2],
          [('token', ''), ('certificate', 'ab')])
    check(re.search(r'expires 20\d\d-\S+ \S+ \(in ', made.err), made.err)
    check(re.search('in (1d|23h)', Run(d, 'credential', 'list', 'n1').out),
          'expiry')
    events = d.bus()
    device = Device(d, 'n1', token=made.out.strip())
    events.expect('endpoint.online', 'n1')
    Run(d, 'credential', 'revoke', number)
    equal(device.expect_close()[0], 4005)
    Run(d, 'credential', 'revoke', 'x', status=2)
    made = Run(d, 'enrol', 'token', '--group', 'g', '--uses', '3',
               '--expires', '2h')
    check(re.fullmatch(r'\S{22,}\n', made.out), made.out)
    row = Run(d, 'enrol', 'list', '--json').json()[0]
    equal((row['group'], row['uses_left']), ('g', 3))
    equal(Run(d, 'enrol', 'list').rows()[1][-1], '3')
    Run(d, 'enrol', 'remove', str(row['number']))
    equal(len(Run(d, 'enrol', 'list').rows()), 1)
    d.control.close()
    d.stop()


def obey(device, outcome, message=None, result=None, progress=()):
    """Takes the next command to its outcome."""
    early = [n for n in device.notifications if n.get('method') == 'command']
    device.notifications.clear()
    said = early[0] if early else {}
    while said.get('method') != 'command':
        said = json.loads(device.recv())
    params = said['params']
    device.send_json({'jsonrpc': '2.0', 'id': said['id'], 'result': {}})
    for percent, text in progress:
        device.notify('progress', {'command_id': params['command_id'],
                                   'percent': percent, 'text': text})
    if outcome is not None:
        done = {'command_id': params['command_id'], 'outcome': outcome}
        if message is not None:
            done['message'] = message
        if result is not None:
            done['result'] = result
        device.call('outcome', done)
    return params


def in_thread(function, *args, **kw):
    got = []
    thread = threading.Thread(target=lambda: got.append(
        function(*args, **kw)))
    thread.start()
    return thread, got


def test_commands(scene):
    """a command is sent with its arguments and its outcome is the exit
    status"""
    d = start(scene, ['a'])
    a = Device(d, 'a')
    thread, got = in_thread(obey, a, 'ok', 'do\x1bne', {'x': [1]})
    run = Run(d, 'command', 'send', 'a', 'x-do', 'n=5', 'text:="6"',
              '--args', '{"l":[1]}', '--id', 'c1', '--deadline', '1m')
    thread.join(PATIENCE)
    equal(got[0]['args'], {'l': [1], 'n': 5, 'text': '6'})
    equal(run.out, 'c1:             ok\ndo\\x1bne\n{"x":[1]}\n')
    thread, got = in_thread(obey, a, 'error', 'no')
    run = Run(d, 'command', 'send', 'a', 'x-do', '--json', status=6)
    thread.join(PATIENCE)
    equal((run.json()[0]['state'], run.json()[0]['message']), ('error', 'no'))
    a.close()
    run = Run(d, 'command', 'send', 'a', 'x-do', '--deadline', '200ms',
              status=6)
    check('expired' in run.out, run.out)
    ident = Run(d, 'command', 'send', 'a', 'x-do', '--no-wait').out.strip()
    equal([r[0] for r in Run(d, 'command', 'list', '--open').rows()],
          ['ID', ident])
    equal(len(Run(d, 'command', 'list', '--endpoint', 'a', '--json').json()),
          4)
    check('queued' in Run(d, 'command', 'show', ident).out, 'show')
    check('cancelled' in Run(d, 'command', 'cancel', ident).err, 'cancel')
    Run(d, 'command', 'cancel', ident, status=1)
    Run(d, 'command', 'send', 'a', 'x-do', '--id', 'c1', status=1)
    Run(d, 'command', 'send', 'b', 'x-do', status=5)
    Run(d, 'command', 'send', 'a', 'dance', status=1)
    Run(d, 'command', 'send', 'a', 'x-do', 'n', status=2)
    Run(d, 'command', 'send', 'a', 'x-do', '--args', '[]', status=2)
    ident = Run(d, 'command', 'send', 'a', 'x-do', 'n=1', '--args', '-',
                '--no-wait', stdin='{"key":\n"secret"}\n').out.strip()
    equal(Run(d, 'command', 'show', ident, '--json').json()[0]['args'],
          {'key': 'secret', 'n': 1})
    for bad in ('', '{', '{}\0{', '{"a":"' + 'x' * (1 << 20) + '"}'):
        Run(d, 'command', 'send', 'a', 'x-do', '--args', '-', stdin=bad,
            status=2)
    Run(d, 'command', 'send', 'a', 'x-do', '--deadline', '5', status=2)
    Run(d, 'command', 'send', 'a', status=2)
    d.control.close()
    d.stop()


def test_waiting(scene):
    """waiting outlives a kill -9 of the daemon; an interrupt ends it, not the
    command"""
    d = start(scene, ['a'])
    Device(d, 'a').close()
    d.control.close()
    screen = Terminal(d, 'command', 'send', 'a', 'x-do', '--id', 'c1')
    screen.expect(r'\rqueued')          # its answer is there: it waits
    d.kill()
    screen.expect(r'\rthe daemon is away')
    d.start()
    a = Device(d, 'a')
    obey(a, 'ok')
    screen.expect(r'c1: +\033\[32mok')
    screen.end()
    screen = Terminal(d, 'command', 'send', 'a', 'x-do', '--id', 'c2')
    obey(a, None)
    screen.expect(r'\raccepted')
    screen.process.send_signal(signal.SIGINT)
    screen.expect('command cancel c2')
    screen.end(130)
    equal(Run(d, 'command', 'show', 'c2', '--json').json()[0]['state'],
          'accepted')
    a.close()
    d.stop()


def test_reports(scene):
    """telemetry is read by cursor and followed; inventory and events are
    shown"""
    d = start(scene, ['a'])
    a = Device(d, 'a')
    for n in range(1, 4):
        a.call('telemetry', {'seq': n, 'data': [n, 'x\u009b\u202e']})
    rows = Run(d, 'telemetry', 'read', '--json').json()
    equal([r['seq'] for r in rows], [1, 2, 3])
    equal(rows[0]['data'], [1, 'x\u009b\u202e'])
    out = Run(d, 'telemetry', 'read', 'a', '--after',
              str(rows[1]['cursor'])).out
    check(re.fullmatch(r'\d+  20\d\d-\S+ \S+  a  #3  \[3,"x\\u009b'
                       r'\\u202e"\]\n', out), out)
    Run(d, 'endpoint', 'add', 'b')
    equal(Run(d, 'telemetry', 'read', 'b').out, '')
    p = Follower(scene, d, 'telemetry', 'read', '--follow', '--json',
                 '--after', str(rows[2]['cursor']))
    a.call('telemetry', {'seq': 4, 'data': []})
    equal(json.loads(p.line())['seq'], 4)
    equal(p.interrupt(), -signal.SIGINT)
    a.call('inventory', {'patch': {'model': 'm\n1', 'net': {'ip': ['x']}}})
    out = Run(d, 'inventory', 'show', 'a').out
    check(out.endswith('\nmodel: "m\\n1"\nnet:\n  ip: ["x"]\n'), out)
    equal(Run(d, 'inventory', 'show', 'a', '--json').json()[0]['inventory'],
          {'model': 'm\n1', 'net': {'ip': ['x']}})
    p = Follower(scene, d, 'events', '--json')
    q = Follower(scene, d, 'events', 'endpoint.offline/')
    wait_until('both streams are open', lambda: d.control.get('/v1/status')[
        'control']['streams'] == 2)
    a.call('state', {'power': 'shutting-down'})
    a.close()
    p.until('"endpoint.offline"')
    check('endpoint.offline  a' in q.line(), 'the event')
    d.control.close()
    d.stop()
    equal(p.process.wait(PATIENCE), 3)
    equal(q.process.wait(PATIENCE), 3)


def test_watch(scene):
    """endpoints --watch shows each change, on a terminal and as lines"""
    d = start(scene, ['a', 'b'])
    events = d.bus()
    a = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    p = Follower(scene, d, 'endpoints', '--watch', '--json')
    q = Follower(scene, d, 'endpoints', '--watch', '--columns', 'id,state',
                 '--state', 'disconnected')
    screen = Terminal(d, 'endpoints', '--watch', '--columns', 'id,state')
    narrow = Terminal(d, 'endpoints', '--watch', columns=10, lines=4)
    equal(json.loads(p.line())['state'], 'online')
    equal(q.line(), 'ID  STATE')
    screen.expect(r'\033\[2J.*a +\033\[32monline')
    a.abort()
    p.until('"state":"disconnected"')
    equal(q.line().split(), ['a', 'disconnected'])
    screen.expect(r'\033\[H.*a +\033\[38;5;208mdisconnected')
    narrow.expect(r'\033\[J')
    narrow.resize(80, 4)
    narrow.expect(r'NAME\033.*\033\[J')
    for s in (screen, narrow):
        os.kill(s.process.pid, signal.SIGINT)
        out = s.end(-signal.SIGINT)
        # Behind a whole line it would take the last character away.
        check(not re.search(r'[^H\n]\033\[K', out), repr(out))
    p.interrupt()
    q.interrupt()
    d.control.close()
    d.stop()


def test_terminal(scene):
    """a table fits the terminal, has colours there alone, and no control
    characters"""
    d = start(scene, ['a'])
    events = d.bus()
    a = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    d.control.patch('/v1/endpoints/a', {'name': 'long ' * 20 + 'äöü漢字'})
    d.control.post('/v1/endpoints', {'id': 'b', 'name': '漢字' * 20})
    for columns in (20, 40, 80, 100, 200):
        text = on_terminal(d, 'endpoints', columns=columns)
        for line in plain(text).splitlines():
            wide = sum(2 if c in '漢字' else 1 for c in line)
            check(wide <= columns, f'{wide} > {columns}: {line!r}')
        if columns < 200:
            check('…' in text, text)
        if columns >= 40:
            for state in ('online', 'unlinked'):
                check(f'\033[{COLOUR[state]}m{state[:5]}' in text, text)
    for env in ({'NO_COLOR': '1'}, {'TERM': 'dumb'}):
        text = on_terminal(d, 'endpoints', env=env)
        check('\033' not in text and '…' in text, text)
    check('\033[32m' in on_terminal(d, 'endpoints', env={'NO_COLOR': ''}),
          'an empty NO_COLOR')
    piped = Run(d, 'endpoints').out
    check('\033' not in piped and '…' not in piped and '漢字' * 20 in piped,
          piped)
    check('漢字' * 20 in Run(d, 'endpoints', env={'LC_ALL': 'C'}).out,
          'in the C locale')
    a.close()
    d.control.close()
    d.stop()


def test_progress(scene):
    """send draws a bar on a terminal, and leaves the outcome alone there"""
    d = start(scene, ['a'])
    a = Device(d, 'a')
    screen = Terminal(d, 'command', 'send', 'a', 'x-do', '--id', 'c1')
    params = obey(a, None, progress=[(40, 'half \x1b[2J')])
    screen.expect(r'\r\[#+\.+\]  40%  half \\x1b\[2J\033\[K')
    a.call('outcome', {'command_id': params['command_id'],
                       'outcome': 'ok'})
    out = screen.end()
    check(out.endswith('\r\033[Kc1:             \033[32mok\033[0m\n'),
          repr(out))
    a.close()
    d.control.close()
    d.stop()


class Fake:
    """A server that answers each connection with these bytes."""

    def __init__(self, scene, data):
        self.runtime = scene.path('fake')
        os.makedirs(self.runtime, exist_ok=True)
        self.data = data
        self.requests = []
        path = os.path.join(self.runtime, 'control.sock')
        if os.path.exists(path):
            os.unlink(path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.requests.append(c.recv(65536))
            c.sendall(self.data)
            c.close()


def http(status, body, kind='application/json'):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f'HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n'
            f'Content-Length: {len(data)}\r\nConnection: close\r\n\r\n'
            ).encode() + data


def test_failures(scene):
    """what goes wrong has its exit status, its cause and its remedy"""
    d = scene.daemon()
    said = Run(d, 'status', status=3).err
    check('not running' in said and 'systemctl start' in said, said)
    Run(d, '--socket', '/' + 'x' * 200, 'status', status=2)
    problem = {'type': 'urn:cleat:problem:forbidden', 'title': 'T',
               'status': 403, 'detail': 'D\x1b[2J', 'remedy': 'R'}
    SPEC.validate(SPEC.closed, SPEC.closed['components']['schemas'][
        'problem'], problem, 'problem')
    for data, status in ((http(403, problem), 4), (http(503, {}), 1),
                         (http(404, {}), 1), (http(200, b'<html>'), 7),
                         (http(200, [1]), 7), (b'', 3), (b'junk\r\n', 3),
                         (http(200, {'x': 1})[:-2], 3)):
        fake = Fake(scene, data)
        said = Run(fake, 'status', status=status).err
        if status == 4:
            equal(said, 'cleatctl: T: D\\x1b[2J\ncleatctl: R\n')
        fake.sock.close()
    fake = Fake(scene, http(200, {'level': 'info'}))
    Run(fake, 'log-level', env={'http_proxy': 'http://127.0.0.1:1',
                                'ALL_PROXY': 'http://127.0.0.1:1'})
    with open('/dev/full', 'w') as full:
        for args in (('log-level',), ('log-level', '--json'), ('--help',)):
            p = subprocess.run([PROGRAM, *args], env=environment(fake),
                               stdout=full, stderr=subprocess.PIPE)
            equal(p.returncode, 7, p.stderr)
    fake.sock.close()


def test_permission(scene):
    """who may not connect hears which group may; who may not change things
    hears where that is said"""
    if os.geteuid() != 0:
        raise Skip('needs root')
    d = start(scene)
    nobody = pwd.getpwnam('nobody')

    def as_nobody(*args, status):
        p = subprocess.run(
            ['setpriv', f'--reuid={nobody.pw_uid}',
             f'--regid={nobody.pw_gid}', '--clear-groups', PROGRAM, *args],
            env=environment(d), capture_output=True, text=True)
        if 'failed to execute' in p.stderr:
            raise Skip('nobody cannot reach the build tree')
        equal(p.returncode, status, p.stderr)
        return p.stderr
    os.chmod(scene.dir, 0o711)
    os.chmod(d.dir, 0o711)
    os.chown(d.runtime, -1, 1)
    os.chmod(d.runtime, 0o750)
    said = as_nobody('status', status=4)
    check('usermod -aG daemon' in said, said)
    os.chmod(d.runtime, 0o711)
    os.chmod(sock_of(d), 0o666)
    as_nobody('status', status=0)
    said = as_nobody('reload', status=4)
    check('[control] operators' in said, said)
    d.control.close()
    d.stop()


def test_usage(scene):
    """a wrong command line is status 2 and says what was meant"""
    for args, wanted in (
            ((), 'help'), (('statsu',), '"status"'),
            (('endpoint', 'shwo', 'a'), '"endpoint show"'),
            (('endpoint',), 'cleatctl help endpoint'),
            (('status', '--jsn'), '--json'), (('status', 'x'), 'too much'),
            (('endpoint', 'show'), 'usage: cleatctl endpoint show ENDPOINT'),
            (('endpoints', '--group'), '--group wants a value'),
            (('endpoints', '--json=5'), '--json takes no value'),
            (('endpoints', '-xy'), 'no option -x'),
            (('endpoints', '--st', 'x'), '--st may be'),
            (('--socket', '', 'status'), '--socket'),
            (('telemetry', 'read', '--after', 'x'), 'a number'),
            (('help', 'nothing'), 'no command'), (('--what',), '--what')):
        said = Run(None, *args, status=2).err
        check(wanted in said, f'{args}: {said}')
    whole = Run(None, 'help').out
    for line in Run(None, '--complete', 'cleatctl help ').out.split():
        check(re.search(rf'^  {line}\b', whole, re.M), line)
    equal(Run(None, '--help').out, whole)
    check('--deadline SPAN' in Run(None, 'help', 'command', 'send').out, 'h')
    check('--deadline SPAN' in Run(None, 'command', 'send', '-h').out, '-h')
    for more in ('-h', '--help'):
        check('endpoint show' in Run(None, 'endpoint', more).out, more)
    check(Run(None, '--version').out.startswith('cleatctl '), 'version')


def completed(d, line):
    return Run(d, '--complete', line).out.split()


def test_completion(scene):
    """completion comes from the table and the daemon; bash's broken words are
    put together"""
    d = start(scene)
    for n in ('lamp:1@hall', 'lamp:2', 'other'):
        d.control.post('/v1/endpoints', {'id': n, 'group': 'g1'})
    equal(completed(d, 'cleatctl end'), ['endpoints', 'endpoint'])
    equal(completed(d, 'cleatctl endpoint '),
          'show add approve deny forget rename group'.split())
    equal(completed(d, 'sudo /usr/bin/cleatctl endpoint sh'), ['show'])
    equal(completed(d, 'cleatctl endpoint show lamp:'),
          ['lamp:1@hall', 'lamp:2'])
    equal(completed(d, 'cleatctl endpoint show lamp:2 '), [])
    equal(completed(d, 'cleatctl endpoint group other '), ['g1'] * 3)
    equal(completed(d, 'cleatctl endpoints --st'), ['--state', '--status'])
    equal(completed(d, 'cleatctl endpoints --state on'), ['online'])
    equal(completed(d, 'cleatctl endpoints --state=on'), ['--state=online'])
    equal(completed(d, 'cleatctl endpoints --columns id,si'), ['id,since'])
    equal(completed(d, 'cleatctl log-level w'), ['warning'])
    equal(completed(d, 'cleatctl help comm'), ['command'])
    equal(completed(d, 'cleatctl help command s'), ['send', 'show'])
    ident = Run(d, 'command', 'send', 'other', 'x-a', '--no-wait').out.strip()
    equal(completed(d, 'cleatctl command cancel '), [ident])
    equal(completed(d, 'cleatctl command send other po'), ['power-off'])
    equal(completed(d, 'cleatctl command send other message po'), [])
    equal(completed(None, f'cleatctl --socket {sock_of(d)} kick o'),
          ['other'])
    equal(completed(None, 'cleatctl --socket /nowhere kick o'), [])
    shell = Terminal(d, '--norc', '--noprofile', '-i', program='bash',
                     columns=200, env={
                         'PATH': BUILDDIR + ':' + os.environ['PATH'],
                         'PS1': 'now: ', 'TERM': 'dumb',
                         'HISTFILE': '/dev/null'})
    script = os.path.join(SRCDIR, 'tools/ctl/completion/cleatctl')
    shell.expect('now: ')
    shell.write(f". '{script}'\n")
    left = '\x02'
    for keys, wanted in (
            ('sta\t', 'status '), ('kick ot\t', 'kick other '),
            ('kick lamp\t1\t', 'kick lamp:1@hall '),
            ('kick lamp:1@\t', 'kick lamp:1@hall '),
            ('kick lamp:1@h\t', 'kick lamp:1@hall '),
            ('kick "lamp:1\t', 'kick lamp:1@hall '),
            ('endpoints --state=on\t', 'endpoints --state=online '),
            ('endpoints --columns id,na\t', 'endpoints --columns id,name '),
            (f'stax{left}\t', 'statusx'),
            (f'kick lamp:1x{left}\t', 'kick lamp:1@hallx')):
        shell.expect('now: ')
        # Then to the end and to the beginning, and see what has become of it.
        shell.write(f'cleatctl {keys}\x05>"\x01echo "<\n')
        equal(shell.expect(r'\n<([^>\r\n]*)>').group(1), 'cleatctl ' + wanted,
              repr(keys))
    shell.write('exit\n')
    shell.end()
    d.control.close()
    d.stop()


if __name__ == '__main__':
    main()
