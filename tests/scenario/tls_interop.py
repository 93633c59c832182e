#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS of the real daemon against openssl, gnutls-cli and python's ssl."""
import os
import re
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
from harness import (Closed, Device, Failure, Pki, WebSocket,  # noqa: E402
                     check, connect, equal, wait_until)
from tls_tools import REQUEST, GnutlsCli, Relay, SClient  # noqa: E402
from ws_cases import PING, TEXT, frame       # noqa: E402

SUITES_13 = ('TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384',
             'TLS_CHACHA20_POLY1305_SHA256')
SUITES_12 = ('AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305')
V12 = ssl.TLSVersion.TLSv1_2
V13 = ssl.TLSVersion.TLSv1_3
ANY_CIPHER = 'ALL:@SECLEVEL=0'


def start(scene, name='d', **sections):
    d = scene.daemon(name, conf={
        'plugin.echo': {'max_message': '1MiB'}, **sections})
    for endpoint in ('dev-1', 'dev-2'):
        d.token(endpoint)
    return d.start()


def rsa_daemon(scene, name='d'):
    chain, key = scene.pki.issue('rsa', sans=harness.LOCAL_SANS, key='rsa')
    return start(scene, name, **{'plugin.cert': {'chain': chain, 'key': key}})


# ---- suites, key updates ----------------------------------------------------

def test_suites_of_1_3(scene):
    """openssl, TLS 1.3: every suite, key updates in both directions"""
    d = start(scene)
    for suite in SUITES_13:
        c = SClient(scene, d.address(), '-tls1_3', '-ciphersuites', suite)
        c.expect(suite.encode())
        c.upgrade()
        c.echo()
        for letter in 'KkKKk':
            c.key_update(letter)
            c.echo()
            c.echo(40000)
        c.finish()


def test_suites_of_1_2(scene):
    """openssl, TLS 1.2: every suite with an ECDSA certificate"""
    suites_of_1_2(scene, start(scene), 'ECDHE-ECDSA-')


def test_suites_of_1_2_rsa(scene):
    """openssl, TLS 1.2: every suite with an RSA certificate"""
    suites_of_1_2(scene, rsa_daemon(scene), 'ECDHE-RSA-')


def suites_of_1_2(scene, d, prefix):
    for suite in SUITES_12:
        c = SClient(scene, d.address(), '-tls1_2', '-cipher', prefix + suite)
        c.expect((prefix + suite).encode())
        c.upgrade()
        for size in (20, 40000, 1):
            c.echo(size)
        c.finish()


def test_key_update_before_http(scene):
    """a key update between the handshake and the request"""
    c = SClient(scene, start(scene).address(), '-tls1_3')
    c.expect(rb'Verify return code: 0')
    for letter in 'Kk':
        c.key_update(letter)
        c.healthy()
    c.key_update('K')
    c.upgrade()
    c.echo()
    c.finish()


def test_gnutls_rekey(scene):
    """gnutls-cli: key updates of both kinds, and TLS 1.2"""
    d = start(scene)
    for version in ('TLS1.3', 'TLS1.2'):
        c = GnutlsCli(scene, d.address(), '--inline-commands', '--priority',
                      f'NORMAL:-VERS-ALL:+VERS-{version}')
        c.healthy()
        for command in ((b'^rekey^', b'^rekey1^') * 2
                        if version == 'TLS1.3' else ()):
            c.send(command + b'\n')
            c.expect(rb'Rekey was completed')
            c.healthy()
        c.upgrade()
        c.echo()
        c.finish()


# ---- resumption -------------------------------------------------------------

def resumed_after(scene, between):
    for version in ('-tls1_3', '-tls1_2'):
        d = start(scene)
        kept = scene.path('session')
        first = SClient(scene, d.address(), version, '-sess_out', kept)
        first.expect(rb'New, TLS')
        first.healthy()
        first.finish()
        between(d)
        again = SClient(scene, d.address(), version, '-sess_in', kept)
        again.expect(rb'Reused, TLS')
        again.upgrade()
        again.echo()
        if version == '-tls1_3':
            again.key_update('K')
            again.echo()
        again.finish()
        d.stop()


def test_resumption(scene):
    """a session is resumed, TLS 1.3 and 1.2"""
    resumed_after(scene, lambda d: None)


def test_resumption_restart(scene):
    """a ticket survives a restart of the daemon"""
    def restart(d):
        d.stop()
        d.start()
    resumed_after(scene, restart)


def session_of(d, device, session=None):
    """Connects and hears; (its session, whether that was resumed)."""
    c = Device(d, device, context=session_of.context, session=session)
    try:
        return c.sock.session, c.sock.session_reused
    finally:
        c.close()


def master(scene, content=None, mode=0o600):
    path = scene.path('shared.master')
    with open(path + '.new', 'wb') as f:
        f.write(os.urandom(64) if content is None else content)
    os.chmod(path + '.new', mode)
    os.rename(path + '.new', path)
    return path


def test_ticket_master_shared(scene):
    """nodes that share a ticket master take each other's tickets; one that
    cannot be used is refused in a line and the last stays in service"""
    shared = {'tls': {'ticket_master_file': master(scene)}}
    a, b = start(scene, 'a', **shared), start(scene, 'b', **shared)
    c = start(scene, 'c')
    session_of.context = scene.client_context()
    ticket, _ = session_of(a, 'dev-1')
    check(session_of(b, 'dev-1', ticket)[1], 'b refused the ticket of a')
    check(not session_of(c, 'dev-1', ticket)[1],
          'c took the ticket of a stranger')
    check(not [f for f in os.listdir(a.state) if 'ticket' in f],
          'the node made a master of its own beside the shared one')
    for content, mode, said in ((b'x' * 63, 0o600, 'does not have 64 bytes'),
                                (bytes(64), 0o600, 'is not random'),
                                (None, 0o644, 'mode 0644')):
        master(scene, content, mode)
        check(not b.reload(), f'a master that {said} was taken')
        equal(len([x for x in b.log if said in x]), 1, f'lines on {said}')
        check(session_of(b, 'dev-1', ticket)[1], 'the last master is gone')
    os.unlink(scene.path('shared.master'))
    check(not b.reload(), 'a master that is not there was taken')
    check(session_of(b, 'dev-1', ticket)[1], 'the last master is gone')
    master(scene)
    check(b.reload(), 'a good master was refused')
    check(not session_of(b, 'dev-1', ticket)[1],
          'a ticket of the old master was taken')
    ticket, _ = session_of(b, 'dev-1')
    check(a.reload(), 'a good master was refused')
    check(session_of(a, 'dev-1', ticket)[1], 'a refused the ticket of b')


def test_ticket_master_of_the_service(scene):
    """a ticket master can be a credential of the service, of several nodes"""
    directory = os.path.dirname(master(scene))
    nodes = [scene.daemon(name, conf={'tls': {
        'ticket_master_file': 'credential:shared.master'}},
        env={'CREDENTIALS_DIRECTORY': directory}) for name in 'ab']
    for d in nodes:
        d.token('dev-1')
        d.start()
    session_of.context = scene.client_context()
    ticket, _ = session_of(nodes[0], 'dev-1')
    check(session_of(nodes[1], 'dev-1', ticket)[1], 'b refused it')
    for d in nodes:
        d.stop()
        d.start()
        check(session_of(d, 'dev-1', ticket)[1], 'the ticket was refused')


def test_psk_ke(scene):
    """psk_ke is off, and on by its switch: openssl resumes without a key
    exchange then, and who does not offer it has one"""
    d = start(scene)
    for on in (False, True):
        if on:
            d.configure({'tls': {'psk_ke': 'yes'}})
            check(d.reload(), 'psk_ke = yes was refused')
        for offers in (False, True):
            kept = scene.path('session')
            options = ('-tls1_3',) + ('-allow_no_dhe_kex',) * offers
            first = SClient(scene, d.address(), *options, '-sess_out', kept)
            first.expect(rb'(Server|Peer) Temp Key: X25519')
            first.healthy()
            first.finish()
            again = SClient(scene, d.address(), *options, '-sess_in', kept)
            again.expect(rb'Reused, TLS')
            equal(b' Temp Key' in again.output, not (on and offers),
                  f'a key exchange, psk_ke {on}, offered {offers}')
            again.upgrade()
            again.echo()
            again.finish()


def test_ticket_master_is_private(scene):
    """the ticket master is a file of the owner's alone"""
    d = start(scene)
    found = [os.path.join(top, f) for top, _, files in os.walk(d.state)
             for f in files if 'ticket' in f]
    equal(len(found), 1, 'files of the ticket master')
    equal(os.stat(found[0]).st_mode & 0o777, 0o600, 'its mode')


def test_resumed_by_python(scene):
    """python resumes, with a client certificate, and is known again"""
    d = start(scene, **{'listener.main': client_auth(scene, 'required')})
    cert = scene.pki.issue('dev-1', 'clientAuth')
    for version in (V12, V13):
        context = scene.client_context(cert, version)
        one = Device(d, 'dev-1', cert=cert, context=context)
        session = one.sock.session
        one.close()
        two = Device(d, 'dev-1', cert=cert, context=context, session=session)
        check(two.sock.session_reused, f'not resumed: {version}')
        equal(two.hello_result['security'], 'wss-safe', 'security')
        two.close()


# ---- what is refused --------------------------------------------------------

def refused(scene, address, alert, *args):
    out = SClient(scene, address, *args).finish()
    check(re.search(rb'alert number %d\b' % alert, out),
          f'{args}: no alert {alert}: {out[:1500]}')


def test_old_versions(scene):
    """TLS 1.1 and 1.0 are refused with protocol_version"""
    d = start(scene)
    for version in ('-tls1_1', '-tls1'):
        refused(scene, d.address(), 70, version, '-cipher', ANY_CIPHER)


def test_weak_suites(scene):
    """CBC, static RSA, finite field and SHA-1 get handshake_failure"""
    ec, rsa = start(scene), rsa_daemon(scene, 'rsa')
    for d, suite in ((ec, 'ECDHE-ECDSA-AES128-SHA256'),
                     (ec, 'ECDHE-ECDSA-AES256-SHA'),
                     (ec, 'ECDHE-ECDSA-AES128-CCM'),
                     (rsa, 'ECDHE-RSA-AES128-SHA256'),
                     (rsa, 'AES128-GCM-SHA256'),
                     (rsa, 'DHE-RSA-AES128-GCM-SHA256')):
        refused(scene, d.address(), 40, '-tls1_2', '-cipher',
                suite + ':@SECLEVEL=0')
    refused(scene, ec.address(), 40, '-tls1_2', '-sigalgs', 'ECDSA+SHA1',
            '-cipher', ANY_CIPHER)


def test_renegotiation(scene):
    """renegotiation of TLS 1.2 is refused and hurts nobody"""
    d = start(scene)
    c = SClient(scene, d.address(), '-tls1_2')
    c.expect(rb'Verify return code: 0')
    c.upgrade()
    c.echo()
    c.send(b'R\n')
    c.expect(rb'RENEGOTIATING')
    # It does not take no for an answer and ends the session itself.
    check(b'no renegotiation' in c.finish(), 'no alert came')
    out = subprocess.run(
        ['gnutls-cli', '--port', str(d.address()[1]), '--x509cafile',
         scene.pki.ca, '--rehandshake', '--priority',
         'NORMAL:-VERS-ALL:+VERS-TLS1.2', 'localhost'], input=b'',
        capture_output=True, timeout=harness.PATIENCE)
    check(b'ReHandshake was completed' not in out.stdout,
          'it was renegotiated')
    Device(d, 'dev-1').close()


def test_alpn(scene):
    """ALPN: http/1.1 is taken, h2 alone refused, none is fine"""
    d = start(scene)
    for offer in ('http/1.1', 'h2,http/1.1'):
        c = SClient(scene, d.address(), '-alpn', offer)
        c.expect(rb'ALPN protocol: http/1\.1')
        c.upgrade()
        c.finish()
    refused(scene, d.address(), 120, '-alpn', 'h2')
    c = SClient(scene, d.address())
    c.expect(rb'No ALPN negotiated')
    c.upgrade()
    c.finish()


# ---- certificates -----------------------------------------------------------

def shown(scene, d, name, *args):
    """The subject of what the server shows to a client that asks for name."""
    c = SClient(scene, d.address(), *args, name=name)
    cn = c.expect(rb'subject=CN ?= ?(\S+)').group(1).decode()
    c.healthy()
    c.finish()
    return cn


def test_slots(scene):
    """server names choose the slot: exact, wildcard, default"""
    conf = {}
    for slot, names in (('one', 'one.example'),
                        ('wild', '*.wild.example, Two.Example')):
        chain, key = scene.pki.issue(slot, sans=[
            'DNS:' + n.strip() for n in names.split(',')])
        conf[f'slot.{slot}'] = {'source': slot, 'names': names}
        conf[f'plugin.{slot}'] = {'module': 'cert-file', 'chain': chain,
                                  'key': key}
    d = start(scene, **conf)
    for version in ('-tls1_3', '-tls1_2'):
        for name, cn in (('one.example', 'one'), ('ONE.example', 'one'),
                         ('a.wild.example', 'wild'),
                         ('two.example', 'wild'),
                         ('wild.example', 'localhost'),
                         ('a.b.wild.example', 'localhost'),
                         ('nobody.example', 'localhost')):
            equal(shown(scene, d, name, version), cn, name)
    c = SClient(scene, d.address(), name=None)
    c.expect(rb'subject=CN ?= ?localhost')
    c.finish()


def test_two_keys(scene):
    """an RSA and an ECDSA certificate side by side in one slot"""
    chain, key = scene.pki.issue('rsa', sans=harness.LOCAL_SANS, key='rsa')
    d = start(scene, **{
        'plugin.rsa': {'module': 'cert-file', 'chain': chain, 'key': key},
        'slot.main': {'source': 'cert, rsa'}})
    for args, cn in (
            (('-tls1_3',), 'localhost'),
            (('-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'), 'rsa'),
            (('-tls1_3', '-sigalgs', 'RSA-PSS+SHA256:ECDSA+SHA256'),
             'localhost'),
            (('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), 'rsa'),
            (('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
             'localhost')):
        equal(shown(scene, d, 'localhost', *args), cn, str(args))


def test_key_of_another_type(scene):
    """a certificate replaced by one with another type of key is gone"""
    chain, key = scene.pki.issue('rsa', sans=harness.LOCAL_SANS, key='rsa')
    d = start(scene)
    equal(shown(scene, d, 'localhost'), 'localhost')
    d.configure({'plugin.cert': {'chain': chain, 'key': key}})
    check(d.reload(), 'the reload was refused')
    equal(shown(scene, d, 'localhost'), 'rsa')
    refused(scene, d.address(), 40, '-tls1_2', '-cipher',
            'ECDHE-ECDSA-AES128-GCM-SHA256')


# ---- client certificates ----------------------------------------------------

def client_auth(scene, how):
    return {'client_auth': how, 'ca_file': scene.pki.ca}


def refused_client(scene, d, cert, reason, version):
    """The alert as python's ssl names it; TLS 1.3 tells with the first read.
    """
    try:
        device = Device(d, 'dev-1', context=scene.client_context(
            cert, version), hello=False)
    except (ssl.SSLError, ConnectionError, Closed) as e:
        check(reason in str(e), f'{version}: {e}, wanted {reason}')
        return
    raise Failure(f'{cert} was accepted at {device.status}')


def test_client_auth_required(scene):
    """client certificates required: who has none or a bad one is told why"""
    d = start(scene, **{'listener.main': client_auth(scene, 'required')})
    other = Pki(scene.path('d'), 'other')
    bad = [(other.issue('stranger', 'clientAuth'), 'UNKNOWN_CA'),
           (scene.pki.issue('old', 'clientAuth', days=-1),
            'CERTIFICATE_EXPIRED'),
           (scene.pki.issue('server-only', 'serverAuth'),
            'UNSUPPORTED_CERTIFICATE')]
    for version in (V13, V12):
        refused_client(scene, d, None, 'CERTIFICATE_REQUIRED'
                       if version == V13 else 'HANDSHAKE_FAILURE', version)
        for cert, reason in bad:
            refused_client(scene, d, cert, reason, version)
        cert = scene.pki.issue('dev-1', 'clientAuth')
        device = Device(d, 'dev-1', cert=cert, context=scene.client_context(
            cert, version))
        equal(device.hello_result['security'], 'wss-safe', str(version))
        device.close()


def security_on_the_bus(d, endpoint):
    with d.request() as r:
        def online():
            return [e for e in r.endpoints()
                    if e['endpoint'] == endpoint and e['state'] == 'online']
        return wait_until(f'{endpoint} online', online)[0]['security']


def test_client_auth_optional(scene):
    """client certificates optional: wss-safe with one, wss with a token"""
    d = start(scene, **{'listener.main': client_auth(scene, 'optional')})
    cert = scene.pki.issue('dev-1', 'clientAuth')
    for version in (V13, V12):
        context = scene.client_context(cert, version)
        safe = Device(d, 'dev-1', cert=cert, context=context)
        equal(safe.hello_result['security'], 'wss-safe', str(version))
        equal(security_on_the_bus(d, 'dev-1'), 'wss-safe', 'on the bus')
        safe.close()
        token = Device(d, 'dev-2', context=scene.client_context(
            version=version))
        equal(token.hello_result['security'], 'wss', str(version))
        equal(security_on_the_bus(d, 'dev-2'), 'wss', 'on the bus')
        token.close()
        refused_client(scene, d, Pki(scene.path('d'), f'x{version}').issue(
            'dev-1', 'clientAuth'), 'UNKNOWN_CA', version)


def test_client_auth_off(scene):
    """client certificates off: none is asked for, none is looked at"""
    d = start(scene)
    c = SClient(scene, d.address())
    c.expect(rb'No client certificate CA names sent')
    c.finish()
    cert = scene.pki.issue('dev-1', 'clientAuth')
    try:
        Device(d, 'dev-1', cert=cert)
    except (Failure, Closed):
        pass
    else:
        raise Failure('accepted by a certificate that was never shown')


def test_certificate_of_another(scene):
    """a certificate says who one is: no other name is accepted"""
    d = start(scene, **{'listener.main': client_auth(scene, 'optional')})
    cert = scene.pki.issue('dev-1', 'clientAuth')
    device = Device(d, 'dev-1', cert=cert, hello=False)
    device.endpoint = 'dev-2'
    try:
        device.call('hello', {'endpoint': 'dev-2', 'boot_id': 'b',
                              'agent': {'name': 'x', 'version': '1'},
                              'auth': {'method': 'mtls'}})
    except Failure:
        equal(device.expect_close()[0], 4001, 'close code')
    except Closed as e:
        equal(e.code, 4001, 'close code')
    else:
        raise Failure('dev-1 came in as dev-2')


def test_no_extended_master_secret(scene):
    """TLS 1.2 without the extended master secret is never wss-safe"""
    d = start(scene, **{'listener.main': client_auth(scene, 'optional')})
    cert = scene.pki.issue('dev-1', 'clientAuth')
    context = scene.client_context(cert, V12)
    context.options |= 1            # SSL_OP_NO_EXTENDED_MASTER_SECRET
    device = Device(d, 'dev-1', cert=cert, context=context)
    equal(device.hello_result['security'], 'wss', 'security')
    device.close()


# ---- records ----------------------------------------------------------------

def test_small_records(scene):
    """what a client says about the size of records is kept to"""
    d = start(scene)
    for version in ('-tls1_2', '-tls1_3'):
        for n in (512, 2048):
            relay = Relay(scene, d.address())
            c = SClient(scene, relay.address, version, '-maxfraglen', str(n))
            c.upgrade()
            del relay.records[:]
            c.echo(40000)
            # The type byte of 1.3 counts (RFC 8446 5.4); 8 bytes of nonce.
            equal(max(length for _, length in relay.records),
                  n + 16 if version == '-tls1_3' else n + 24,
                  f'longest record for {n}')
            # It binds the client too, before anything is opened.
            relay.inject(b'\x17\x03\x03' + (n + 257).to_bytes(2, 'big'))
            check(b'record overflow' in c.end(), 'no record_overflow')
    for version in ('TLS1.3', 'TLS1.2'):
        relay = Relay(scene, d.address())
        c = GnutlsCli(scene, relay.address, '--recordsize', '600',
                      '--priority', f'NORMAL:-VERS-ALL:+VERS-{version}')
        c.upgrade()
        del relay.records[:]
        echo_in_fragments(c)
        biggest = max(length for _, length in relay.records)
        check(600 < biggest <= 640, f'records of {biggest} for 600')
        c.finish()


def echo_in_fragments(c):
    """gnutls-cli loses what does not fit into one record of its own, so the
    pieces are small, and a pong says that one has gone."""
    last = 7
    for i in range(last + 1):
        c.send(frame(TEXT if i == 0 else 0, b'%d' % i * 500, fin=i == last))
        if i < last:
            c.send(frame(PING, b'piece%d' % i))
            c.expect(b'piece%d' % i)
    c.expect(b'7' * 500)


class Bio:
    """python's TLS without a socket of its own, so that a test says what is
    sent together with what."""

    def __init__(self, scene, d, version, session=None):
        self.sock = connect(d.address())
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = scene.client_context(version=version).wrap_bio(
            self.into, self.out, server_hostname='localhost')

    def handshake(self):
        """All but the client's last flight, which is in `out`."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.feed()

    def feed(self):
        data = self.sock.recv(65536)
        check(data, 'the server ended')
        self.into.write(data)

    def flush(self):
        self.sock.sendall(self.out.read())

    def read_until(self, wanted):
        got = b''
        while wanted not in got:
            try:
                got += self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.feed()
        return got


def test_data_behind_finished(scene):
    """request and frames right behind Finished, in one segment"""
    d = start(scene)
    for version in (V13, V12):
        for n in (20, 100000):
            c = Bio(scene, d, version)
            c.handshake()
            c.tls.write(REQUEST)
            c.tls.write(frame(TEXT, b'early ' + b'x' * n + b' end'))
            c.flush()
            c.read_until(b' end')
            c.sock.close()


def test_octets_behind_finished(scene):
    """the same, one octet at a time"""
    d = start(scene)
    c = Bio(scene, d, V13)
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    c.handshake()
    c.tls.write(REQUEST)
    c.tls.write(frame(TEXT, b'early end'))
    for octet in c.out.read():
        c.sock.sendall(bytes([octet]))
    c.read_until(b'early end')
    c.sock.close()


def ended(scene, how, reason):
    d = start(scene)
    device = Device(d, 'dev-1')
    how(device)
    with d.request() as r:
        def gone():
            return [e for e in r.endpoints() if e['state'] != 'online']
        equal(wait_until('the device is gone', gone)[0]['reason'], reason,
              'reason')


def test_truncation(scene):
    """an end without close_notify is a reset on the bus"""
    def cut(device):
        raw = socket.socket(fileno=device.sock.detach())
        raw.settimeout(harness.PATIENCE)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
        raw.close()
    ended(scene, cut, 'reset')


def test_close_notify(scene):
    """an end with close_notify is the peer's, and answered by one"""
    def close(device):
        raw = device.sock.unwrap()      # fails unless it is answered
        raw.close()
    ended(scene, close, 'peer-close')


def whole_connection(scene, d):
    WebSocket(scene.client_context().wrap_socket(
        connect(d.address()), server_hostname='localhost'), 'localhost',
        '/echo').close()


def test_aborted_handshakes(scene):
    """a handshake cut at every record leaves nothing behind"""
    d = start(scene)
    whole_connection(scene, d)      # what is opened once is open now
    before = d.open_files()
    hello = Bio(scene, d, V13)
    try:
        hello.tls.do_handshake()
    except ssl.SSLWantReadError:
        first = hello.out.read()
    hello.sock.close()
    for n in range(0, len(first), 7):
        with connect(d.address()) as s:
            s.sendall(first[:n])
    whole_connection(scene, d)
    wait_until('descriptors are closed', lambda: d.open_files() <= before)


if __name__ == '__main__':
    harness.main()
