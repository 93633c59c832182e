#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verifying the other side: the real daemon with client certificates,
revocation lists and criteria, against openssl, gnutls-cli, python and
cleat-agent; and cleat-agent against the daemon."""
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
from agents import Agent, spki      # noqa: E402
from control import Control      # noqa: E402
from harness import (CLOSE, PING, PONG, Closed, Device,  # noqa: E402
                     Failure, Pki, check, equal, wait_until)
from revoking import Lister, put      # noqa: E402
from tls_tools import SClient, Tool  # noqa: E402

V12 = ssl.TLSVersion.TLSv1_2
V13 = ssl.TLSVersion.TLSv1_3


def read(path):
    with open(path) as f:
        return f.read()


def fingerprint(cert):
    with open(cert[0]) as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def fleet(scene, how='required', **listener):
    """Two authorities in a directory, and lists in another."""
    one, two = (Lister(scene.path('pki'), n) for n in ('one', 'two'))
    cas, crls = scene.path('cas'), scene.path('crls')
    os.makedirs(cas)
    os.makedirs(crls)
    put(os.path.join(cas, 'one.pem'), read(one.ca))
    subprocess.run(['openssl', 'x509', '-in', two.ca, '-outform', 'DER',
                    '-out', os.path.join(cas, 'two.cer')], check=True)
    put(os.path.join(crls, 'one.crl'), one.list())
    d = scene.daemon(conf={
        'tls': {'watch': '1s'},
        'listener.main': {'client_auth': how, 'ca_file': cas,
                          'crl_file': crls, **listener}}).start()
    return d, one, two, cas, crls


def clients(d):
    return Control(d).get('/v1/status')['client_certificates'][0]


def comes(scene, d, name, cert, version=V13, like=None):
    """like: a device whose session is resumed."""
    context = like.context if like else scene.client_context(cert, version)
    device = Device(d, name, cert=cert, context=context,
                    session=like.session if like else None)
    device.context = context
    # TLS 1.3 sends it after the handshake: it has come with the hello.
    device.session = device.sock.session
    return device


def stays_out(scene, d, name, cert, reason, version=V13, like=None):
    try:
        comes(scene, d, name, cert, version, like)
    except (ssl.SSLError, ConnectionError, Closed) as e:
        check(reason in str(e), f'{e}, wanted {reason}')
        return
    raise Failure(f'{name} came in')


def still_here(*devices):
    for device in devices:
        device.send(b'there?', PING)
        while True:
            opcode, payload = device.recv_frame()[:2]
            check(opcode != CLOSE, f'{device.endpoint} was closed: {payload}')
            if opcode == PONG and payload == b'there?':
                break


def put_out(device):
    code, why = device.expect_close()[:2]
    equal(code, 4005, f'{device.endpoint}: {why}')


def openssl(scene, d, cert, *args):
    return SClient(scene, d.address(), *args, '-cert', cert[0], '-key',
                   cert[1])


def gnutls(scene, d, cert):
    return Tool(scene, harness.need('gnutls-cli', 'gnutls-bin'), '--port',
                str(d.address()[1]), '--x509cafile', scene.pki.ca,
                '--x509certfile', cert[0], '--x509keyfile', cert[1],
                'localhost')


# ---- what ends --------------------------------------------------------------

def test_a_revocation(scene):
    """a revoked device is put out (4005) and stays out, nobody else notices"""
    d, one, two, _, crls = fleet(scene)
    certs = {n: (one if n[0] == 'a' else two).issue(n, 'clientAuth')
             for n in ('a1', 'a2', 'b1')}
    here = {n: comes(scene, d, n, c) for n, c in certs.items()}
    save = scene.path('a1.session')
    c = openssl(scene, d, certs['a1'], '-tls1_3', '-sess_out', save)
    c.upgrade()
    c.echo()
    c.finish()
    check(os.path.exists(save), 'no session to come back with')
    equal(clients(d)['revoked'], 0)
    one.revoke(certs['a1'][0])
    put(os.path.join(crls, 'one.crl'), one.list())
    put_out(here['a1'])
    d.expect_log(r'new CAs or revocation lists in service cas=2 lists=1 '
                 r'revoked=1')
    equal(clients(d)['revoked'], 1)
    for version in (V13, V12):
        stays_out(scene, d, 'a1', certs['a1'], 'CERTIFICATE_REVOKED', version)
    stays_out(scene, d, 'a1', certs['a1'], 'CERTIFICATE_REVOKED',
              like=here['a1'])
    c = openssl(scene, d, certs['a1'], '-tls1_3', '-sess_in', save)
    check(b'certificate revoked' in c.end(), 'openssl came back')
    c = gnutls(scene, d, certs['a1'])
    check(b'revoked' in c.end(), 'gnutls-cli came in')
    still_here(here['a2'], here['b1'])
    device = comes(scene, d, 'a2', certs['a2'], like=here['a2'])
    check(device.sock.session_reused, 'a2 could not resume')
    equal(here['a2'].expect_close()[0], 4003, 'taken over')
    c = gnutls(scene, d, certs['b1'])
    c.expect(rb'Simple Client Mode:\s+')
    c.upgrade()
    c.echo()
    c.finish()


def test_a_removed_authority(scene):
    """a removed CA takes its channels along; a new one drops nobody"""
    d, one, two, cas, _ = fleet(scene)
    a1 = comes(scene, d, 'a1', one.issue('a1', 'clientAuth'))
    cert = two.issue('b1', 'clientAuth')
    b1 = comes(scene, d, 'b1', cert)
    three = Lister(scene.path('pki'), 'three')
    put(os.path.join(cas, 'three.pem'), read(three.ca))
    d.expect_log('in service cas=3')
    c1 = comes(scene, d, 'c1', three.issue('c1', 'clientAuth'))
    resumed = comes(scene, d, 'a1', one.issue('a1', 'clientAuth'),
                    like=a1)
    check(resumed.sock.session_reused, 'a new CA ended the tickets')
    os.unlink(os.path.join(cas, 'two.cer'))
    put_out(b1)
    still_here(resumed, c1)
    stays_out(scene, d, 'b1', cert, 'UNKNOWN_CA')
    stays_out(scene, d, 'b1', cert, 'UNKNOWN_CA', like=b1)
    equal(Control(d).get('/v1/endpoints/b1')['reason'], 'revoked')


def test_an_authority_below_another(scene):
    """a revoked intermediate CA takes its devices along"""
    d, one, _, cas, crls = fleet(scene)
    inter = Lister(scene.path('pki'), 'inter')
    ext = scene.path('inter.ext')
    with open(ext, 'w') as f:
        f.write('basicConstraints=critical,CA:TRUE\n'
                'keyUsage=keyCertSign,cRLSign\n'
                'subjectKeyIdentifier=hash\n')
    csr = scene.path('inter.csr')
    inter._openssl('req', '-new', '-key', inter.ca_key, '-subj',
                   '/CN=test inter', '-out', csr)
    inter._openssl('x509', '-req', '-in', csr, '-CA', one.ca, '-CAkey',
                   one.ca_key, '-CAcreateserial', '-extfile', ext, '-days',
                   '2', '-out', inter.ca)
    crt, key = inter.issue('i1', 'clientAuth')
    put(crt, read(crt) + read(inter.ca))
    a1 = comes(scene, d, 'a1', one.issue('a1', 'clientAuth'))
    i1 = comes(scene, d, 'i1', (crt, key))
    one.revoke(inter.ca)
    put(os.path.join(crls, 'one.crl'), one.list())
    put_out(i1)
    still_here(a1)
    stays_out(scene, d, 'i1', (crt, key), 'CERTIFICATE_REVOKED')
    stays_out(scene, d, 'i1', (crt, key), 'CERTIFICATE_REVOKED', like=i1)


def test_the_allowlist(scene):
    """a fingerprint that leaves the list takes its channel along"""
    pki = Lister(scene.path('pki'), 'one')
    certs = {n: pki.issue(n, 'clientAuth') for n in ('a1', 'a2', 'a3')}
    allowed = scene.path('allowed')
    put(allowed, fingerprint(certs['a1']) + '\n' + fingerprint(certs['a2']))
    d = scene.daemon(conf={'tls': {'watch': '1s'}, 'listener.main': {
        'client_auth': 'required', 'ca_file': pki.ca,
        'fingerprint_file': allowed}}).start()
    a1, a2 = (comes(scene, d, n, certs[n]) for n in ('a1', 'a2'))
    stays_out(scene, d, 'a3', certs['a3'], 'ACCESS_DENIED')
    put(allowed, fingerprint(certs['a2']))
    put_out(a1)
    still_here(a2)
    stays_out(scene, d, 'a1', certs['a1'], 'ACCESS_DENIED', like=a1)
    put(allowed, '')            # nobody is not everybody
    d.expect_log('no fingerprint in it')
    still_here(a2)


# ---- what does not end ------------------------------------------------------

def test_files_that_cannot_be_used(scene):
    """damaged, half and missing files: the last good ones stay, loudly"""
    d, one, two, cas, crls = fleet(scene)
    a1 = comes(scene, d, 'a1', one.issue('a1', 'clientAuth'))
    b1 = comes(scene, d, 'b1', two.issue('b1', 'clientAuth'))
    path, lists = os.path.join(cas, 'one.pem'), os.path.join(crls, 'one.crl')
    good, good_list = read(path), read(lists)
    stranger = Lister(scene.path('pki'), 'stranger')
    for name, text, said in (
            (path, good[:200], 'one.pem'), (path, '', 'one.pem'),
            (lists, good_list[:150], 'one.crl'),
            (lists, 'no list', 'no revocation list in it'),
            (lists, one.list('-crldays', '2', '-crlexts', 'delta'), 'a delta'),
            (lists, one.list('-crldays', '2', '-crlexts', 'indirect'),
             'an indirect one'),
            (lists, stranger.list(), 'no CA that is given has signed')):
        put(name, text)
        d.expect_log(f'keep as they were.*{said}')
        wait_until('error in the status',
                   lambda: said in clients(d).get('error', ''))
        check(said in subprocess.run(
            [os.path.join(harness.BUILDDIR, 'cleatctl'), '--socket',
             os.path.join(d.runtime, 'control.sock'), 'status'],
            check=True, capture_output=True, text=True).stdout,
            'not in cleatctl status')
        put(path, good)
        put(lists, good_list)
        d.expect_log('new CAs or revocation lists in service')
        wait_until('no error any more', lambda: 'error' not in clients(d))
        still_here(a1, b1)
    put(lists, one.list('-crldays', '2', '-crlexts', 'part'))
    d.expect_log('new CAs or revocation lists in service')
    shutil.move(cas, cas + '.away')
    d.expect_log('keep as they were.*No such file')
    still_here(a1, b1)
    comes(scene, d, 'a2', one.issue('a2', 'clientAuth'))


def test_a_list_that_is_overdue(scene):
    """an expired list is used on, and said loudly"""
    d, one, _, _, crls = fleet(scene)
    cert, other = (one.issue(n, 'clientAuth') for n in ('a1', 'a2'))
    one.revoke(cert[0])
    put(os.path.join(crls, 'one.crl'), one.list(
        '-crl_lastupdate', '20240101000000Z', '-crl_nextupdate',
        '20240201000000Z'))
    d.expect_log('revocation list is EXPIRED since 2024-02-01')
    equal(clients(d)['crl_expired'], True)
    stays_out(scene, d, 'a1', cert, 'CERTIFICATE_REVOKED')
    comes(scene, d, 'a2', other)


# ---- criteria and weakenings ------------------------------------------------

def test_criteria(scene):
    """fields, alternative names and pins of client certificates; all or any"""
    pki = Lister(scene.path('pki'), 'one')
    good = pki.issue('a1', 'clientAuth', sans=['URI:urn:plant:2:a1'])
    other = pki.issue('a2', 'clientAuth')
    for i, (keys, fits) in enumerate((
            ({'subject_cn': 'a1'}, True), ({'subject_cn': 'A1'}, False),
            ({'issuer_cn': 'test one', 'sans': 'uri:urn:plant:2:*'}, True),
            ({'issuer_cn': 'test two', 'sans': 'uri:urn:plant:2:*'}, False),
            ({'issuer_cn': 'test two', 'sans': 'uri:urn:plant:2:*',
              'match': 'any'}, True),
            ({'pins': spki(other[0])}, False),
            ({'pins': 'ca:' + spki(pki.ca)}, True))):
        d = scene.daemon(f'd{i}', conf={'listener.main': {
            'client_auth': 'required', 'ca_file': pki.ca, **keys}}).start()
        if fits:
            comes(scene, d, 'a1', good)
        else:
            stays_out(scene, d, 'a1', good, 'ACCESS_DENIED')
            c = openssl(scene, d, good, '-tls1_3')
            check(b'access denied' in c.end(), 'openssl came in')
        equal(len(clients(d)['weakened']), int('match' in keys))
        d.stop()


def test_weakenings(scene):
    """validate = no, allow_self_signed: said loudly, and they prove nothing"""
    own = scene.path('own.crt'), scene.path('own.key')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                    '-subj', '/CN=a1', '-keyout', own[1], '-out', own[0]],
                   check=True, capture_output=True)
    for i, keys in enumerate(({'validate': 'no'},
                              {'allow_self_signed': 'yes'})):
        d = scene.daemon(f'd{i}', conf={'listener.main': {
            'client_auth': 'required', **keys}})
        d.token('a1')
        d.start()
        check(any(re.search(r'warning WEAKENED \[listener.main\]', line)
                  for line in d.log), 'not loud')
        check(clients(d)['weakened'], 'not in the status')
        try:
            comes(scene, d, 'a1', own)
        except Failure as e:
            check('authentication failed' in str(e), str(e))
        else:
            raise Failure('it came in by writing its name')
        device = Device(d, 'a1', context=scene.client_context(own))
        equal(device.hello_result['security'], 'wss')
        c = gnutls(scene, d, own)
        c.expect(rb'Simple Client Mode:\s+')
        d.stop()
    d = scene.daemon('listed', conf={'listener.main': {
        'client_auth': 'required', 'allow_self_signed': 'yes',
        'fingerprint_allowlist': fingerprint(own)}}).start()
    equal(comes(scene, d, 'a1', own).hello_result['security'], 'wss-safe')


# ---- the agent --------------------------------------------------------------

def test_the_agent_judges_the_server(scene):
    """cleat-agent: criteria, lists, EMS names, an encrypted key"""
    ca = Lister(scene.path('pki'), 'ca')
    crt, key = ca.issue('localhost', sans=harness.LOCAL_SANS)
    client = ca.issue('dev-1', 'clientAuth')
    locked = scene.path('locked.key')
    subprocess.run(['openssl', 'pkcs8', '-topk8', '-in', client[1], '-out',
                    locked, '-passout', 'pass:open sesame', '-v2',
                    'aes-256-cbc'], check=True)
    both = scene.path('both.p12')
    subprocess.run(['openssl', 'pkcs12', '-export', '-in', client[0],
                    '-inkey', client[1], '-out', both, '-passout',
                    'pass:open sesame'], check=True)
    subprocess.run(['openssl', 'pkcs8', '-topk8', '-in', client[1], '-outform',
                    'DER', '-out', locked + '.der', '-passout',
                    'pass:open sesame'], check=True)
    d = scene.daemon(conf={
        'plugin.cert': {'chain': crt, 'key': key},
        'listener.main': {'client_auth': 'required', 'ca_file': ca.ca}})
    d.start()
    empty, full = scene.path('empty.crl'), scene.path('full.crl')
    put(empty, ca.list())
    ca.revoke(crt)
    put(full, ca.list())
    right = fingerprint((crt,))
    common = {'cert_chain': ca.ca, 'client_cert': client[0],
              'key_file': locked, 'key_passphrase': 'open sesame'}
    for keys, said in (
            ({'validate': 'true', 'allow_self_signed': 'false',
              'Cert_Common_Name': 'localhost',
              'CA_Cert_Common_Name': 'test ca',
              'fingerprint_allowlist': ':'.join(
                  right[i:i + 2] for i in range(0, 64, 2)).upper()},
             'online'),
            ({'Cert_Organization': 'ThingWorx'}, 'has subject O'),
            ({'CA_Cert_Common_Name': 'x'}, 'has issuer CN "test ca"'),
            ({'fingerprint_allowlist': '0' * 64}, f'not in the list: {right}'),
            ({'sans': 'dns:localhost', 'crl': empty}, 'online'),
            ({'crl': full}, 'is revoked'),
            ({'sans': 'dns:example.org', 'subject-cn': 'localhost'},
             'alternative names'),
            ({'sans': 'dns:example.org', 'subject-cn': 'localhost',
              'match-any': 'yes'}, 'online'),
            ({'validate': 'false', 'cert_chain': scene.pki.ca + '.none'},
             'No such file'),
            ({'key_passphrase': 'wrong'}, 'password does not open'),
            ({'client_cert': both, 'key_file': both}, 'online'),
            ({'key_file': locked + '.der'}, 'online'),
            ({'validate': 'perhaps'}, 'yes or no')):
        conf = scene.path('agent.conf')
        put(conf, ''.join(f'{k} = {v}\n'
                          for k, v in {**common, **keys}.items()))
        os.chmod(conf, 0o600)
        a = Agent(scene, d.url(), '-c', conf, token=False)
        a.says(re.escape(said))
        check(not any('sesame' in line for line in a.log), 'it is in the log')
        a.kill()
        shutil.rmtree(scene.path('agent'), ignore_errors=True)
    put(conf, ''.join(f'{k} = {v}\n' for k, v in common.items()) +
        'validate = false\ndisable_hostname_validation = true\n')
    os.chmod(conf, 0o644)
    a = Agent(scene, d.url(), '-c', conf, token=False)
    a.says('others may read it')
    a.says('WEAKENED: the server.s certificate may come from anybody')
    a.says('WEAKENED: the server.s name is not verified')
    a.says('online')


if __name__ == '__main__':
    harness.main()
