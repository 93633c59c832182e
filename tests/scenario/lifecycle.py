#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts, reloads, ends and take-overs that go wrong or come at a bad time
(issue 2, "When things go wrong")."""
import ctypes
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, CLOSE, Closed, Device,  # noqa: E402
                     WebSocket, check, connect,
                     equal, main, wait_until)

NAMES = ('dev', 'live', 'other')


def start(scene, conf=None, **kw):
    d = scene.daemon(conf=conf, **kw)
    for endpoint in NAMES:
        d.token(endpoint)
    return d.start()


def well(device):
    equal(device.call('state', {'power': 'on'}), {}, 'a live channel')


def served_sha256(d):
    context = ssl._create_unverified_context()
    with connect(d.address()) as sock, context.wrap_socket(sock) as tls:
        return hashlib.sha256(tls.getpeercert(True)).hexdigest()


def file_sha256(path):
    with open(path) as f:
        pem = re.search('-----BEGIN.*?-----END CERTIFICATE-----', f.read(),
                        re.S).group(0)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def refused(d, pattern):
    """It ends by itself, not well, with such a line and nothing broken."""
    d.launch()
    check(d.wait() == 1, 'exit status')
    d.process = None
    d.check_clean()
    text = '\n'.join(d.log)
    check(re.search(pattern, text), f'no {pattern!r} in\n{text}')
    check('ready version=' not in text, 'said ready')


# ---- two daemons ------------------------------------------------------------

def test_same_state_directory(scene):
    """a second daemon on a state directory is refused, the first lives on"""
    d = start(scene)
    live = Device(d, 'live')
    second = scene.daemon('second', {'daemon': {'state_dir': d.state}})
    refused(second, rf'cannot start: {re.escape(d.state)} is in use by '
                    rf'another cleatd \(pid {d.process.pid}\)')
    well(live)
    Device(d, 'dev').close()
    with open(os.path.join(d.state, 'epoch')) as f:
        equal(f.read(), '1\n', 'epoch')
    live.close()
    d.stop()


def test_manager_is_told(scene):
    """the service manager is told why a start is refused"""
    path = scene.path('notify')
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    busy = socket.create_server(('127.0.0.1', 0))
    d = scene.daemon(conf={'listener.main': {
        'address': f'127.0.0.1:{busy.getsockname()[1]}'}},
        env={'NOTIFY_SOCKET': path})
    refused(d, 'cannot start: .*Address already in use')
    manager.setblocking(False)
    said = manager.recv(4096).decode()
    check(re.fullmatch('STATUS=cannot start: .*Address already in use', said),
          said)
    busy.close()
    manager.close()


def test_same_port(scene):
    """a second daemon on a port is refused and names it"""
    d = start(scene)
    live = Device(d, 'live')
    host, port = d.address()
    second = scene.daemon('second', {'listener.main': {
        'address': f'{host}:{port}'}})
    refused(second, rf'cannot start: .*{port}.*[Aa]ddress already in use')
    well(live)
    live.close()
    d.stop()


def test_same_runtime_directory(scene):
    """a second daemon on a runtime directory does not take the first one's bus
    """
    d = start(scene)
    second = scene.daemon('second', {'daemon': {'runtime_dir': d.runtime}})
    refused(second, r'cannot start: .*(in use|events\.ipc)')
    with d.bus() as bus:
        live = Device(d, 'live')
        bus.expect('endpoint.online', 'live')
        live.close()
    d.stop()


def test_same_unix_socket(scene):
    """a unix socket in use is not taken over, one left behind is"""
    path = scene.path('sock')
    conf = {'listener.near': {'address': f'unix:{path}', 'tls': 'no'}}
    d = start(scene, conf)
    refused(scene.daemon('second', conf), rf'cannot start: .*{path}.*in use')
    Device(d, 'dev', 'near', tls=False).close()
    d.kill()
    check(os.path.exists(path), 'kill -9 leaves it behind')
    d.start()
    Device(d, 'dev', 'near', tls=False).close()
    d.stop()
    check(not os.path.exists(path), 'removed at the end')


# ---- bad starts -------------------------------------------------------------

def test_bad_starts(scene):
    """what cannot be started says why in a line, and leaves nothing"""
    def bad(pattern, conf):
        bad.n += 1
        refused(scene.daemon(f'bad{bad.n}', conf), pattern)

    bad.n = 0
    other = scene.pki.issue('other', sans=['DNS:x'])
    bad('tokens.*No such file', {'auth': {'token_file': '/nowhere/tokens'}})
    bad('ca_file.*No such file', {'listener.main': {
        'client_auth': 'required', 'ca_file': '/nowhere/ca'}})
    bad('/nowhere/chain', {'plugin.cert': {'chain': '/nowhere/chain'}})
    bad('key', {'plugin.cert': {'key': other[1]}})
    bad('state', {'daemon': {'state_dir': '/nowhere/state'}})
    bad('priority', {'tls': {'priority': 'NONSENSE'}})
    bad('listener.main', {'listener.main': {'address': 'here'}})
    bad('nosuch', {'plugin.x': {'module': 'nosuch'}})
    bad('not.*local|assign|requested address', {
        'listener.main': {'address': '192.0.2.1:0'}})


def test_damaged_state(scene):
    """a damaged epoch is not guessed; a damaged ticket master is said"""
    d = start(scene)
    d.stop()
    epoch = os.path.join(d.state, 'epoch')
    for text in ('', 'x\n', '-1\n', '1', '99999999999999999999\n', '1\n2\n'):
        with open(epoch, 'w') as f:
            f.write(text)
        refused(d, 'epoch.*damaged')
        with open(epoch) as f:
            equal(f.read(), text, 'untouched')
    with open(epoch, 'w') as f:
        f.write('7\n')
    d.start()
    with d.bus() as bus:
        Device(d, 'dev').close()
        equal(bus.expect('endpoint.online', 'dev')['epoch'], 8)
    d.stop()


# ---- reload -----------------------------------------------------------------

def reload_with(d, text):
    with open(d.conf_path, 'w') as f:
        f.write(text)
    return d.reload()


def test_bad_reloads(scene):
    """every bad reload keeps everything as it was, and says what is wrong"""
    d = start(scene)
    with open(d.conf_path) as f:
        good = f.read()
    bus = d.bus()
    live = Device(d, 'live')
    bus.expect('endpoint.online', 'live')
    was = served_sha256(d)
    other = scene.pki.issue('other', sans=['DNS:localhost'])
    crt, key = scene.server_cert()

    def put(old, new):
        check(old in good, f'{old!r} is not in the configuration')
        return good.replace(old, new)

    nothing = '/nowhere/file'
    bad = {
        'syntax': good + '[broken\n',
        'no section': 'x = 1\n' + good,
        'unknown section': good + '[nonsense]\na = 1\n',
        'unknown key': put('workers = 2', 'workers = 2\nworker = 2'),
        'bad value': good + '[presence]\nping = soon\n',
        'out of range': good + '[limits]\nhandshakes = 0\n',
        'cross': good + '[presence]\nping = 30s\ndead = 30s\n',
        'twice': good + '[bus]\nring = 128\nring = 128\n',
        'empty': '',
        'missing token file': put(d.token_file, nothing),
        'missing ca': put('[listener.main]\n', '[listener.main]\n'
                          f'client_auth = required\nca_file = {nothing}\n'),
        'no ca': put('[listener.main]\n', '[listener.main]\n'
                     'client_auth = required\n'
                     f'ca_file = {key}\n'),
        'missing chain': put(crt, nothing),
        'missing key': put(key, nothing),
        'key of another': put(key, other[1]),
        'restart key': put('workers = 2', 'workers = 3'),
        'state dir': put(d.state, d.state + '2'),
        'added listener': good + '[listener.x]\naddress = 127.0.0.1:0\n',
        'other address': put('127.0.0.1:0', '127.0.0.2:0'),
        'plugin option': put('module = proto-endpoint',
                             'module = proto-endpoint\nnonsense = 1'),
        'plugin value': put('module = proto-echo',
                            'module = proto-echo\nmax_message = x'),
        'added plugin': good + '[plugin.x]\nmodule = proto-echo\n',
        'removed plugin': put('[plugin.echo]\nmodule = proto-echo\n', ''),
        'other module': put('module = proto-echo', 'module = proto-endpoint'),
        'no such source': put('source = cert', 'source = nobody'),
        'priority': good + '[tls]\npriority = NONSENSE\n',
        'binary': '\0\1\2' + good,
    }
    for n, (name, text) in enumerate(bad.items()):
        if n % 9 == 8:          # the log gives each line 20 times a second
            second = int(time.monotonic())
            wait_until('the next second',
                       lambda: int(time.monotonic()) > second + 1)
        said = len(d.log)
        check(not reload_with(d, text), f'{name}: was accepted')
        lines = [x for x in d.log[said:] if ' error ' in x]
        check(len(lines) >= 2, f'{name}: no reason: {lines}')
        event = bus.expect('daemon.reload-failed')
        check(event['epoch'] == 1, name)
        well(live)
    second = int(time.monotonic())
    wait_until('the next second', lambda: int(time.monotonic()) > second + 1)
    os.unlink(d.conf_path)
    check(not d.reload(), 'no file')
    bus.expect('daemon.reload-failed')
    with open(d.token_file, 'w') as f:
        f.write('this is no token file\n')
    check(not reload_with(d, good), 'bad token file')
    bus.expect('daemon.reload-failed')
    well(live)
    Device(d, 'dev').close()        # the last good tokens
    bus.expect('endpoint.online', 'dev')
    equal(served_sha256(d), was, 'the certificate')
    d.write_tokens()
    check(reload_with(d, good + '[presence]\nping = 7s\n'), 'a good one')
    bus.expect('daemon.reloaded')
    well(live)
    equal(Device(d, 'dev').hello_result['ping_ms'], 7000)
    equal(bus.find('endpoint.disconnected', 'live'), [])
    live.close()
    d.stop()


def test_reload_tokens(scene):
    """tokens come and go by a reload, and so does who was let in by one"""
    d = start(scene)
    live = Device(d, 'live')
    stays = Device(d, 'other')
    new = d.token('new')
    try:
        Device(d, 'new')
        raise AssertionError('before the reload')
    except AssertionError as e:
        check('authentication failed' in str(e), str(e))
    gone = d.tokens.pop('live')
    d.write_tokens()
    check(d.reload(), 'reload')
    Device(d, 'new', token=new).close()
    try:
        Device(d, 'live', token=gone)
        raise AssertionError('a token that was removed')
    except AssertionError as e:
        check('authentication failed' in str(e), str(e))
    equal(live.expect_close()[0], 4005, 'let in by a token that is gone')
    well(stays)
    stays.close()
    d.stop()


def test_certificate_swap(scene):
    """new handshakes see the new certificate, open channels nothing"""
    d = start(scene)
    bus = d.bus()
    devices = [Device(d, n) for n in NAMES]
    crt, key = scene.server_cert()
    for round_ in range(3):
        was = served_sha256(d)
        new = scene.pki.issue(f'new{round_}', sans=['DNS:localhost'])
        for source, target in zip(new, (crt, key)):
            shutil.copyfile(source, target + '.new')
            os.rename(target + '.new', target)
        check(d.reload(), 'reload')
        wait_until('the new certificate', lambda: served_sha256(d) ==
                   file_sha256(crt))
        check(served_sha256(d) != was, 'a new one')
        bus.expect('certificate.live')
        for device in devices:
            well(device)
    equal(bus.find('endpoint.disconnected'), [])
    shutil.copyfile(scene.path('ca.key'), key + '.new')
    os.rename(key + '.new', key)
    d.reload()
    check(served_sha256(d) == file_sha256(crt), 'the last good one stays')
    for device in devices:
        well(device)
        device.close()
    d.stop()


def test_reload_in_traffic(scene):
    """many reloads beside traffic and handshakes disturb nobody"""
    d = start(scene)
    live = Device(d, 'live')
    for n in range(15):
        d.process.send_signal(signal.SIGHUP)
        Device(d, 'dev').close()
        well(live)
    wait_until('reloads', lambda: any('configuration reloaded' in x
                                      for x in d.log))
    well(live)
    live.close()
    d.stop()


# ---- ends -------------------------------------------------------------------

def test_kill_and_restart(scene):
    """after kill -9 the epoch rises and the device is served again"""
    d = start(scene)
    last = 0
    for epoch in (1, 2, 3):
        with d.bus() as bus:
            device = Device(d, 'dev')
            equal(device.hello_result['epoch'], epoch)
            check(device.hello_result['channel'] > last, 'a number again')
            last = device.hello_result['channel']
            event = bus.expect('endpoint.online', 'dev')
            equal(event['epoch'], epoch)
        d.kill()
        try:
            device.recv()
            raise AssertionError('the channel outlives the daemon')
        except (Closed, OSError):
            pass
        d.start()
    d.stop()


def test_stop(scene):
    """SIGTERM closes every channel with 1001 and ends well within a bound"""
    d = start(scene)
    bus = d.bus()
    devices = [Device(d, n) for n in NAMES]
    for n in NAMES:
        bus.expect('endpoint.online', n)
    connect(d.address())            # silent, and in the handshake
    begin = time.monotonic()
    d.process.send_signal(signal.SIGTERM)
    for device in devices:
        try:
            while True:
                device.recv()
        except Closed as e:
            equal(e.code, 1001)
        device.send(b'\x03\xe9', 8)
        device.sock.close()
    bus.expect('daemon.stopping')
    equal(d.wait(), 0, 'exit status')
    took = time.monotonic() - begin
    check(took < 5, f'{took} s')
    d.process = None
    d.check_clean()


def test_stop_with_dead_peers(scene):
    """devices that do not answer the close do not hold the end up for long"""
    d = start(scene)
    devices = [Device(d, n) for n in NAMES]
    begin = time.monotonic()
    d.stop()
    took = time.monotonic() - begin
    check(took < 10, f'{took} s')
    for device in devices:
        device.sock.close()


def queued(d):
    """With a value, as anybody may send it."""
    ctypes.CDLL(None).sigqueue(d.process.pid, signal.SIGTERM,
                               ctypes.c_void_p(None))


def test_stop_twice(scene):
    """a second SIGTERM ends it at once, queued (sigqueue) or not"""
    d = scene.daemon()
    d.token('dev')
    for first in (lambda d: d.process.send_signal(signal.SIGTERM), queued):
        d.start()
        device = Device(d, 'dev')
        first(d)
        d.expect_log('stopping')
        begin = time.monotonic()
        d.stop()
        took = time.monotonic() - begin
        check(took < 4, f'{took} s')
        device.sock.close()


# ---- presence ---------------------------------------------------------------

def test_late_for_the_stop(scene):
    """who asks for an upgrade during a stop gets 503, and no channel"""
    d = start(scene)
    silent = WebSocket(scene.client_context().wrap_socket(
        connect(d.address()), server_hostname='localhost'), 'x', '/echo')
    late = scene.client_context().wrap_socket(
        connect(d.address()), server_hostname='localhost')
    late.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    late.recv(1000)
    d.process.send_signal(signal.SIGTERM)
    equal(silent.recv_frame()[0], CLOSE)    # and is not answered yet
    late = WebSocket(late, 'x', '/echo')
    equal(late.status, 503, 'during the stop')
    silent.send(b'', CLOSE)
    silent.sock.close()
    equal(d.wait(), 0, 'exit status')


def test_take_over(scene):
    """the second channel of one identity replaces the first: one event, 4003"""
    d = start(scene)
    bus = d.bus()
    old = Device(d, 'dev')
    bus.expect('endpoint.online', 'dev')
    for n in range(2, 8):       # over both workers
        new = Device(d, 'dev')
        event = bus.expect('endpoint.replaced', 'dev')
        equal((event['old_channel'], event['channel']), (n - 1, n))
        equal(old.expect_close()[0], 4003)
        old.send(b'\x0f\xa3', 8)
        old.sock.close()        # late: changes nothing
        well(new)
        old = new
    with d.request() as req:
        one = req.ask('endpoint', id='dev')['endpoint']
        equal((one['state'], one['channel']), ('online', 7))
    equal(bus.find('endpoint.disconnected', 'dev'), [])
    equal(len(bus.find('endpoint.replaced', 'dev')), 6)
    old.close()
    equal(bus.expect('endpoint.disconnected', 'dev')['channel'], 7)
    d.stop()


def test_announced_ends(scene):
    """what was announced before an end is what the end means"""
    d = start(scene, {'presence': {'ping': '2s', 'suspect': '1s',
                                   'dead': '4s'}})
    bus = d.bus()
    for power in ('shutting-down', 'rebooting', 'suspending'):
        for end in (Device.close, Device.abort):
            device = Device(d, 'dev')
            bus.expect('endpoint.online', 'dev')
            device.call('state', {'power': power})
            end(device)
            event = bus.expect('endpoint.offline', 'dev')
            equal((event['state'], event['reason']), ('offline', power))
    device = Device(d, 'dev')
    device.call('state', {'power': 'rebooting'})
    device.call('state', {'power': 'on'})       # thought better of it
    device.abort()
    equal(bus.expect('endpoint.disconnected', 'dev')['reason'], 'reset')
    device = Device(d, 'dev')
    device.call('bye', {})
    equal(device.expect_close()[0], 1000)
    equal(bus.expect('endpoint.offline', 'dev')['reason'], 'bye')
    device = Device(d, 'dev')
    device.call('sleep', {'until': int(time.time() * 1000) + 2500})
    device.abort()
    equal(bus.expect('endpoint.asleep', 'dev')['reason'], 'sleep')
    event = bus.expect('endpoint.disconnected', 'dev', timeout=30)
    equal(event['reason'], 'timeout')
    device.sock.close()
    d.stop()


# ---- the agent --------------------------------------------------------------

def agent(scene, d, endpoint, url=None, **kw):
    token = scene.path(f'{endpoint}.token')
    with open(token, 'w') as f:
        f.write(d.token(endpoint))
    return scene.spawn(
        os.path.join(BUILDDIR, 'cleat-agent'), '-s',
        url or f'wss://localhost:{d.address()[1]}', '-e', endpoint,
        '--token-file', token, '--ca', scene.pki.ca, '--retry-min-ms', '100',
        '--retry-max-ms', '1000', stderr=subprocess.PIPE, text=True, **kw)


RETRY = {'presence': {'retry_min': '100ms', 'retry_max': '1s'}}


def test_agent_reconnects(scene):
    """agents come back after kill -9 and after a stop, not all at once"""
    d = start(scene, RETRY)
    port = d.address()[1]
    d.configure({'listener.main': {'address': f'127.0.0.1:{port}'}})
    for n in range(8):
        d.token(f'a{n}')
    check(d.reload() or True, '')
    d.stop()
    d.start()
    bus = d.bus()
    agents = [agent(scene, d, f'a{n}') for n in range(8)]
    for n in range(8):
        bus.expect('endpoint.online', timeout=30)
    for end in (d.kill, d.stop):
        bus.close()
        end()
        d.start()
        bus = d.bus()
        with d.request() as req:
            wait_until('all online', lambda: sum(
                e['state'] == 'online' for e in req.endpoints()) == 8)
            since = sorted(e['since'] for e in req.endpoints())
        check(len(set(since)) > 1, f'all at once: {since}')
    for a in agents:
        a.terminate()
        equal(a.wait(30), 0, 'the agent')
    for _ in agents:
        equal(bus.expect('endpoint.offline', timeout=30)['reason'], 'bye')
    d.stop()


def test_agent_superseded(scene):
    """an agent whose identity is taken over does not fight for it (4003)"""
    d = start(scene, RETRY)
    bus = d.bus()
    first = agent(scene, d, 'dev')
    bus.expect('endpoint.online', 'dev')
    device = Device(d, 'dev')
    bus.expect('endpoint.replaced', 'dev')
    bus.absent('endpoint.replaced', 'dev', during=4)    # retry_max is 1 s
    well(device)
    check(first.poll() is None, 'the agent runs')
    first.terminate()
    equal(first.wait(30), 0, 'the agent')
    check('4003' in first.stderr.read(), 'the agent says why')
    equal(bus.find('endpoint.disconnected', 'dev'), [])
    device.close()
    d.stop()


# ---- the bus ----------------------------------------------------------------

def test_bad_subscribers(scene):
    """subscribers that stall, vanish or talk nonsense harm nobody"""
    d = start(scene, {'bus': {'canary': '200ms'}})
    stalled = d.bus()           # never reads
    for _ in range(30):
        s = socket.socket(socket.AF_UNIX)
        s.connect(d.events)
        s.close()
        s = socket.socket(socket.AF_UNIX)
        s.connect(d.snapshot)
        s.sendall(os.urandom(20))
        s.close()
    device = Device(d, 'dev')
    for n in range(300):
        device.call('event', {'data': {'n': n, 'x': 'y' * 3000}})
    with d.bus() as bus, d.request() as req:
        device.call('event', {'type': 'last', 'data': {}})
        wait_until('the last event', lambda: bus.expect(
            'endpoint.message', 'dev')['detail']['type'] == 'last')
        equal(req.ask('endpoint', id='dev')['endpoint']['state'], 'online')
    stalled.close()
    device.close()
    d.stop()


main()
