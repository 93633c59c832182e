#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of other make against the real daemon: as echo peers, and as devices
of the native protocol."""
import asyncio
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import browser      # noqa: E402
import harness      # noqa: E402
from harness import (BUILDDIR, PATIENCE, Device, Failure, Pki,  # noqa: E402
                     Skip, check, equal, need, wait_until)
from tls_tools import Tool      # noqa: E402

SUBPROTOCOL = 'cleat.v1.jsonrpc'


def start(scene, **sections):
    d = scene.daemon(conf={'plugin.echo': {'max_message': '8MiB'},
                           **sections})
    for endpoint in ('dev-1', 'dev-2'):
        d.token(endpoint)
    return d.start()


def state_of(d, endpoint):
    """The endpoint in the snapshot, or {}."""
    with d.request() as r:
        for e in r.endpoints():
            if e['endpoint'] == endpoint:
                return e
    return {}


def becomes(d, endpoint, state):
    return wait_until(f'{endpoint} is {state}', lambda: (
        lambda e: e if e.get('state') == state else None)(
            state_of(d, endpoint)))


def hello(endpoint, token, agent):
    return {'jsonrpc': '2.0', 'id': 1, 'method': 'hello', 'params': {
        'endpoint': endpoint, 'boot_id': 'b1',
        'agent': {'name': agent, 'version': '1'},
        'auth': {'method': 'token', 'token': token}}}


# ---- python ----------------------------------------------------------------

def websockets():
    try:
        import websockets
        return websockets
    except ImportError:
        raise Skip('no module websockets (package python3-websockets)')


def in_time(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


def python_echo(scene, **kw):
    ws_module, d = websockets(), start(scene)

    async def talk():
        async with ws_module.connect(
                d.url('/echo'), ssl=scene.client_context(), max_size=None,
                **kw) as ws:
            # In `protocol` since 14.
            extensions = getattr(ws, 'protocol', ws).extensions
            equal(bool(extensions), 'compression' not in kw, 'deflate')
            for m in ('', 'hello', 'ü€\U0001f600', b'', bytes(range(256)),
                      'ö' * 1500000, b'\0\xff' * 1500000):
                await ws.send(m)
                equal(await ws.recv() == m, True, repr(m[:20]))
            many = [f'message {i} ' + 'x' * i for i in range(200)]
            for m in many:
                await ws.send(m)
            for m in many:
                equal(await ws.recv(), m)
            await ws.send(iter(['in ', 'three ', 'fragments']))
            equal(await ws.recv(), 'in three fragments')
            pong = await ws.ping(b'are you there')
            await pong
            await ws.close(4321, 'enough')
            equal(ws.close_code, 4321, 'close code')
    in_time(talk())


def test_python(scene):
    """python3-websockets with compression: text, binary, 3 MB, 200 at once"""
    python_echo(scene)


def test_python_plain(scene):
    """python3-websockets without compression"""
    python_echo(scene, compression=None)


def test_python_device(scene):
    """python3-websockets is a device"""
    ws_module, d = websockets(), start(scene)

    async def talk():
        async with ws_module.connect(
                d.url(), ssl=scene.client_context(),
                subprotocols=[SUBPROTOCOL]) as ws:
            equal(ws.subprotocol, SUBPROTOCOL, 'subprotocol')
            first = json.loads(await ws.recv())
            equal(first['method'], 'challenge', 'the first message')
            await ws.send(json.dumps(hello('dev-1', d.token('dev-1'), 'py')))
            result = json.loads(await ws.recv())['result']
            equal(result['security'], 'wss', 'security')
            equal(state_of(d, 'dev-1').get('state'), 'online', 'state')
            await ws.send(json.dumps({'jsonrpc': '2.0', 'method': 'bye'}))
        equal(becomes(d, 'dev-1', 'offline')['reason'], 'bye', 'reason')
    in_time(talk())


# ---- node ------------------------------------------------------------------

NODE_COMMON = '''
const assert = require('assert');
const url = process.env.URL;
const fail = (e) => { console.error(e); process.exit(1); };
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
'''

NODE_WS = NODE_COMMON + '''
let WebSocket;
try { WebSocket = require('ws'); } catch (e) { process.exit(77); }
'''

NODE_ECHO = NODE_WS + '''
const deflate = process.env.DEFLATE === 'yes';
const messages = ['', 'hello', 'ü€😀', Buffer.alloc(0),
    Buffer.from([...Array(256).keys()]), 'ö'.repeat(1500000),
    Buffer.alloc(3000000, 0xfe)];
for (let i = 0; i < 200; i++) messages.push(`message ${i} ` + 'x'.repeat(i));
const ws = new WebSocket(url, { perMessageDeflate: deflate });
let at = 0, pongs = 0;
ws.on('open', () => {
    assert.equal(ws.extensions !== '', deflate);
    ws.ping('are you there');
    for (const m of messages) ws.send(m);
});
ws.on('pong', (data) => { assert.equal(data, 'are you there'); pongs++; });
ws.on('message', (data, binary) => {
    const m = messages[at++];
    assert.equal(binary, Buffer.isBuffer(m));
    assert(data.equals(Buffer.from(m)), `message ${at - 1}`);
    if (at === messages.length) ws.close(4321, 'enough');
});
ws.on('close', (code) => {
    assert.deepEqual([code, at, pongs], [4321, messages.length, 1]);
    console.log('good');
});
ws.on('error', fail);
'''

NODE_DEVICE = NODE_WS + '''
const ws = new WebSocket(url, 'cleat.v1.jsonrpc');
ws.on('message', (data) => {
    const m = JSON.parse(data);
    if (m.method === 'challenge') ws.send(process.env.HELLO);
    if (m.id !== 1) return;
    assert.equal(m.result.security, 'wss');
    assert.equal(ws.protocol, 'cleat.v1.jsonrpc');
    console.log('good');
    process.stdin.once('data', () => {
        ws.send(JSON.stringify({ jsonrpc: '2.0', method: 'bye' }));
        ws.close(1000);
        process.stdin.unref();
    });
});
ws.on('error', fail);
'''

NODE_OWN = NODE_COMMON + '''
if (typeof WebSocket === 'undefined') process.exit(77);
const ws = new WebSocket(url);
ws.binaryType = 'arraybuffer';
const messages = ['hello', 'ü€😀', new Uint8Array([0, 1, 255]).buffer,
    'x'.repeat(100000)];
let at = 0;
ws.onopen = () => messages.forEach((m) => ws.send(m));
ws.onmessage = (e) => {
    assert.deepEqual(e.data, messages[at++]);
    if (at === messages.length) ws.close(1000);
};
ws.onclose = (e) => {
    assert(e.wasClean);
    assert.equal(e.code, 1000);
    assert.equal(at, messages.length);
    console.log('good');
    process.exit(0);
};
ws.onerror = fail;
'''


def node(scene, d, script, *args, url=None, **env):
    return Tool(scene, need('node', 'nodejs'), *args, '-e', script,
                env=dict(os.environ, NODE_PATH='/usr/share/nodejs',
                         NODE_EXTRA_CA_CERTS=scene.pki.ca,
                         NODE_OPTIONS='--dns-result-order=ipv4first',
                         URL=url or d.url('/echo'), **env))


def good(tool, missing):
    """Ends well, or is not there."""
    out = tool.end()
    if tool.process.returncode in (77, 9):
        raise Skip(missing)
    equal(tool.process.returncode, 0, out.decode(errors='replace')[-2000:])
    check(b'good' in out, out.decode(errors='replace')[-2000:])


NO_WS = 'no module ws for node (package node-ws)'


def test_node(scene):
    """node ws with and without compression: text, binary, 3 MB, 200 at once"""
    d = start(scene)
    for deflate in ('yes', 'no'):
        good(node(scene, d, NODE_ECHO, DEFLATE=deflate), NO_WS)


def test_node_device(scene):
    """node's ws is a device"""
    d = start(scene)
    tool = node(scene, d, NODE_DEVICE, url=d.url(), HELLO=json.dumps(
        hello('dev-1', d.token('dev-1'), 'node')))
    try:
        tool.expect(rb'good')
    except Failure:
        good(tool, NO_WS)
        raise
    equal(state_of(d, 'dev-1').get('state'), 'online', 'state')
    tool.send(b'go\n')
    equal(becomes(d, 'dev-1', 'offline')['reason'], 'bye', 'reason')


def test_node_own(scene):
    """node's own WebSocket"""
    good(node(scene, start(scene), NODE_OWN, '--experimental-websocket'),
         'this node has no WebSocket of its own')


# ---- curl ------------------------------------------------------------------

def test_curl(scene):
    """curl: health, and the 101 with its Sec-WebSocket-Accept"""
    d = start(scene)
    base = [need('curl', 'curl'), '-sS', '--cacert', scene.pki.ca]
    port = d.address()[1]
    for path, body in (('/healthz', 'ok\n'), ('/readyz', 'ready\n')):
        for version in ('--tlsv1.3', '--tls-max=1.2'):
            out = subprocess.run(
                [*base, *version.split('='), '-f',
                 f'https://localhost:{port}{path}'], capture_output=True,
                text=True, timeout=PATIENCE)
            equal((out.returncode, out.stdout), (0, body), out.stderr)
    tool = Tool(scene, *base, '-iN', '--http1.1', '-H', 'Upgrade: websocket',
                '-H', 'Connection: Upgrade', '-H',
                'Sec-WebSocket-Version: 13', '-H',
                'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
                f'https://localhost:{port}/echo')
    head = tool.expect(rb'HTTP/1\.1 101 .*?\r\n\r\n').group()
    check(b's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' in head, head)
    tool.process.kill()


# ---- chromium --------------------------------------------------------------

BROWSER_ECHO = '''
const ws = new WebSocket(url);
ws.binaryType = 'arraybuffer';
const bytes = new Uint8Array(3000000).map((_, i) => i);
const messages = ['', 'hello', 'ü€😀', bytes.buffer, 'ö'.repeat(1500000)];
for (let i = 0; i < 200; i++) messages.push('m' + i);
const same = (a, b) => {
    if (typeof a === 'string') return a === b;
    const x = new Uint8Array(a), y = new Uint8Array(b);
    return x.length === y.length && x.every((v, i) => v === y[i]);
};
return await new Promise((resolve, reject) => {
    let at = 0;
    ws.onopen = () => messages.forEach((m) => ws.send(m));
    ws.onerror = () => reject('error after ' + at);
    ws.onmessage = (e) => {
        if (!same(messages[at], e.data)) reject('message ' + at);
        if (++at === messages.length) ws.close(4321, 'enough');
    };
    ws.onclose = (e) => resolve([at, e.code, e.wasClean, ws.extensions]);
});
'''

BROWSER_DEVICE = '''
const ws = new WebSocket(url, 'cleat.v1.jsonrpc');
return await new Promise((resolve, reject) => {
    ws.onerror = () => reject('error');
    ws.onmessage = (e) => {
        const m = JSON.parse(e.data);
        if (m.method === 'challenge') ws.send(token);
        if (m.id === 1) {
            ws.send(JSON.stringify({jsonrpc: '2.0', method: 'bye'}));
            ws.onclose = () => resolve([m.result.security, ws.protocol]);
            ws.close(1000);
        }
    };
});
'''

BROWSER_REFUSED = '''
const ws = new WebSocket(url);
return await new Promise((resolve, reject) => {
    ws.onopen = () => reject('it was let in');
    ws.onclose = (e) => resolve(e.code);
});
'''


def test_chromium(scene):
    """chromium: echo, a device, and a page that is not allowed"""
    browser.chromium(scene)
    need('certutil', 'libnss3-tools')
    allowed = browser.PageServer(scene)
    stranger = browser.PageServer(scene)
    d = start(scene, **{'listener.main': {'origins': allowed.origin}})
    at, code, clean, extensions = browser.run_page(
        scene, allowed, d.url('/echo'), BROWSER_ECHO)
    equal((at, code, clean), (205, 4321, True), 'messages, code, clean')
    check('permessage-deflate' in extensions, extensions)
    equal(browser.run_page(scene, allowed, d.url(), BROWSER_DEVICE,
                           json.dumps(hello('dev-1', d.token('dev-1'),
                                            'chromium'))),
          ['wss', SUBPROTOCOL], 'as a device')
    equal(becomes(d, 'dev-1', 'offline')['reason'], 'bye', 'reason')
    equal(browser.run_page(scene, stranger, d.url('/echo'), BROWSER_REFUSED),
          1006, 'from another origin')


# ---- libwebsockets, nng ----------------------------------------------------

def test_libwebsockets(scene):
    """libwebsockets' test client, whose subprotocols nobody here knows"""
    program = need('libwebsockets-test-client',
                   'libwebsockets-test-server')
    d = start(scene, **{'listener.main': {
        'default_protocol': 'echo', 'origins': 'http://localhost'}})
    tool = Tool(scene, program, 'localhost', f'--port={d.address()[1]}',
                '--ssl', f'--ssl-ca={scene.pki.ca}')
    tool.expect(rb'(?i)established')
    tool.process.send_signal(signal.SIGINT)


def test_nngcat(scene):
    """nngcat shows the events, with nothing else installed"""
    d = start(scene)
    tool = Tool(scene, need('nngcat', 'nng-utils'), '--sub', '--dial',
                'ipc://' + d.events, '--subscribe', 'endpoint.', '--quoted')

    def seen():
        """A subscriber that came too late sees the next one."""
        Device(d, 'dev-1').close()
        try:
            return tool.expect(rb'"endpoint\.online/dev-1 (\{.*?\})"\r?\n',
                               timeout=0.5)
        except Failure:
            return None
    text = wait_until('an event', seen).group(1).decode()
    event = json.loads(text.replace('\\"', '"'))
    equal((event['event'], event['state'], event['security']),
          ('endpoint.online', 'online', 'wss'), 'the event')
    tool.expect(rb'endpoint\.\w+/dev-1')


# ---- cleat-agent -----------------------------------------------------------

def agent(scene, d, *args, endpoint='dev-1', ca=None, url=None):
    program = os.path.join(BUILDDIR, 'cleat-agent')
    if not os.path.exists(program):
        raise Skip('cleat-agent is not built')
    return Tool(scene, program, '-s', url or d.url(), '-e', endpoint, '--ca',
                ca or scene.pki.ca, '--retry-min-ms', '50', '--retry-max-ms',
                '200', '--log-level', 'debug', *args)


def token_file(scene, d, endpoint='dev-1'):
    path = scene.path('token-' + endpoint)
    with open(path, 'w') as f:
        f.write(d.token(endpoint) + '\n')
    os.chmod(path, 0o600)
    return path


def test_agent(scene):
    """cleat-agent: online with a token, offline after its goodbye"""
    d = start(scene)
    tool = agent(scene, d, '--token-file', token_file(scene, d))
    equal(becomes(d, 'dev-1', 'online')['security'], 'wss', 'security')
    tool.process.terminate()
    equal(becomes(d, 'dev-1', 'offline')['reason'], 'bye', 'reason')
    tool.end()
    equal(tool.process.returncode, 0, 'exit status')


def test_agent_certificate(scene):
    """cleat-agent: wss-safe with a client certificate"""
    d = start(scene, **{'listener.main': {
        'client_auth': 'required', 'ca_file': scene.pki.ca}})
    crt, key = scene.pki.issue('dev-1', 'clientAuth')
    agent(scene, d, '--cert', crt, '--key', key)
    equal(becomes(d, 'dev-1', 'online')['security'], 'wss-safe', 'security')


def test_agent_returns(scene):
    """cleat-agent: killed is seen; after a restart of the daemon it is back"""
    d = start(scene)
    tool = agent(scene, d, '--token-file', token_file(scene, d))
    becomes(d, 'dev-1', 'online')
    # The same port again: an agent goes where it was told.
    d.configure({'listener.main': {
        'address': '127.0.0.1:%d' % d.address()[1]}})
    d.stop()
    d.start()
    becomes(d, 'dev-1', 'online')
    tool.process.kill()
    becomes(d, 'dev-1', 'disconnected')


def test_agent_verifies(scene):
    """cleat-agent: another authority or host name is refused"""
    d = start(scene)
    os.makedirs(scene.path('other'))
    other = Pki(scene.path('other'), 'other')
    for how in ({'ca': other.ca},
                {'url': d.url().replace('localhost', '127.0.0.2')}):
        tool = agent(scene, d, '--token-file', token_file(scene, d), **how)
        tool.expect(rb'(?i)certificate|verif|host name|refused')
        equal(state_of(d, 'dev-1').get('state'), None, str(how))
        tool.process.kill()


if __name__ == '__main__':
    harness.main()
