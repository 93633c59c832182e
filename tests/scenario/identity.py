#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may be which endpoint, with the real daemon: enrolment, credentials,
revocation, certificates, somebody in between, throttling, and where no secret
may be found."""
import base64
import datetime
import hashlib
import json
import os
import queue
import re
import select
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control, Problem  # noqa: E402
from harness import (BUILDDIR, PATIENCE, Device, Failure,  # noqa: E402
                     WebSocket, check, connect, endless, equal, main,
                     wait_until)

FAILED, LATER, PENDING, TOO_MANY = -32001, -32002, -32006, -32009
AWAY = {FAILED: 4001, LATER: 1013, PENDING: 1013, TOO_MANY: 4008}


def start(scene, name='d', listener=None, **auth):
    d = scene.daemon(name, conf={
        'auth': auth, 'listener.main': listener or {},
        'presence': {'recovery': '1s', 'clone_replacements': '0'}})
    d.start()
    d.control = Control(d)
    return d


def again(d):
    """A restart."""
    d.control.close()
    d.stop()
    d.start()
    d.control = Control(d)


def finish(d):
    d.control.close()
    d.stop()


def ctl(d, *args):
    """Standard output of cleatctl."""
    p = subprocess.run([os.path.join(BUILDDIR, 'cleatctl'), *args],
                       env=dict(os.environ, CLEAT_CONTROL=os.path.join(
                           d.runtime, 'control.sock')),
                       capture_output=True, text=True, timeout=PATIENCE)
    equal(p.returncode, 0, f'{args}: {p.stderr}')
    return p.stdout.strip()


class Key:
    """Ed25519, by openssl."""

    def __init__(self, scene, name):
        self.path = scene.path(name + '.pem')
        self.text = scene.path(name + '.text')
        subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519',
                        '-out', self.path], check=True)
        der = subprocess.run(['openssl', 'pkey', '-in', self.path, '-pubout',
                              '-outform', 'DER'], check=True,
                             stdout=subprocess.PIPE).stdout
        self.public = der[-32:].hex()
        self.fingerprint = hashlib.sha256(der[-32:]).hexdigest()

    def auth(self, method, nonce, endpoint, **more):
        """Not bound to the TLS connection: Python's ssl cannot export."""
        with open(self.text, 'wb') as f:
            f.write(b'cleat hello v1\0' + bytes.fromhex(nonce) + b'\0' +
                    endpoint.encode())
        signature = subprocess.run(
            ['openssl', 'pkeyutl', '-sign', '-inkey', self.path, '-rawin',
             '-in', self.text], check=True, stdout=subprocess.PIPE).stdout
        return dict({'method': method, 'public_key': self.public,
                     'signature': signature.hex(), 'binding': 'none'}, **more)


def said(d, endpoint, how, **kw):
    """A device that has said hello, and the whole answer.  how: a token, or
    what gives the auth for a nonce."""
    device = Device(d, endpoint, hello=False, **kw)
    challenge = json.loads(device.recv())
    auth = how(challenge['params']['nonce']) if callable(how) else \
        {'method': 'token', 'token': how}
    device.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'hello', 'params': {
        'endpoint': endpoint, 'auth': auth, 'boot_id': 'b1'}})
    answer = json.loads(device.recv())
    equal(answer.get('id'), 1)
    return device, answer


def comes(d, endpoint, how, **kw):
    device, answer = said(d, endpoint, how, **kw)
    check('result' in answer, f'{endpoint}: {answer}')
    device.hello_result = answer['result']
    return device


def stays_out(d, endpoint, how, code=FAILED, **kw):
    """Refused with this error; what it was."""
    device, answer = said(d, endpoint, how, **kw)
    check('error' in answer, f'{endpoint} came in: {answer}')
    equal(answer['error']['code'], code, f'{endpoint}: {answer}')
    equal(device.expect_close()[0], AWAY[code], endpoint)
    device.sock.close()
    return answer['error']


def by_key(key, endpoint, method='key', **more):
    return lambda nonce: key.auth(method, nonce, endpoint, **more)


def enrol(endpoint, key=None, **more):
    if key is None:
        return lambda nonce: {'method': 'enrol', **more}
    return by_key(key, endpoint, 'enrol', **more)


def refused(call, status):
    try:
        call()
    except Problem as p:
        equal(p.status, status, p.detail)
        return
    raise Failure(f'no problem {status}')


def credentials(d, endpoint):
    return d.control.get(f'/v1/endpoints/{endpoint}/credentials')[
        'credentials']


def soon(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) +
            datetime.timedelta(seconds=seconds)).strftime(
                '%Y-%m-%dT%H:%M:%S.%f')[:-3] + 'Z'


# ---- enrolment --------------------------------------------------------------

def test_closed(scene):
    """closed: nobody becomes known, with a key or without"""
    d = start(scene)
    key = Key(scene, 'k')
    with d.bus() as bus:
        stays_out(d, 'n1', enrol('n1', key))
        equal(bus.expect('auth.failed', 'n1')['text'],
              'without a one-time token nobody enrols ([auth] enrol is '
              'closed)')
        stays_out(d, 'n1', enrol('n1'))
        stays_out(d, 'n1', by_key(key, 'n1'))
        stays_out(d, 'n1', enrol('n1', key, token='a-token-that-is-none'))
    refused(lambda: d.control.get('/v1/endpoints/n1'), 404)
    finish(d)


def test_operators_are_told(scene):
    """a device is told nothing, an operator why it was refused"""
    d = start(scene)
    keys = [Key(scene, f'k{i}') for i in range(2)]
    token = ctl(d, 'enrol', 'token')
    comes(d, 'n1', enrol('n1', keys[0], token=token)).close()
    ctl(d, 'endpoint', 'add', 'n2')
    ctl(d, 'endpoint', 'deny', 'n2')
    with d.bus() as bus:
        for endpoint, how, why in (
                ('n0', 'a-token-that-is-none', 'this id has no credential'),
                ('n1', 'a-token-that-is-none', 'none of its credentials'),
                ('n1', enrol('n1', keys[1]), 'has a credential already'),
                ('n2', by_key(keys[1], 'n2'), 'has denied it'),
                ('n3', enrol('n3', keys[1], token=token), 'used up'),
                ('n3', enrol('n3', keys[1]), '[auth] enrol is closed')):
            equal(stays_out(d, endpoint, how)['message'],
                  'authentication failed')
            text = bus.expect('auth.failed', endpoint)['text']
            check(why in text, f'{why!r} is not in {text!r}')
    finish(d)


def test_approve(scene):
    """approve: it waits, within limits and over restarts, for its operator"""
    d = start(scene, enrol='approve', pending_max='2')
    keys = [Key(scene, f'k{i}') for i in range(3)]
    with d.bus() as bus:
        error = stays_out(d, 'n1', enrol('n1', keys[0]), PENDING)
        equal(error['data'], {'fingerprint': keys[0].fingerprint})
        bus.expect('endpoint.pending', 'n1')
        stays_out(d, 'n2', enrol('n2', keys[1]), PENDING)
        stays_out(d, 'n3', enrol('n3', keys[2]), TOO_MANY)
        stays_out(d, 'n3', enrol('n3'))             # nothing to compare
        stays_out(d, 'n1', enrol('n1', keys[2]))    # somebody else's key
        again(d)
    with d.bus() as bus:
        equal([e['id'] for e in d.control.get('/v1/endpoints',
                                              status='pending')['endpoints']],
              ['n1', 'n2'])
        equal(credentials(d, 'n1')[0]['fingerprint'], keys[0].fingerprint)
        stays_out(d, 'n1', by_key(keys[0], 'n1'), PENDING)
        equal(ctl(d, 'endpoints', '--status', 'pending', '--columns',
                  'id,peer,fingerprint', '--json').splitlines()[0].count(
                      keys[0].fingerprint), 1)
        equal(d.control.get('/v1/endpoints/n1')['peer'], '127.0.0.1')
        ctl(d, 'endpoint', 'approve', 'n1')
        ctl(d, 'endpoint', 'deny', 'n2')
        bus.expect('endpoint.approved', 'n1')
        bus.expect('endpoint.denied', 'n2')
        comes(d, 'n1', enrol('n1', keys[0])).close()    # as it was told to
        comes(d, 'n1', by_key(keys[0], 'n1')).close()
        stays_out(d, 'n2', enrol('n2', keys[1]))
        again(d)
    comes(d, 'n1', by_key(keys[0], 'n1')).close()
    stays_out(d, 'n2', by_key(keys[1], 'n2'))
    ctl(d, 'endpoint', 'approve', 'n2')             # changed his mind
    comes(d, 'n2', by_key(keys[1], 'n2')).close()
    finish(d)


def test_nobody_approves(scene):
    """approve: who waits for too long is forgotten, and may ask again"""
    d = start(scene, enrol='approve', pending_age='1s')
    key, other = Key(scene, 'k'), Key(scene, 'o')
    stays_out(d, 'n1', enrol('n1', key), PENDING)

    def forgotten():
        return d.control.get('/v1/endpoints')['endpoints'] == []
    wait_until('it is forgotten', forgotten)
    stays_out(d, 'n1', enrol('n1', other), PENDING)
    finish(d)


def test_known_is_not_asked_for(scene):
    """approve, open: nobody asks for an endpoint that is known, revoked
    or not"""
    old, evil = Key(scene, 'old'), Key(scene, 'evil')
    for mode in ('approve', 'open'):
        d = start(scene, mode, enrol=mode, pending_age='1s')
        with d.bus() as bus:
            ctl(d, 'endpoint', 'add', 'till')
            stays_out(d, 'till', enrol('till', evil))
            made = d.control.post('/v1/endpoints/till/credentials', {
                'kind': 'key', 'public_key': old.public})
            device = comes(d, 'till', by_key(old, 'till'))
            device.call('telemetry', {'seq': 1, 'data': ['precious']})
            device.close()
            ctl(d, 'credential', 'revoke', str(made['number']))
            stays_out(d, 'till', enrol('till', evil))
            stays_out(d, 'till', enrol('till', old))
            # One who waits is swept in the meantime, nobody else.
            if mode == 'approve':
                stays_out(d, 'n1', enrol('n1', evil), PENDING)
                bus.expect('endpoint.forgotten', 'n1')
            check(not bus.find('endpoint.forgotten', 'till'), 'swept')
            check(not bus.find('endpoint.pending', 'till'), 'asked for')
        again(d)
        till = d.control.get('/v1/endpoints/till')
        equal((till['status'], till['telemetry_seq']), ('active', 1))
        equal([r['revoked'] for r in credentials(d, 'till')], [True])
        stays_out(d, 'till', enrol('till', old))
        once = ctl(d, 'enrol', 'token', '--endpoint', 'till')
        stays_out(d, 'till', enrol('till', old, token=once))
        device = comes(d, 'till', enrol('till', evil, token=once))
        equal(device.hello_result['channel'], 2)
        device.close()
        finish(d)


def test_open(scene):
    """open: whoever comes is let in, until so many are; no id comes twice"""
    d = start(scene, enrol='open', open_max='3')
    keys = [Key(scene, f'k{i}') for i in range(4)]
    d.token('static')
    check(d.reload(), 'reload')
    with d.bus() as bus:
        comes(d, 'n0', enrol('n0', keys[0])).close()
        bus.expect('endpoint.enrolled', 'n0')
        device = comes(d, 'n1', enrol('n1'))        # without a key
        token = device.hello_result['enrolled']['token']
        device.close()
        comes(d, 'n1', token).close()
        stays_out(d, 'n0', enrol('n0', keys[3]))
        stays_out(d, 'n1', enrol('n1', keys[3]))
        stays_out(d, 'static', enrol('static', keys[3]))
        comes(d, 'n2', enrol('n2', keys[2])).close()
        stays_out(d, 'n3', enrol('n3', keys[3]), TOO_MANY)
        equal(bus.expect('auth.failed', 'n3')['text'], 'too many attempts')
    again(d)
    comes(d, 'n0', by_key(keys[0], 'n0')).close()
    comes(d, 'n1', token).close()
    stays_out(d, 'n3', enrol('n3', keys[3]), TOO_MANY)
    finish(d)


def test_one_time(scene):
    """a one-time token: its uses, its endpoint, its end; it stands a restart"""
    d = start(scene)
    keys = [Key(scene, f'k{i}') for i in range(4)]
    two = ctl(d, 'enrol', 'token', '--uses', '2', '--group', 'lobby')
    comes(d, 'n0', enrol('n0', keys[0], token=two)).close()
    equal(d.control.get('/v1/endpoints/n0')['group'], 'lobby')
    again(d)
    device = comes(d, 'n1', enrol('n1', token=two))
    token = device.hello_result['enrolled']['token']
    device.close()
    equal(json.loads(ctl(d, 'enrol', 'list', '--json') or '{}').get(
        'uses_left', 0), 0)
    stays_out(d, 'n2', enrol('n2', keys[2], token=two))
    # Its answer may have been lost: the same key is let in, another is not.
    comes(d, 'n0', enrol('n0', keys[0], token=two)).close()
    stays_out(d, 'n0', enrol('n0', keys[3], token=two))
    again(d)
    comes(d, 'n0', by_key(keys[0], 'n0')).close()
    comes(d, 'n1', token).close()
    stays_out(d, 'n0', token)
    one = d.control.post('/v1/enrolment-tokens', {'endpoint': 'n2'})
    stays_out(d, 'n3', enrol('n3', keys[3], token=one['token']))
    comes(d, 'n2', enrol('n2', keys[2], token=one['token'])).close()
    short = d.control.post('/v1/enrolment-tokens', {'expires': soon(0.5)})
    time.sleep(0.6)                     # the time itself is what is waited for
    stays_out(d, 'n3', enrol('n3', keys[3], token=short['token']))
    gone = d.control.post('/v1/enrolment-tokens', {})
    ctl(d, 'enrol', 'remove', str(gone['number']))
    stays_out(d, 'n3', enrol('n3', keys[3], token=gone['token']))
    stays_out(d, 'n3', gone['token'])   # nor is it a token of a device
    finish(d)


def at_once(calls):
    """Runs them at the same moment; what each returned or raised."""
    results = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(i):
        gate.wait()
        try:
            results[i] = calls[i]()
        except Exception as e:          # told by whoever looks
            results[i] = e
    threads = [threading.Thread(target=run, args=(i,))
               for i in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_at_the_same_moment(scene):
    """of many who enrol at one moment so many are let in as may"""
    d = start(scene)
    keys = [Key(scene, f'k{i}') for i in range(6)]
    for turn in range(4):
        one = ctl(d, 'enrol', 'token')
        many = ctl(d, 'enrol', 'token', '--uses', '20')
        ids = [f't{turn}-{i}' for i in range(6)]
        same = f's{turn}'
        for wanted, calls in (
                ('different ids, one use', [
                    lambda i=i, k=k: said(d, i, enrol(i, k, token=one))
                    for i, k in zip(ids, keys)]),
                ('one id, many uses', [
                    lambda k=k: said(d, same, enrol(same, k, token=many))
                    for k in keys])):
            results = at_once(calls)
            for r in results:
                check(isinstance(r, tuple), f'{wanted}: {r!r}')
            equal(sum('result' in answer for _, answer in results), 1,
                  wanted)
            for device, _ in results:
                device.sock.close()
        equal(len(credentials(d, same)), 1)
    finish(d)


def locked(d):
    """The database, held by another program until ROLLBACK."""
    db = sqlite3.connect(os.path.join(d.state, 'cleat.db'),
                         isolation_level=None, timeout=PATIENCE)
    db.execute('BEGIN IMMEDIATE')
    return db


def reports_later(device, seq):
    device.send_json({'jsonrpc': '2.0', 'id': 100 + seq, 'method': 'telemetry',
                      'params': {'seq': seq, 'data': []}})
    while (answer := json.loads(device.recv())).get('id') != 100 + seq:
        pass
    equal(answer['error']['code'], LATER, answer)


def test_the_store_cannot(scene):
    """a store that cannot write is no verdict: whoever comes, comes later"""
    d = start(scene, enrol='open')
    d.configure({'limits': {'auth_timeout': '1s'}})
    check(d.reload(), 'reload')
    key = Key(scene, 'k')
    here = comes(d, 'n0', enrol('n0'))
    with d.bus() as bus:
        db = locked(d)          # for longer than a hello may take to come
        stays_out(d, 'n1', enrol('n1', key), LATER)
        reports_later(here, 1)
        refused(lambda: d.control.post('/v1/endpoints', {'id': 'n2'}), 503)
        bus.expect('store.failing')
        db.execute('ROLLBACK')
        db.close()
        comes(d, 'n1', enrol('n1', key)).close()
        bus.expect('store.recovered')
        check(not bus.find('auth.failed'), 'refused for good')
    here.close()
    finish(d)


# ---- credentials ------------------------------------------------------------

def test_several(scene):
    """an endpoint has several credentials, each with its end and last use"""
    d = start(scene)
    key = Key(scene, 'k')
    ctl(d, 'endpoint', 'add', 'n1')
    ctl(d, 'endpoint', 'add', 'n2')
    plain = ctl(d, 'credential', 'add', 'n1', '--label', 'spare')
    ctl(d, 'credential', 'add', 'n1', '--key', key.public)
    short = d.control.post('/v1/endpoints/n1/credentials', {
        'kind': 'token', 'expires': soon(2)})
    begun = time.time()
    live = comes(d, 'n1', short['token'])
    live.close()
    rows = credentials(d, 'n1')
    equal([('used' in r, 'expires' in r, r['revoked']) for r in rows],
          [(False, False, False)] * 2 + [(True, True, False)])
    used = datetime.datetime.fromisoformat(
        rows[2]['used'].replace('Z', '+00:00')).timestamp()
    check(abs(used - begun) < 60, rows[2]['used'])
    again(d)
    equal(credentials(d, 'n1')[2]['used'], rows[2]['used'])
    for how in (plain, by_key(key, 'n1')):
        comes(d, 'n1', how).close()
        stays_out(d, 'n2', how if how == plain else by_key(key, 'n2'))
    equal(['used' in r for r in credentials(d, 'n1')], [True] * 3)
    while time.time() < begun + 2.1:    # the time itself is waited for
        time.sleep(0.05)
    stays_out(d, 'n1', short['token'])
    comes(d, 'n1', plain).close()
    finish(d)


def test_an_expired_key_stays_out(scene):
    """a key that has expired does not come back by enrolling"""
    d = start(scene, enrol='open')
    key = Key(scene, 'k')
    ctl(d, 'endpoint', 'add', 'n1')
    end = time.time() + 0.5
    d.control.post('/v1/endpoints/n1/credentials', {
        'kind': 'key', 'public_key': key.public, 'expires': soon(0.5)})
    while time.time() < end + 0.1:
        time.sleep(0.05)
    stays_out(d, 'n1', by_key(key, 'n1'))
    stays_out(d, 'n1', enrol('n1', key))
    stays_out(d, 'n1', enrol('n1', key, token=ctl(d, 'enrol', 'token')))
    again(d)
    stays_out(d, 'n1', enrol('n1', key))
    finish(d)


def test_revoke(scene):
    """revoking ends who was let in by it, and nobody else, for good"""
    d = start(scene, enrol='open')
    d.token('static')
    d.token('steady')
    check(d.reload(), 'reload')
    key = Key(scene, 'k')
    with d.bus() as bus:
        for name in ('n1', 'n2'):
            ctl(d, 'endpoint', 'add', name)
        one, two = (d.control.post('/v1/endpoints/n1/credentials',
                                   {'kind': 'token'}) for _ in range(2))
        mine = d.control.post('/v1/endpoints/n1/credentials', {
            'kind': 'key', 'public_key': key.public})
        other = ctl(d, 'credential', 'add', 'n2')
        live, bystander = comes(d, 'n1', two['token']), comes(d, 'n2', other)
        static, steady = Device(d, 'static'), Device(d, 'steady')
        ctl(d, 'credential', 'revoke', str(one['number']))
        bus.expect('endpoint.revoked', 'n1')
        equal(live.call('state', {'power': 'on'}), {}, 'by another one')
        ctl(d, 'credential', 'revoke', str(two['number']))
        equal(live.expect_close()[0], 4005)
        event = bus.expect('endpoint.disconnected', 'n1')
        equal(event['reason'], 'revoked')
        live = comes(d, 'n1', by_key(key, 'n1'))
        ctl(d, 'credential', 'revoke', str(mine['number']))
        equal(live.expect_close()[0], 4005)
        del d.tokens['static']
        d.write_tokens()
        check(d.reload(), 'reload')
        equal(static.expect_close()[0], 4005)
        for device in (bystander, steady):
            equal(device.call('state', {'power': 'on'}), {}, 'a bystander')
        for name in ('n2', 'steady'):
            check(not bus.find('endpoint.disconnected', name), name)
        bystander.close()
        steady.close()
    for _ in range(2):
        for how in (one['token'], two['token'], by_key(key, 'n1'),
                    enrol('n1', key)):
            stays_out(d, 'n1', how)
        refused(lambda: d.control.post('/v1/endpoints/n1/credentials', {
            'kind': 'key', 'public_key': key.public}), 409)
        equal([r['revoked'] for r in credentials(d, 'n1')], [True] * 3)
        again(d)
    comes(d, 'n2', other).close()
    finish(d)


def test_forget_fails(scene):
    """who cannot be forgotten now is as before, and is forgotten later"""
    d = start(scene)
    d.token('static')
    check(d.reload(), 'reload')
    ctl(d, 'endpoint', 'add', 'n1')
    token = ctl(d, 'credential', 'add', 'n1')
    device, static = comes(d, 'n1', token), Device(d, 'static')
    device.call('telemetry', {'seq': 1, 'data': []})
    static.call('telemetry', {'seq': 1, 'data': []})
    with d.bus() as bus:
        db = locked(d)
        for name in ('n1', 'static'):
            refused(lambda n=name: d.control.delete(f'/v1/endpoints/{n}'),
                    503)
        db.execute('ROLLBACK')
        db.close()
        equal(device.expect_close()[0], 1013)
        equal(static.expect_close()[0], 1013)
        check(not bus.find('endpoint.forgotten'), 'told of')
        for name, how in (('n1', token), ('static', d.tokens['static'])):
            device = comes(d, name, how)
            equal(device.hello_result['telemetry_seq'], 1)
            equal(d.control.get(f'/v1/endpoints/{name}')['state'], 'online')
            ctl(d, 'endpoint', 'forget', name)
            equal(device.expect_close()[0], 4004)
            bus.expect('endpoint.forgotten', name)
    again(d)
    stays_out(d, 'n1', token)
    equal(d.control.get('/v1/endpoints')['endpoints'], [])
    equal(d.control.get('/v1/telemetry')['telemetry'], [])
    equal(Device(d, 'static').hello_result['telemetry_seq'], 0)
    finish(d)


# ---- certificates -----------------------------------------------------------

def digest(path):
    with open(path) as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def by_cert(nonce):
    return {'method': 'mtls'}


def test_certificates(scene):
    """a certificate proves its CN, its URI or its fingerprint,
    whichever counts"""
    uri = 'urn:dev:ops:32473-till-1'
    cert = scene.pki.issue('till-1', 'clientAuth', sans=['DNS:till-1.example',
                                                         f'URI:{uri}'])
    other = scene.pki.issue('till-2', 'clientAuth',
                            sans=['URI:urn:dev:ops:32473-till-2'])
    names = {'cn': 'till-1', 'san-uri': uri, 'fingerprint': digest(cert[0])}
    for kind, name in names.items():
        d = start(scene, kind, {'client_auth': 'optional',
                                'ca_file': scene.pki.ca},
                  certificate_identity=kind)
        for _ in range(2):
            device = comes(d, name, by_cert, cert=cert)
            equal(device.hello_result['security'], 'wss-safe')
            device.close()
            again(d)
        for wrong in set(names.values()) - {name}:
            stays_out(d, wrong, by_cert, cert=cert)
        stays_out(d, name, by_cert, cert=other)
        stays_out(d, name, by_cert)                 # none shown
        rows = credentials(d, name)
        equal([(r['kind'], r['fingerprint'], 'used' in r) for r in rows],
              [('certificate', digest(cert[0]), True)])
        device = comes(d, name, by_cert, cert=cert)
        ctl(d, 'credential', 'revoke', str(rows[0]['number']))
        equal(device.expect_close()[0], 4005)
        stays_out(d, name, by_cert, cert=cert)
        again(d)
        stays_out(d, name, by_cert, cert=cert)
        finish(d)


def test_certificates_that_were_added(scene):
    """certificate_admits = no: only certificates that an operator has added"""
    cert = scene.pki.issue('till-1', 'clientAuth')
    d = start(scene, 'd', {'client_auth': 'optional',
                           'ca_file': scene.pki.ca}, certificate_admits='no')
    stays_out(d, 'till-1', by_cert, cert=cert)
    ctl(d, 'endpoint', 'add', 'till-1')
    stays_out(d, 'till-1', by_cert, cert=cert)
    ctl(d, 'credential', 'add', 'till-1', '--certificate', digest(cert[0]))
    comes(d, 'till-1', by_cert, cert=cert).close()
    renewed = scene.pki.issue('till-1', 'clientAuth')
    stays_out(d, 'till-1', by_cert, cert=renewed)
    finish(d)


# ---- stories that users of similar systems told -----------------------------

def test_story_revoked(scene):
    """hono#293, emqx#10992, mosquitto#3042: revoking bites at once, also
    a ticket"""
    cert = scene.pki.issue('till-1', 'clientAuth')
    d = start(scene, 'd', {'client_auth': 'optional',
                           'ca_file': scene.pki.ca})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = scene.client_context(cert, version)
        first = comes(d, 'till-1', by_cert, context=context)
        session = first.sock.session
        live = comes(d, 'till-1', by_cert, context=context, session=session)
        check(live.sock.session_reused, f'not resumed: {version}')
        equal(first.expect_close()[0], 4003)
        ctl(d, 'credential', 'revoke',
            str(credentials(d, 'till-1')[-1]['number']))
        equal(live.expect_close()[0], 4005)
        device, answer = said(d, 'till-1', by_cert, context=context,
                              session=session)
        check(device.sock.session_reused, f'not resumed: {version}')
        equal(answer['error']['code'], FAILED)
        device.sock.close()
        # The CA vouches for a renewed one, until the device is denied.
        cert = scene.pki.issue('till-1', 'clientAuth')
    live = comes(d, 'till-1', by_cert, cert=cert)
    ctl(d, 'endpoint', 'deny', 'till-1')
    equal(live.expect_close()[0], 4005)
    stays_out(d, 'till-1', by_cert,
              cert=scene.pki.issue('till-1', 'clientAuth'))
    finish(d)


def test_story_hardware(scene):
    """MeshCentral#5950, #6641, #6806: a device is its key, whatever its MAC"""
    d = start(scene, enrol='open')
    keys = {name: Key(scene, name) for name in ('a', 'b')}
    mac = '02:00:00:00:00:01'
    for name, key in keys.items():      # a VPN, a dock: the same address
        device = comes(d, name, enrol(name, key))
        device.call('inventory', {'patch': {'mac': mac}})
        device.close()
    device = comes(d, 'a', by_key(keys['a'], 'a'))      # another dock
    device.call('inventory', {'patch': {'mac': '02:00:00:00:00:02'}})
    device.close()
    # A disk that was copied to another machine: the same device still.
    live = comes(d, 'b', by_key(keys['b'], 'b'))
    copy = comes(d, 'b', by_key(keys['b'], 'b'))
    equal(live.expect_close()[0], 4003)
    copy.close()
    equal([e['id'] for e in d.control.get('/v1/endpoints')['endpoints']],
          ['a', 'b'])
    for name in keys:
        equal(len(credentials(d, name)), 1)
    finish(d)


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
    a = Agent(scene, d.url(), *key)
    a.says('online: channel 1, security wss-safe')
    a.stop()

    def weaker(text):
        return text.replace('tls-exporter', 'none')
    for change in (None, weaker):
        between = Between(scene, d, change)
        with d.bus() as bus:
            a = Agent(scene, between.url, *key)
            for _ in range(3):
                text = bus.expect('auth.failed', 'dev-1')['text']
                # By its key, and then as one that was forgotten.
                check(text in ('what it showed is none of its credentials: '
                               'wrong, revoked or expired',
                               'the id has a credential already: it cannot '
                               'be enrolled again',
                               'it cannot enrol with what it showed'), text)
            check(not bus.find('endpoint.online', 'dev-1'), 'it came in')
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
