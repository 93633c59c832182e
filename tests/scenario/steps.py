#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that break off, send nonsense or dawdle at each step from the connect
to the hello (issue 2, "When things go wrong").  After each the daemon serves as
before, and at the end nothing is left of them."""
import os
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Closed, Device, WebSocket, check, connect,  # noqa: E402
                     equal, main, wait_until)
import peers  # noqa: E402

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
PROXY = b'PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n'


def hello_text(d, endpoint='stranger'):
    return ('{"jsonrpc":"2.0","id":1,"method":"hello","params":{"endpoint":'
            '"%s","auth":{"method":"token","token":"%s"}}}'
            % (endpoint, d.token(endpoint))).encode()


# Each step leaves a connection in one state.  Returns (socket, what an honest
# peer would send next, in bytes on the wire).

def step_tcp(d, version):
    sock = connect(d.address())
    tls = peers.Tls(sock, d.scene.client_context(version=version))
    tls.step()
    return sock, tls.outgoing.read()


def step_proxy(d, version):
    del version
    return connect(d.address('proxied')), PROXY


def step_after_proxy(d, version):
    sock = connect(d.address('proxied'))
    sock.sendall(PROXY)
    tls = peers.Tls(sock, d.scene.client_context(version=version))
    tls.step()
    return sock, tls.outgoing.read()


def step_client_hello(d, version):
    sock, flight = step_tcp(d, version)
    half = len(flight) // 2
    sock.sendall(flight[:half])
    return sock, flight[half:]


def step_handshake(d, version):
    tls = peers.Tls(connect(d.address()),
                    d.scene.client_context(version=version))
    while True:
        done = tls.step()
        out = tls.outgoing.read()
        if done or (version == V12 and tls.sent_hello):
            return tls, out
        tls.sock.sendall(out)
        tls.sent_hello = bool(out) or tls.sent_hello
        tls.feed()


def step_tls(d, version):
    tls = peers.tls(d.scene, d.address(), version)
    return tls, tls.wrap(peers.request())


def step_http(d, version):
    tls = peers.tls(d.scene, d.address(), version)
    tls.sendall(peers.request()[:60])
    return tls, tls.wrap(peers.request()[60:])


def step_plain(d, version):
    del version
    return connect(d.address('plain')), peers.request()


def step_plain_http(d, version):
    sock, text = step_plain(d, version)
    sock.sendall(text[:60])
    return sock, text[60:]


def step_upgraded(d, version):
    tls = peers.tls(d.scene, d.address(), version)
    peers.websocket(tls)
    return tls, tls.wrap(WebSocket.frame(1, hello_text(d)))


def step_hello(d, version):
    tls = peers.tls(d.scene, d.address(), version)
    peers.websocket(tls)
    frame = WebSocket.frame(1, hello_text(d))
    tls.sendall(frame[:40])
    return tls, tls.wrap(frame[40:])


STEPS = [f for n, f in list(globals().items()) if n.startswith('step_')]
TLS_STEPS = [f for f in STEPS if 'plain' not in f.__name__ and
             f is not step_proxy]


def start(scene, timeout='10s'):
    d = scene.daemon(conf={
        'limits': {'handshake_timeout': timeout, 'http_timeout': timeout,
                   'auth_timeout': timeout},
        'listener.proxied': {'address': '127.0.0.1:0', 'proxy': 'required',
                             'trusted_proxies': '127.0.0.0/8'},
        'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'}})
    for endpoint in ('witness', 'stranger', 'normal'):
        d.token(endpoint)
    d.start()
    d.witness = Device(d, 'witness')
    d.events = d.bus()
    normal(d)       # the first of everything: caches and pools are made
    d.files = wait_files(d)
    return d


def wait_files(d):
    """The number of descriptors when nothing moves any more."""
    last = [0, 0]

    def steady():
        n = d.open_files()
        last[1] = last[1] + 1 if n == last[0] else 0
        last[0] = n
        return last[1] >= 5
    wait_until('steady descriptors', steady)
    return last[0]


def normal(d):
    device = Device(d, 'normal')
    equal(device.call('state', {'power': 'on'}), {}, 'state')
    equal(device.close()[0], 1000, 'close')


def still_serves(d):
    equal(d.witness.call('state', {'power': 'on'}), {}, 'the live channel')
    normal(d)


def settle(d):
    """Nothing of the strangers is left, and it ends well."""
    wait_until('descriptors as at the start',
               lambda: d.open_files() <= d.files, 20)
    counted = d.counters()
    equal(counted['connections'], 1, 'connections')
    equal(counted['handshaking'], 0, 'handshakes')
    equal(counted['opened'] - counted['closed'], 1, 'channels')
    d.witness.close()
    d.stop()
    return counted


def each(d, fault, steps=None, versions=(V12, V13)):
    n = 0
    for step in steps or STEPS:
        for version in versions if step in TLS_STEPS else (None,):
            try:
                fault(*step(d, version))
            except (AssertionError, OSError, Closed) as e:
                raise AssertionError(f'{step.__name__} {version}: {e}') from e
            still_serves(d)
            n += 1
    return n


# ---- faults -----------------------------------------------------------------

def test_reset(scene):
    """a reset at any step leaves nothing behind"""
    d = start(scene)
    each(d, lambda sock, rest: peers.reset(sock))
    counted = settle(d)
    check(counted['handshakes_failed'] >= 5, str(counted))
    check(counted['http_failed'] >= 3, str(counted))


def test_reset_with_data(scene):
    """a reset behind half of what was due leaves nothing behind"""
    def fault(sock, rest):
        peers.raw(sock).sendall(rest[:len(rest) // 2])
        peers.reset(sock)
    d = start(scene)
    each(d, fault)
    settle(d)


def test_end(scene):
    """a connection that just ends at any step is ended by the daemon too"""
    def fault(sock, rest):
        peers.raw(sock).close()
    d = start(scene)
    each(d, fault)
    settle(d)


def test_truncated(scene):
    """an end in the middle of a record or line is ended, not waited for"""
    def fault(sock, rest):
        peers.raw(sock).sendall(rest[:len(rest) // 2])
        peers.raw(sock).shutdown(socket.SHUT_WR)
        took = peers.wait_end(sock)
        check(took < 8, f'took {took} s, which is near the deadline')
        sock.close()
    d = start(scene)
    each(d, fault)
    settle(d)


def test_half_close(scene):
    """a peer that ends its direction at any step is let go at once"""
    def fault(sock, rest):
        peers.raw(sock).shutdown(socket.SHUT_WR)
        took = peers.wait_end(sock)
        check(took < 8, f'took {took} s, which is near the deadline')
        sock.close()
    d = start(scene)
    each(d, fault)
    settle(d)


def test_half_close_answered(scene):
    """a plain request followed by a half-close still gets its answer"""
    d = start(scene)
    sock = connect(d.address('plain'))
    sock.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    sock.shutdown(socket.SHUT_WR)
    got = b''
    while True:
        more = sock.recv(4096)
        if not more:
            break
        got += more
    check(got.startswith(b'HTTP/1.1 200'), repr(got[:80]))
    sock.close()
    still_serves(d)
    settle(d)


def test_garbage(scene):
    """random bytes at any step end that connection and no other"""
    def fault(sock, rest):
        for seed in range(3):
            try:
                peers.raw(sock).sendall(peers.garbage(500, seed))
            except OSError:
                break
        took = peers.wait_end(sock)
        sock.close()
        # Random bytes can announce a long record, which ends at the deadline.
        check(took < 15, f'took {took} s')
    d = start(scene, '2s')
    each(d, fault)
    counted = settle(d)
    check(counted['refused_proxy'] >= 1, str(counted))
    check(counted['handshakes_failed'] >= 4, str(counted))


def test_garbage_inside(scene):
    """nonsense inside TLS gets an answer: 400, or a close with its code"""
    d = start(scene)
    for version in (V12, V13):
        tls = peers.tls(scene, d.address(), version)
        tls.sendall(peers.garbage(40, 7) + b'\r\n\r\n')
        answer = tls.recv(4096)
        check(answer.startswith(b'HTTP/1.') and b' 400 ' in answer[:16] or
              answer == b'', repr(answer[:60]))
        peers.reset(tls)
        ws = peers.websocket(peers.tls(d.scene, d.address(), version))
        ws.sock.sendall(b'\xff' * 64)
        equal(ws.expect_close()[0], 1002, 'close of a bad frame')
        peers.wait_end(ws.sock)
        ws.sock.close()
        still_serves(d)
    check(settle(d)['protocol_errors'] >= 2, 'counted')


def test_garbage_below(scene):
    """a record that does not decrypt ends a live channel as a protocol error"""
    d = start(scene)
    for version in (V12, V13):
        device = peers.websocket(peers.tls(d.scene, d.address(), version))
        device.send(hello_text(d).decode())
        d.events.expect('endpoint.online', 'stranger')
        peers.raw(device.sock).sendall(b'\x17\x03\x03\x00\x40' + b'x' * 64)
        event = d.events.expect('endpoint.disconnected', 'stranger')
        equal(event['reason'], 'protocol-error')
        peers.wait_end(device.sock)
        device.sock.close()
        still_serves(d)
    settle(d)


def test_end_of_a_live_channel(scene):
    """reset, end and truncation of a live channel are told apart"""
    def live(version):
        ws = peers.websocket(peers.tls(d.scene, d.address(), version))
        ws.send(hello_text(d).decode())
        d.events.expect('endpoint.online', 'stranger')
        while b'"result"' not in ws.recv().encode():
            pass
        return ws

    def ended(reasons):
        event = d.events.expect('endpoint.disconnected', 'stranger')
        check(event['reason'] in reasons, f'{event["reason"]} {reasons}')

    d = start(scene)
    for version in (V12, V13):
        peers.reset(live(version).sock)
        ended(['reset'])
        ws = live(version)
        ws.sock.close()
        ended(['peer-close', 'protocol-error', 'reset'])
        ws = live(version)
        record = ws.sock.wrap(WebSocket.frame(1, b'{}'))
        ws.sock.sock.sendall(record[:-3])
        ws.sock.close()
        ended(['peer-close', 'protocol-error', 'reset'])
        ws = live(version)
        ws.close()
        ended(['peer-close'])
        still_serves(d)
    settle(d)


def test_slow(scene):
    """single bytes now and then gain no time, at any step"""
    failures, times = [], []

    def dawdle(step, version):
        try:
            sock, rest = step(d, version)
            took = peers.trickle(sock, rest, pause=0.1)
            times.append((step.__name__, took))
            sock.close()
        except BaseException as e:
            failures.append(f'{step.__name__} {version}: {e!r}')

    d = start(scene, '2s')
    threads = [threading.Thread(target=dawdle, args=(step, version))
               for step in STEPS for version in
               ((V12, V13) if step in TLS_STEPS else (None,))]
    begin = time.monotonic()
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        still_serves(d)
        time.sleep(0.1)
    for t in threads:
        t.join()
    equal(failures, [])
    for name, took in times:
        check(1 <= took <= 12, f'{name} took {took} s with a limit of 2 s')
    check(time.monotonic() - begin < 40, 'all together')
    counted = settle(d)
    check(counted['handshake_timeouts'] >= 8, str(counted))
    check(counted['http_timeouts'] >= 5, str(counted))
    check(counted['auth_timeouts'] >= 4, str(counted))


def test_slow_records(scene):
    """a byte per TLS record gains no time either"""
    d = start(scene, '2s')
    tls = peers.tls(scene, d.address(), V13)
    begin = time.monotonic()
    for byte in peers.request() * 3:
        try:
            tls.sendall(bytes([byte]))
        except OSError:
            break
        if time.monotonic() - begin > 20:
            break
        time.sleep(0.05)
    took = time.monotonic() - begin
    check(1 <= took < 12, f'HTTP: {took} s with a limit of 2 s')
    tls.close()
    ws = peers.websocket(peers.tls(scene, d.address(), V13))
    begin = time.monotonic()
    ws.sock.settimeout(0.05)
    code = None
    for byte in WebSocket.frame(1, b' ' * 1000):
        ws.sock.sendall(bytes([byte]))
        try:
            ws.recv()
        except TimeoutError:
            pass
        except Closed as e:
            code = e.code
            break
    equal(code, 4002, 'close of a late hello')
    took = time.monotonic() - begin
    check(1 <= took < 12, f'hello: {took} s with a limit of 2 s')
    ws.sock.close()
    still_serves(d)
    settle(d)


def test_silence(scene):
    """who says nothing is ended at the deadline of the step"""
    d = start(scene, '1s')
    open_ones = [step(d, V13) for step in STEPS]
    for (sock, _), step in zip(open_ones, STEPS):
        took = peers.wait_end(sock)
        check(took < 10, f'{step.__name__} took {took} s')
        sock.close()
    still_serves(d)
    counted = settle(d)
    equal(counted['handshake_timeouts'], 5, 'handshake_timeouts')
    equal(counted['http_timeouts'], 4, 'http_timeouts')
    equal(counted['auth_timeouts'], 2, 'auth_timeouts')


main()
