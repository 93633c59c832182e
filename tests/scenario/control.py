#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control socket (issue 3): every exchange is held against doc/openapi.json
by tests/lib/control.py; roles, limits and what is wrong with a request."""
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Device, Failure, Skip, check, connect,  # noqa: E402
                     equal, main, wait_until)
from control import (Control, Problem, problem_of,  # noqa: E402
                     sock_of, start)


def refused(call, status, kind, member=None):
    try:
        answer = call()
    except Problem as p:
        equal((p.status, p.type), (status, kind), p.detail)
        if member is not None:
            equal(p.member, member, p.detail)
        return p
    raise Failure(f'{kind} was expected, got {answer}')


def raw(d, data, half_close=False):
    """Everything that is answered to these bytes."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sock_of(d))
    s.sendall(data)
    if half_close:
        s.shutdown(socket.SHUT_WR)
    got = b''
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        got += more
    s.close()
    return got


def raw_problem(text, kind):
    head, _, body = text.partition(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    headers = {k.lower(): v for k, v in
               (line.split(': ', 1) for line in lines[1:])}
    value = problem_of(int(lines[0].split()[1]), headers, body, kind)
    equal(value['type'], f'urn:cleat:problem:{kind}')
    return value


def test_status(scene):
    """status says how the daemon is, and counts endpoints by state"""
    d = start(scene, ['a', 'b'])
    status = d.control.get('/v1/status')
    equal(status['state'], 'ready')
    equal(status['endpoints']['known'], 0)
    check(status['store']['healthy'], 'store')
    check(any(c['slot'] == 'main' and c['present'] and 'not_after' in c
              for c in status['certificates']), str(status['certificates']))
    check({p['instance'] for p in status['plugins']} >= {'cert', 'endpoint'},
          str(status['plugins']))
    events = d.bus()
    device = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    status = d.control.get('/v1/status')
    equal(status['endpoints']['states']['online'], 1)
    equal(status['endpoints']['security']['wss'], 1)
    equal(status['channels']['open'], 1)
    equal(stat.S_IMODE(os.stat(sock_of(d)).st_mode), 0o660, 'mode')
    device.close()
    d.control.close()
    d.stop()
    check(not os.path.exists(sock_of(d)), 'the socket is still there')


def test_a_socket_left_by_a_killed_daemon_is_replaced(scene):
    """a socket that a killed daemon left is replaced; a file is not"""
    d = start(scene)
    d.kill()
    check(os.path.exists(sock_of(d)), 'the socket')
    d.start()
    equal(Control(d).get('/v1/status')['state'], 'ready')
    d.stop()
    with open(sock_of(d), 'w') as f:
        f.write('precious')
    d.launch()
    d.expect_log('cannot start: control socket')
    check(d.wait() != 0, 'it started')
    d.process = None
    with open(sock_of(d)) as f:
        equal(f.read(), 'precious')


def test_endpoints(scene):
    """endpoints come by page, filtered, as they are now"""
    names = [f'dev-{i:02}' for i in range(25)] + ['other']
    d = start(scene, names)
    events = d.bus()
    devices = [Device(d, n) for n in names]
    for n in names:
        events.expect('endpoint.online', n)
    c = d.control

    def stored():
        return len(list(c.pages('/v1/endpoints', 'endpoints',
                                limit=7))) == 26
    wait_until('presence is stored', stored)
    got = [e['id'] for e in c.pages('/v1/endpoints', 'endpoints', limit=7)]
    equal(got, sorted(names))
    got = [e['id'] for e in c.pages('/v1/endpoints', 'endpoints',
                                    prefix='dev-1', limit=3)]
    equal(got, [n for n in names if n.startswith('dev-1')])
    devices[3].call('bye')
    events.expect('endpoint.offline', 'dev-03')
    got = [e['id'] for e in c.pages('/v1/endpoints', 'endpoints',
                                    state='offline')]
    equal(got, ['dev-03'])
    one = c.get('/v1/endpoints/dev-03')
    equal((one['state'], one['reason'], one['connected']),
          ('offline', 'bye', False))
    one = c.get('/v1/endpoints/other')
    equal((one['state'], one['security'], one['connected']),
          ('online', 'wss', True))
    wait_until('what it said of itself is stored', lambda: 'agent' in
               c.get('/v1/endpoints/other'))
    one = c.get('/v1/endpoints/other')
    equal((one['agent'], one['boot_id'], one['listener']),
          ('harness 1', 'b1', 'main'))
    equal(one['peer'], '127.0.0.1')
    equal(c.get('/v1/endpoints', status='denied'), {'endpoints': []})
    equal(c.get('/v1/endpoints', group='none'), {'endpoints': []})
    refused(lambda: c.get('/v1/endpoints/nobody'), 404, 'not-found')
    for device in devices:
        device.abort()
    c.close()
    d.stop()


def test_kick(scene):
    """kick ends the live channel, and says when there is none"""
    d = start(scene, ['a'])
    events = d.bus()
    device = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    equal(d.control.post('/v1/endpoints/a/kick'), {'kicked': True})
    equal(device.expect_close()[0], 1013)
    equal(events.expect('endpoint.disconnected', 'a')['reason'], 'kicked')
    refused(lambda: d.control.post('/v1/endpoints/a/kick'), 409,
            'not-connected')
    refused(lambda: d.control.post('/v1/endpoints/b/kick'), 404, 'not-found')
    d.control.close()
    d.stop()


def test_reload(scene):
    """reload is answered when it is in force, or with the reason"""
    d = start(scene)
    d.control.post('/v1/reload')
    d.configure({'limits': {'handshakes': 'many'}})
    p = refused(lambda: d.control.post('/v1/reload'), 422, 'refused')
    check('handshakes' in p.detail, p.detail)
    d.configure({'limits': {'handshakes': None}, 'bus': {'ring': '128'}})
    p = refused(lambda: d.control.post('/v1/reload'), 422, 'refused')
    check('[bus] ring' in p.detail and 'restart' in p.detail, p.detail)
    d.configure({'bus': None, 'control': {'operators': 'no-such-user-here'}})
    p = refused(lambda: d.control.post('/v1/reload'), 422, 'refused')
    check('no-such-user-here' in p.detail, p.detail)
    d.configure({'control': None})
    d.control.post('/v1/reload')
    d.control.close()
    d.stop()


def test_log_level(scene):
    """the log level is read and set"""
    d = start(scene)
    equal(d.control.get('/v1/log-level'), {'level': 'debug'})
    equal(d.control.put('/v1/log-level', {'level': 'warning'}),
          {'level': 'warning'})
    equal(d.control.get('/v1/log-level'), {'level': 'warning'})
    refused(lambda: d.control.request('PUT', '/v1/log-level',
                                      {'level': 'loud'}, wrong=True),
            400, 'invalid', 'level')
    d.control.put('/v1/log-level', {'level': 'debug'})
    d.control.close()
    d.stop()


def test_wrong_requests(scene):
    """what is wrong with a request is said, as a problem, and harms nobody"""
    d = start(scene)
    c = d.control

    def ask(method, path, body=None, **kw):
        return lambda: c.request(method, path, body, wrong=True, **kw)
    refused(ask('GET', '/'), 404, 'no-such-path')
    refused(ask('GET', '/v1/endpoints/'), 404, 'no-such-path')
    refused(ask('GET', '/v1/endpoints/a/b/c'), 404, 'no-such-path')
    refused(ask('GET', '/v1/endpoints/' + 'x' * 129), 404, 'not-found')
    p = refused(ask('DELETE', '/v1/status'), 405, 'method-not-allowed')
    equal(p.answer.headers['allow'], 'GET')
    refused(ask('GET', '/v1/status', query={'x': 1}), 400, 'unknown-member',
            'x')
    refused(ask('GET', '/v1/endpoints?limit=1&limit=2'), 400, 'invalid',
            'limit')
    for limit in ('0', '1001', '-1', '1e3', '', '99999999999999999999999'):
        refused(ask('GET', '/v1/endpoints', query={'limit': limit}), 400,
                'invalid', 'limit')
    refused(ask('GET', '/v1/endpoints', query={'state': 'odd'}), 400,
            'invalid', 'state')
    for target in ('/v1/endpoints/a%00b', '/v1/endpoints/%zz', '/v1/%',
                   '/v1/endpoints?limit', '/v1/endpoints?a=%0a'):
        refused(ask('GET', target), 400, 'malformed')
    for body in (b'', b'{', b'[]', b'null', b'{"level":"info"} x',
                 b'{"level":"info","level":"info"}', b'\xff\xfe',
                 b'{"level":"in\\u0000fo"}', b'[' * 5000):
        refused(ask('PUT', '/v1/log-level', body), 400, 'malformed')
    refused(ask('PUT', '/v1/log-level', {'level': 'info', 'more': 1}), 400,
            'unknown-member', 'more')
    refused(ask('PUT', '/v1/log-level', {}), 400, 'invalid', 'level')
    refused(ask('PUT', '/v1/log-level', {'level': 5}), 400, 'invalid',
            'level')
    refused(ask('PUT', '/v1/log-level', b'{"level":"info"}',
                headers={'Content-Type': 'text/plain'}), 415,
            'unsupported-media-type')
    refused(ask('POST', '/v1/reload', {'x': 1}), 400, 'malformed')
    equal(c.get('/v1/log-level'), {'level': 'debug'}, 'nothing has changed')
    before = c.get('/v1/status')['control']
    check(before['requests_refused'] >= 30, str(before))
    c.close()
    d.stop()


def test_oversized(scene):
    """a request that is too large is refused before it is read whole"""
    d = start(scene, request_size='2KiB')
    big = json.dumps({'level': 'x' * 4000}).encode()
    raw_problem(raw(d, b'PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n'
                    b'Content-Type: application/json\r\n'
                    b'Content-Length: 999999999\r\n\r\n'), 'too-large')
    chunked = b'%x\r\n%s\r\n0\r\n\r\n' % (len(big), big)
    answer = raw(d, b'PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n'
                 b'Connection: close\r\nContent-Type: application/json\r\n'
                 b'Transfer-Encoding: chunked\r\n\r\n' + chunked)
    raw_problem(answer, 'too-large')
    raw_problem(raw(d, b'GET /v1/status HTTP/1.1\r\nHost: x\r\n'
                    b'Connection: close\r\n' +
                    b''.join(b'X-%d: %s\r\n' % (i, b'y' * 100)
                             for i in range(200)) + b'\r\n'),
                'header-too-large')
    for junk in (b'\r\n\r\n\r\n', b'NONSENSE\r\n\r\n', b'\x16\x03\x01' * 100,
                 b'GET /v1/status HTTP/9.9\r\n\r\n', b'GET ' + b'/' * 200000):
        raw(d, junk, half_close=True)
    equal(d.control.get('/v1/status')['state'], 'ready')
    d.control.close()
    d.stop()


def test_slow(scene):
    """who sends a request byte by byte is told, and let go"""
    d = start(scene, timeout='1s')
    for begin in (b'GET /v1/sta', b'PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n'
                  b'Content-Type: application/json\r\n'
                  b'Content-Length: 10\r\n\r\n{"le'):
        begun = time.monotonic()
        raw_problem(raw(d, begin), 'timeout')
        check(time.monotonic() - begun > 0.9, 'too early')
    equal(raw(d, b'GET /v1/log-level HTTP/1.1\r\nHost: x\r\n\r\n').count(
        b'HTTP/1.1'), 1, 'an idle connection is ended in silence')
    check(d.control.get('/v1/status')['control']['timeouts'] >= 3, 'timeouts')
    d.control.close()
    d.stop()


def test_many_connections(scene):
    """connections are limited; who is one too many is told"""
    d = start(scene, connections='8', timeout='60s')
    socks = []
    for _ in range(8):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(sock_of(d))
        s.sendall(b'GET /v1/log-level HTTP/1.1\r\nHost: x\r\n\r\n')
        check(s.recv(65536).startswith(b'HTTP/1.1 200'), 'served')
        socks.append(s)
    raw_problem(raw(d, b''), 'busy')
    socks.pop().close()
    wait_until('there is room again', lambda: raw(
        d, b'GET /v1/log-level HTTP/1.1\r\nHost: x\r\n'
        b'Connection: close\r\n\r\n').startswith(b'HTTP/1.1 200'))
    for s in socks:
        s.close()
    wait_until('room for this one', lambda: Control(d).get(
        '/v1/status')['control']['connections_refused'] >= 1)
    d.control.close()
    d.stop()


def test_events(scene):
    """events come as they happen, by prefix, with their numbers"""
    d = start(scene, ['a', 'b'])
    everything = d.control.events()
    of_a = d.control.events('endpoint.online/a')
    a, b = Device(d, 'a'), Device(d, 'b')
    everything.expect('endpoint.online', 'a')
    data = everything.expect('endpoint.online', 'b')
    equal(of_a.next()[2]['endpoint'], 'a')
    a.call('event', {'data': {'x': 1}})
    equal(everything.expect('endpoint.message', 'a')['detail']['data'],
          {'x': 1})
    last = f'{data["epoch"]}-{data["seq"]}'
    again = d.control.events(last=last)
    name, _, gap = again.next()
    equal(name, 'gap')
    check(gap['lost'] >= 1, str(gap))
    other = d.control.events(last=f'{data["epoch"] + 1}-5')
    equal(other.next()[2]['lost'], None)
    refused(lambda: d.control.events(last='x'), 400, 'invalid')
    equal(d.control.get('/v1/status')['control']['streams'], 4)
    for s in (everything, of_a, again, other):
        s.close()
    wait_until('streams end', lambda: d.control.get(
        '/v1/status')['control']['streams'] == 0)
    a.close()
    b.close()
    d.control.close()
    d.stop()


def test_streams_are_limited_and_end(scene):
    """streams are limited, and end when the daemon stops"""
    d = start(scene, streams='2')
    one, two = d.control.events(), d.control.events()
    refused(d.control.events, 503, 'busy')
    d.control.close()
    d.stop()
    for s in (one, two):
        try:
            while True:
                s.next()
        except EOFError:
            pass
        s.close()


def test_stalled_stream(scene):
    """a stream that is not read loses events, is told so, others lose none"""
    d = start(scene, ['a'], stream_queue='8KiB')
    stalled = d.control.events('endpoint.message')
    reader = d.control.events('endpoint.message')
    device = Device(d, 'a')
    text = 'x' * 4000
    counted = []

    def read():
        while len(counted) < 400:
            name, _, data = reader.next()
            counted.append((name, data))
    thread = threading.Thread(target=read)
    thread.start()
    sent = 0
    while sent < 400:
        # The reader has to keep up: its queue is small, too.
        wait_until('the reader', lambda: len(counted) >= sent, step=0.001)
        device.call('event', {'data': {'n': sent, 'text': text}})
        sent += 1
    thread.join(60)
    equal([e[1]['detail']['data']['n'] for e in counted], list(range(400)))
    seen, lost = [], 0
    while True:
        name, _, data = stalled.next()
        if name == 'gap':
            lost += data['lost']
            break
        seen.append(data['detail']['data']['n'])
    equal(seen, list(range(len(seen))), 'before the gap')
    device.call('event', {'data': {'n': 1000}})
    name, _, data = stalled.next()
    check(data['detail']['data']['n'] >= len(seen) + lost, 'after the gap')
    check(d.control.get('/v1/status')['control']['stream_gaps'] >= 1, 'gaps')
    stalled.close()
    reader.close()
    device.close()
    d.control.close()
    d.stop()


def test_dead_stream(scene):
    """a stream that takes nothing for the time-out is ended"""
    d = start(scene, ['a'], stream_queue='8KiB', timeout='1s')
    stalled = d.control.events('endpoint.message')
    device = Device(d, 'a')
    for i in range(300):
        device.call('event', {'data': {'n': i, 'text': 'x' * 4000}})
    wait_until('it is let go', lambda: Control(d).get(
        '/v1/status')['control']['streams'] == 0)
    stalled.close()
    device.close()
    d.control.close()
    d.stop()


def reply(device, method):
    """Waits for a request of the server and answers it."""
    while True:
        message = json.loads(device.recv())
        if message.get('method') == method:
            device.send_json({'jsonrpc': '2.0', 'id': message['id'],
                              'result': {}})
            return message['params']


def test_commands(scene):
    """a command is followed from its order to its outcome"""
    d = start(scene, ['a', 'b'])
    c = d.control
    events = d.bus()
    a = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    made = c.request('POST', '/v1/commands', {
        'endpoint': 'a', 'verb': 'x-do', 'args': {'n': [1, None]},
        'deadline_ms': 60000, 'id': 'c1'})
    equal(made.status, 201)
    equal(made.headers['location'], '/v1/commands/c1')
    made = made.json()
    equal((made['args'], made['by'], made['final']),
          ({'n': [1, None]}, f'uid:{os.geteuid()}', False))
    equal(reply(a, 'command')['command_id'], 'c1')

    def until(state):
        now = c.get('/v1/commands/c1')
        while now['state'] != state:
            now = c.get('/v1/commands/c1', wait_ms=30000, seen=now['tag'])
        return now
    now = until('accepted')
    a.notify('progress', {'command_id': 'c1', 'percent': 40,
                          'text': 'half "way"'})
    while 'progress' not in now:
        now = c.get('/v1/commands/c1', wait_ms=30000, seen=now['tag'])
    equal(now['progress'], {'percent': 40.0, 'text': 'half "way"'})
    waiting = []
    other = Control(d)
    thread = threading.Thread(target=lambda: waiting.append(
        other.get('/v1/commands/c1', wait_ms=60000, seen=now['tag'])))
    thread.start()
    equal(a.call('outcome', {'command_id': 'c1', 'outcome': 'ok',
                             'result': {'x': 5}})['final'], 'ok')
    thread.join(60)
    equal((waiting[0]['state'], waiting[0]['result'], waiting[0]['final']),
          ('ok', {'x': 5}, True))
    refused(lambda: c.post('/v1/commands/c1/cancel'), 409, 'final')
    refused(lambda: c.post('/v1/commands/c2/cancel'), 404, 'not-found')
    refused(lambda: c.get('/v1/commands/c2'), 404, 'not-found')
    new = {'endpoint': 'a', 'verb': 'x-do', 'deadline_ms': 60000}
    refused(lambda: c.post('/v1/commands', {**new, 'id': 'c1'}), 409,
            'exists')
    refused(lambda: c.post('/v1/commands', {**new, 'endpoint': 'z'}), 404,
            'not-found')
    for bad in ({'verb': 'dance'}, {'verb': ''}, {'id': ''}, {'id': 'a b'},
                {'deadline_ms': 0}, {'deadline_ms': 2 ** 62},
                {'verb': 'message', 'args': {'text': 5}}):
        refused(lambda: c.request('POST', '/v1/commands', {**new, **bad},
                                  wrong=True), 400, 'invalid')
    a.close()
    events.expect('endpoint.disconnected', 'a')
    ids = [c.post('/v1/commands', new)['id'] for _ in range(5)]
    equal([x['id'] for x in c.pages('/v1/commands', 'commands', limit=2,
                                    open='true', endpoint='a')], ids)
    equal([x['id'] for x in c.pages('/v1/commands', 'commands', limit=4)],
          ['c1'] + ids)
    equal(c.post(f'/v1/commands/{ids[0]}/cancel')['state'], 'cancelled')
    equal(c.get('/v1/status')['commands'], {'open': 4})
    begun = time.monotonic()
    equal(c.get(f'/v1/commands/{ids[1]}', wait_ms=300)['state'], 'queued')
    check(time.monotonic() - begun > 0.25, 'it did not wait')
    c.close()
    other.close()
    d.stop()


def test_reports(scene):
    """telemetry is read by cursor, inventory with its revision"""
    d = start(scene, ['a', 'b'])
    c = d.control
    a, b = Device(d, 'a'), Device(d, 'b')
    empty = c.get('/v1/telemetry')
    equal((empty['telemetry'], empty['next']), ([], 0))
    for n in range(1, 6):
        a.call('telemetry', {'seq': n, 'data': [n, {'x': 'ä'}]})
    b.call('telemetry', {'seq': 1, 'data': []})
    one = c.get('/v1/telemetry', limit=4)
    two = c.get('/v1/telemetry', limit=4, after=one['next'])
    both = one['telemetry'] + two['telemetry']
    equal([(t['endpoint'], t['seq']) for t in both],
          [('a', n) for n in range(1, 6)] + [('b', 1)])
    equal(both[0]['data'], [1, {'x': 'ä'}])
    equal([t['seq'] for t in c.get('/v1/telemetry', endpoint='b')[
        'telemetry']], [1])
    waiting = []
    other = Control(d)
    thread = threading.Thread(target=lambda: waiting.append(other.get(
        '/v1/telemetry', endpoint='b', after=two['next'], wait_ms=60000)))
    thread.start()
    a.call('telemetry', {'seq': 6, 'data': []})
    b.call('telemetry', {'seq': 9, 'data': [True]})
    thread.join(60)
    equal([t['seq'] for t in waiting[0]['telemetry']], [9])
    refused(lambda: c.get('/v1/endpoints/a/inventory'), 404, 'not-found')
    revision = a.call('inventory', {'patch': {'model': 'm', 'n': {'x': 1}}})[
        'revision']
    got = c.request('GET', '/v1/endpoints/a/inventory')
    equal(got.json()['inventory'], {'model': 'm', 'n': {'x': 1}})
    equal(got.json()['revision'], revision)
    tag = got.headers['etag']
    equal(c.request('GET', '/v1/endpoints/a/inventory',
                    headers={'If-None-Match': tag}).status, 304)
    a.call('inventory', {'patch': {'n': None}})
    equal(c.request('GET', '/v1/endpoints/a/inventory', headers={
        'If-None-Match': tag}).json()['inventory'], {'model': 'm'})
    other.close()
    a.close()
    b.close()
    c.close()
    d.stop()


def test_describe_and_forget(scene):
    """an endpoint gets name and group, and is forgotten with all it had"""
    d = start(scene, ['a'])
    c = d.control
    events = d.bus()
    a = Device(d, 'a')
    events.expect('endpoint.online', 'a')
    a.call('telemetry', {'seq': 1, 'data': []})
    a.call('inventory', {'patch': {'x': 1}})
    equal(c.patch('/v1/endpoints/a', {'name': 'Till "1"',
                                      'group': 'shop'})['name'], 'Till "1"')
    equal(c.patch('/v1/endpoints/a', {'name': ''})['group'], 'shop')
    equal([e['id'] for e in c.get('/v1/endpoints', group='shop')[
        'endpoints']], ['a'])
    refused(lambda: c.patch('/v1/endpoints/b', {'name': 'x'}), 404,
            'not-found')
    for body in ({}, {'group': 'a b'}, {'name': 'x' * 129},
                 {'name': 'a\nb'}):
        refused(lambda: c.request('PATCH', '/v1/endpoints/a', body,
                                  wrong=True), 400, 'invalid')
    c.delete('/v1/endpoints/a')
    equal(a.expect_close()[0], 4004)
    refused(lambda: c.get('/v1/endpoints/a'), 404, 'not-found')
    refused(lambda: c.delete('/v1/endpoints/a'), 404, 'not-found')
    equal(c.get('/v1/telemetry')['telemetry'], [])
    refused(lambda: c.get('/v1/endpoints/a/inventory'), 404, 'not-found')
    c.close()
    d.stop()


def test_credentials(scene):
    """credentials are made, told once, listed, and bite when revoked"""
    d = start(scene)
    c = d.control
    made = c.post('/v1/endpoints', {'id': 'n1', 'name': 'N', 'group': 'g'})
    equal((made['status'], made['state'], made['name'], made['group']),
          ('active', 'unlinked', 'N', 'g'))
    refused(lambda: c.post('/v1/endpoints', {'id': 'n1'}), 409, 'exists')
    refused(lambda: c.request('POST', '/v1/endpoints', {'id': 'a b'},
                              wrong=True), 400, 'invalid', 'id')
    equal(c.get('/v1/endpoints/n1/credentials'), {'credentials': []})
    token = c.post('/v1/endpoints/n1/credentials', {
        'kind': 'token', 'label': 'first', 'expires': '2999-01-01T00:00:00Z'})
    check(len(token['token']) >= 22, 'token')
    c.post('/v1/endpoints/n1/credentials',
           {'kind': 'key', 'public_key': 'ab' * 32})
    c.post('/v1/endpoints/n1/credentials',
           {'kind': 'certificate', 'sha256': 'CD' * 32})
    rows = c.get('/v1/endpoints/n1/credentials')['credentials']
    equal([r['kind'] for r in rows], ['token', 'key', 'certificate'])
    check(all('token' not in r for r in rows), 'a token is told again')
    equal(rows[0]['expires'], '2999-01-01T00:00:00.000Z')
    equal(rows[2]['fingerprint'], 'cd' * 32)
    events = d.bus()
    device = Device(d, 'n1', token=token['token'])
    events.expect('endpoint.online', 'n1')
    c.delete(f'/v1/credentials/{token["number"]}')
    equal(device.expect_close()[0], 4005)
    check(c.get('/v1/endpoints/n1/credentials')['credentials'][0]['revoked'],
          'not revoked')
    for bad in ({'kind': 'x'}, {'kind': 'key'},
                {'kind': 'key', 'public_key': 'zz' * 32},
                {'kind': 'token', 'sha256': 'ab' * 32},
                {'kind': 'token', 'expires': '2001-01-01T00:00:00Z'},
                {'kind': 'token', 'expires': 'soon'},
                {'kind': 'token', 'label': 'x' * 200}):
        refused(lambda: c.request('POST', '/v1/endpoints/n1/credentials',
                                  bad, wrong=True), 400, 'invalid')
    refused(lambda: c.post('/v1/endpoints/zz/credentials',
                           {'kind': 'token'}), 404, 'not-found')
    refused(lambda: c.get('/v1/endpoints/zz/credentials'), 404, 'not-found')
    refused(lambda: c.delete('/v1/credentials/999'), 404, 'not-found')
    refused(lambda: c.request('DELETE', '/v1/credentials/x', wrong=True),
            404, 'not-found')
    equal(c.post('/v1/endpoints/n1/deny')['status'], 'denied')
    equal(c.post('/v1/endpoints/n1/approve')['status'], 'active')
    refused(lambda: c.post('/v1/endpoints/zz/deny'), 404, 'not-found')
    refused(lambda: c.post('/v1/endpoints/zz/approve'), 404, 'not-found')
    one = c.post('/v1/enrolment-tokens', {'endpoint': 'n2', 'uses': 3})
    c.post('/v1/enrolment-tokens', {'group': 'g'})
    rows = c.get('/v1/enrolment-tokens')['enrolment_tokens']
    equal([(r.get('endpoint'), r['uses_left']) for r in rows],
          [('n2', 3), (None, 1)])
    check(all('token' not in r for r in rows), 'a token is told again')
    c.delete(f'/v1/enrolment-tokens/{one["number"]}')
    refused(lambda: c.delete(f'/v1/enrolment-tokens/{one["number"]}'), 404,
            'not-found')
    for bad in ({'uses': 0}, {'endpoint': 'a b'}, {'group': 'a b'}):
        refused(lambda: c.request('POST', '/v1/enrolment-tokens', bad,
                                  wrong=True), 400, 'invalid')
    c.close()
    d.stop()


def test_drain(scene):
    """drain asks every device to connect again"""
    d = start(scene, ['a', 'b'])
    c = d.control
    events = d.bus()
    devices = [Device(d, n) for n in 'ab']
    for n in 'ab':
        events.expect('endpoint.online', n)
    equal(c.post('/v1/drain', {'window_ms': 2000, 'why': 'moved',
                               'servers': ['wss://x.example/v1/channel']}),
          {'channels': 2})
    for device in devices:
        while True:
            said = json.loads(device.recv())
            if said.get('method') == 'drain':
                break
        check(0 <= said['params'].pop('window_ms') <= 2000, 'window')
        equal(said['params'], {'why': 'moved',
                               'servers': ['wss://x.example/v1/channel']})
        device.close()
    for bad in ({'window_ms': -1}, {'window_ms': 1, 'why': 'x'},
                {'window_ms': 1, 'servers': ['http://x']},
                {'window_ms': 1, 'servers': [5]},
                {'window_ms': 1, 'servers': ['wss://a,b']}):
        refused(lambda: c.request('POST', '/v1/drain', bad, wrong=True),
                400, 'invalid')
    c.close()
    d.stop()


def ready(d):
    s = connect(d.address())
    s = d.scene.client_context().wrap_socket(s, server_hostname='localhost')
    try:
        s.sendall(b'GET /readyz HTTP/1.1\r\nHost: h\r\n'
                  b'Connection: close\r\n\r\n')
        return int(s.recv(4096).split()[1]) == 200
    finally:
        s.close()


def test_drain_progress(scene):
    """a drain takes readiness away first, shows how far it is, and can be given
    up: who has not gone stays"""
    d = start(scene, ['a', 'b'])
    c = d.control
    events = d.bus()
    devices = [Device(d, n) for n in 'ab']
    for n in 'ab':
        events.expect('endpoint.online', n)
    equal(c.get('/v1/drain'), {'active': False, 'ready': True, 'channels': 0,
                               'left': 0, 'remaining_ms': 0}, 'before')
    check(ready(d), 'not ready at first')
    c.post('/v1/drain', {'window_ms': 600000, 'why': 'restart'})
    check(not ready(d), 'still ready')
    now = c.get('/v1/drain')
    check(590000 < now.pop('remaining_ms') <= 600000, f'{now}')
    equal(now, {'active': True, 'ready': False, 'channels': 2, 'left': 2})
    devices[0].call('bye', {'reason': 'drain'})
    devices[0].expect_close()
    wait_until('one is gone', lambda: c.get('/v1/drain')['left'] == 1)
    equal(c.request('DELETE', '/v1/drain').json()['left'], 1, 'given up')
    check(ready(d), 'not ready again')
    check(not c.get('/v1/drain')['active'], 'still active')
    devices[1].call('state', {'power': 'on'})
    # To its end: after "restart" it stays out of service, after "rebalance"
    # not.
    for why, is_ready in (('restart', False), ('rebalance', True)):
        c.post('/v1/drain', {'window_ms': 300, 'why': why})
        check(not ready(d), 'still ready')
        wait_until('the end', lambda: not c.get('/v1/drain')['active'])
        equal(ready(d), is_ready, f'ready after {why}')
        equal(c.get('/v1/drain')['left'], 0)
    for device in devices:
        device.abort()
    c.close()
    d.stop()


AS_NOBODY = '''
import http.client, json, socket, sys
class C(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
for line in sys.argv[2:]:
    method, path = line.split()
    c = C('x')
    c.request(method, path)
    r = c.getresponse()
    print(r.status, json.loads(r.read()).get('type'))
'''


def as_other(d, *requests):
    nobody = pwd.getpwnam('nobody')
    out = subprocess.run(
        ['setpriv', f'--reuid={nobody.pw_uid}', f'--regid={nobody.pw_gid}',
         '--clear-groups', sys.executable, '-c', AS_NOBODY, sock_of(d),
         *requests], capture_output=True, text=True)
    if out.returncode != 0:
        raise Failure(out.stderr)
    return out.stdout.split('\n')[:-1]


def open_way(d):
    """The directories on the way, as if by the daemon's group."""
    path = d.runtime
    while path not in ('/', '/tmp'):
        os.chmod(path, os.stat(path).st_mode | 0o711)
        path = os.path.dirname(path)
    os.chmod(sock_of(d), 0o666)


def test_roles(scene):
    """who may do what follows from the peer's uid and groups"""
    if os.geteuid() != 0:
        raise Skip('needs root')
    d = start(scene)
    open_way(d)
    forbidden = '403 urn:cleat:problem:forbidden'
    ask = ('GET /v1/log-level', 'POST /v1/reload')
    equal(as_other(d, *ask), ['200 None', forbidden], 'a viewer')
    d.configure({'control': {'viewers': 'root'}})
    d.control.post('/v1/reload')
    equal(as_other(d, *ask), [forbidden, forbidden], 'nobody')
    group = subprocess.run(['id', '-gn', 'nobody'], capture_output=True,
                           text=True, check=True).stdout.strip()
    d.configure({'control': {'viewers': f'root, @{group}'}})
    d.control.post('/v1/reload')
    equal(as_other(d, *ask), ['200 None', forbidden], 'a viewer by group')
    d.configure({'control': {'operators': 'nobody'}})
    d.control.post('/v1/reload')
    equal(as_other(d, *ask), ['200 None', '200 None'], 'an operator')
    d.control.close()
    d.stop()


def test_role_is_lost(scene):
    """who is taken off the list has lost it on open connections, too"""
    if os.geteuid() != 0:
        raise Skip('needs root')
    d = start(scene)
    open_way(d)

    def lists(**who):
        d.configure({'control': {'operators': None, 'viewers': None, **who}})
        d.control.post('/v1/reload')
    lists(operators='nobody')
    os.seteuid(pwd.getpwnam('nobody').pw_uid)
    try:
        other = Control(d)
        other.get('/v1/status')
        stream = other.events()
    finally:
        os.seteuid(0)
    other.post('/v1/endpoints', {'id': 'a1'})
    stream.expect('endpoint.unlinked', 'a1')
    lists()
    refused(lambda: other.post('/v1/endpoints', {'id': 'a2'}), 403,
            'forbidden')
    equal(other.get('/v1/endpoints/a1')['id'], 'a1', 'a viewer')
    d.control.post('/v1/endpoints', {'id': 'a3'})
    stream.expect('endpoint.unlinked', 'a3')
    lists(viewers='root')
    refused(lambda: other.get('/v1/status'), 403, 'forbidden')
    try:
        while True:
            stream.next()
    except (EOFError, OSError):
        pass
    d.control.post('/v1/endpoints', {'id': 'a4'})
    lists(operators='nobody')
    equal(other.post('/v1/endpoints', {'id': 'a5'})['id'], 'a5')
    other.close()
    d.control.close()
    d.stop()


def test_not_for_devices(scene):
    """nothing of the control socket answers on a device listener"""
    d = scene.daemon(conf={'listener.plain': {'address': '127.0.0.1:0',
                                              'tls': 'no'}})
    d.start()
    for path in ('/v1/status', '/v1/endpoints', '/v1/events'):
        s = socket.create_connection(d.address('plain'), 30)
        s.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\n'
                  'Connection: close\r\n\r\n'.encode())
        check(s.recv(4096).startswith(b'HTTP/1.1 404'), path)
        s.close()
    d.stop()


if __name__ == '__main__':
    main()
