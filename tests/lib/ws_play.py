# SPDX-License-Identifier: Apache-2.0
"""Plays the cases of ws_cases.py against a daemon, in plain text and over TLS,
and says in TAP how each section went."""
import select
import socket
import ssl
import struct
import sys
import time
import traceback

import harness
from harness import Failure, check, equal
from ws_cases import CLOSE, TEXT, Closes, Fails, Send, Want, close, frame

CASE_SECONDS = 20
# The server speaks its mind at once; this is for a machine that is busy.
END_SECONDS = 10


def short(data):
    return repr(data) if len(data) < 60 else f'{data[:40]!r}... {len(data)}'


class Player(harness.WebSocket):
    """A WebSocket that notices every end that is not a clean one."""

    def __init__(self, daemon, listener, path='/echo', headers=(),
                 seconds=CASE_SECONDS):
        sock = harness.connect(daemon.address(listener), seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener != 'plain':
            sock = daemon.scene.client_context().wrap_socket(
                sock, server_hostname='localhost',
                suppress_ragged_eofs=False)
        super().__init__(sock, 'localhost', path, headers)
        equal(self.status, 101, 'answer to the upgrade')

    def write(self, data, chop=None):
        """A server that has given up need not take the rest."""
        try:
            if chop is None:
                self.sock.sendall(data)
                return
            for i in range(0, len(data), chop):
                self.sock.sendall(data[i:i + chop])
        except (ConnectionError, ssl.SSLError):
            pass

    def next(self):
        """(kind, octets, rsv) of what comes next, fragments put together."""
        kind, parts, first_rsv = None, [], 0
        while True:
            opcode, payload, fin, rsv = self.recv_frame()
            check(opcode in (0, 1, 2, 8, 9, 10), f'opcode {opcode}')
            if opcode >= CLOSE:
                check(fin and len(payload) < 126 and rsv == 0,
                      'a malformed control frame')
                check(not parts or opcode != CLOSE, 'close inside a message')
                return opcode, payload, 0
            check((opcode == 0) == bool(parts), 'a stray fragment')
            check(rsv == 0 or opcode, 'RSV on a continuation')
            if opcode:
                kind, first_rsv = opcode, rsv
            parts.append(payload)
            if fin:
                return kind, b''.join(parts), first_rsv

    def end(self):
        """The server ends the connection, and says so in TLS too."""
        self.sock.settimeout(END_SECONDS)
        equal(bytes(self.buffer), b'', 'behind the close frame')
        equal(self.sock.recv(1), b'', 'behind the close frame')
        self.sock.close()

    def fails(self, code):
        kind, payload, _ = self.next()
        equal(kind, CLOSE, f'wanted a close, came {short(payload)}')
        check(len(payload) >= 2, 'a failure without a code')
        equal(struct.unpack('>H', payload[:2])[0], code, 'close code')
        payload[2:].decode('utf-8')
        self.write(frame(CLOSE, payload[:2]))
        self.end()

    def closes(self, payload):
        kind, got, _ = self.next()
        equal((kind, got), (CLOSE, payload), 'answer to the close')
        self.end()

    def goodbye(self):
        self.write(frame(CLOSE, close()))
        self.closes(close())


def play(daemon, listener, case, make=Player):
    player = make(daemon, listener)
    try:
        for step in case.steps:
            if isinstance(step, Send):
                player.write(step.data, step.chop)
            elif isinstance(step, Want):
                kind, data, _ = player.next()
                check((kind, data) == (step.kind, step.data),
                      f'wanted {step.kind} {short(step.data)}, '
                      f'came {kind} {short(data)}')
            elif isinstance(step, Fails):
                return player.fails(step.code)
            elif isinstance(step, Closes):
                return player.closes(step.payload)
        player.goodbye()
    finally:
        player.sock.close()


class Wire:
    """Octets below a client, sent and received apart from each other; TLS goes
    through memory, as one object must not be used by two at a time."""

    def __init__(self, daemon, listener):
        self.sock = harness.connect(daemon.address(listener), CASE_SECONDS)
        self.tls = None
        if listener != 'plain':
            self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = daemon.scene.client_context().wrap_bio(
                self.into, self.out, server_hostname='localhost')
            self.handshake()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.sock.sendall(self.out.read())
                self.into.write(self.sock.recv(65536))

    def sealed(self, data):
        if self.tls is None:
            return data
        self.tls.write(data)
        return self.out.read()

    def opened(self, data):
        if self.tls is None:
            return data
        self.into.write(data)
        got = bytearray()
        while True:
            try:
                got += self.tls.read(1 << 20)
            except ssl.SSLWantReadError:
                return bytes(got)


def flood(daemon, listener, size, count):
    """Sends until nothing is taken any more, and only then begins to read:
    all must come back, in order, and no more than that."""
    wire = Wire(daemon, listener)
    request = ('GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
               'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
               'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    wire.sock.sendall(wire.sealed(request.encode()))
    got = b''
    while b'\r\n\r\n' not in got:
        got += wire.opened(wire.sock.recv(65536))
    messages = [b'%08d' % i + b'x' * (size - 8) for i in range(count)]
    wanted = b''.join(frame(TEXT, m, mask=False) for m in messages)
    left = memoryview(wire.sealed(b''.join(
        frame(TEXT, m) for m in messages)))
    wire.sock.setblocking(False)
    back, stuck = bytearray(), False
    deadline = time.monotonic() + CASE_SECONDS
    while len(back) < len(wanted):
        check(time.monotonic() < deadline, f'{len(back)} of {len(wanted)}')
        # A quarter of a second without room means that it is full.
        r, w, _ = select.select([wire.sock] if stuck or not left else [],
                                [wire.sock] if left else [], [], 0.25)
        stuck = stuck or not (r or w)
        if w:
            left = left[wire.sock.send(left[:1 << 18]):]
        if r:
            data = wire.sock.recv(1 << 18)
            check(data, f'ended after {len(back)} of {len(wanted)}')
            back += wire.opened(data)
    equal(bytes(back) == wanted, True, 'what came back')
    wire.sock.close()


class Report:
    """TAP, with the numbers of the cases that failed."""

    def __init__(self, count, daemon):
        self.daemon, self.number, self.good = daemon, 0, True
        print(f'1..{count}', flush=True)

    def section(self, title, names_and_runs):
        """Runs them all, whatever fails, as long as the daemon is there."""
        bad, n, began = [], 0, time.monotonic()
        for name, run in names_and_runs:
            n += 1
            if self.daemon is not None and not self.daemon.alive():
                bad.append(name)
                continue
            try:
                run()
            except Exception as e:
                bad.append(name)
                print(f'{name}: {type(e).__name__}: {e}', file=sys.stderr)
                if not isinstance(e, (Failure, OSError, harness.Closed)):
                    traceback.print_exc()
        took = time.monotonic() - began
        self.number += 1
        self.good = self.good and not bad
        print(f'{"not ok" if bad else "ok"} {self.number} - {title}: '
              f'{n - len(bad)} of {n} cases in {took:.1f} s',
              *bad[:10], *(['...'] if len(bad) > 10 else []), flush=True)

    def last(self, scene):
        """The daemon must have survived all of it, and end well."""
        self.daemon = None
        self.section('the daemon ends well', [('end', scene.close)])
        if not self.good:
            scene.dump()
        scene.remove()
        sys.exit(0 if self.good else 1)


def echo_daemon(scene, name='d', **settings):
    return scene.daemon(name, conf={
        'daemon': {'log_level': 'info'},
        'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'},
        'plugin.echo': {'module': 'proto-echo', 'max_message': '64MiB',
                        **settings}}).start()
