#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Telemetry and inventory with the real daemon: what was acknowledged is there
after any kill, once."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control  # noqa: E402
from harness import (Closed, Device, Failure, check, equal,  # noqa: E402
                     main)


def start(scene, **conf):
    d = scene.daemon(conf=conf)
    for endpoint in ('dev', 'other'):
        d.token(endpoint)
    d.start()
    return d


def rows(d, text, *values):
    """Of the database, while nobody has it open."""
    path = os.path.join(d.state, 'cleat.db')
    with sqlite3.connect(path) as db:
        return db.execute(text, values).fetchall()


def put(device, seq, data=None):
    return device.call('telemetry', {'seq': seq, 'data': data or [seq]})


def refused(device, method, params):
    try:
        device.call(method, params)
    except Failure as e:
        return str(e)
    raise Failure(f'{method} {params} was taken')


def test_stored_once(scene):
    """a number is stored once, and the answer says up to where"""
    d = start(scene)
    with d.bus() as bus:
        device = Device(d, 'dev')
        equal(device.hello_result['telemetry_seq'], 0)
        equal(put(device, 1), {'stored': 1})
        equal(put(device, 5, [{'t': 21.5}]), {'stored': 5})
        equal(put(device, 5), {'stored': 5})
        equal(put(device, 3), {'stored': 5})
        event = bus.expect('endpoint.telemetry', 'dev')
        equal(event['detail']['seq'], 1)
        check(event['detail']['cursor'] > 0, str(event))
        event = bus.expect('endpoint.telemetry', 'dev')
        equal(event['detail']['seq'], 5)
    device.close()
    other = Device(d, 'dev')
    equal(other.hello_result['telemetry_seq'], 5)
    other.close()
    d.stop()
    equal(rows(d, 'SELECT seq, json FROM telemetry ORDER BY cursor'),
          [(1, '[1]'), (5, '[{"t":21.5}]')])


def test_share(scene):
    """one device that talks too much loses its own, and nobody else's"""
    d = start(scene, store={'telemetry_rows': '50'})
    control = Control(d)
    quiet, loud = Device(d, 'dev'), Device(d, 'other')
    put(quiet, 1, ['precious'])
    for seq in range(1, 81):
        put(loud, seq)
    answer = control.get('/v1/telemetry', endpoint='dev')
    equal([e['data'] for e in answer['telemetry']], [['precious']])
    equal(answer['missed'], False)
    answer = control.get('/v1/telemetry', endpoint='other')
    equal([e['seq'] for e in answer['telemetry']], [76, 77, 78, 79, 80])
    equal(answer['missed'], True)
    equal(control.get('/v1/telemetry')['missed'], True)
    equal(loud.call('telemetry', {'seq': 5, 'data': []}), {'stored': 80})
    control.close()
    d.stop()


def test_kill(scene):
    """what was acknowledged survives kill -9, and nothing is there twice"""
    d = start(scene)
    seq, acknowledged = 0, 0
    for turn in range(6):
        device = Device(d, 'dev')
        known = device.hello_result['telemetry_seq']
        check(known >= acknowledged, f'{known} < {acknowledged}')
        seq = known
        for _ in range(turn + 1):
            seq += 1
            acknowledged = put(device, seq)['stored']
            equal(acknowledged, seq)
        # Some more that are on their way when it dies.
        for n in range(turn * 3):
            device.send_json({'jsonrpc': '2.0', 'id': 1000 + n,
                              'method': 'telemetry',
                              'params': {'seq': seq + 1 + n,
                                         'data': [seq + 1 + n]}})
        d.kill()
        try:
            while True:
                answer = json.loads(device.recv())
                acknowledged = max(acknowledged,
                                   answer['result']['stored'])
        except (Closed, OSError):
            pass
        stored = rows(d, 'SELECT seq FROM telemetry ORDER BY cursor')
        equal(stored, sorted(set(stored)), 'order, or twice')
        check((acknowledged,) in stored, f'{acknowledged} is lost')
        d.start()
    d.stop()


def test_many(scene):
    """sixteen at once are answered one by one"""
    d = start(scene)
    device = Device(d, 'dev')
    for n in range(1, 17):
        device.send_json({'jsonrpc': '2.0', 'id': n, 'method': 'telemetry',
                          'params': {'seq': n, 'data': []}})
    got = [json.loads(device.recv()) for _ in range(16)]
    equal([a['id'] for a in got], list(range(1, 17)))
    check(all(a['result']['stored'] >= a['id'] for a in got), str(got))
    device.close()
    d.stop()


def test_bad(scene):
    """what is wrong is said, and the channel stays"""
    d = start(scene)
    device = Device(d, 'dev')
    check('-32602' in refused(device, 'telemetry', {'seq': 0, 'data': []}),
          'seq 0')
    check('-32602' in refused(device, 'telemetry', {'seq': 1, 'data': {}}),
          'an object')
    check('-32602' in refused(device, 'inventory', {'patch': []}),
          'an array')
    big = {f'k{n}': 'x' * 1000 for n in range(40)}
    equal(device.call('inventory', {'patch': big}), {'revision': 1})
    more = {f'm{n}': 'x' * 1000 for n in range(40)}
    check('-32602' in refused(device, 'inventory', {'patch': more}),
          'more than 64 KiB')
    equal(device.call('inventory', {'patch': {'a': 1}}), {'revision': 2})
    device.close()
    d.stop()


def test_inventory(scene):
    """an inventory is one document, changed by merge patches"""
    d = start(scene)
    with d.bus() as bus:
        device = Device(d, 'dev')
        equal(device.call('inventory', {'patch': {
            'model': 'T1', 'mac': '00:11:22:33:44:55',
            'disk': {'size': 8, 'kind': 'ssd'}}}), {'revision': 1})
        event = bus.expect('endpoint.inventory', 'dev')
        equal(event['detail'], {'revision': 1})
        equal(device.call('inventory', {'patch': {
            'model': None, 'disk': {'size': 16}}}), {'revision': 2})
    d.kill()
    got = rows(d, 'SELECT json FROM inventory')
    equal(json.loads(got[0][0]), {'mac': '00:11:22:33:44:55',
                                  'disk': {'size': 16, 'kind': 'ssd'}})
    d.start()
    device = Device(d, 'dev')
    equal(device.call('inventory', {'patch': {}}), {'revision': 3})
    device.close()
    d.stop()


main()
