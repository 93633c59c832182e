#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Allocations that fail and socket calls that do half of what was asked, at any
moment of the real daemon's life: it never crashes, hangs or lies (issue 2)."""
import os
import signal
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from faulty import Faulty  # noqa: E402
from harness import (Closed, Device, Failure, SANITIZER, Skip,  # noqa: E402
                     check, connect, equal, main, wait_until)
import peers  # noqa: E402

# What these do without memory is not ours to test: GMP ends the process by its
# documentation, libtasn1 4.19 and GnuTLS 3.7 write through null pointers or
# leak, nng 1.5.2 waits for itself when its own start fails, iniparser 4.1
# writes through a null pointer (dictionary_new() does not look at its three
# arrays).
SPARE = ('libgmp:libtasn1:libgnutls:libnng:libiniparser:libasan:libubsan:'
         'libstdc++')
# What libc and the loader allocate for a new thread: nng waits for a thread
# that could not start on a mutex that is not there.
SPARE += ':libc.so:ld-linux'
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def prepare(scene, spare=SPARE):
    if 'thread' in SANITIZER:
        raise Skip('the preloaded library does not go with TSan')
    faulty = Faulty(scene, spare)
    d = scene.daemon(env=faulty.env, conf={
        'limits': {'handshake_timeout': '2s', 'http_timeout': '2s',
                   'auth_timeout': '2s'},
        'bus': {'canary': '200ms'}})
    for endpoint in ('witness', 'dev'):
        d.token(endpoint)
    return faulty, d


def outcome(d):
    """True: it is ready; False: it ended by itself, saying why."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any('ready version=' in line for line in d.log):
            return True
        if d.process.poll() is not None:
            code = d.wait()
            d.process = None
            d.check_clean()
            equal(code, 1, 'exit status of a start that failed')
            check(any(' error ' in line for line in d.log),
                  'it says nothing:\n' + '\n'.join(d.log))
            return False
        time.sleep(0.01)
    raise Failure('neither ready nor ended')


def spread(total, n):
    """Values from 1 to total, dense at the start."""
    values = {int(total ** (i / n)) for i in range(n + 1)}
    values |= {total * i // n for i in range(1, n + 1)}
    return sorted(values)


def test_start(scene):
    """a start whose n-th allocation fails is refused with a line, or works"""
    faulty, d = prepare(scene)
    d.start()
    total = faulty.count()
    d.stop()
    ended = started = 0
    for n in spread(total, 60):
        faulty.fail(n)
        d.launch()
        try:
            ready = outcome(d)
        except AssertionError as e:
            raise Failure(f'allocation {n} of {total}: {e}') from e
        failed = faulty.stop()
        try:
            if ready:
                started += 1
                d.stop()
            else:
                ended += 1
        except AssertionError as e:
            raise Failure(f'allocation {n} of {total} ({failed} failed): {e}')
    check(ended > 5, f'{ended} refused, {started} started of {total}')


def one_life(d, version=None):
    """Connect, upgrade, hello, state, close; echo; health."""
    context = d.scene.client_context(version=version)
    device = Device(d, 'dev', context=context)
    device.call('state', {'power': 'on'})
    device.call('event', {'type': 'x', 'data': {'y': 'z' * 2000}})
    device.close()
    ws = peers.websocket(peers.tls(d.scene, d.address(), version), '/echo',
                         'echo')
    ws.send('x' * 5000)
    equal(ws.recv(), 'x' * 5000, 'echo')
    ws.close()


def witness_well(d):
    equal(d.witness.call('state', {'power': 'on'}), {}, 'the live channel')


def state_of(d, endpoint):
    with d.request() as req:
        return req.ask('endpoint', id=endpoint).get('endpoint',
                                                     {}).get('state')


def campaign(scene, work, rounds, how_many=1):
    """For a spread of n: the n-th allocation during work() fails; afterwards
    everything is as before."""
    faulty, d = prepare(scene)
    d.start()
    d.witness = Device(d, 'witness')
    work(d)
    begin = faulty.count()
    work(d)
    total = faulty.count() - begin
    hit = 0
    for n in spread(total, rounds):
        faulty.fail(n, how_many)
        try:
            work(d)
        except (Closed, OSError, AssertionError):
            pass        # that one may suffer
        hit += faulty.stop()
        check(d.alive(), f'it died of allocation {n} of {total}')
        try:
            witness_well(d)
            one_life(d)
        except (Closed, OSError, AssertionError) as e:
            raise Failure(f'after allocation {n} of {total}: {e}') from e
    check(hit > rounds / 2, f'only {hit} failures for {rounds} rounds')
    wait_until('the device away', lambda: state_of(d, 'dev') ==
               'disconnected')
    equal(state_of(d, 'witness'), 'online', 'state of the witness')
    wait_until('one connection', lambda: d.counters()['connections'] == 1)
    d.witness.close()
    d.stop()


def quick(work):
    """Waits for nothing longer than a deadline of the daemon."""
    def run(d):
        import harness
        was, harness.PATIENCE = harness.PATIENCE, 5
        try:
            work(d)
        finally:
            harness.PATIENCE = was
    return run


def test_connection(scene):
    """an allocation that fails costs at most the connection it was for"""
    campaign(scene, quick(lambda d: one_life(d, V13)), 30)


def test_connection_tls12(scene):
    """the same with TLS 1.2"""
    campaign(scene, quick(lambda d: one_life(d, V12)), 15)


def test_run_of_failures(scene):
    """twenty failures in a row cost no more"""
    campaign(scene, quick(lambda d: one_life(d, V13)), 12, 20)


def test_reload(scene):
    """a reload whose n-th allocation fails changes nothing or all"""
    faulty, d = prepare(scene)
    d.start()
    d.witness = Device(d, 'witness')

    def reload_once():
        said = len(d.log)
        d.process.send_signal(signal.SIGHUP)
        wait_until('its outcome', lambda: [x for x in d.log[said:]
                                           if 'reloaded' in x])
        good = any('configuration reloaded' in x for x in d.log[said:])
        check(good or any('reload refused: ' in x for x in d.log[said:]),
              'it was refused without a reason: ' + '\n'.join(d.log[said:]))
        return good

    check(reload_once(), 'a good one')
    begin = faulty.count()
    check(reload_once(), 'a good one')
    total = faulty.count() - begin
    kept = 0
    for n in spread(total, 40):
        # Beyond 20 a second lines are held back.
        second = int(time.monotonic() * 10)
        wait_until('a moment', lambda: int(time.monotonic() * 10) > second)
        faulty.fail(n)
        good = reload_once()
        faulty.stop()
        kept += not good
        witness_well(d)
    check(kept > 5, f'{kept} were refused')
    check(reload_once(), 'a good one at the end')
    one_life(d)
    d.witness.close()
    d.stop()


def test_stop(scene):
    """an end whose n-th allocation fails is an end all the same"""
    faulty, d = prepare(scene)
    total = None
    for n in [0] + [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]:
        d.start()
        d.witness = Device(d, 'witness')
        begin = faulty.count()
        if n:
            faulty.fail(n, 3)
        d.process.send_signal(signal.SIGTERM)
        try:
            while True:
                d.witness.recv()
        except (Closed, OSError):
            d.witness.sock.close()
        equal(d.wait(), 0, f'exit status, allocation {n}')
        d.process = None
        d.check_clean()
        faulty.stop()
        total = total or faulty.count() - begin


# ---- sockets ----------------------------------------------------------------

def disturbed(scene, version):
    faulty, d = prepare(scene)
    d.start()
    d.witness = Device(d, 'witness')
    faulty['io'] = 500
    bus = d.bus()
    for _ in range(5):
        one_life(d, version)
        event = bus.expect('endpoint.disconnected', 'dev')
        equal(event['reason'], 'peer-close')
    ws = peers.websocket(peers.tls(scene, d.address(), version), '/echo',
                         'echo')
    for size in (0, 1, 125, 126, 1000, 16384, 16385, 60000):
        text = 'ab' * (size // 2) + 'c' * (size % 2)
        ws.send(text)
        equal(ws.recv(), text, f'echo of {size} bytes')
    ws.close()
    witness_well(d)
    sock = connect(d.address())
    sock.sendall(peers.garbage(200))
    peers.wait_end(sock)
    check(faulty['io_hit'] > 80, f'{faulty["io_hit"]} disturbances')
    faulty['io'] = 0
    d.witness.close()
    d.stop()


def test_short_io(scene):
    """short, interrupted and unready socket calls change nothing, TLS 1.3"""
    disturbed(scene, V13)


def test_short_io_tls12(scene):
    """short, interrupted and unready socket calls change nothing, TLS 1.2"""
    disturbed(scene, V12)


main()
