#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may be which endpoint, with the real daemon: enrolment, credentials,
revocation and certificates."""
import datetime
import hashlib
import json
import os
import sqlite3
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (PATIENCE, Device, check, equal, main,  # noqa: E402
                     wait_until)
from identities import (FAILED, LATER, PENDING, TOO_MANY, Key,  # noqa: E402
                        again, by_key, comes, credentials, ctl, enrol, finish,
                        refused, said, soon, start, stays_out)


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
    ctl(d, 'endpoint', 'add', 'n4')
    with d.bus() as bus:
        for endpoint, how, why in (
                ('n0', 'a-token-that-is-none', 'this id has no credential'),
                ('n1', 'a-token-that-is-none', 'none of its credentials'),
                ('n1', enrol('n1', keys[1]), 'has a credential already'),
                ('n2', by_key(keys[1], 'n2'), 'has denied it'),
                ('n3', enrol('n3', keys[1], token=token), 'used up'),
                ('n3', enrol('n4', keys[1], token=token), 'signature'),
                ('n4', enrol('n4', keys[1]), 'the id is known'),
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


if __name__ == '__main__':
    main()
