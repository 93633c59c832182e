# SPDX-License-Identifier: Apache-2.0
"""TLS peers of other make as actors (openssl s_client, gnutls-cli), and a
relay that looks at the records on their way."""
import os
import re
import select
import socket
import subprocess
import threading
import time

import harness
from harness import PATIENCE, Failure, check, need
from ws_cases import TEXT, frame

REQUEST = (b'GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'
           b'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
           b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
ACCEPT = b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
HEALTH = b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'


class Tool:
    """A program that is talked to through its standard streams."""

    def __init__(self, scene, *command, env=None):
        self.process = scene.spawn(*command, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=env)
        self.output = bytearray()
        self.at = 0             # what expect() has not looked at yet
        self.counter = 0
        os.set_blocking(self.process.stdout.fileno(), False)

    def send(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f'the tool has ended: {bytes(self.output)[-600:]}')

    def _more(self, deadline):
        """False at its end."""
        out = self.process.stdout
        left = max(0, deadline - time.monotonic())
        if not select.select([out], [], [], left)[0]:
            raise Failure('nothing more from the tool, it said: '
                          f'{bytes(self.output)[-600:]}')
        data = os.read(out.fileno(), 1 << 18)
        self.output += data
        return bool(data)

    def expect(self, pattern, timeout=None):
        """Waits for a regular expression (bytes) behind the last match."""
        deadline = time.monotonic() + (timeout or PATIENCE)
        regex = re.compile(pattern, re.S)
        while True:
            m = regex.search(self.output, self.at)
            if m:
                self.at = m.end()
                return m
            if not self._more(deadline):
                raise Failure(f'the tool ended before {pattern!r}: '
                              f'{bytes(self.output)[-600:]}')

    def end(self):
        """Everything it said, at its own end."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        self.process.wait(PATIENCE)
        return bytes(self.output)

    def finish(self):
        """Its input ends; then as end()."""
        self.process.stdin.close()
        return self.end()

    # What is said through it, once it is connected.

    def upgrade(self):
        self.send(REQUEST)
        head = self.expect(rb'HTTP/1\.1 101 .*?\r\n\r\n').group()
        check(ACCEPT in head, 'Sec-WebSocket-Accept is wrong')

    def echo(self, size=20):
        """A message that is not like the one before, there and back."""
        self.counter += 1
        text = (b'<%d>' % self.counter) + b'x' * size + b'</%d>' % self.counter
        self.send(frame(TEXT, text))
        self.expect(re.escape(text))

    def healthy(self):
        self.send(HEALTH)
        self.expect(rb'HTTP/1\.1 200 .*?\r\n\r\nok\n')


class SClient(Tool):
    """openssl s_client; verifies, and stays quiet about nothing."""

    def __init__(self, scene, address, *args, name='localhost'):
        super().__init__(
            scene, need('openssl', 'openssl'), 's_client', '-connect',
            '%s:%d' % tuple(address[:2]), '-CAfile', scene.pki.ca,
            '-verify_return_error', *(('-servername', name) if name else
                                      ('-noservername',)), *args)

    def key_update(self, letter):
        """K asks for one in return, k does not."""
        self.send(letter.encode() + b'\n')
        self.expect(rb'KEYUPDATE')


class GnutlsCli(Tool):
    def __init__(self, scene, address, *args):
        super().__init__(
            scene, need('gnutls-cli', 'gnutls-bin'), '--port',
            str(address[1]), '--x509cafile', scene.pki.ca, *args, 'localhost')
        self.expect(rb'Simple Client Mode:\s+')


class Relay:
    """Stands between client and daemon and writes down the lengths of the
    records (daemon to client) that pass; `prefix` goes in front of what the
    client sends."""

    def __init__(self, scene, target, prefix=b''):
        self.target, self.prefix = target, prefix
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = self.listener.getsockname()
        self.records = []       # (type, length)
        self.sockets = []
        scene.actors.append(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = harness.connect(self.target)
            self.sockets += [client, server]
            if self.prefix:
                server.sendall(self.prefix)
            for a, b, look in ((client, server, False),
                               (server, client, True)):
                threading.Thread(target=self._pump, args=(a, b, look),
                                 daemon=True).start()

    def _pump(self, a, b, look):
        held = bytearray()
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    b.shutdown(socket.SHUT_WR)
                    return
                if look:
                    held += data
                    self._look(held)
                b.sendall(data)
        except OSError:
            pass

    def _look(self, held):
        while len(held) >= 5:
            n = int.from_bytes(held[3:5], 'big')
            if len(held) < 5 + n:
                return
            self.records.append((held[0], n))
            del held[:5 + n]

    def inject(self, data):
        """As if the client of the last connection had sent it."""
        self.sockets[-1].sendall(data)

    def close(self):
        for s in [self.listener, *self.sockets]:
            s.close()
