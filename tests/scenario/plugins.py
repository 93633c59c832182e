#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plugins that are wrong, fail, block or misbehave, in the real daemon (issue
2, "When things go wrong").  tests/unit/test_plug_load.c knows every wrong
descriptor; here it is what an operator and the devices see of them."""
import glob
import os
import re
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Device, SRCDIR, check, equal, main,  # noqa: E402
                     wait_until)
import peers  # noqa: E402


def build(scene, source, name, *extra):
    """A module of tests/plugins, as an author would build it; its path."""
    out = scene.path(f'{name}.so')
    subprocess.run(
        [*shlex.split(os.environ.get('CC', 'cc')), '-std=gnu11',
         '-D_GNU_SOURCE', '-fPIC', '-shared', '-fvisibility=hidden',
         '-I' + os.path.join(SRCDIR, 'include'), '-o', out,
         os.path.join(SRCDIR, 'tests', 'plugins', source), *extra],
        check=True, stderr=subprocess.DEVNULL)
    os.chmod(out, 0o755)
    return out


def start(scene, conf=None, name='d', launch=True):
    d = scene.daemon(name, conf)
    for endpoint in ('live', 'dev'):
        d.token(endpoint)
    return d.start() if launch else d


def refusal(d):
    """The lines of a start that must be refused."""
    d.launch()
    code = d.wait()
    d.process = None
    d.check_clean()
    equal(code, 1, 'exit status')
    return '\n'.join(x for x in d.log if ' error ' in x)


def check_config(d):
    done = subprocess.run(d.command('-c', d.conf_path, '--check-config'),
                          capture_output=True, text=True, check=False)
    check('Sanitizer' not in done.stderr, done.stderr)
    return done.returncode, done.stderr


def test_each_bad_module(scene):
    """each bad module is refused by --check-config and start, with its line"""
    said = {}
    sources = sorted(glob.glob(os.path.join(SRCDIR, 'tests', 'plugins',
                                            'bad_*.c')))
    for source in sources:
        name = os.path.basename(source)[:-2]
        if name == 'bad_good':
            continue
        path = build(scene, source, name)
        d = start(scene, {'plugin.bad': {'module': path}}, name, False)
        code, text = check_config(d)
        equal(code, 1, f'{name}: --check-config')
        line = text.strip().splitlines()[-1]
        check(name in line and 'bad' in line, f'{name}: {line}')
        said[name] = re.sub(r'^\S+ \w+ ', '', line).replace(name, 'X')
        if name in ('bad_magic', 'bad_unresolved', 'bad_message'):
            check(name in refusal(d), f'{name}: start')
    check(len(said) > 25, f'only {len(said)} modules')
    same = {'bad_size', 'bad_short'}        # one rule, two ways to break it
    lines = [v.replace(scene.dir, '') for k, v in said.items()
             if k not in same]
    check(len(set(lines)) > len(lines) - 3, f'lines are shared: {lines}')


def test_bad_files(scene):
    """missing, foreign, writable, linked and damaged files are refused"""
    good = build(scene, 'bad_good.c', 'bad_good')

    def put(name, text=None, mode=0o755, owner=None, link=None):
        path = scene.path(name)
        if link:
            os.symlink(link, path)
            return path
        if text is not None:
            with open(path, 'wb') as f:
                f.write(text)
            os.chmod(path, mode)
        if owner is not None:
            os.chown(path, owner, -1)
        return path

    with open(good, 'rb') as f:
        elf = f.read()
    bad = {'No such file': put('missing.so'),
           'not an ELF file': put('text.so', b'x' * 1000),
           'writable': put('all.so', elf, 0o777),
           'symbolic link': put('link.so', link=good),
           'cannot be loaded': put('cut.so', elf[:300])}
    if os.geteuid() == 0:
        bad['belongs to user 4242'] = put('foreign.so', elf, owner=4242)
    for n, (line, path) in enumerate(bad.items()):
        d = start(scene, {'plugin.bad': {'module': path}}, f'd{n}', False)
        check(line in refusal(d), f'{line}: {d.log}')


def test_fails_at_start(scene):
    """a plugin that fails at its start: required, no daemon; else without it"""
    kinds = {'fail_status': '3', 'fail_proto': '2'}
    for name, kind in kinds.items():
        path = build(scene, 'fail.c', name, f'-DKIND={kind}',
                     f'-DNAME="{name}"')
        for op in ('open', 'start'):
            conf = {'plugin.x': {'module': path, 'fail': op}}
            d = start(scene, conf, f'{name}{op}', False)
            check('x' in refusal(d), 'a line')
            d.configure({'plugin.x': {'required': 'no'}})
            d.start()
            check(any(' warning ' in x and 'going on without' in x
                      for x in d.log), f'{name} {op}: no warning')
            with d.request() as req:
                plugins = {p['plugin']: p for p in
                           req.ask('plugins')['plugins']}
            equal(plugins['x']['event'], 'plugin.failed')
            Device(d, 'dev').close()
            check(d.reload(), 'a reload beside it')
            Device(d, 'dev').close()
            d.stop()


def test_fails_at_reload(scene):
    """a plugin that refuses its options refuses the whole reload"""
    path = build(scene, 'fail.c', 'fail_status', '-DKIND=3',
                 '-DNAME="fail_status"')
    d = start(scene, {'plugin.x': {'module': path}})
    bus = d.bus()
    live = Device(d, 'live')
    d.configure({'plugin.x': {'fail': 'prepare'},
                 'presence': {'ping': '7s'}})
    check(not d.reload(), 'was accepted')
    bus.expect('daemon.reload-failed')
    device = Device(d, 'dev')
    equal(device.hello_result['ping_ms'], 20000, 'nothing changed')
    device.close()
    for bad in ({'value': '10'}, {'value': 'x'}, {'fixed': '2'},
                {'nonsense': '1'}):
        d.configure({'plugin.x': dict({'fail': None}, **bad)})
        check(not d.reload(), f'{bad} was accepted')
        d.configure({'plugin.x': {k: None for k in bad}})
    d.configure({'plugin.x': {'value': '3'}})
    check(d.reload(), 'a good one')
    device = Device(d, 'dev')
    equal(device.hello_result['ping_ms'], 7000, 'all changed')
    device.close()
    equal(live.call('state', {'power': 'on'}), {}, 'the live channel')
    live.close()
    d.stop()


def rude(scene, d, target='/rude'):
    return peers.websocket(peers.tls(scene, d.address()), target, None)


def test_rude(scene):
    """a protocol plugin that misuses the host's calls harms its channel only"""
    path = build(scene, 'rude.c', 'rude')
    d = start(scene, {'plugin.rude': {'module': path},
                      'limits': {'send_queue': '64KiB'}})
    live = Device(d, 'live')
    equal(rude(scene, d, '/rude?close').expect_close(), (4999, 'no'))
    ws = rude(scene, d, '/rude?say')
    equal(ws.recv(), 'early')
    ws.send('who')
    equal(ws.recv(), 'refused', 'presence of nobody')
    ws.send('twice')
    equal(ws.expect_close(), (4100, 'first'), 'closed twice')
    ws = rude(scene, d)
    ws.send('code')
    code = ws.expect_close()[0]
    check(code not in (1005, 1006, 1015), f'code {code} on the wire')
    ws = rude(scene, d)
    ws.send('flood')
    equal(ws.recv(), 'x' * 4096)
    ws.send('hello')
    wait_until('the answer behind the flood', lambda: ws.recv() == 'hello')
    ws.abort()
    equal(live.call('state', {'power': 'on'}), {}, 'the live channel')
    live.close()
    d.stop()


def test_blocks(scene):
    """a plugin that holds its worker up is named in the log"""
    path = build(scene, 'rude.c', 'rude')
    d = start(scene, {'plugin.rude': {'module': path}})
    ws = rude(scene, d)
    ws.send('block')
    equal(ws.recv(), 'awake')
    line = d.expect_log('held its worker up')
    check('plugin rude: message' in line, line)
    check(int(re.search(r'ms=(\d+)', line).group(1)) >= 100, line)
    ws.close()
    d.stop()


def test_external_key(scene):
    """handshakes that wait for an external key leave live traffic alone"""
    path = build(scene, 'cert_extsign.c', 'cert_extsign', '-lgnutls')
    crt, key = scene.server_cert()
    d = start(scene, {'plugin.cert': {'module': path, 'chain': crt,
                                      'key': key, 'delay': '300ms'},
                      'limits': {'handshake_timeout': '5s'}})
    live = Device(d, 'live')
    pending = []
    for _ in range(20):
        sock = peers.connect(d.address())
        tls = peers.Tls(sock, scene.client_context())
        tls.step()
        tls.flush()
        pending.append(tls)
    slowest = 0
    for _ in range(50):
        begin = time.monotonic()
        live.call('state', {'power': 'on'})
        slowest = max(slowest, time.monotonic() - begin)
    check(slowest < 0.25, f'the live channel waited {slowest:.3f} s')
    for n, tls in enumerate(pending):
        if n % 3 == 0:
            peers.reset(tls)        # while the key is at work
        else:
            tls.handshake()
            tls.close()
    Device(d, 'dev').close()
    live.close()
    d.stop()
    d.configure({'plugin.cert': {'delay': '0s'}})       # never answers
    d.start()
    tls = peers.Tls(peers.connect(d.address()), scene.client_context())
    tls.step()
    tls.flush()
    took = peers.wait_end(tls)
    check(3 < took < 20, f'given up after {took:.1f} s')
    d.stop()


main()
