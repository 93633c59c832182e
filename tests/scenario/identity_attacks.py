#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who tries to be another one: somebody in between, who guesses, and who looks
for secrets where none may be found."""
import base64
import json
import os
import queue
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Problem  # noqa: E402
from harness import (BUILDDIR, PATIENCE, Device, WebSocket,  # noqa: E402
                     check, connect, endless, equal, main, wait_until)
from identities import (TOO_MANY, Key, again, by_key, comes, ctl,  # noqa: E402
                        enrol, finish, said, start, stays_out)


# ---- somebody in between ----------------------------------------------------

class Between:
    """Ends TLS with a certificate that is as good as the server's, and hands
    everything on to the server over a connection of its own.  What the device
    says is kept, and goes through `change`."""

    def __init__(self, scene, d, change=None):
        self.scene, self.d = scene, d
        self.change = change or (lambda text: text)
        self.heard = []
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*scene.pki.issue(
            'between', sans=['DNS:localhost', 'IP:127.0.0.1']))
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.url = f'wss://localhost:{self.sock.getsockname()[1]}'
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        try:
            inner = self.server.wrap_socket(sock, server_side=True)
            outer = self.scene.client_context().wrap_socket(
                connect(self.d.address()), server_hostname='localhost')
            self.relay(inner, outer)
            outer.close()
            inner.close()
        except OSError:
            sock.close()

    def relay(self, inner, outer):
        """Both ways, until either ends.  One thread: a TLS connection is
        nothing for two."""
        stream, head = bytearray(), True
        while True:
            for s in select.select([inner, outer], [], [])[0]:
                data = self.read(s)
                if data == b'':
                    return
                if data is None:
                    continue
                if s is outer:
                    inner.sendall(data)
                    continue
                stream += data
                if head and b'\r\n\r\n' in stream:
                    end = stream.index(b'\r\n\r\n') + 4
                    outer.sendall(bytes(stream[:end]))
                    del stream[:end]
                    head = False
                if not head:
                    self.frames(stream, outer)

    @staticmethod
    def read(sock):
        """What is there: b'' at the end, None for a ticket and nothing else."""
        sock.settimeout(0)
        try:
            data = sock.recv(65536)
            while sock.pending():
                data += sock.recv(65536)
            return data
        except ssl.SSLWantReadError:
            return None
        finally:
            sock.settimeout(10)

    def frames(self, stream, outer):
        while len(stream) >= 2:
            n, at = stream[1] & 127, 2
            if n == 126:
                n, at = int.from_bytes(stream[2:4], 'big'), 4
            if len(stream) < at + 4 + n:
                return
            mask = stream[at:at + 4]
            body = bytes(b ^ mask[i % 4] for i, b in enumerate(
                stream[at + 4:at + 4 + n]))
            opcode = stream[0] & 15
            del stream[:at + 4 + n]
            if opcode == 1:
                self.heard.append(body.decode())
                body = self.change(body.decode()).encode()
            outer.sendall(WebSocket.frame(opcode, body))


class Agent:
    def __init__(self, scene, url, *args):
        clean = {k: v for k, v in os.environ.items()
                 if not k.lower().endswith('_proxy')}
        self.log, self.lines = [], queue.Queue()
        self.process = scene.spawn(
            os.path.join(BUILDDIR, 'cleat-agent'), '-s', url, '-e', 'dev-1',
            '--ca', scene.pki.ca, '--retry-min-ms', '20', '--retry-max-ms',
            '100', *args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, env=clean)
        threading.Thread(target=endless, daemon=True, args=(
            self.process.stderr, self.lines, self.log)).start()

    def says(self, pattern):
        return wait_until(f'the agent says {pattern!r}', lambda: [
            line for line in self.log if re.search(pattern, line)])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(PATIENCE), 0, '\n'.join(self.log[-20:]))


def test_somebody_in_between(scene):
    """who sits in between with a valid certificate gets no bound key through"""
    d = start(scene, 'd', {'client_auth': 'optional',
                           'ca_file': scene.pki.ca})
    once = scene.path('once')
    with open(once, 'w') as f:
        f.write(ctl(d, 'enrol', 'token') + '\n')
    key = ('--state-dir', scene.path('agent'), '--enrol-token-file', once)
    with d.bus() as bus:
        a = Agent(scene, d.url(), *key)
        a.says('online: channel 1, security wss-safe')
        a.stop()
        # So that nobody who listens later is told of this one.
        bus.expect('endpoint.offline', 'dev-1')

    def weaker(text):
        return text.replace('tls-exporter', 'none')
    for change in (None, weaker):
        between = Between(scene, d, change)
        with d.bus() as bus:
            a = Agent(scene, between.url, *key)
            for _ in range(3):
                text = bus.expect('auth.failed', 'dev-1')['text']
                # By its key, and then as one that was forgotten.
                equal(text, 'its signature is wrong, or for another '
                      'connection')
            equal(bus.find('endpoint.online', 'dev-1'), [], 'came in')
            a.stop()
        check(not any('online' in line for line in a.log), 'it came in')
        # It saw everything, and can do nothing with it.
        hello = next(json.loads(t) for t in between.heard if 'hello' in t)
        equal(hello['params']['auth']['binding'], 'tls-exporter')
        stays_out(d, 'dev-1', lambda nonce: hello['params']['auth'])
        between.sock.close()
    a = Agent(scene, d.url(), *key)
    a.says('online: channel 2, security wss-safe')
    a.stop()
    # A certificate cannot be handed on; a token can, and is worth that.
    cert = scene.pki.issue('dev-1', 'clientAuth')
    between = Between(scene, d)
    with d.bus() as bus:
        a = Agent(scene, between.url, '--cert', cert[0], '--key', cert[1])
        bus.expect('auth.failed', 'dev-1')
        a.stop()
    token = scene.path('token')
    with open(token, 'w') as f:
        f.write(ctl(d, 'credential', 'add', 'dev-1') + '\n')
    for url in (between.url, d.url()):
        a = Agent(scene, url, '--token-file', token)
        a.says('online: channel [0-9]+, security wss$')
        a.stop()
    finish(d)


# ---- throttling -------------------------------------------------------------

def test_throttle(scene):
    """who fails too often waits, alone: by address, by identity,
    by enrolment"""
    d = start(scene, failures_per_identity='3', failures_per_address='6',
              enrol_rate='2')
    near, far, third = '127.0.0.1', '127.0.0.2', '127.0.0.3'
    key = Key(scene, 'k')
    tokens = {}
    for name in ('a', 'b'):
        ctl(d, 'endpoint', 'add', name)
        tokens[name] = ctl(d, 'credential', 'add', name)
    ctl(d, 'credential', 'add', 'a', '--key', key.public)
    live = comes(d, 'b', tokens['b'], source=far)
    with d.bus() as bus:
        for _ in range(3):
            stays_out(d, 'a', 'wrong-wrong-wrong-wrong', source=far)
            bus.expect('auth.failed', 'a')
        stays_out(d, 'a', tokens['a'], TOO_MANY, source=near)
        event = bus.expect('auth.failed', 'a', text='too many attempts')
        check(event['peer'].startswith(near + ':'), event['peer'])
        comes(d, 'a', by_key(key, 'a'), source=near).close()
        comes(d, 'b', tokens['b'], source=near).close()
        equal(live.expect_close()[0], 4003)         # superseded, not refused
        live = comes(d, 'b', tokens['b'], source=far)
        # Three more of that address, whatever they claim to be.
        for i in range(3):
            stays_out(d, f'x{i}', 'wrong-wrong-wrong-wrong', source=far)
        stays_out(d, 'a', by_key(key, 'a'), TOO_MANY, source=far)
        stays_out(d, 'b', tokens['b'], TOO_MANY, source=far)
        comes(d, 'a', by_key(key, 'a'), source=third).close()
        equal(live.call('state', {'power': 'on'}), {}, 'who is in stays')
        live.close()
        for i in range(2):
            stays_out(d, f'e{i}', enrol(f'e{i}', key), source=third)
        one = ctl(d, 'enrol', 'token')
        stays_out(d, 'e2', enrol('e2', key, token=one), TOO_MANY,
                  source=third)
        comes(d, 'e2', enrol('e2', key, token=one), source=near).close()
    fourth = '127.0.0.4'
    for auth in ({'method': 'token', 'token': 'short'},
                 {'method': 'token', 'token': 'long' * 200},
                 {'method': 'token', 'token': 'short'},
                 {'method': 'mtls'},
                 {'method': 'mtls'}, {'method': 'mtls'}):
        stays_out(d, 'b' if auth['method'] == 'mtls' else 'c',
                  lambda nonce, auth=auth: auth, source=fourth)
    stays_out(d, 'c', 'short', TOO_MANY, source=fourth)
    stays_out(d, 'b', tokens['b'], TOO_MANY, source=fourth)
    stays_out(d, 'c', 'short', TOO_MANY, source='127.0.0.5')
    again(d)            # is not kept, and nobody is worse off for that
    comes(d, 'a', tokens['a'], source=far).close()
    comes(d, 'b', tokens['b'], source=far).close()
    finish(d)


# ---- secrets ----------------------------------------------------------------

def test_no_secret_gets_out(scene):
    """no token is in log, events, errors, database, nor stays in memory"""
    d = start(scene, enrol='open', failures_per_identity='2')
    said_by_us = []
    with d.bus() as bus:
        d.token('static')
        check(d.reload(), 'reload')
        ctl(d, 'endpoint', 'add', 'n1')
        made = d.control.post('/v1/endpoints/n1/credentials',
                              {'kind': 'token'})
        once = d.control.post('/v1/enrolment-tokens', {'uses': 2})
        secrets = [made['token'], once['token']]
        # We may have the answer before the daemon is done with it.
        wait_until('both are wiped', lambda: not any(
            d.remembers(t) for t in secrets))
        for method, path in (('GET', '/v1/endpoints/n1/credentials'),
                             ('GET', '/v1/enrolment-tokens'),
                             ('GET', '/v1/endpoints/n1')):
            said_by_us.append(d.control.request(method, path).body.decode())
        comes(d, 'n1', made['token']).close()
        device = comes(d, 'n2', enrol('n2', token=once['token']))
        secrets.append(device.hello_result['enrolled']['token'])
        device.close()
        wrong = base64.b64encode(os.urandom(24)).decode()
        secrets += [wrong, *d.tokens.values()]
        for endpoint in ('n1', 'n1', 'n1', 'static', 'nobody'):
            _, answer = said(d, endpoint, wrong)
            said_by_us.append(json.dumps(answer))
        for token in (wrong, once['token']):
            _, answer = said(d, 'n1', enrol('n1', token=token))
            said_by_us.append(json.dumps(answer))
        for body in ({'kind': 'token', 'token': wrong},
                     {'kind': wrong}, {'kind': 'key', 'public_key': wrong}):
            try:
                d.control.request('POST', '/v1/endpoints/n1/credentials',
                                  body, wrong=True)
            except Problem as p:
                said_by_us.append(json.dumps(p.body))
        Device(d, 'static').close()
        bus.expect('endpoint.disconnected', 'static')
        ctl(d, 'credential', 'revoke', str(made['number']))
        bus.expect('endpoint.revoked', 'n1')
        events = '\n'.join(json.dumps(e) for e in bus.history)
    finish(d)
    files = []
    for directory, _, names in os.walk(d.state):
        for name in names:
            with open(os.path.join(directory, name), 'rb') as f:
                files.append(f.read())
    check(len(files) > 1, 'no files')
    for secret in secrets:
        for where, texts in (('log', d.log), ('events', [events]),
                             ('answers', said_by_us)):
            check(not any(secret in t for t in texts), f'in the {where}')
        check(not any(secret.encode() in f for f in files), 'in a file')


if __name__ == '__main__':
    main()
