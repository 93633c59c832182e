#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Live upgrades (decision 0015): the next process takes the place of the
running one while devices talk, and nobody is dropped."""
import ctypes
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control  # noqa: E402
from spbus import BusTimeout  # noqa: E402
from harness import (BUILDDIR, CLOSE, PATIENCE, SANITIZER,  # noqa: E402
                     VALGRIND, Beside, Device, Follower, WebSocket, check,
                     connect, equal, main, wait_until)

ROUNDS = 5
CHANNELS = 60


def start(scene, env=None, before=None):
    Follower.adopt()
    d = scene.daemon(conf={
        'presence': {'recovery': '1s', 'clone_replacements': '0'},
        'limits': {'connections_per_address': '0'}}, env=env)
    for endpoint in ('a', 'b', 'c'):
        d.token(endpoint)
    d.launch()
    if before is not None:
        before(d.process)
    d.expect_log(r'\bready version=')
    return d


def tls12(scene):
    context = scene.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def upgraded(d, *args):
    code, said = d.upgrade(*args)
    equal(code, 0, said)


def refused(d, because, *args):
    """It says why, and goes on."""
    pid = d.process.pid
    code, said = d.upgrade(*args)
    equal(code, 1, said)
    check(because in said, f'{because!r} is not in {said!r}')
    equal(d.process.pid, pid)
    equal(status(d)['state'], 'ready')


def status(d):
    control = Control(d)
    answer = control.get('/v1/status')
    control.close()
    return answer


# ---- what stays -------------------------------------------------------------

def hear(bus):
    try:
        bus.recv(0.5)
    except BusTimeout:
        pass


def test_states_stay(scene):
    """devices keep channel, number and state; subscribers hear of
    nothing else"""
    d = start(scene)
    a, b = Device(d, 'a'), Device(d, 'b', context=tls12(scene))
    with d.bus() as bus, d.request() as ask:
        Device(d, 'c').close()
        bus.expect('endpoint.disconnected', 'c')
        heard = len(bus.history)
        # It comes back at once, as nng's own subscribers do.
        hearing = Beside(lambda: hear(bus))
        before = {e['endpoint']: e for e in ask.endpoints()}
        for n in range(ROUNDS):
            epoch = status(d)['epoch']
            upgraded(d)
            check(status(d)['epoch'] > epoch, 'the epoch has not risen')
            with open(f'/proc/{d.process.pid}/comm') as f:
                equal(f.read(), 'cleatd\n', 'what ps calls it')
            for device in (a, b):
                device.call('event', {'type': f'round-{n}', 'data': {}})
                wait_until('it is heard', lambda e=device.endpoint: len(
                    bus.find('endpoint.message', e)) == n + 1)
        hearing.end()
        after = {e['endpoint']: e for e in ask.endpoints()}
        equal(sorted(after), ['a', 'b', 'c'])
        for e in after:
            for member in ('state', 'since', 'channel', 'reason', 'revision'):
                equal(after[e].get(member), before[e].get(member),
                      f'{member} of {e}')
        kinds = {e.topic.split('/')[0] for e in bus.history[heard:]}
        equal({k for k in kinds if k.startswith('endpoint.')},
              {'endpoint.message'})
        check('daemon.stopping' not in kinds, str(kinds))
        equal(len(bus.find('daemon.upgraded')), ROUNDS)
        check('upgraded' in ask.ask('summary')['daemon'], 'the snapshot')
    for device in (a, b):
        device.close()
    d.stop()


def test_traffic_goes_on(scene):
    """numbered messages both ways, and those who connect, see nothing of it"""
    d = start(scene)
    contexts = [scene.client_context(), tls12(scene)]
    channels = []
    for i in range(CHANNELS):
        sock = contexts[i % 2].wrap_socket(connect(d.address()),
                                           server_hostname='localhost')
        channels.append(WebSocket(sock, 'localhost', '/echo'))
    number = 0

    def talk():
        nonlocal number
        number += 1
        for ws in channels:
            ws.send(str(number))
        for ws in channels:
            equal(ws.recv(), str(number), 'echo')

    def come():
        device = Device(d, 'a')
        device.call('event', {'type': 'x', 'data': {}})
        device.close()

    talking, coming = Beside(talk), Beside(come)
    for _ in range(ROUNDS):
        upgraded(d)
    talking.end()
    coming.end()
    check(talking.turns > ROUNDS and coming.turns > 1, 'they stood still')
    wait_until('who came has gone',
               lambda: status(d)['channels']['open'] == CHANNELS)
    for ws in channels:
        ws.close()
    wait_until('all are closed', lambda: status(d)['channels']['open'] == 0)
    d.stop()


def test_half_a_message(scene):
    """what has come by half goes on where it was: record, frame
    and fragments"""
    d = start(scene)
    for context in (scene.client_context(), tls12(scene)):
        sock = context.wrap_socket(connect(d.address()),
                                   server_hostname='localhost')
        ws = WebSocket(sock, 'localhost', '/echo')
        whole = os.urandom(5000)
        frame = ws.frame(2, whole)
        sock.sendall(ws.frame(2, b'first ', fin=False))
        upgraded(d)
        sock.sendall(ws.frame(0, b'then '))
        equal(ws.recv(), b'first then ')
        for cut in (1, 3, 9, 2000):
            sock.sendall(frame[:cut])
            upgraded(d)
            sock.sendall(frame[cut:])
            equal(ws.recv(), whole)
        ws.close()
    d.stop()


class Till(threading.Thread):
    """A device that obeys and reports, until it is told to stop; it never
    connects again."""

    def __init__(self, d, endpoint, context=None):
        super().__init__(daemon=True)
        self.device = Device(d, endpoint, context=context)
        self.device.notifications.clear()
        self.order, self.done, self.reports = [], 0, 0
        self.over, self.error = threading.Event(), None
        self.start()

    def obey(self, request):
        command = request['params']['command_id']
        self.order.append(command)
        self.device.send_json({'jsonrpc': '2.0', 'id': request['id'],
                               'result': {}})
        equal(self.device.call('outcome', {
            'command_id': command, 'outcome': 'ok'})['final'], 'ok')
        self.done += 1

    def report(self):
        self.reports += 1
        stored = self.device.call('telemetry', {
            'seq': self.reports, 'data': [self.reports]})['stored']
        equal(stored, self.reports)

    def run(self):
        try:
            while not self.over.is_set():
                while self.device.notifications:
                    self.obey(self.device.notifications.pop(0))
                self.report()
        except BaseException as e:  # pylint: disable=broad-except
            self.error = e

    def end(self):
        self.over.set()
        self.join(PATIENCE)
        if self.error is not None:
            raise self.error


def test_commands_and_reports(scene):
    """commands in flight come once, in order; reports are stored once"""
    d = start(scene)
    control = Control(d)
    tills = [Till(d, 'a'), Till(d, 'b', tls12(scene))]
    given = []
    for _ in range(ROUNDS):
        for _ in range(10):
            given.append(f'c{len(given)}')
            for endpoint in 'ab':
                control.post('/v1/commands', {
                    'id': given[-1] + endpoint, 'endpoint': endpoint,
                    'verb': 'message', 'args': {'text': 'x'},
                    'deadline_ms': 600000})
        control.close()
        upgraded(d)
        control = Control(d)
    for till, endpoint in zip(tills, 'ab'):
        wait_until('all is done', lambda t=till: t.done == len(given) or
                   t.error)
        till.end()
        equal(till.order, [c + endpoint for c in given])
        answer = control.get(f'/v1/endpoints/{endpoint}')
        equal(answer['telemetry_seq'], till.reports)
        entries = control.get('/v1/telemetry', endpoint=endpoint,
                              limit=1000)['telemetry']
        equal([e['seq'] for e in entries],
              list(range(1, till.reports + 1))[:1000])
    control.close()
    d.stop()


class Manager(threading.Thread):
    """What a service manager does with Type=notify and NotifyAccess=main: it
    hears the main process only, and kills what shows no sign of life."""

    LIMIT = 30.0 if VALGRIND or SANITIZER != 'no' else 6.0

    def __init__(self, scene):
        super().__init__(daemon=True)
        path = scene.path('notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(0.1)
        self.env = {'NOTIFY_SOCKET': path,
                    'WATCHDOG_USEC': str(int(self.LIMIT * 1000000))}
        self.main, self.said, self.refused = None, [], []
        self.signs, self.longest = None, 0.0
        self.over = threading.Event()

    def hear(self, pid, text):
        if pid != self.main:
            self.refused.append(text)
            return
        self.said.append(text)
        for line in text.split('\n'):
            if line.startswith('MAINPID='):
                self.main = int(line[8:])
            elif line == 'WATCHDOG=1':
                now = time.monotonic()
                if self.signs is not None:
                    self.longest = max(self.longest, now - self.signs)
                self.signs = now

    def run(self):
        while not self.over.is_set():
            try:
                text, control, _, _ = self.socket.recvmsg(4096, 1024)
            except socket.timeout:
                continue
            pid = None
            for level, kind, data in control:
                if level != socket.SOL_SOCKET:
                    continue
                if kind == socket.SCM_CREDENTIALS:
                    pid = struct.unpack('3i', data[:12])[0]
                elif kind == socket.SCM_RIGHTS:
                    os.close(struct.unpack('i', data[:4])[0])
            self.hear(pid, text.decode())

    def end(self):
        self.over.set()
        self.join(PATIENCE)


def test_service_manager(scene):
    """the service manager learns whom to watch, and never misses a sign
    of life"""
    manager = Manager(scene)
    manager.start()
    d = start(scene, env=manager.env, before=lambda p: setattr(
        manager, 'main', p.pid))
    device = Device(d, 'a')
    wait_until('a first sign', lambda: manager.signs is not None)
    for _ in range(3):
        upgraded(d)
        equal(manager.main, d.process.pid)
        seen = manager.signs
        wait_until('a sign of the next', lambda s=seen: manager.signs != s)
        device.call('event', {'type': 'x', 'data': {}})
    check(manager.longest < manager.LIMIT, f'{manager.longest} s')
    check(not any('READY' in t for t in manager.refused),
          str(manager.refused))
    device.close()
    d.stop()
    manager.end()
    equal(manager.said[-1].split('\n')[0], 'STOPPING=1')


def test_replaced(scene):
    """status says that a restart is pending when the program on the disk is
    another one, until an upgrade"""
    d = start(scene)
    own, new = scene.path('cleatd'), scene.path('cleatd.new')
    for path in (own, new):
        shutil.copy(os.path.join(BUILDDIR, 'cleatd'), path)
    upgraded(d, '--binary', own)
    equal(status(d)['restart'], {'replaced': [], 'pending': False})
    os.rename(new, own)         # as dpkg does
    equal(status(d)['restart'], {'replaced': [own], 'pending': True})
    said = subprocess.run(
        [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
         os.path.join(d.runtime, 'control.sock'), 'status'],
        capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    check('restart:        pending' in said and own in said, said)
    upgraded(d, '--binary', own)
    equal(status(d)['restart'], {'replaced': [], 'pending': False})
    d.stop()


# ---- what is refused --------------------------------------------------------

class Queued(ctypes.Structure):
    """siginfo_t of a queued signal (sigaction(2))."""
    class Sent(ctypes.Structure):
        _fields_ = [('pid', ctypes.c_int), ('uid', ctypes.c_uint),
                    ('value', ctypes.c_void_p)]
    _fields_ = [('number', ctypes.c_int), ('error', ctypes.c_int),
                ('code', ctypes.c_int), ('sent', Sent),
                ('rest', ctypes.c_char * 128)]


def pass_on(d, former):
    """As a former process does that was told to stop."""
    info = Queued(signal.SIGTERM, 0, -1, Queued.Sent(former, os.getuid()))
    fd = os.pidfd_open(d.process.pid)
    libc = ctypes.CDLL(None, use_errno=True)
    equal(libc.syscall(424, fd, signal.SIGTERM, ctypes.byref(info), 0), 0,
          f'pidfd_send_signal(2): errno {ctypes.get_errno()}')
    os.close(fd)


def test_stop_of_both_processes(scene):
    """a SIGTERM that the former process passes on, and the same to us, are one
    stop: devices keep their time, in either order; the third ends it at once"""
    def direct(d, former):
        d.process.send_signal(signal.SIGTERM)
    wait = 5                            # for an answer, then it ends anyway
    for first, second in ((pass_on, direct), (direct, pass_on)):
        d = start(scene)
        former = d.process.pid
        upgraded(d)
        silent = WebSocket(scene.client_context().wrap_socket(
            connect(d.address()), server_hostname='localhost'), 'x', '/echo')
        begin = time.monotonic()
        first(d, former)
        equal(silent.recv_frame()[0], CLOSE)    # and is not answered
        second(d, former)
        for _ in range(2):
            d.counters()
            check(d.alive() or time.monotonic() - begin > wait,
                  'stopped at once')
        third = time.monotonic()
        d.stop()
        end = time.monotonic()
        # Who is too slow to send the third early cannot tell why it ended.
        early = third - begin < wait - 3.5
        check(end - begin < wait or not early, f'{end - third} s')
        if not early:
            print(f'# the third came after {third - begin:.1f} s')
        silent.sock.close()


def test_refused(scene):
    """what cannot take over is refused with its reason, and nobody notices"""
    d = start(scene)
    device = Device(d, 'a')
    refused(d, 'No such file', '--binary', '/nowhere/cleatd')
    own = scene.path('cleatd')
    shutil.copy(os.path.join(BUILDDIR, 'cleatd'), own)
    os.chmod(own, 0o775)
    refused(d, 'others can write', '--binary', own)
    refused(d, 'not a regular file', '--binary', '/dev/null')
    refused(d, 'ended before it was ready', '--binary', '/bin/true')
    with open(d.conf_path, 'a') as f:
        f.write('[nonsense]\n')
    refused(d, 'nonsense')
    d.configure({})
    os.chmod(own, 0o755)
    upgraded(d, '--binary', own)
    device.call('event', {'type': 'x', 'data': {}})
    device.close()
    d.stop()


def test_by_hand(scene):
    """nobody but a running cleatd starts one that takes over"""
    d = scene.daemon()
    done = subprocess.run(d.command('-c', d.conf_path, '--take-over'),
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE)
    equal(done.returncode, 2, done.stderr)
    check('cleatctl upgrade' in done.stderr, done.stderr)


if __name__ == '__main__':
    main()
