# SPDX-License-Identifier: Apache-2.0
"""cleat-agent as a process, and a server that does what a test says."""
import base64
import hashlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import (BUILDDIR, CLOSE, PATIENCE, PING, PONG, TEXT, Closed,
                     Failure, Skip, WebSocket, check, equal, wait_until)

NONCE = '5a' * 32


class Peer(WebSocket):
    """The server's end of one channel."""

    def __init__(self, sock):
        super().__init__(sock, '', upgrade=False)
        while b'\r\n\r\n' not in self.buffer:
            more = sock.recv(65536)
            if not more:
                raise Closed(1006)
            self.buffer += more
        head, _, rest = bytes(self.buffer).partition(b'\r\n\r\n')
        self.buffer = bytearray(rest)
        key = re.search(rb'Sec-WebSocket-Key: (\S+)', head).group(1)
        accept = base64.b64encode(hashlib.sha1(
            key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
        sock.sendall(b'HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n'
                     b'Connection: Upgrade\r\nSec-WebSocket-Accept: ' +
                     accept + b'\r\nSec-WebSocket-Protocol: '
                     b'cleat.v1.jsonrpc\r\n\r\n')
        self.counter = 0
        self.notify('challenge', {'nonce': NONCE})

    def send_frame(self, opcode, payload):
        self.sock.sendall(self.frame(opcode, payload, mask=None))

    def recv_frame(self):
        self._need(2)
        first, n = self.buffer[0], self.buffer[1]
        check(n >= 128, 'a device masks')
        n -= 128
        at = 2
        if n == 126:
            self._need(4)
            n, at = int.from_bytes(self.buffer[2:4], 'big'), 4
        elif n == 127:
            self._need(10)
            n, at = int.from_bytes(self.buffer[2:10], 'big'), 10
        self._need(at + 4 + n)
        mask = self.buffer[at:at + 4]
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(
            self.buffer[at + 4:at + 4 + n]))
        del self.buffer[:at + 4 + n]
        return first & 15, body

    def get(self):
        """The next message as an object."""
        while True:
            opcode, payload = self.recv_frame()
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], 'big'))
            elif opcode == TEXT:
                return json.loads(payload)

    def expect(self, method):
        """The next call of this method; others are answered with {}."""
        while True:
            m = self.get()
            if m.get('method') == method:
                return m
            if 'id' in m and 'method' in m:
                self.result(m, {})

    def send_json(self, o):
        self.send_frame(TEXT, json.dumps(o).encode())

    def notify(self, method, params):
        self.send_json({'jsonrpc': '2.0', 'method': method,
                        'params': params})

    def result(self, m, result):
        self.send_json({'jsonrpc': '2.0', 'id': m['id'], 'result': result})

    def error(self, m, code, **data):
        self.send_json({'jsonrpc': '2.0', 'id': m['id'], 'error': {
            'code': code, 'message': 'no', 'data': data}})

    def end(self, code):
        self.send_frame(CLOSE, code.to_bytes(2, 'big'))
        self.sock.close()

    def call(self, method, params):
        """Our request's answer."""
        self.counter += 1
        self.send_json({'jsonrpc': '2.0', 'id': self.counter,
                        'method': method, 'params': params})
        while True:
            m = self.get()
            if 'method' not in m and m.get('id') == self.counter:
                return m
            if 'id' in m and 'method' in m:
                self.result(m, {})

    def hello(self, **more):
        m = self.expect('hello')
        self.result(m, dict({
            'channel': 1, 'epoch': 1, 'endpoint': m['params']['endpoint'],
            'security': 'ws', 'ping_ms': 20000, 'dead_ms': 35000,
            'max_message': 65536, 'time': 0, 'servers': [],
            'retry': {'min_ms': 20, 'max_ms': 100}, 'telemetry_seq': 0},
            **more))
        return m['params']


class Server:
    def __init__(self):
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.sock.settimeout(PATIENCE)
        self.port = self.sock.getsockname()[1]
        self.url = f'ws://127.0.0.1:{self.port}'

    def accept(self):
        sock, _ = self.sock.accept()
        sock.settimeout(PATIENCE)
        return Peer(sock)


class Agent:
    def __init__(self, scene, url, *args, token=True, env=None):
        state = scene.path('agent')
        if token:
            with open(scene.path('token'), 'w') as f:
                f.write('0123456789abcdef\n')
            args += ('--token-file', scene.path('token'))
        clean = {k: v for k, v in os.environ.items()
                 if not k.lower().endswith('_proxy')}
        self.args = [os.path.join(BUILDDIR, 'cleat-agent'), '-s', url, '-e',
                     'dev-1', '--state-dir', state, '--retry-min-ms', '20',
                     '--retry-max-ms', '100', *args]
        self.env = dict(clean, **(env or {}))
        self.scene = scene
        self.log = []
        self.start()

    def start(self):
        self.lines = queue.Queue()
        self.process = self.scene.spawn(
            *self.args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors='replace', env=self.env)
        self.reader = threading.Thread(target=harness.endless, daemon=True,
                                       args=(self.process.stderr, self.lines,
                                             self.log))
        self.reader.start()

    def says(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(
                    timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if time.monotonic() > deadline:
                line = None
            if line is None:
                raise Failure(f'the agent never said {pattern!r}:\n' +
                              '\n'.join(self.log[-15:]))
            if re.search(pattern, line):
                return line

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(PATIENCE), 0, 'exit status of the agent:\n' +
              '\n'.join(self.log[-30:]))


def need_mounts(log):
    """For who was started by unshare and mount, and did not do as it should."""
    if re.search('^(unshare|mount): ', '\n'.join(log), re.M):
        raise Skip('nothing can be mounted here')


def script(scene, name, text):
    path = scene.path(name)
    with open(path, 'w') as f:
        f.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)
    return path


def command(peer, command_id, verb, args=None, deadline=60000, **more):
    return peer.call('command', dict({
        'command_id': command_id, 'verb': verb, 'args': args or {},
        'deadline_ms': deadline}, **more))


def outcome(peer, answer=True):
    m = peer.expect('outcome')
    if answer:
        peer.result(m, {'final': m['params']['outcome']})
    return m['params']


def feed(scene, *lines):
    fifo = scene.path('fifo')
    wait_until('the fifo', lambda: os.path.exists(fifo))
    with open(fifo, 'w') as f:
        for line in lines:
            f.write(line + '\n')


def spki(path):
    public = subprocess.run(['openssl', 'x509', '-in', path, '-noout',
                             '-pubkey'], check=True, stdout=subprocess.PIPE)
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'],
                         check=True, input=public.stdout,
                         stdout=subprocess.PIPE)
    return 'sha256/' + base64.b64encode(
        hashlib.sha256(der.stdout).digest()).decode()


class Proxy:
    """CONNECT, open to all, or with basic or digest authentication (RFC 7616,
    SHA-256)."""

    def __init__(self, how):
        self.how = how
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.heads = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def wanted(self, head):
        if self.how == 'basic':
            return 'Basic ' + base64.b64encode(b'me:s"cret').decode()
        m = re.search(r'Proxy-Authorization: Digest (.*)', head)
        if not m:
            return None
        v = dict(re.findall(r'(\w+)="?([^",\r]*)"?', m.group(1)))

        def h(text):
            return hashlib.sha256(text.encode()).hexdigest()
        a1 = h('me:the realm:s"cret')
        a2 = h('CONNECT:' + v['uri'])
        good = h(':'.join([a1, 'nonce1', v['nc'], v['cnonce'], 'auth', a2]))
        return m.group(0).split(': ', 1)[1] if v['response'] == good else None

    def serve(self, s):
        head = b''
        while b'\r\n\r\n' not in head:
            more = s.recv(4096)
            if not more:
                return
            head += more
        head = head.decode()
        self.heads.append(head)
        m = re.search(r'Proxy-Authorization: (.*)\r', head)
        if self.how == 'closed':
            s.sendall(b'HTTP/1.1 503 Gone fishing\r\n\r\n')
        elif self.how != 'open' and (not m or m.group(1) != (
                self.wanted(head) or '').rstrip('\r')):
            s.sendall(b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: ' + (
                b'Basic realm="x"' if self.how == 'basic' else
                b'Digest realm="the realm", nonce="nonce1", qop="auth", '
                b'algorithm=MD5\r\nProxy-Authenticate: Digest realm="the '
                b'realm", nonce="nonce1", qop="auth,auth-int", '
                b'algorithm=SHA-256') + b'\r\n\r\n')
        else:
            host, port = head.split()[1].rsplit(':', 1)
            up = socket.create_connection((host, int(port)))
            s.sendall(b'HTTP/1.1 200 Go\r\n\r\n')
            threading.Thread(target=pump, args=(up, s), daemon=True).start()
            pump(s, up)
        s.close()


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
