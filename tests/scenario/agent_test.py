#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of a server: `cleat-agent test` against the daemon and
against all kinds of wrong ones, and files of TLS that change while it runs."""
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from agents import Agent, Proxy, spki  # noqa: E402
from control import Control  # noqa: E402
from harness import (BUILDDIR, LOCAL_SANS, PATIENCE, Pki, Skip,  # noqa: E402
                     check, equal)
from revoking import Lister, put  # noqa: E402


def read(path):
    with open(path) as f:
        return f.read()


def start(scene, name='d', **conf):
    """A daemon that has the same port whenever it is started."""
    d = scene.daemon(name, conf={'presence': {
        'retry_min': '20ms', 'retry_max': '100ms'}, **conf})
    d.token('dev-1')
    d.start()
    d.configure({'listener.main': {
        'address': '127.0.0.1:%d' % d.address('main')[1]}})
    return d


def token_of(scene, d):
    path = scene.path('real-token')
    put(path, d.token('dev-1') + '\n')
    return path


# ---- a test -----------------------------------------------------------------

class Run:
    """One `cleat-agent test`, and what it said."""

    def __init__(self, scene, target, *args, ca=True, env=None, timeout=10,
                 form='--json', before=()):
        clean = {k: v for k, v in os.environ.items()
                 if not k.lower().endswith('_proxy')}
        command = [*before, os.path.join(BUILDDIR, 'cleat-agent'), 'test']
        command += [target] if target else []
        command += ['--timeout', str(timeout)] + ([form] if form else [])
        command += ['--ca', scene.pki.ca] if ca is True else []
        began = time.monotonic()
        done = subprocess.run(
            command + list(args), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(clean, **(env or {})), timeout=PATIENCE * 2)
        self.took = time.monotonic() - began
        self.status, self.out, self.err = (
            done.returncode, done.stdout, done.stderr)
        check('Sanitizer' not in self.err and 'runtime error' not in self.err,
              self.err)
        self.lines = []
        if form == '--json':
            self.lines = [json.loads(line) for line in
                          self.out.splitlines()]

    def is_(self, status, **levels):
        """The exit status, and the worst level of some checks."""
        equal(self.status, status, self.out + self.err)
        order = ['ok', 'skip', 'warning', 'fail']
        for name, level in levels.items():
            name = name.replace('_', '-')
            got = [line['level'] for line in self.lines
                   if line['check'] == name]
            equal(max(got, key=order.index) if got else None, level,
                  f'{name}:\n{self.out}')
        last = self.lines[-1]
        equal((last['check'], last['level']),
              ('result', 'ok' if status == 0 else 'fail'), 'the last line')
        return self

    def says(self, name, pattern, level=None):
        """The line that matches."""
        for line in self.lines:
            if (line['check'] == name and re.search(pattern, line['text']) and
                    level in (None, line['level'])):
                return line
        raise harness.Failure(f'{name} never said {pattern!r}:\n{self.out}')

    def failed(self):
        return {line['check'] for line in self.lines
                if line['level'] == 'fail'} - {'result'}


class SServer:
    """openssl s_server; its port."""

    def __init__(self, scene, cert, *args):
        self.process = scene.spawn(
            'openssl', 's_server', '-accept', '127.0.0.1:0', '-cert',
            cert[0], '-key', cert[1], *args, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while True:
            line = self.process.stdout.readline()
            check(line, 'openssl s_server has ended')
            m = re.match(r'ACCEPT \S*:(\d+)', line)
            if m:
                break
        self.port = int(m.group(1))
        self.target = f'localhost:{self.port}'
        self.said = []
        threading.Thread(target=self.said.extend, daemon=True,
                         args=(self.process.stdout,)).start()


class Raw:
    """Accepts, says one thing to each, and keeps what it was told."""

    def __init__(self, answer=b'', close=False):
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.target = f'localhost:{self.port}'
        self.answer, self.close = answer, close
        self.kept = []
        self.heard = b''
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            s, _ = self.sock.accept()
            self.kept.append(s)
            s.sendall(self.answer)
            if self.close:
                s.shutdown(socket.SHUT_RDWR)
                s.close()


def test_good(scene):
    """a server as it should be: each step is ok, and hello is not said"""
    d = start(scene)
    bus = d.bus()
    run = Run(scene, d.url()).is_(
        0, names='ok', tcp='ok', tls='ok', certificate='ok', chain='ok',
        name='ok', revocation='skip', pins='skip', trust='ok', stapling='skip',
        upgrade='ok', challenge='ok', hello='skip')
    run.says('tls', r'^TLS1\.3, TLS_\w+')
    run.says('tcp', r'127\.0\.0\.1 port \d+')
    crt = run.says('certificate', 'subject "CN=localhost", issuer '
                   '"CN=test ca"')['certificate']
    equal(crt['spki_sha256'], base64_hex(spki(scene.server_cert()[0])), 'pin')
    check('localhost' in crt['names'], crt)
    run.says('certificate', re.escape(spki(scene.server_cert()[0])))
    for line in run.lines:
        equal(line['server'], d.url(), 'server')
    text = Run(scene, 'localhost:%d' % d.address()[1], form=None)
    equal(text.status, 0, text.out)
    check(re.search(r'^ok +upgrade +a WebSocket for cleat\.v1\.jsonrpc \(',
                    text.out, re.M), text.out)
    check(re.search(r'^ok +result ', text.out, re.M), text.out)
    # By its address, and from the settings.
    Run(scene, '127.0.0.1:%d' % d.address()[1]).is_(0)
    Run(scene, None, '-s', d.url()).is_(0)
    conf = scene.path('agent.conf')
    put(conf, f'server = {d.url()}\nca = {scene.pki.ca}\n')
    Run(scene, None, '-c', conf, ca=False).is_(0)
    equal(list(Control(d).pages('/v1/endpoints', 'endpoints')), [],
          'devices')
    bus.close()


def base64_hex(pin):
    return base64.b64decode(pin.split('/', 1)[1]).hex()


HOSTS = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
         'mount --bind "$0" /etc/hosts || exit\nexec "$@"')


def test_addresses(scene):
    """a name with two addresses, of which one or none answers"""
    hosts = scene.path('hosts')
    put(hosts, '127.0.0.2 twohost\n127.0.0.1 twohost\n')
    s = SServer(scene, scene.pki.issue('two', sans=['DNS:twohost']), '-www')

    def run(port):
        command = (*HOSTS, hosts)
        if subprocess.run([*command, 'true'],
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip('nothing can be mounted here')
        return Run(scene, f'twohost:{port}', before=command)
    one = run(s.port).is_(5, names='ok', tcp='ok', trust='ok')
    one.says('names', '127.0.0.1')
    one.says('names', '127.0.0.2')
    one.says('tcp', '^connected to 127.0.0.1 port .*in vain to 1 address ')
    with socket.create_server(('127.0.0.1', 0)) as closed:
        port = closed.getsockname()[1]
    run(port).is_(3, names='ok', tcp='fail').says('tcp', 'refused')


def test_ipv6(scene):
    """an IPv6 address in brackets"""
    d = scene.daemon(conf={'listener.main': {'address': '[::1]:0'}}).start()
    run = Run(scene, '[::1]:%d' % d.address()[1]).is_(0, name='ok')
    run.says('names', '^::1 is ::1$')
    Run(scene, '::1').is_(1, settings='fail').says('settings', 'brackets')


def test_criteria(scene):
    """pins, fingerprints and fields are told one by one, all that is wrong"""
    d = start(scene)
    crt, _ = scene.server_cert()
    good, bad = spki(crt), 'sha256/' + 'A' * 43 + '='
    Run(scene, d.url(), '--pins', good).is_(0, pins='ok', settings='warning')
    Run(scene, d.url(), '--pins', f'{bad} ca:{spki(scene.pki.ca)}').is_(
        0, pins='ok')
    run = Run(scene, d.url(), '--pins', f'{bad} ca:{bad}', '--subject-cn',
              'other', '--subject-o', 'x', '--fingerprint-allowlist',
              'ab' * 32, '--sans', 'dns:x.example').is_(
        4, chain='ok', name='ok', pins='fail', fields='fail',
        fingerprint='fail', sans='fail', trust='fail', upgrade='ok',
        challenge='ok')
    run.says('pins', re.escape(f'seen {good}, expected {bad}'))
    run.says('fields', 'subject CN "localhost", "other" is expected; has '
             'subject O')
    check(not any(line['check'] == 'hello' for line in run.lines), 'hello')
    run = Run(scene, d.url(), '--pins', f'{bad} {good}', '--subject-cn',
              'other', '--match-any').is_(
        0, pins='ok', fields='warning', settings='warning', trust='ok')
    run.says('fields', 'the settings let that pass')


def test_bad_certificates(scene):
    """expired, for another name, of another authority, self-signed"""
    pki = scene.pki
    old = pki.issue('old', sans=LOCAL_SANS, days=-1)
    other = pki.issue('other', sans=['DNS:other.example'])
    stranger = Lister(scene.path('stranger'), 'stranger')
    strange = stranger.issue('strange', sans=LOCAL_SANS)
    both = stranger.issue('both', sans=['DNS:other.example'], days=-1)
    client = pki.issue('client', usage='clientAuth', sans=LOCAL_SANS)
    for cert, wrong, pattern in (
            (old, {'dates'}, 'is expired'),
            (other, {'name'}, 'is for another name'),
            (strange, {'chain'}, 'has an unknown issuer'),
            (client, {'chain'}, 'is not for TLS servers'),
            (both, {'chain', 'dates', 'name'}, 'has an unknown issuer')):
        s = SServer(scene, cert, '-www')
        run = Run(scene, s.target).is_(4, tls='ok', certificate='ok',
                                       trust='fail')
        equal(run.failed() - {'upgrade'}, wrong | {'trust'}, run.out)
        run.says('trust', pattern)
        # It was seen what it speaks, too.
        run.says('upgrade', 'the server answered HTTP/1.0 200', 'fail')
        s.process.kill()
    s = SServer(scene, old, '-www')
    Run(scene, s.target, '--no-verify-chain').is_(
        5, dates='warning', trust='ok', settings='warning', upgrade='fail')
    s = SServer(scene, other, '-www')
    Run(scene, s.target, '--no-verify-host').is_(
        5, name='warning', trust='ok', upgrade='fail')


def ending(pki, name, days):
    """Made long ago, and valid for some days more."""
    pki.issue(name, sans=LOCAL_SANS)
    base = os.path.join(pki.dir, name)
    crt = base + '.new'
    conf, index = base + '.conf', base + '.index'
    put(index, '')
    put(conf, f'[ca]\ndefault_ca=x\n[x]\ndatabase={index}\n'
        f'new_certs_dir={pki.dir}\nrand_serial=yes\ndefault_md=sha256\n'
        'policy=any\n[any]\ncommonName=supplied\n')
    end = time.strftime('%Y%m%d%H%M%SZ',
                        time.gmtime(time.time() + days * 86400 + 3600))
    subprocess.run(['openssl', 'ca', '-batch', '-notext', '-config', conf,
                    '-cert', pki.ca, '-keyfile', pki.ca_key, '-in',
                    base + '.csr', '-extfile', base + '.ext', '-out', crt,
                    '-startdate', '20240101000000Z', '-enddate', end],
                   check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return crt, base + '.key'


def test_soon(scene):
    """a certificate that ends soon is a warning, and no more"""
    s = SServer(scene, ending(scene.pki, 'soon', 20), '-www')
    run = Run(scene, s.target).is_(5, dates='warning', trust='ok')
    run.says('dates', 'expires soon')
    run.says('certificate', r'ends \S+ \(in 20 days\)')
    s = SServer(scene, ending(scene.pki, 'later', 100), '-www')
    Run(scene, s.target).is_(5, dates='ok', trust='ok')


def test_revoked(scene):
    """a revoked certificate, an overdue list, and one that cannot be used"""
    ca = Lister(scene.path('one'), 'one')
    good, bad = (ca.issue(n, sans=LOCAL_SANS) for n in ('good', 'bad'))
    ca.revoke(bad[0])
    crl = scene.path('list.pem')
    put(crl, ca.list())
    args = ('--ca', ca.ca, '--crl', crl)
    s = SServer(scene, bad, '-www')
    run = Run(scene, s.target, *args, ca=False).is_(
        4, chain='ok', dates='ok', name='ok', revocation='fail',
        trust='fail')
    run.says('revocation', 'is revoked')
    s = SServer(scene, good, '-www')
    run = Run(scene, s.target, *args, ca=False).is_(5, revocation='ok')
    run.says('revocation', 'not in 1 revocation list, which names 1 cert')
    put(crl, ca.list('-crl_lastupdate', '20240101000000Z',
                     '-crl_nextupdate', '20240201000000Z'))
    run = Run(scene, s.target, *args, ca=False).is_(
        5, revocation='warning', trust='ok')
    run.says('revocation', 'should have been replaced at 2024-02-01')
    put(crl, 'garbage')
    run = Run(scene, s.target, *args, ca=False).is_(
        1, settings='fail', tls='ok', trust='skip')
    run.says('settings', 'no revocation list in it')


def test_settings(scene):
    """what is wrong on this side is told, and the server is looked at"""
    d = start(scene)
    run = Run(scene, d.url(), '--ca', scene.path('none.pem'), ca=False).is_(
        1, settings='fail', tls='ok', certificate='ok', trust='skip',
        upgrade='ok', challenge='ok')
    run.says('settings', 'none.pem: No such file')
    crt, key = scene.pki.issue('own', usage='clientAuth')
    _, wrong = scene.pki.issue('wrong', usage='clientAuth')
    run = Run(scene, d.url(), '--cert', crt, '--key', wrong).is_(
        1, settings='fail', tls='ok', trust='ok', challenge='ok')
    run.says('settings', 'belongs to no certificate')
    Run(scene, d.url(), '--proxy', 'ftp://x').is_(1, settings='fail')
    Run(scene, d.url(), '--tls-profile', 'x').is_(1, settings='fail')
    for status, *args in (
            (2, 'test'), (2, 'test', 'a', 'b'), (2, 'tset', 'a'),
            (2, '--json'), (2, 'test', 'a,b'),
            (1, 'test', 'a', '--timeout', '0'),
            (1, 'test', 'a', '--timeout', '3601'),
            (1, 'test', 'a', '-c', scene.path('none.conf'))):
        done = subprocess.run([os.path.join(BUILDDIR, 'cleat-agent'), *args],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(done.returncode, status, f'{args}: {done.stderr}')


def test_unreachable(scene):
    """a name that is none, a closed port, and peers that are silent"""
    with socket.create_server(('127.0.0.1', 0)) as s:
        closed = s.getsockname()[1]
    Run(scene, f'localhost:{closed}').is_(3, names='ok', tcp='fail').says(
        'tcp', 'Connection refused')
    Run(scene, 'no.such.name.invalid:1', timeout=3).is_(3, names='fail')
    silent = Raw()
    run = Run(scene, silent.target, timeout=1).is_(4, tcp='ok', tls='fail')
    run.says('tls', r'no answer within 1\.0 s')
    check(run.took < 1 + PATIENCE / 4, f'took {run.took}')
    run = Run(scene, f'ws://{silent.target}', timeout=1).is_(
        5, settings='warning', tcp='ok', upgrade='fail')
    run.says('upgrade', r'no answer within 1\.0 s')
    s = SServer(scene, scene.server_cert())
    run = Run(scene, s.target, timeout=1).is_(
        5, tls='ok', trust='ok', upgrade='fail')
    run.says('upgrade', r'no answer within 1\.0 s')


class Flood(Raw):
    """Upgrades, and then says nothing of use for ever."""

    def run(self):
        s, _ = self.sock.accept()
        head = b''
        while b'\r\n\r\n' not in head:
            head += s.recv(4096)
        key = re.search(rb'Sec-WebSocket-Key: (\S+)', head).group(1)
        s.sendall(b'HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n'
                  b'Connection: Upgrade\r\nSec-WebSocket-Protocol: '
                  b'cleat.v1.jsonrpc\r\nSec-WebSocket-Accept: ' +
                  base64.b64encode(hashlib.sha1(
                      key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
                  ).digest()) + b'\r\n\r\n')
        text = b'{"jsonrpc":"2.0","method":"x"}'
        try:
            while True:
                s.sendall((b'\x81' + bytes([len(text)]) + text) * 1000)
        except OSError:
            s.close()


class Drip(Raw):
    """A byte now and then."""

    def run(self):
        s, _ = self.sock.accept()
        try:
            s.sendall(b'HTTP/1.1 101 ')
            while True:
                s.sendall(b'x')
                time.sleep(0.02)
        except OSError:
            s.close()


def test_never_ending(scene):
    """peers that go on for ever do not keep it beyond its time"""
    for peer, name in ((Flood(), 'challenge'), (Drip(), 'upgrade')):
        run = Run(scene, 'ws://' + peer.target, timeout=1)
        run.is_(5, **{name: 'fail'}).says(name, r'no answer within 1\.0 s')
        check(run.took < 1 + PATIENCE / 4, f'took {run.took}')


def chain_of(scene, name, *bits, ca=None, days=2):
    """A certificate of an intermediate authority; (chain, key), (leaf, key)."""
    ca = ca or scene.pki
    os.mkdir(scene.path(name))
    middle = Pki(scene.path(name), name)
    ext = scene.path(name, 'ext')
    put(ext, 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' +
        ''.join(f'{b}\n' for b in bits))
    csr = scene.path(name, 'csr')
    middle._openssl('req', '-new', '-key', middle.ca_key, '-subj',
                    f'/CN=test {name}', '-out', csr)
    ca.sign(csr, ext, middle.ca, days)
    crt, key = middle.issue('leaf', sans=LOCAL_SANS)
    both = scene.path(name, 'both.pem')
    put(both, read(crt) + read(middle.ca))
    return both, crt, key, middle.ca


def test_chains(scene):
    """intermediate authorities: there, missing, ended, constrained"""
    both, crt, key, middle = chain_of(scene, 'middle')
    s = SServer(scene, (crt, key), '-www', '-cert_chain', middle)
    run = Run(scene, s.target).is_(5, chain='ok', dates='ok', trust='ok')
    run.says('certificate', '^2 of 2: subject "CN=test middle"')
    s = SServer(scene, (crt, key), '-www')
    Run(scene, s.target).is_(4, chain='fail', dates='ok', name='ok')
    _, crt, key, middle = chain_of(scene, 'ended', days=-1)
    s = SServer(scene, (crt, key), '-www', '-cert_chain', middle)
    run = Run(scene, s.target).is_(4, dates='fail', name='ok', trust='fail')
    run.says('dates', '"test ended" expired')
    _, crt, key, middle = chain_of(scene, 'narrow',
                                   'nameConstraints=permitted;DNS:x.example')
    s = SServer(scene, (crt, key), '-www', '-cert_chain', middle)
    Run(scene, s.target).is_(4, chain='fail', name='ok', trust='fail').says(
        'chain', 'breaks a constraint')
    s = SServer(scene, self_signed(scene), '-www')
    Run(scene, s.target).is_(4, chain='fail', name='ok', trust='fail')
    Run(scene, s.target, '--allow-self-signed').is_(
        5, chain='warning', dates='ok', name='ok', trust='ok')


def staple(scene, cert, status):
    """An OCSP response (DER): V good, R revoked."""
    index, request, out = (scene.path(n) for n in (
        'ocsp.index', 'ocsp.request', 'ocsp.der'))

    def openssl(*args):
        return subprocess.run(['openssl', *args], check=True, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout
    serial = openssl('x509', '-in', cert, '-noout', '-serial').split('=')[1]
    put(index, status + '\t491231000000Z\t' +
        ('260101000000Z' if status == 'R' else '') +
        f'\t{serial.strip()}\tunknown\t/CN=x\n')
    ca = ('-issuer', scene.pki.ca)
    openssl('ocsp', *ca, '-cert', cert, '-no_nonce', '-reqout', request)
    openssl('ocsp', '-index', index, '-CA', scene.pki.ca, '-rsigner',
            scene.pki.ca, '-rkey', scene.pki.ca_key, '-reqin', request,
            '-ndays', '1', '-respout', out)
    return out


def test_stapling(scene):
    """a response that is good, one that says revoked, one that is missing"""
    crt, key = scene.pki.issue('plain', sans=LOCAL_SANS)

    def serve(cert, *status):
        args = ('-status_file', staple(scene, cert[0], *status)) if status \
            else ()
        return SServer(scene, cert, '-www', *args).target
    Run(scene, serve((crt, key), 'V')).is_(5, stapling='ok', trust='ok')
    run = Run(scene, serve((crt, key), 'R')).is_(
        4, revocation='fail', trust='fail')
    run.says('trust', 'is revoked')
    with open(os.path.join(scene.pki.dir, 'plain.ext'), 'a') as f:
        f.write('tlsfeature=status_request\n')
    base = os.path.join(scene.pki.dir, 'plain')
    must = scene.path('must.pem')
    scene.pki._openssl('x509', '-req', '-in', base + '.csr', '-CA',
                       scene.pki.ca, '-CAkey', scene.pki.ca_key,
                       '-CAcreateserial', '-extfile', base + '.ext', '-out',
                       must, '-days', '300')
    Run(scene, serve((must, key), 'V')).is_(5, stapling='ok', trust='ok')
    run = Run(scene, serve((must, key))).is_(4, stapling='fail',
                                             trust='fail')
    run.says('stapling', 'Must-Staple')


def self_signed(scene):
    crt, key = scene.path('self.pem'), scene.path('self.key')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-days', '300',
                    '-subj', '/CN=localhost', '-addext',
                    'subjectAltName=DNS:localhost', '-addext',
                    'basicConstraints=CA:FALSE', '-keyout', key, '-out', crt],
                   check=True, stderr=subprocess.DEVNULL)
    return crt, key


def test_others(scene):
    """what is no TLS server, no WebSocket server, no cleat server"""
    Run(scene, Raw(b'220 mail.example ESMTP\r\n').target).is_(
        4, tcp='ok', tls='fail').says('tls', 'Does this port speak TLS?')
    Run(scene, Raw(close=True).target).is_(4, tcp='ok', tls='fail')
    Run(scene, SServer(scene, scene.server_cert(), '-www').target).is_(
        5, trust='ok', upgrade='fail')
    run = Run(scene, 'ws://' + Raw(
        b'HTTP/1.1 404 \x1b[31m\x9bNo\r\n\r\n').target, form=None)
    equal(run.status, 5, run.out)
    check('HTTP/1.1 404 ?[31m?No' in run.out and '\x1b' not in run.out,
          run.out)
    Run(scene, 'ws://' + Raw(b'x' * 9000).target).is_(5, upgrade='fail')
    d = start(scene, 'new', tls={'profile': 'modern'})
    Run(scene, d.url(), '--tls-priority',
        'NORMAL:-VERS-ALL:+VERS-TLS1.2').is_(4, tls='fail')


def test_own_certificate(scene):
    """a server that wants a certificate; none of ours for one that
    is refused"""
    pki = scene.pki
    d = start(scene, **{'listener.main': {
        'client_auth': 'required', 'ca_file': pki.ca}})
    own = pki.issue('dev-1', usage='clientAuth')
    old = pki.issue('dev-old', usage='clientAuth', days=-1)

    def args(cert):
        return ('--cert', cert[0], '--key', cert[1])
    run = Run(scene, d.url(), *args(own)).is_(0, own_cert='ok',
                                              challenge='ok')
    run.says('own-cert', 'shown')
    run = Run(scene, d.url()).is_(4, trust='ok', own_cert='fail')
    run.says('own-cert', 'alert 116: Certificate is required', 'fail')
    run = Run(scene, d.url(), *args(old)).is_(4, trust='ok', own_cert='fail')
    run.says('own-cert', 'expired', 'warning')
    run.says('own-cert', "the server's alert", 'fail')
    stranger = Lister(scene.path('other'), 'other')
    before = len(d.log)
    run = Run(scene, d.url(), '--ca', stranger.ca, *args(own), ca=False).is_(
        4, chain='fail', trust='fail', upgrade='skip')
    run.says('upgrade', 'no certificate of ours is shown here .*alert 116')
    check(not any('dev-1' in line for line in d.log[before:]),
          'the server was told who it is')
    s = SServer(scene, stranger.issue('s', sans=LOCAL_SANS), '-verify', '1')
    run = Run(scene, s.target, *args(own), timeout=1).is_(4, trust='fail')
    check(not any('dev-1' in line for line in s.said), str(s.said))


def test_hello(scene):
    """hello only when it is asked for, and never beside an agent that runs"""
    d = start(scene)
    token = token_of(scene, d)
    who = ('-e', 'dev-1', '--token-file', token)
    run = Run(scene, d.url(), *who, '--hello').is_(0, hello='ok')
    run.says('hello', 'channel .*, security wss')
    state = scene.path('agent')
    a = Agent(scene, d.url(), '--token-file', token, '--ca', scene.pki.ca,
              token=False)
    a.says('online')
    Run(scene, d.url(), *who).is_(0, hello='skip')
    Run(scene, d.url(), *who, '--state-dir', state).is_(0, hello='skip')
    run = Run(scene, d.url(), *who, '--state-dir', state, '--hello').is_(
        1, settings='fail')
    run.says('settings', 'cleat-agent runs with this state directory')
    a.stop()
    equal(sum('offline' in line for line in a.log), 0, 'it was not disturbed')
    Run(scene, d.url(), *who, '--state-dir', state, '--hello').is_(
        0, hello='ok')
    put(scene.path('wrong'), 'f' * 24 + '\n')
    Run(scene, d.url(), '-e', 'dev-1', '--token-file', scene.path('wrong'),
        '--hello').is_(6, challenge='ok', hello='fail')
    Run(scene, d.url(), '--hello').is_(1, settings='fail')
    # Not to a server that is refused.
    other = Lister(scene.path('other'), 'other')
    run = Run(scene, d.url(), *who, '--hello', '--ca', other.ca,
              ca=False).is_(4, trust='fail', challenge='ok')
    check(not any(line['check'] == 'hello' for line in run.lines), run.out)


def test_changes_nothing(scene):
    """no key is made, nobody is enrolled, no file is written"""
    d = start(scene, auth={'enrol': 'open'})
    state = scene.path('state')
    os.mkdir(state, 0o700)
    run = Run(scene, d.url(), '-e', 'dev-9', '--state-dir', state,
              '--enrol').is_(0, hello='skip')
    run = Run(scene, d.url(), '-e', 'dev-9', '--state-dir', state, '--enrol',
              '--hello').is_(1, settings='fail', challenge='ok')
    run.says('settings', 'the agent makes the key')
    equal(os.listdir(state), [], 'files')
    put(os.path.join(state, 'identity'), '5a' * 32 + '\n')
    os.chmod(os.path.join(state, 'identity'), 0o600)
    run = Run(scene, d.url(), '-e', 'dev-9', '--state-dir', state, '--enrol',
              '--hello').is_(0, hello='skip')
    run.says('hello', 'not enrolled')
    equal(sorted(os.listdir(state)), ['identity'], 'files')
    equal(list(Control(d).pages('/v1/endpoints', 'endpoints')), [],
          'devices')


def test_proxy(scene):
    """through a proxy, and what a proxy refuses; its password is not told"""
    d = start(scene)
    for how in ('open', 'basic', 'digest'):
        proxy = Proxy(how)
        user = '' if how == 'open' else 'me:s%22cret@'
        run = Run(scene, d.url(), '--proxy',
                  f'http://{user}127.0.0.1:{proxy.port}').is_(
            0, names='ok', tcp='ok', proxy='ok', tls='ok')
        run.says('tcp', 'the proxy, 127.0.0.1')
        check('cret' not in run.out + run.err, run.out)
    proxy = Proxy('basic')
    run = Run(scene, d.url(), env={
        'https_proxy': f'http://127.0.0.1:{proxy.port}'}).is_(
        3, tcp='ok', proxy='fail')
    run = Run(scene, d.url(), '--proxy',
              f'http://127.0.0.1:{Proxy("closed").port}').is_(
        3, tcp='ok', proxy='fail')
    run.says('proxy', '503')


# ---- files that change ------------------------------------------------------

def serve(scene, d, cert):
    """From now on it has this certificate, and no channel."""
    crt, key = scene.server_cert()
    if d.alive():
        d.kill()
    put(crt, read(cert[0]))
    put(key, read(cert[1]))
    os.chmod(key, 0o600)
    d.start()


def said(a, text):
    return sum(text in line for line in a.log)


def test_new_authority(scene):
    """a new CA file counts from the next attempt on; a bad one
    changes nothing"""
    old, new = (Lister(scene.path(n), n) for n in ('old', 'new'))
    first, second = (p.issue('server', sans=LOCAL_SANS) for p in (old, new))
    d = start(scene)
    serve(scene, d, first)
    ca = scene.path('trust.pem')
    put(ca, read(old.ca))
    a = Agent(scene, d.url(), '--token-file', token_of(scene, d), '--ca', ca,
              token=False)
    a.says('online')
    serve(scene, d, second)
    a.says('unknown issuer')
    put(ca, read(old.ca) + read(new.ca))
    a.says('notice .*trust.pem has changed, it counts from now on')
    a.says('online')
    for text, why in (('garbage', 'no certificate in it'),
                      (None, 'No such file or directory')):
        if text is None:
            os.unlink(ca)
        else:
            put(ca, text)
        for _ in range(2):
            serve(scene, d, second)
            a.says('online')
        equal(said(a, why + '; what was read before stays in use'), 1, why)
    put(ca, read(old.ca))               # the new one is not trusted any more
    serve(scene, d, second)
    a.says('has changed')
    a.says('unknown issuer')
    a.stop()
    equal(said(a, 'WEAKENED'), 0, 'weakenings')


def test_new_list(scene):
    """a new revocation list counts too, and its end"""
    ca = Lister(scene.path('one'), 'one')
    good, bad = (ca.issue(n, sans=LOCAL_SANS) for n in ('good', 'bad'))
    d = start(scene)
    serve(scene, d, bad)
    crl = scene.path('list.pem')
    empty = ca.list()
    put(crl, empty)
    a = Agent(scene, d.url(), '--token-file', token_of(scene, d), '--ca',
              ca.ca, '--crl', crl, token=False)
    a.says('online')
    ca.revoke(bad[0])
    put(crl, ca.list())
    serve(scene, d, bad)
    a.says('list.pem has changed')
    a.says('is revoked')
    put(crl, Lister(scene.path('two'), 'two').list())
    a.says('no CA that is given has signed this list; what was read before '
           'stays in use')
    a.says('is revoked')
    serve(scene, d, good)
    a.says('online')
    put(crl, empty)
    serve(scene, d, bad)
    a.says('list.pem has changed')
    a.says('online')
    a.stop()


def test_new_certificate(scene):
    """the device's own certificate is taken anew as well, once both
    files are"""
    pki = scene.pki
    d = start(scene, **{'listener.main': {
        'client_auth': 'required', 'ca_file': pki.ca}})
    crt, key = scene.path('own.pem'), scene.path('own.key')

    def issue():
        return [read(f) for f in pki.issue('dev-1', usage='clientAuth')]
    for path, text in zip((crt, key), issue()):
        put(path, text)
        os.chmod(path, 0o600)
    a = Agent(scene, d.url(), '--cert', crt, '--key', key, '--ca', pki.ca,
              token=False)
    a.says('online')
    new = issue()
    put(crt, new[0])
    d.kill()
    d.start()
    a.says('stays in use')
    a.says('online')
    put(key, new[1])
    os.chmod(key, 0o600)
    d.kill()
    d.start()
    a.says('own.pem has changed')
    a.says('own.key has changed')
    a.says('online')
    a.stop()


if __name__ == '__main__':
    harness.main()
