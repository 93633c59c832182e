#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whose bytes, whose policy: what one connection leaves behind is never taken
for another's, and a listener keeps its own rules for client certificates."""
import os
import socket
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
from harness import (check, connect, equal, main, wait_until)  # noqa: E402


def proxied(address, source, then=b''):
    sock = connect(address)
    sock.sendall(f'PROXY TCP4 {source} 192.0.2.1 1000 80\r\n'.encode() + then)
    return sock


def counted(daemon, source):
    """Waits until the connection of `source` has a place of its own: one more
    is refused."""
    def full():
        with proxied(daemon.address(), source) as sock:
            sock.settimeout(1)
            try:
                return sock.recv(1) == b''
            except socket.timeout:
                return False
            except ConnectionError:
                return True
    wait_until(f'{source} is at its limit', full)


def test_refused_bytes(scene):
    """what came behind a refused PROXY header reaches no other connection"""
    daemon = scene.daemon(conf={
        'daemon': {'workers': '1'},
        'listener.main': {'tls': 'no', 'proxy': 'required',
                          'trusted_proxies': '127.0.0.1'},
        'limits': {'connections_per_address': '1'}}).start()
    address = daemon.address()
    victim = proxied(address, '10.0.0.1', b'GET /hea')
    first = proxied(address, '10.0.0.2', b'GET /')
    counted(daemon, '10.0.0.1')
    counted(daemon, '10.0.0.2')
    evil = proxied(address, '10.0.0.2', b'rth HTTP/1.1\r\nHost: e\r\n\r\n')
    equal(evil.recv(1000), b'', 'one too many of its address')
    victim.sendall(b'lthz HTTP/1.1\r\nHost: v\r\n\r\n')
    status = victim.recv(1000).split(b'\r\n')[0]
    equal(status, b'HTTP/1.1 200 OK', 'the answer to the victim')
    first.close()


def answers(scene, daemon, listener):
    sock = connect(daemon.address(listener))
    try:
        sock = scene.client_context().wrap_socket(
            sock, server_hostname='localhost')
        sock.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
        return sock.recv(100).startswith(b'HTTP/1.1 200')
    except OSError:
        return False
    finally:
        sock.close()


def test_listeners_in_another_order(scene):
    """a reload never gives a listener the client_auth of another"""
    daemon = scene.daemon()
    daemon.configure({
        'listener.main': None,
        'listener.strict': {'address': '127.0.0.1:0',
                            'client_auth': 'required',
                            'ca_file': scene.pki.ca},
        'listener.open': {'address': '127.0.0.1:0'}})
    daemon.start()
    for _ in range(2):
        check(not answers(scene, daemon, 'strict'),
              'the strict listener took a client without a certificate')
        check(answers(scene, daemon, 'open'), 'the open listener answers')
        strict = daemon.conf.pop('listener.strict')
        daemon.configure({'listener.strict': strict})
        daemon.reload()


class Wire:
    """TLS whose records a test sends and sees itself."""

    def __init__(self, scene, daemon):
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = scene.client_context().wrap_bio(
            self.inward, self.outward, server_hostname='localhost')
        self.sock = connect(daemon.address())
        self.step(self.tls.do_handshake)

    def step(self, what):
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outward.read())
                self.inward.write(self.sock.recv(65536))

    def request(self, text):
        self.tls.write(text.encode())

    def end(self):
        """Sends what waits and close_notify; all that comes then."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.sock.sendall(self.outward.read())
        got = b''
        while True:
            more = self.sock.recv(65536)
            if not more:
                return got
            got += more


def test_request_and_end(scene):
    """a request with close_notify right behind it is answered"""
    wire = Wire(scene, scene.daemon().start())
    wire.request('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    wire.inward.write(wire.end())
    try:
        got = wire.tls.read(1000)
    except ssl.SSLError:
        got = b''
    check(got.startswith(b'HTTP/1.1 200'), f'the answer: {got!r}')


def test_both_ends(scene):
    """a channel whose device ends TLS alone is answered with close_notify"""
    wire = Wire(scene, scene.daemon().start())
    wire.request('GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
                 'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
    head = wire.step(lambda: wire.tls.read(1000))
    check(head.startswith(b'HTTP/1.1 101'), f'the upgrade: {head!r}')
    # TLS 1.3: header, alert, type, tag.
    equal(len(wire.end()), 5 + 2 + 1 + 16, 'bytes after our close_notify')


main()
