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


def test_request_and_end(scene):
    """a request with close_notify right behind it is answered"""
    daemon = scene.daemon().start()
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = scene.client_context().wrap_bio(inward, outward,
                                          server_hostname='localhost')
    sock = connect(daemon.address())
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outward.read())
            inward.write(sock.recv(65536))
    tls.write(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    sock.sendall(outward.read())
    while True:
        more = sock.recv(65536)
        if not more:
            break
        inward.write(more)
    try:
        got = tls.read(1000)
    except ssl.SSLError:
        got = b''
    check(got.startswith(b'HTTP/1.1 200'), f'the answer: {got!r}')


main()
