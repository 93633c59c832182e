#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP, PROXY headers and every kind of listener of the real daemon."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
from harness import (Device, Skip, WebSocket, check, connect,  # noqa: E402
                     equal, wait_until)
from tls_tools import Relay     # noqa: E402
from ws_cases import TEXT, frame     # noqa: E402

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
UPGRADE = {'Host': 'localhost', 'Upgrade': 'websocket',
           'Connection': 'Upgrade', 'Sec-WebSocket-Version': '13',
           'Sec-WebSocket-Key': KEY}


def start(scene, **sections):
    d = scene.daemon(conf={'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no'}, **sections})
    d.token('dev-1')
    return d.start()


class Http:
    """One connection, and requests made of exactly the given octets."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    def ask(self, data):
        """(status, headers, body); (0, {}, b'') when it was just closed."""
        try:
            self.sock.sendall(data)
        except ConnectionError:
            pass
        return self.answer()

    def more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionError:
            got = b''
        self.buffer += got
        return got

    def answer(self):
        while b'\r\n\r\n' not in self.buffer:
            if not self.more():
                return 0, {}, bytes(self.buffer)
        head, rest = bytes(self.buffer).split(b'\r\n\r\n', 1)
        first, *lines = head.decode('latin-1').split('\r\n')
        headers = {}
        for line in lines:
            name, value = line.split(': ', 1)
            headers[name.lower()] = value
        n = int(headers.get('content-length', 0))
        while len(rest) < n:
            check(self.more(), 'the body is cut')
            rest = bytes(self.buffer).split(b'\r\n\r\n', 1)[1]
        self.buffer = bytearray(rest[n:])
        return int(first.split()[1]), headers, rest[:n]

    def closed(self):
        return not self.buffer and not self.more()


def http(d, listener='plain'):
    sock = connect(d.address(listener))
    if listener == 'main':
        sock = d.scene.client_context().wrap_socket(
            sock, server_hostname='localhost')
    return Http(sock)


def request(method='GET', target='/healthz', version='HTTP/1.1', body='',
            **headers):
    lines = [f'{method} {target} {version}']
    lines += [f'{k.replace("_", "-")}: {v}'
              for k, v in (headers or {'Host': 'localhost'}).items()]
    return ('\r\n'.join(lines) + '\r\n\r\n' + body).encode('latin-1')


def upgrade(target='/echo', method='GET', version='HTTP/1.1', extra='',
            **changes):
    """An upgrade request; None leaves a header out."""
    headers = dict(UPGRADE)
    headers.update({k.replace('_', '-'): v for k, v in changes.items()})
    lines = [f'{method} {target} {version}']
    lines += [f'{k}: {v}' for k, v in headers.items() if v is not None]
    return ('\r\n'.join(lines) + '\r\n' + extra + '\r\n').encode('latin-1')


def both(d):
    return ((how, lambda how=how: http(d, how)) for how in ('plain', 'main'))


def status(d, data, listener='plain'):
    """The status of one request on a connection of its own."""
    h = http(d, listener)
    try:
        return h.ask(data)[0]
    finally:
        h.sock.close()


# ---- requests ---------------------------------------------------------------

def test_paths(scene):
    """healthz, readyz and what is not there; GET, HEAD, keep-alive"""
    d = start(scene)
    for how, new in both(d):
        h = new()
        for _ in range(3):
            got = h.ask(request())
            equal((got[0], got[2]), (200, b'ok\n'), f'/healthz {how}')
            got = h.ask(request(target='/readyz'))
            equal((got[0], got[2]), (200, b'ready\n'), f'/readyz {how}')
            equal(h.ask(request(target='/healthz?x=1'))[0], 200, 'query')
            for target in ('/', '/nothing', '/healthz/', '/HEALTHZ',
                           '/.well-known/acme-challenge/',
                           '/.well-known/acme-challenge/none'):
                equal(h.ask(request(target=target))[0], 404, target)
        h.sock.sendall(request('HEAD') + request(target='/readyz'))
        while b'ready\n' not in h.buffer:
            check(h.more(), 'HEAD ended the connection')
        check(b'ok\n' not in h.buffer, 'HEAD has a body')
        h.sock.close()
        h = new()
        got = h.ask(request(Host='x', Connection='close'))
        equal(got[0], 200, how)
        check(h.closed(), 'Connection: close')


def test_pipelined(scene):
    """requests that come together, or octet by octet"""
    d = start(scene)
    for how, new in both(d):
        h = new()
        h.sock.sendall(request() * 5)
        for _ in range(5):
            equal(h.answer()[0], 200, how)
        h.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in request():
            h.sock.sendall(bytes([octet]))
        equal(h.answer()[0], 200, how)
        h.sock.close()


def test_bodies(scene):
    """a body that nobody asked for: an answer, then the end"""
    d = start(scene)
    for how, new in both(d):
        for fields in ({'Content_Length': '5'},
                       {'Content_Length': '5', 'Expect': '100-continue'},
                       {'Transfer_Encoding': 'chunked'}):
            body = '5\r\nhello\r\n0\r\n\r\n' \
                if 'Transfer_Encoding' in fields else 'hello'
            h = new()
            equal(h.ask(request(body=body, Host='x', **fields))[0], 200,
                  f'{fields} {how}')
            h.sock.close()
            h = new()
            lines = ''.join(f'{k.replace("_", "-")}: {v}\r\n'
                            for k, v in fields.items())
            equal(h.ask(upgrade(extra=lines) + body.encode())[0], 400,
                  f'an upgrade with {fields} {how}')
            h.sock.close()
        equal(status(d, upgrade(extra='Content-Length: 0\r\n')), 101,
              'no body at all')


def test_behind_requests(scene):
    """an upgrade behind requests, and frames right behind it"""
    d = start(scene)
    message = frame(TEXT, b'early bird')
    for how, new in both(d):
        h = new()
        h.sock.sendall(request() * 2 + upgrade('/nothing') + upgrade() +
                       message * 2)
        for wanted in (200, 200, 404, 101):
            equal(h.answer()[0], wanted, how)
        while h.buffer.count(b'early bird') < 2:
            check(h.more(), 'the end instead of the echoes')
        h.sock.close()


def test_methods(scene):
    """another method than GET or HEAD gets 405 and Allow"""
    d = start(scene)
    for how, new in both(d):
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'BREW'):
            h = new()
            got = h.ask(request(method))
            equal(got[0], 405, f'{method} {how}')
            equal(got[1].get('allow'), 'GET, HEAD', 'Allow')
            h.sock.close()
        h = new()
        got = h.ask(request('POST', body='x' * 100, Host='x',
                            Content_Length='100'))
        equal(got[0], 405, f'a body {how}')
        h.sock.close()


def test_targets(scene):
    """targets: absolute, without slash, empty, asterisk, escaped, long"""
    d = start(scene)
    for how, new in both(d):
        for target, wanted in (
                ('http://localhost/healthz', 200),
                ('https://localhost:8443/healthz?x', 200),
                ('http://localhost', 404), ('http://', 404),
                ('healthz', 404), ('*', 404), ('?', 404), ('//', 404),
                ('://', 404), ('/%68ealthz', 404), ('/' + 'x' * 4000, 404)):
            h = new()
            equal(h.ask(request(target=target))[0], wanted,
                  f'{target[:30]} {how}')
            h.sock.close()
        for data in (b'GET  HTTP/1.1\r\nHost: x\r\n\r\n',
                     b'GET HTTP/1.1\r\nHost: x\r\n\r\n',
                     b'GET\r\nHost: x\r\n\r\n', b'GET \r\n\r\n',
                     b' \r\n\r\n', b'\0\0\0\0\r\n\r\n'):
            h = new()
            got = h.ask(data)[0]
            check(got in (0, 400, 404, 405), f'{data!r}: {got} {how}')
            h.sock.close()
        equal(new().ask(request())[0], 200, 'and it lives')


def test_upgrade_targets(scene):
    """upgrades: each form of a target finds its path, or the default"""
    d = start(scene, **{'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no',
        'default_protocol': 'echo'}})
    for listener, others in (('main', 404), ('plain', 101)):
        for target, wanted in (('/echo', 101), ('/echo?a=b', 101),
                               ('http://localhost/echo', 101),
                               ('wss://localhost:1/echo?x', 101),
                               ('/nothing', others), ('echo', others),
                               ('', others), ('http://localhost', others),
                               ('*', others), ('/echo/', others)):
            equal(status(d, upgrade(target), listener), wanted,
                  f'{target!r} on {listener}')
    ws = WebSocket(connect(d.address('plain')), 'x', path='')
    ws.send('there')
    equal(ws.recv(), 'there', 'the echo')
    ws.close()


def test_upgrade_refusals(scene):
    """an upgrade that is not one is refused with the right status"""
    d = start(scene)
    again = 'Sec-WebSocket-Key: ' + KEY + '\r\n'
    for data, wanted in (
            (upgrade(), 101),
            (upgrade(Upgrade='WebSocket', Connection='keep-alive, UPGRADE'),
             101),
            (upgrade(method='POST'), 405), (upgrade(version='HTTP/1.0'), 400),
            (upgrade(Sec_WebSocket_Version='12'), 426),
            (upgrade(Sec_WebSocket_Version=None), 426),
            (upgrade(Sec_WebSocket_Version='013'), 426),
            (upgrade(extra='Sec-WebSocket-Version: 13\r\n'), 400),
            (upgrade(Connection=None), 400),
            (upgrade(Connection='keep-alive'), 400),
            (upgrade(Sec_WebSocket_Key=None), 400),
            (upgrade(Sec_WebSocket_Key='short'), 400),
            (upgrade(Sec_WebSocket_Key=KEY[:-1]), 400),
            (upgrade(Sec_WebSocket_Key='!' * 22 + '=='), 400),
            (upgrade(extra=again), 400), (upgrade(Host=None), 400),
            (upgrade(extra='Host: other\r\n'), 400),
            (upgrade(extra='Origin: https://evil.example\r\n'), 403),
            (upgrade('/nothing'), 404),
            (upgrade(extra='Sec-WebSocket-Protocol: a, b, a\r\n'), 400),
            (upgrade(extra='Sec-WebSocket-Protocol: a b\r\n'), 400),
            (upgrade(Upgrade=None), 404)):
        equal(status(d, data), wanted, data.decode())
    h = http(d)
    got = h.ask(upgrade(Sec_WebSocket_Version='8'))
    equal(got[1].get('sec-websocket-version'), '13', 'the version we speak')


def test_origin(scene):
    """an Origin is refused unless it is listed"""
    d = start(scene, **{'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no',
        'origins': 'https://a.example, http://b.example:8080'}})
    for origin, wanted in (('https://a.example', 101),
                           ('http://b.example:8080', 101),
                           ('http://a.example', 403),
                           ('https://a.example.evil', 403),
                           ('http://b.example', 403), ('null', 403),
                           ('', 403)):
        equal(status(d, upgrade(extra=f'Origin: {origin}\r\n')), wanted,
              origin)
        equal(status(d, upgrade(extra=f'Origin: {origin}\r\n'), 'main'), 403,
              origin)


def test_header_limit(scene):
    """a header beyond the limit gets 431, below it is served"""
    d = start(scene, limits={'http_header': '4KiB'})
    for how, new in both(d):
        for n, wanted in ((3800, 200), (5000, 431), (9000, 431),
                          (100000, 431), (1000000, 431)):
            for lines in (1, 20):
                h = new()
                filler = ''.join(f'X-{i}: {"x" * (n // lines)}\r\n'
                                 for i in range(lines))
                got = h.ask(b'GET /healthz HTTP/1.1\r\nHost: x\r\n' +
                            filler.encode() + b'\r\n')[0]
                # What is far too much is not read to its end, so the answer
                # may be lost on its way.
                check(got == wanted or (n > 9000 and got == 0),
                      f'{n} octets in {lines} lines: {got}, {how}')
                h.sock.close()
        h = new()
        got = h.ask(request(target='/' + 'x' * 5000))[0]
        check(got in (414, 431), f'a long target: {got}')
        h.sock.close()
        equal(new().ask(request())[0], 200, 'and it lives')


def test_garbage(scene):
    """what is not HTTP ends the connection, nothing else"""
    d = start(scene)
    for data in (os.urandom(3000), b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc',
                 b'\r\n' * 2000, b'GET / HTTP/9.9\r\n\r\n',
                 b'GET / HTTP/1.1\r\nHost x\r\n\r\n',
                 b'GET / HTTP/1.1\r\n: x\r\n\r\n',
                 b'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
                 b'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked'
                 b'\r\n\r\nZZ\r\n'):
        for how, new in both(d):
            h = new()
            h.sock.sendall(data)
            h.sock.shutdown(socket.SHUT_WR)
            while h.more():
                pass
            h.sock.close()
    equal(status(d, request()), 200, 'and it lives')


# ---- PROXY ------------------------------------------------------------------

V2 = b'\r\n\r\n\0\r\nQUIT\n'


def v2(command, family, body):
    return V2 + struct.pack('>BBH', 0x20 | command, family, len(body)) + body


def v4_body(ip, port):
    return socket.inet_aton(ip) + socket.inet_aton('192.0.2.99') + \
        struct.pack('>HH', port, 443)


def proxied(scene, tls='yes', trusted='127.0.0.1', **more):
    d = scene.daemon(conf={'listener.main': {
        'proxy': 'required', 'trusted_proxies': trusted, 'tls': tls}, **more})
    d.token('dev-1')
    return d.start()


def peer_of(d):
    with d.request() as r:
        found = [e for e in r.endpoints() if e['state'] == 'online']
    equal(len(found), 1, 'devices online')
    return found[0]['peer'], found[0]['security']


def test_proxy(scene):
    """PROXY v1 and v2: the announced address is the device's"""
    tlv = b'\x04\x00\x03abc'
    d = proxied(scene)
    v6 = socket.inet_pton(socket.AF_INET6, '2001:db8::7') + \
        socket.inet_pton(socket.AF_INET6, '2001:db8::1') + \
        struct.pack('>HH', 7777, 443)
    for prefix, peer in (
            (b'PROXY TCP4 192.0.2.7 192.0.2.1 5555 443\r\n',
             '192.0.2.7:5555'),
            (b'PROXY TCP6 2001:db8::7 2001:db8::1 5555 443\r\n',
             '[2001:db8::7]:5555'),
            (v2(1, 0x11, v4_body('198.51.100.9', 1234)), '198.51.100.9:1234'),
            (v2(1, 0x11, v4_body('198.51.100.9', 1234) + tlv),
             '198.51.100.9:1234'),
            (v2(1, 0x21, v6), '[2001:db8::7]:7777'),
            (b'PROXY UNKNOWN\r\n', None), (v2(0, 0, b''), None)):
        relay = Relay(scene, d.address(), prefix)
        device = Behind(d, relay)
        got, security = peer_of(d)
        if peer is not None:
            equal(got, peer, repr(prefix))
        equal(security, 'wss', 'nothing in the header is trusted further')
        device.close()


class Behind(Device):
    """A device that connects through a relay."""

    def __init__(self, d, relay, tls=True):
        class Shown:
            address = staticmethod(lambda listener: relay.address)
            scene, token = d.scene, d.token
        super().__init__(Shown, 'dev-1', tls=tls)


def test_proxy_plain(scene):
    """behind a proxy that ends TLS a token is good, wss-safe is not given"""
    d = proxied(scene, 'no')
    relay = Relay(scene, d.address(),
                  b'PROXY TCP4 192.0.2.7 192.0.2.1 5 4\r\n')
    device = Behind(d, relay, tls=False)
    peer, security = peer_of(d)
    equal(peer, '192.0.2.7:5', 'peer')
    check(security != 'wss-safe', security)
    device.close()


def test_proxy_refused(scene):
    """no header, a bad one, too long a one: closed without an answer"""
    d = proxied(scene, 'no')
    for data in (request(), b'PROXY TCP4 1.2.3.4\r\n' + request(),
                 b'PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n' + request(),
                 b'PROXY TCP4 ' + b'1' * 200, b'PROXY ' * 50,
                 b'proxy TCP4 1.2.3.4 5.6.7.8 1 1\r\n' + request(),
                 V2[:-1] + b'X' + request(),
                 v2(1, 0x11, b'short') + request(),
                 V2 + b'\x31\x11\x00\x0c' + v4_body('1.2.3.4', 1) + request(),
                 V2 + b'\x2f\x11\x00\x0c' + v4_body('1.2.3.4', 1) + request(),
                 os.urandom(300)):
        equal(plain_status(d, data), 0, repr(data[:60]))
    good = b'PROXY TCP4 1.2.3.4 5.6.7.8 1 1\r\n' + request()
    equal(plain_status(d, good), 200, 'a good one')


def plain_status(d, data):
    h = Http(connect(d.address('main')))
    try:
        return h.ask(data)[0]
    finally:
        h.sock.close()


def test_proxy_not_trusted(scene):
    """a header from who may not send one is worth nothing"""
    d = proxied(scene, 'no', trusted='192.0.2.0/24')
    good = b'PROXY TCP4 1.2.3.4 5.6.7.8 1 1\r\n' + request()
    equal(plain_status(d, good), 0, 'from 127.0.0.1')


def test_proxy_octets(scene):
    """a header octet by octet, and together with all that follows"""
    d = proxied(scene, 'no')
    data = v2(1, 0x11, v4_body('198.51.100.9', 1234)) + request()
    equal(plain_status(d, data), 200, 'together')
    sock = connect(d.address('main'))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in data:
        sock.sendall(bytes([octet]))
    equal(Http(sock).answer()[0], 200, 'octet by octet')
    sock.close()


# ---- listeners --------------------------------------------------------------

def test_unix(scene):
    """a unix socket: HTTP, a device, made and removed by the daemon"""
    path = scene.path('cleat.sock')
    d = start(scene, **{'listener.local': {
        'address': f'unix:{path}', 'tls': 'no'}})
    equal(status(d, request(), 'local'), 200, 'HTTP')
    device = Device(d, 'dev-1', listener='local', tls=False)
    check('unix' in peer_of(d)[0], peer_of(d)[0])
    device.close()
    d.kill()
    check(os.path.exists(path), 'left behind by a crash')
    d.start()
    equal(status(d, request(), 'local'), 200, 'HTTP after a crash')
    d.stop()
    check(not os.path.exists(path), 'the socket is left behind')


def test_ipv6(scene):
    """IPv6, on its own and next to IPv4 with *"""
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError as e:
        raise Skip(f'no IPv6 here: {e}')
    d = start(scene, **{'listener.six': {'address': '[::1]:0'},
                        'listener.all': {'address': '*:0', 'tls': 'no'}})
    device = Device(d, 'dev-1', listener='six')
    check(peer_of(d)[0].startswith('[::1]:'), peer_of(d)[0])
    device.close()
    port = d.address('all')[1]
    for host in ('127.0.0.1', '::1'):
        h = Http(connect((host, port)))
        equal(h.ask(request())[0], 200, host)
        h.sock.close()


def test_systemd(scene):
    """sockets from systemd, by name; none of them is opened or unlinked"""
    path = scene.path('activated.sock')
    tcp = socket.create_server(('127.0.0.1', 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen()
    d = scene.daemon(conf={
        'listener.main': {'address': 'systemd:https'},
        'listener.local': {'address': 'systemd:local', 'tls': 'no'}})
    d.token('dev-1')
    # The shell becomes the daemon and keeps its pid.
    shell = 'exec env LISTEN_PID=$$ "$@"'
    original = d.command
    d.command = lambda *a: ['/bin/sh', '-c', shell, 'sh', *original(*a)]
    files = (unix.fileno(), tcp.fileno())

    def prepare():
        for i, f in enumerate(files):
            os.dup2(f, 100 + i)
        for i in range(len(files)):
            os.dup2(100 + i, 3 + i)
            os.close(100 + i)

    # Waiting in the queue before there is a daemon.
    early = connect(path)
    early.sendall(request())
    d.start(preexec_fn=prepare, pass_fds=(3, 4), env={
        'LISTEN_FDS': '2', 'LISTEN_FDNAMES': 'local:https'})
    equal(Http(early).answer()[0], 200, 'what came before the start')
    equal(d.address('main')[1], tcp.getsockname()[1], 'the port')
    Device(d, 'dev-1').close()
    h = Http(connect(path))
    equal(h.ask(request())[0], 200, 'the unix socket')
    h.sock.close()
    d.stop()
    check(os.path.exists(path), "systemd's socket was removed")
    early.close()
    tcp.close()
    unix.close()


def test_systemd_missing(scene):
    """a name that systemd did not give is an error that says so"""
    d = scene.daemon(conf={'listener.main': {'address': 'systemd:https'}})
    d.launch()
    equal(d.wait() != 0, True, 'it must not start')
    check(any('https' in line and 'error' in line for line in d.log),
          '\n'.join(d.log))


def test_no_descriptor_left(scene):
    """after all kinds of requests the daemon has the descriptors of before"""
    d = start(scene)
    at_start = d.open_files()
    for how, new in both(d):
        h = new()
        h.ask(request())
        h.sock.close()
    # The workers open a few things at their first connection.
    before = at_start + 4
    for how, new in both(d):
        for data in (request(), request('POST'), upgrade(), upgrade('/no'),
                     b'GET', b'', b'garbage\r\n\r\n'):
            h = new()
            h.sock.sendall(data)
            h.sock.close()
    wait_until('descriptors are closed', lambda: d.open_files() <= before)


if __name__ == '__main__':
    harness.main()
