#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that are wrong, come too early, too late or too often: what a device
is told, and that nobody else notices (issue 2, "When things go wrong")."""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BINARY, Closed, Device, Failure, check,  # noqa: E402
                     connect, equal, main)
import peers  # noqa: E402
from netns import Netns  # noqa: E402

PARSE, INVALID, NO_METHOD, PARAMS = -32700, -32600, -32601, -32602
AUTH_FAILED, HELLO_FIRST, HELLO_TWICE, BAD_ID = -32001, -32003, -32004, -32005


def start(scene, conf=None):
    d = scene.daemon(conf=conf)
    for endpoint in ('witness', 'dev', 'other'):
        d.token(endpoint)
    d.start()
    d.events = d.bus()
    d.witness = Device(d, 'witness')
    d.events.expect('endpoint.online', 'witness')
    return d


def finish(d):
    equal(d.witness.call('state', {'power': 'on'}), {}, 'the witness')
    check(not d.events.find('endpoint.disconnected', 'witness'), 'dropped')
    d.witness.close()
    d.stop()


def stranger(d, **kw):
    device = Device(d, 'dev', hello=False, **kw)
    equal(json.loads(device.recv())['method'], 'challenge')
    return device


def hello(d, endpoint='dev', **params):
    whole = {'endpoint': endpoint,
             'auth': {'method': 'token', 'token': d.token(endpoint)}}
    whole.update(params)
    return {'jsonrpc': '2.0', 'id': 1, 'method': 'hello', 'params': whole}


def error_of(device, text):
    """Code and id of the answer."""
    device.send(text if isinstance(text, (str, bytes)) else json.dumps(text))
    answer = json.loads(device.recv())
    equal(answer.get('jsonrpc'), '2.0')
    check('error' in answer, f'{text!r}: {answer}')
    check(isinstance(answer['error']['message'], str), str(answer))
    return answer['error']['code'], answer['id']


NOT_JSON = ['', ' ', '{', '}', '{"jsonrpc"', '[1,2', '{"a":1,}', "{'a':1}",
            'nul', '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1e999}',
            '{"a":-1e999}', '{"a":99999999999999999999999}', '{"a":NaN}',
            '{"a":"\\x41"}', '{"a":"\\u12"}', '{"a":"\\ud800"}',
            '{"a":"\\u0000"}', '{"a":"\n"}', '{"a":1}{"b":2}', '/**/{}',
            '\ufeff{}', '{"a":1}\0', '"' * 3, '-', '{"a":' + '9' * 5000 + '}',
            '[' * 33 + ']' * 33, '{"a":' * 40 + '1' + '}' * 40,
            '[' * 10000, '{"a":' * 3000]
NO_ENVELOPE = [('1', None), ('"x"', None), ('null', None), ('true', None),
               ('[]', None), ('[{"jsonrpc":"2.0","id":1,"method":"x"}]', None),
               ('{}', None), ('{"id":7}', 7), ('{"jsonrpc":2.0,"id":7}', 7),
               ('{"jsonrpc":"1.0","id":7,"method":"x"}', 7),
               ('{"jsonrpc":"2.0","id":7}', 7),
               ('{"jsonrpc":"2.0","id":7,"method":1}', 7),
               ('{"jsonrpc":"2.0","id":7,"method":null}', 7),
               ('{"jsonrpc":"2.0","id":{},"method":"x"}', None),
               ('{"jsonrpc":"2.0","id":[1],"method":"x"}', None),
               ('{"jsonrpc":"2.0","id":true,"method":"x"}', None)]
WRONG_PARAMS = [('state', p) for p in (
    [], 'on', 1, None, {}, {'power': 1}, {'power': 'off'}, {'power': None},
    {'power': ['on']}, {'power': ''})] + [('sleep', p) for p in (
        {}, {'until': 'x'}, {'until': -1}, {'until': 0}, {'until': 1.5},
        {'until': 2 ** 63 - 1}, {'until': None})] + [('event', p) for p in (
            {}, {'data': 1}, {'data': []}, {'type': 1, 'data': {}},
            {'type': '', 'data': {}}, {'type': 'a b', 'data': {}},
            {'type': 'x' * 65, 'data': {}})] + [('bye', {'reason': 1})]
WRONG_HELLOS = [
    {'endpoint': None}, {'endpoint': 1}, {'endpoint': ['dev']}, {'auth': None},
    {'auth': 'token'}, {'auth': {}}, {'auth': {'method': 1}},
    {'auth': {'method': 'magic'}}, {'auth': {'method': 'token'}},
    {'auth': {'method': 'token', 'token': 1}}, {'boot_id': 1},
    {'agent': 'x'}, {'agent': {'name': 1}}]


def test_not_json(scene):
    """what is no JSON, or too deep, or has numbers beyond all bounds: -32700"""
    d = start(scene)
    device = Device(d, 'dev')
    for text in NOT_JSON:
        equal(error_of(device, text), (PARSE, None), repr(text[:60]))
        equal(device.call('state', {'power': 'on'}), {}, 'goes on')
    device.close()
    finish(d)


def test_no_envelope(scene):
    """JSON that is no request of JSON-RPC 2.0, and batches: -32600"""
    d = start(scene)
    device = Device(d, 'dev')
    for text, ident in NO_ENVELOPE:
        equal(error_of(device, text), (INVALID, ident), text)
    equal(device.call('state', {'power': 'on'}), {}, 'goes on')
    device.close()
    finish(d)


def test_ids(scene):
    """ids come back as they were given"""
    d = start(scene)
    device = Device(d, 'dev')
    for ident in (0, -1, 2 ** 63 - 1, -2 ** 63, 1.5, 'x', '', 'x' * 5000,
                  '"\\\u00e9\u20ac\U0001f600', None):
        device.send_json({'jsonrpc': '2.0', 'id': ident, 'method': 'state',
                          'params': {'power': 'on'}})
        answer = json.loads(device.recv())
        equal(answer, {'jsonrpc': '2.0', 'id': ident, 'result': {}})
    device.close()
    finish(d)


def test_wrong_params(scene):
    """parameters of wrong types and values: -32602, and nothing happens"""
    d = start(scene)
    device = Device(d, 'dev')
    d.events.expect('endpoint.online', 'dev')
    for method, params in WRONG_PARAMS:
        if params is None:
            continue
        request = {'jsonrpc': '2.0', 'id': 5, 'method': method,
                   'params': params}
        equal(error_of(device, request), (PARAMS, 5), str(request))
    equal(device.call('state', {'power': 'on'}), {}, 'goes on')
    device.close()
    event = d.events.expect('endpoint.disconnected', 'dev')
    equal((event['state'], event['reason']), ('disconnected', 'peer-close'))
    finish(d)


def test_duplicate_keys(scene):
    """of a key that comes twice one counts, and the same for everybody"""
    d = start(scene)
    device = stranger(d)
    device.send('{"jsonrpc":"2.0","id":1,"method":"hello","params":{'
                '"endpoint":"other","endpoint":"dev","auth":{"method":"token",'
                f'"token":"{d.token("dev")}"}}}}}}')
    answer = json.loads(device.recv())
    if 'error' in answer:
        check(answer['error']['code'] in (PARSE, INVALID, AUTH_FAILED),
              str(answer))
    else:
        equal(answer['result']['endpoint'], 'dev')
        d.events.expect('endpoint.online', 'dev')
    check(not d.events.find('endpoint.online', 'other'), 'took both')
    device.sock.close()
    finish(d)


def test_unknown_method(scene):
    """an unknown method is told so and never closes, before and after hello"""
    d = start(scene)
    device = stranger(d)
    for method in ('x', '', 'Hello', 'hello ', 'rpc.discover', 'x' * 3000):
        request = {'jsonrpc': '2.0', 'id': 5, 'method': method}
        equal(error_of(device, request), (NO_METHOD, 5), method[:9])
    device.send_json({'jsonrpc': '2.0', 'method': 'unknown'})
    device.send_json(hello(d))
    check('result' in json.loads(device.recv()), 'hello')
    equal(error_of(device, {'jsonrpc': '2.0', 'id': 5, 'method': 'x',
                            'params': 3}), (NO_METHOD, 5))
    device.send_json({'jsonrpc': '2.0', 'method': 'unknown', 'params': []})
    equal(device.call('state', {'power': 'on'}), {}, 'goes on')
    device.close()
    finish(d)


def test_unasked_answers(scene):
    """answers to what was never asked are passed over"""
    d = start(scene)
    device = Device(d, 'dev')
    device.send_json({'jsonrpc': '2.0', 'id': 9, 'result': {}})
    device.send_json({'jsonrpc': '2.0', 'id': 9, 'error': {'code': 1}})
    equal(device.call('state', {'power': 'on'}), {}, 'goes on')
    device.close()
    finish(d)


def test_before_hello(scene):
    """whoever begins with something else than hello is told and closed: 4006"""
    d = start(scene)
    for method, params in (('state', {'power': 'on'}), ('bye', {}),
                           ('event', {'data': {}}), ('sleep', {'until': 1})):
        device = stranger(d)
        request = {'jsonrpc': '2.0', 'id': 3, 'method': method,
                   'params': params}
        equal(error_of(device, request), (HELLO_FIRST, 3), method)
        equal(device.expect_close()[0], 4006, method)
    device = stranger(d)
    device.notify('hello', hello(d)['params'])
    equal(device.expect_close()[0], 4006, 'hello as a notification')
    check(not d.events.find('endpoint.online', 'dev'), 'nobody came online')
    finish(d)


def test_wrong_hello(scene):
    """a hello of wrong types is told so and can be said again"""
    d = start(scene)
    device = stranger(d)
    for wrong in WRONG_HELLOS:
        request = hello(d)
        request['params'].update(wrong)
        equal(error_of(device, request), (PARAMS, 1), str(wrong))
    device.send_json(hello(d))
    check('result' in json.loads(device.recv()), 'a right hello')
    device.close()
    for bad in ('', ' ', 'a b', 'a/b', 'x' * 500, '\u00e9', 'a\nb'):
        device = stranger(d)
        request = hello(d)
        request['params']['endpoint'] = bad
        equal(error_of(device, request), (BAD_ID, 1), repr(bad))
        equal(device.expect_close()[0], 4004, repr(bad))
    finish(d)


def test_binary(scene):
    """binary messages are closed with 1003, before and after hello"""
    d = start(scene)
    for device in (stranger(d), Device(d, 'dev')):
        device.send(b'{}', BINARY)
        equal(device.expect_close()[0], 1003)
    finish(d)


def test_bad_utf8(scene):
    """text that is no UTF-8 is closed with 1007"""
    d = start(scene)
    for text in (b'\xff', b'{"a":"\xc0\x80"}', b'\xed\xa0\x80', b'\xe2\x82'):
        device = Device(d, 'dev')
        device.send(text, 1)
        equal(device.expect_close()[0], 1007, repr(text))
    finish(d)


def test_hello_twice(scene):
    """a second hello is an error, and the channel keeps its identity"""
    d = start(scene)
    device = Device(d, 'dev')
    equal(error_of(device, hello(d, 'other')), (HELLO_TWICE, 1))
    device.call('event', {'data': {'n': 1}})
    d.events.expect('endpoint.message', 'dev')
    check(not d.events.find('endpoint.online', 'other'), 'took another name')
    device.close()
    device = stranger(d)        # both in one go, before the first is answered
    text = json.dumps(hello(d)), json.dumps(dict(hello(d, 'other'), id=2))
    device.sock.sendall(b''.join(device.frame(1, t.encode()) for t in text))
    codes = {}
    for _ in text:
        answer = json.loads(device.recv())
        codes[answer['id']] = answer.get('error', {}).get('code')
    equal(codes, {1: None, 2: HELLO_TWICE})
    check(not d.events.find('endpoint.online', 'other'), 'took another name')
    device.close()
    finish(d)


def test_late_hello(scene):
    """no hello in time: 4002, and bad messages or pings do not buy time"""
    d = start(scene, {'limits': {'auth_timeout': '1s'}})
    devices = [stranger(d) for _ in range(3)]
    begin = time.monotonic()
    devices[1].sock.settimeout(0.1)
    code = None
    while code is None and time.monotonic() < begin + 20:
        try:
            devices[1].send(b'x', 9)
            devices[1].recv()
        except TimeoutError:
            pass
        except Closed as e:
            code = e.code
    equal(code, 4002, 'pinging')
    took = time.monotonic() - begin
    check(0.5 < took < 10, f'{took} s')
    equal(devices[0].expect_close()[0], 4002, 'silent')
    equal(devices[2].expect_close()[0], 4002, 'silent')
    equal(d.counters()['auth_timeouts'], 3)
    finish(d)


def test_too_much_before_hello(scene):
    """a stranger who sends more than auth_bytes is closed: 4006 or 1009"""
    d = start(scene, {'limits': {'auth_bytes': '4KiB'}})
    device = stranger(d)
    device.sock.settimeout(20)
    try:
        for _ in range(20):
            device.send(' ' * 1000)
    except OSError:
        pass
    equal(device.expect_close()[0], 4006, 'many small ones')
    device = stranger(d)
    device.sock.sendall(device.frame(1, b' ' * 60000)[:2000])
    equal(device.expect_close()[0], 1009, 'one that says it will be long')
    device = Device(d, 'dev')
    device.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'event',
                      'params': {'data': {'x': 'y' * 60000}}})
    equal(json.loads(device.recv())['id'], 1, 'afterwards it may')
    device.close()
    check(d.counters()['too_big'] >= 1, 'counted')
    finish(d)


def test_bad_token(scene):
    """a bad token is told, closed with 4001 and on the bus, whoever is named"""
    d = start(scene)
    for endpoint, token in (('dev', d.token('other')), ('dev', 'x' * 32),
                            ('dev', ''), ('dev', 'x' * 100000),
                            ('nobody', d.token('dev')), ('dev', 'short')):
        device = stranger(d)
        request = hello(d)
        request['params']['endpoint'] = endpoint
        request['params']['auth']['token'] = token
        if len(token) > 65536:
            device.send_json(request)
            check(device.expect_close()[0] in (1009, 4006), 'too long')
            continue
        equal(error_of(device, request), (AUTH_FAILED, 1), endpoint)
        equal(device.expect_close()[0], 4001, endpoint)
        event = d.events.expect('auth.failed')
        equal(event['endpoint'], endpoint)
        check('peer' in event, str(event))
    device = stranger(d)
    equal(error_of(device, hello(d, auth={'method': 'mtls'})),
          (AUTH_FAILED, 1), 'no certificate')
    equal(device.expect_close()[0], 4001)
    check(not d.events.find('endpoint.online', 'dev'), 'nobody came online')
    for line in d.log:
        for token in d.tokens.values():
            check(token not in line, 'a token in the log')
    finish(d)


def test_token_without_tls(scene):
    """without TLS tokens are taken on loopback and behind a proxy, not else"""
    with Netns() as ns:
        d = start(scene, {
            'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'},
            'listener.unix': {'address': 'unix:' + scene.path('s'),
                              'tls': 'no'},
            'listener.far': {'address': f'{ns.our}:0', 'tls': 'no'}})
        for listener in ('plain', 'unix'):
            device = Device(d, 'dev', listener, tls=False)
            equal(device.hello_result['security'], 'ws', listener)
            device.close()
        with ns.inside():
            device = stranger(d, listener='far', tls=False)
        equal(error_of(device, hello(d)), (AUTH_FAILED, 1), 'from far')
        equal(device.expect_close()[0], 4001, 'from far')
        d.events.expect('auth.failed', 'dev')
        finish(d)


def test_token_behind_a_proxy(scene):
    """a PROXY header cannot make a far peer a near one, nor the other way"""
    d = start(scene, {'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no', 'proxy': 'required',
        'trusted_proxies': '127.0.0.1'},
        'listener.other': {'address': '127.0.0.1:0', 'tls': 'no',
                           'proxy': 'required',
                           'trusted_proxies': '192.0.2.7'}})
    sock = connect(d.address('plain'))
    sock.sendall(b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n')
    ws = peers.websocket(sock)
    ws.recv()
    ws.send(json.dumps(hello(d)))
    equal(json.loads(ws.recv())['result']['security'], 'ws')
    equal(d.events.expect('endpoint.online', 'dev')['peer'].split(':')[0],
          '192.0.2.1')
    ws.close()
    sock = connect(d.address('other'))
    sock.sendall(b'PROXY TCP4 192.0.2.7 192.0.2.2 1 2\r\n')
    peers.wait_end(sock)
    equal(d.counters()['refused_proxy'], 1)
    finish(d)


def mutate(text, rng):
    at = rng.randrange(len(text))
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + text[at + rng.randrange(5):]
    if kind == 2:
        return text[:at] + rng.choice('{}[]",:\\0e-tnf \u00e9') + text[at:]
    return text[:at] + text[rng.randrange(at + 1):at] + text[at:]


def test_mutations(scene):
    """a thousand damaged messages: answers or nothing, and only 4006 closes"""
    d = start(scene)
    rng = random.Random(2)
    good = [json.dumps(m) for m in (
        hello(d), {'jsonrpc': '2.0', 'id': 4, 'method': 'event', 'params': {
            'type': 'x', 'data': {'a': [1, 2.5, None, True, 'x']}}},
        {'jsonrpc': '2.0', 'id': 'q', 'method': 'state',
         'params': {'power': 'on'}})]
    device = Device(d, 'dev')
    for n in range(1000):
        text = mutate(rng.choice(good), rng)
        try:
            device.send(text)
            if n % 20 == 0:
                device.call('state', {'power': 'on'})
        except Closed as e:
            check(e.code in (4006, 1000), f'{e.code} after {text!r}')
            device = Device(d, 'dev')
        except Failure as e:
            check('too many' in str(e), str(e))
    device.sock.close()
    finish(d)


def test_too_many_bad(scene):
    """who sends nothing but errors is closed in the end: 4006"""
    d = start(scene)
    device = Device(d, 'dev')
    for _ in range(200):
        try:
            device.send('nonsense')
        except OSError:
            break
    equal(device.expect_close()[0], 4006)
    finish(d)


main()
