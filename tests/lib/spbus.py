# SPDX-License-Identifier: Apache-2.0
"""Peers of the bus in plain Python: Sub (sub0) and Req (req0) over nng's ipc
transport, with the standard library alone.  Every wait has a deadline.

    with Sub(path, ['endpoint.']) as sub:
        event = sub.expect('endpoint.online', endpoint='dev-1')
    with Req(path) as req:
        for endpoint in req.endpoints():
            ...
"""
import json
import os
import select
import socket
import struct
import time

_SUB, _PUB, _REQ, _REP = 0x21, 0x20, 0x30, 0x31


class BusError(Exception):
    """The peer is not there, or does not keep to the protocol."""


class BusTimeout(BusError):
    """The deadline passed."""


def _path(path):
    return path[len('ipc://'):] if path.startswith('ipc://') else path


class _Peer:
    """One negotiated connection.  Messages are one byte 1, a 64-bit length in
    network order, and the body."""

    def __init__(self, path, own, other, timeout):
        self._buffer = bytearray()
        self._whom = (_path(path), own, other)
        self._connect(time.monotonic() + timeout)

    def connect_again(self, deadline):
        """What was left in the middle of a message is gone.  Without success
        the next use says that there is no connection."""
        self.close()
        self._buffer.clear()
        self._connect(deadline)

    def _connect(self, deadline):
        path, own, other = self._whom
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.settimeout(max(0.01,
                                            deadline - time.monotonic()))
                self._socket.connect(path)
                self._socket.sendall(struct.pack('>4sHH', b'\0SP\0', own, 0))
                header = self._take(8, deadline)
                break
            except (OSError, BusError) as e:
                self._socket.close()
                self._buffer.clear()
                if time.monotonic() >= deadline:
                    raise BusTimeout(f'{path}: {e}') from e
                time.sleep(0.01)
        if header != struct.pack('>4sHH', b'\0SP\0', other, 0):
            self._socket.close()
            raise BusError(f'{path}: not the expected protocol: {header!r}')

    def _fill(self, deadline):
        if self._socket.fileno() < 0:
            raise BusError('not connected')
        left = deadline - time.monotonic()
        # Not select(): descriptors of a campaign go beyond 1024.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(max(0, left) * 1000):
            raise BusTimeout('nothing came in time')
        try:
            data = self._socket.recv(1 << 16)
        except OSError as e:
            raise BusError(f'the bus ended: {e}') from e
        if not data:
            raise BusError('the bus ended')
        self._buffer += data

    def _take(self, n, deadline):
        while len(self._buffer) < n:
            self._fill(deadline)
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    def _receive(self, deadline):
        # Nothing is taken before the whole message is there, so that a
        # deadline in the middle of one loses nothing.
        while len(self._buffer) < 9:
            self._fill(deadline)
        kind, length = struct.unpack('>BQ', self._buffer[:9])
        if kind != 1:
            raise BusError(f'unknown message kind {kind}')
        while len(self._buffer) < 9 + length:
            self._fill(deadline)
        self._take(9, deadline)
        return self._take(length, deadline)

    def _send(self, body):
        self._socket.sendall(struct.pack('>BQ', 1, len(body)) + body)

    def fileno(self):
        """For select()."""
        return self._socket.fileno()

    def close(self):
        """Ends the connection."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Event(dict):
    """The JSON object of an event; `topic` is what stood before it."""

    def __init__(self, topic, members):
        super().__init__(members)
        self.topic = topic


class Sub:
    """A subscriber.  Everything received is kept in `history` in order, so that
    an event which came while the test looked at something else is still found;
    expect() goes on behind what it found last.  bus.alive, which is no event,
    is in `alive` (the last number it told) instead.

    Connects again when the daemon ends the connection (its canary listens again
    after somebody spoiled the listener) as long as the deadline allows; the
    numbers then show what was missed.
    """

    def __init__(self, path, prefixes=('',), timeout=10):
        self.path = path
        self.prefixes = [prefixes] if isinstance(prefixes, str) \
            else list(prefixes)
        self.history = []
        self.reconnects = 0
        self._next = 0
        self.alive = None
        self._peer = _Peer(path, _SUB, _PUB, timeout)

    def wait_alive(self, timeout=10):
        """From then on this subscriber is served: nng adds it only after it has
        greeted back."""
        deadline = time.monotonic() + timeout
        while self.alive is None:
            try:
                self.recv(min(0.1, max(0, deadline - time.monotonic())))
            except BusTimeout:
                if time.monotonic() >= deadline:
                    raise
        return self

    def _message(self, deadline):
        while True:
            try:
                body = self._peer._receive(deadline)
            except BusTimeout:
                raise
            except BusError:
                self._peer.connect_again(deadline)
                self.reconnects += 1
                continue
            text = body.decode('utf-8')
            if text.startswith('bus.alive '):
                self.alive = json.loads(text.split(' ', 1)[1])['seq']
            elif any(text.startswith(p) for p in self.prefixes):
                topic, _, rest = text.partition(' ')
                return Event(topic, json.loads(rest))

    def recv(self, timeout=10):
        """The next event from the bus, also put into history."""
        event = self._message(time.monotonic() + timeout)
        self.history.append(event)
        return event

    def expect(self, type, endpoint=None, timeout=10, **members):
        """The next event of this type (and endpoint, and members), looking
        first at what was received since the last one that was expected."""
        deadline = time.monotonic() + timeout
        while True:
            while self._next < len(self.history):
                event = self.history[self._next]
                self._next += 1
                if self._is(event, type, endpoint, members):
                    return event
            try:
                self.recv(max(0, deadline - time.monotonic()))
            except BusTimeout as e:
                seen = ' '.join(x.topic for x in self.history[-20:])
                raise BusTimeout(f'no {type} {endpoint or ""} {members} '
                                 f'within {timeout} s; last: {seen}') from e

    def absent(self, type, endpoint=None, during=1, **members):
        """Fails if such an event comes within the time (or came unseen)."""
        try:
            event = self.expect(type, endpoint, during, **members)
        except BusTimeout:
            return
        raise BusError(f'unexpected: {event.topic} {dict(event)}')

    def find(self, type=None, endpoint=None, **members):
        """All such events in history."""
        return [x for x in self.history
                if self._is(x, type, endpoint, members)]

    def gaps(self):
        """Pairs of neighbouring numbers in history with others between; only
        of meaning with the prefix ''."""
        n = [x['seq'] for x in self.history]
        return [(a, b) for a, b in zip(n, n[1:]) if b != a + 1]

    @staticmethod
    def _is(event, type, endpoint, members):
        return (type is None or event.get('event') == type) and \
            (endpoint is None or event.get('endpoint') == endpoint) and \
            all(event.get(k) == v for k, v in members.items())

    def fileno(self):
        """For select()."""
        return self._peer.fileno()

    def close(self):
        """Ends the connection."""
        self._peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Req:
    """A requester of snapshots.  Asks again over a new connection when the one
    it has ends: a question for the view can be repeated."""

    def __init__(self, path, timeout=10):
        self.path = path
        self._timeout = timeout
        self._id = int.from_bytes(os.urandom(3), 'big')
        self._peer = _Peer(path, _REQ, _REP, timeout)

    def _ask(self, body, deadline):
        self._id = (self._id + 1) & 0x7fffffff
        ident = struct.pack('>I', self._id | 0x80000000)
        self._peer._send(ident + body)
        while True:
            answer = self._peer._receive(deadline)
            if answer[:4] == ident:
                return answer[4:]

    def ask_raw(self, body, timeout=None):
        """Sends bytes, returns the answer's bytes."""
        deadline = time.monotonic() + (timeout or self._timeout)
        while True:
            try:
                return self._ask(body, deadline)
            except BusTimeout:
                raise
            except (BusError, OSError):
                self._peer.connect_again(deadline)

    def ask(self, get, timeout=None, **members):
        """One answer as a dictionary; look for 'error' in it."""
        request = json.dumps({'get': get, **members}).encode()
        return json.loads(self.ask_raw(request, timeout))

    def endpoints(self, **members):
        """All endpoints, page by page."""
        found = []
        while True:
            page = self.ask('endpoints', **members)
            if 'error' in page:
                raise BusError(str(page['error']))
            found += page['endpoints']
            if 'next' not in page:
                return found
            members['after'] = page['next']

    def close(self):
        """Ends the connection."""
        self._peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
