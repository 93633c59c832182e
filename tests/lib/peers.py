# SPDX-License-Identifier: Apache-2.0
"""Peers that break off: a TLS client over a plain socket whose every byte on
the wire is in the hands of the test, and ways to end or misuse a connection.
Standard library only.
"""
import os
import random
import select
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, PATIENCE, WebSocket, connect  # noqa: E402


class Tls:
    """Like a socket, with TLS inside; the bytes below are in `outgoing` until
    flush() sends them."""

    def __init__(self, sock, context, name='localhost'):
        self.sock = sock
        self.sent_hello = False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing,
                                    server_hostname=name)

    def step(self):
        """One step of the handshake without the wire; True when done."""
        try:
            self.ssl.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def feed(self):
        data = self.sock.recv(65536)
        if not data:
            self.incoming.write_eof()
        else:
            self.incoming.write(data)
        return data

    def handshake(self):
        while not self.step():
            self.flush()
            if not self.feed():
                raise ConnectionError('ended in the handshake')
        self.flush()
        return self

    def wrap(self, data):
        """The records for data, unsent."""
        self.ssl.write(data)
        return self.outgoing.read()

    def sendall(self, data):
        self.sock.sendall(self.wrap(data))

    def recv(self, n):
        while True:
            try:
                return self.ssl.read(n)
            except ssl.SSLWantReadError:
                self.flush()
                if not self.feed():
                    return b''
            except ssl.SSLZeroReturnError:
                return b''

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def fileno(self):
        return self.sock.fileno()

    def setsockopt(self, *args):
        self.sock.setsockopt(*args)

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        self.sock.close()


def raw(sock):
    """The TCP socket below."""
    return sock.sock if isinstance(sock, Tls) else sock


def reset(sock):
    sock = raw(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack('ii', 1, 0))
    sock.close()


def garbage(n=300, seed=1):
    return random.Random(seed).randbytes(n)


def wait_end(sock, timeout=None):
    """Reads until the daemon ends the connection; seconds it took."""
    sock = raw(sock)
    start = time.monotonic()
    deadline = start + (timeout or PATIENCE)
    sock.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            if not sock.recv(65536):
                return time.monotonic() - start
        except socket.timeout:
            continue
        except OSError:
            return time.monotonic() - start
    raise Failure('the daemon never ended the connection')


def trickle(sock, data, pause=0.02, timeout=None):
    """Sends data byte by byte until the daemon ends the connection, over and
    over the last byte; seconds it took."""
    sock = raw(sock)
    start = time.monotonic()
    deadline = start + (timeout or PATIENCE)
    at = 0
    while time.monotonic() < deadline:
        try:
            sock.send(data[at:at + 1] or data[-1:])
            at += 1
            if select.select([sock], [], [], pause)[0] and \
                    not sock.recv(65536):
                return time.monotonic() - start
        except OSError:
            return time.monotonic() - start
    raise Failure('the daemon never ended the connection')


def request(path='/v1/channel', subprotocol='cleat.v1.jsonrpc', extra=()):
    lines = [f'GET {path} HTTP/1.1', 'Host: localhost', 'Upgrade: websocket',
             'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
             'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
             f'Sec-WebSocket-Protocol: {subprotocol}', *extra, '', '']
    return '\r\n'.join(lines).encode()


def tls(scene, address, version=None, proxy=None, cert=None):
    """A finished handshake."""
    sock = connect(address)
    if proxy:
        sock.sendall(proxy)
    return Tls(sock, scene.client_context(cert, version)).handshake()


def websocket(sock, path='/v1/channel', subprotocol='cleat.v1.jsonrpc'):
    ws = WebSocket(sock, 'localhost', path, subprotocol=subprotocol)
    if ws.status != 101:
        raise Failure(f'HTTP {ws.status}')
    return ws
