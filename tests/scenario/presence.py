#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Presence with the real daemon: what comes after kill -9 in each state, the
recovery window, take-overs in both policies, the clone alarm, and the stories
that users of similar systems told (each named by its source)."""
import contextlib
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import Closed, Device, Failure, check, equal, main  # noqa: E402
from harness import wait_until  # noqa: E402

FAST = {'ping': '1s', 'suspect': '500ms', 'dead': '3s', 'retry_min': '100ms',
        'retry_max': '1s'}
NAMES = ('a', 'b', 'c', 'd', 'e', 'f')


@contextlib.contextmanager
def scenery(scene, names=NAMES, workers='2', **presence):
    d = scene.daemon(conf={'presence': {**FAST, **presence},
                           'daemon': {'workers': workers}})
    for name in names:
        d.token(name)
    d.start()
    yield d
    if d.alive():
        d.stop()


class Booted(Device):
    """With a boot_id of its own."""

    def __init__(self, d, endpoint, boot_id, **kw):
        super().__init__(d, endpoint, hello=False, **kw)
        self.hello_result = self.call('hello', {
            'endpoint': endpoint, 'boot_id': boot_id,
            'auth': {'method': 'token', 'token': d.token(endpoint)}})


def snapshot(d):
    with d.request() as req:
        return {e['endpoint']: e for e in req.endpoints()}


def seen(d, name):
    return snapshot(d).get(name, {})


def becomes(d, name, state, **members):
    """Waits for a state in the snapshot; returns the entry."""
    def there():
        e = seen(d, name)
        return e if e.get('state') == state and all(
            e.get(k) == v for k, v in members.items()) else None
    return wait_until(f'{name} {state} {members}', there)


def all_is_stored(device):
    """An answer to a change is durable, and all that came before it."""
    device.call('state', {'power': 'suspending'})
    device.call('state', {'power': 'on'})


def refusal(d, endpoint, **kw):
    """(error code, close code) of a hello that is refused."""
    device = Device(d, endpoint, hello=False, **kw)
    device.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'hello', 'params': {
        'endpoint': endpoint,
        'auth': {'method': 'token', 'token': d.token(endpoint)}}})
    while True:
        answer = json.loads(device.recv())
        if answer.get('id') == 1:
            break
    check('error' in answer, f'let in: {answer}')
    return answer['error']['code'], device.expect_close()[0]


def over(device):
    """Reads until the channel ends; the close code, 1006 without one."""
    try:
        while True:
            device.recv()
    except Closed as e:
        return e.code
    except OSError:
        return 1006


# ---- kill -9 ----------------------------------------------------------------

def test_killed_in_every_state(scene):
    """after kill -9: live ones are unknown, then lost; the others as
    they were"""
    with scenery(scene, recovery='2s') as d:
        bus = d.bus()
        live = {n: Device(d, n) for n in NAMES}
        soon = int(time.time() * 1000) + 600000
        live['b'].call('bye')                           # offline
        over(live['b'])
        live['c'].call('sleep', {'until': soon})        # asleep
        live['c'].abort()
        live['d'].abort()                               # disconnected
        live['e'].call('state', {'power': 'shutting-down'})     # announced,
        live['f'].call('sleep', {'until': soon})                # still there
        bus.expect('endpoint.disconnected', 'd')
        before = snapshot(d)
        time_before = {n: before[n]['since'] for n in 'bcd'}
        all_is_stored(live['a'])
        bus.close()
        d.kill()
        d.start()
        bus = d.bus()
        for n in 'aef':
            equal(becomes(d, n, 'unknown')['reason'], 'start', n)
        equal(becomes(d, 'b', 'offline')['reason'], 'bye')
        becomes(d, 'c', 'asleep')
        becomes(d, 'd', 'disconnected')
        after = snapshot(d)
        for n in 'bcd':
            equal(after[n]['since'], time_before[n], f'since of {n}')
        for n in NAMES:
            check(after[n]['revision'] > before[n]['revision'],
                  f'the revision of {n} goes back')
        event = bus.expect('daemon.recovered', timeout=30)
        equal({k: event['detail'][k] for k in (
            'expected', 'heard', 'disconnected', 'offline', 'asleep',
            'window_ms')}, {'expected': 3, 'heard': 0, 'disconnected': 1,
                            'offline': 1, 'asleep': 1, 'window_ms': 2000})
        check(2000 <= event['detail']['took_ms'] < 10000, str(event))
        equal(becomes(d, 'a', 'disconnected')['reason'], 'timeout')
        equal(becomes(d, 'e', 'offline')['reason'], 'shutting-down')
        equal(becomes(d, 'f', 'asleep')['reason'], 'sleep')
        again = Device(d, 'a')
        check(again.hello_result['channel'] > before['a']['channel'],
              'a number of a channel came twice')
        bus.close()


def test_every_announcement_is_durable(scene):
    """what was answered to state, sleep and bye outlives kill -9 at once"""
    with scenery(scene, recovery='1s') as d:
        for power in ('shutting-down', 'rebooting', 'suspending'):
            device = Device(d, 'a')
            equal(device.call('state', {'power': power}), {})
            d.kill()
            over(device)
            d.start()
            equal(becomes(d, 'a', 'offline')['reason'], power)
        device = Device(d, 'a')
        equal(device.call('bye'), {})
        d.kill()
        d.start()
        equal(becomes(d, 'a', 'offline')['reason'], 'bye')


def test_killed_again_and_again(scene):
    """numbers and revisions never go back, however often the daemon dies"""
    with scenery(scene, recovery='1s') as d:
        last = 0
        for _ in range(4):
            device = Device(d, 'a')
            number = device.hello_result['channel']
            check(number > last, f'{number} after {last}')
            last = number
            d.kill()
            over(device)
            d.start()


def test_clean_restart(scene):
    """after a restart in order the fleet is awaited, not called dead"""
    with scenery(scene, recovery='60s') as d:
        live = [Device(d, n) for n in NAMES]
        numbers = [x.hello_result['channel'] for x in live]
        d.stop()
        d.start()
        bus = d.bus()
        for n in NAMES:
            becomes(d, n, 'unknown', reason='start')
        live = [Device(d, n) for n in NAMES]
        event = bus.expect('daemon.recovered', timeout=30)
        equal((event['detail']['expected'], event['detail']['heard']),
              (len(NAMES), len(NAMES)))
        check(event['detail']['took_ms'] < 60000, 'waited for the window')
        equal([x.hello_result['channel'] for x in live],
              [n + 1 for n in numbers], 'nothing was lost, nothing leaps')
        bus.close()


def test_sleep_across_restarts(scene):
    """who sleeps is asleep after a restart, and late only when it oversleeps"""
    with scenery(scene, recovery='1s') as d:
        device = Device(d, 'a')
        device.call('sleep', {'until': int(time.time() * 1000) + 2000})
        device.abort()
        becomes(d, 'a', 'asleep')
        d.stop()
        d.start()
        becomes(d, 'a', 'asleep')
        event = becomes(d, 'a', 'disconnected')     # until, and dead
        equal(event['reason'], 'timeout')


def test_reasons(scene):
    """each kind of end has its reason"""
    with scenery(scene) as d:
        with d.bus() as bus:
            device = Device(d, 'a')
            device.close(1000)
            equal(bus.expect('endpoint.disconnected', 'a')['reason'],
                  'peer-close')
            device = Device(d, 'a', )
            device.abort()
            check(bus.expect('endpoint.disconnected', 'a')['reason'] in
                  ('reset', 'peer-close'), 'aborted')
            device = Device(d, 'a')
            equal(bus.expect('endpoint.suspect', 'a', timeout=30)['reason'],
                  'ping-unanswered')
            equal(bus.expect('endpoint.disconnected', 'a',
                             timeout=30)['reason'], 'timeout')
            device = Device(d, 'a')
            device.send(b'\xff', opcode=2)
            over(device)
            bus.expect('endpoint.disconnected', 'a')
            device = Device(d, 'a')
            d.process.send_signal(signal.SIGTERM)
            over(device)
            equal(bus.expect('endpoint.disconnected', 'a')['reason'],
                  'stopping')
        d.wait()
        d.process = None


# ---- take-over --------------------------------------------------------------

def test_last_in_wins(scene):
    """last-in-wins, over and over: one event each, the old one 4003"""
    with scenery(scene, clone_replacements='0') as d, d.bus() as bus:
        old = Device(d, 'a')
        bus.expect('endpoint.online', 'a')
        for _ in range(20):
            new = Device(d, 'a')
            event = bus.expect('endpoint.replaced', 'a')
            equal(event['old_channel'] + 1, event['channel'])
            equal(over(old), 4003)
            old = new
        bus.absent('endpoint.disconnected', 'a', during=0.3)
        check(not bus.find('endpoint.disconnected', 'a'), 'was never away')
        equal(old.call('state', {'power': 'on'}), {})


def answering(device, seconds):
    """Answers pings for a while; the close code if it ends."""
    device.sock.settimeout(0.1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            device.recv()
        except TimeoutError:
            pass
        except Closed as e:
            return e.code
    device.sock.settimeout(30)
    return None


def test_first_in_wins(scene):
    """first-in-wins: who is heard keeps the identity, on every worker"""
    import threading
    with scenery(scene, takeover='first-in-wins') as d, d.bus() as bus:
        old = Device(d, 'a')
        bus.expect('endpoint.online', 'a')
        result = []
        keeper = threading.Thread(
            target=lambda: result.append(answering(old, 8)))
        keeper.start()
        for _ in range(12):
            equal(refusal(d, 'a'), (-32008, 4003))
        keeper.join()
        equal(result, [None], 'the holder was ended')
        check(not bus.find('endpoint.replaced', 'a'), 'was replaced')
        equal(old.call('state', {'power': 'on'}), {})
        equal(d.counters()['refused_busy'], 12)


def test_first_in_wins_half_open(scene):
    """first-in-wins: a channel that is not heard makes room after 2 s"""
    with scenery(scene, takeover='first-in-wins', ping='20s', suspect='5s',
                 dead='35s') as d, d.bus() as bus:
        for _ in range(4):      # so that both workers had it
            old = Device(d, 'a')
            number = old.hello_result['channel']
            bus.expect('endpoint.online', 'a')
            begin = time.monotonic()    # the old one reads nothing any more
            new = Device(d, 'a')
            took = time.monotonic() - begin
            check(1.8 < took < 8, f'took {took:.2f} s')
            equal(new.hello_result['channel'], number + 1)
            event = bus.expect('endpoint.disconnected', 'a')
            equal((event['reason'], event['channel']), ('timeout', number))
            event = bus.expect('endpoint.online', 'a')
            equal(event['channel'], number + 1)
            equal(over(old), 1006)
            new.call('bye')
            over(new)
            bus.expect('endpoint.offline', 'a')


def test_first_in_wins_either_goes(scene):
    """first-in-wins: holder or newcomer may go while the question is open"""
    with scenery(scene, takeover='first-in-wins', ping='20s', suspect='5s',
                 dead='35s') as d, d.bus() as bus:
        old = Device(d, 'a')
        waits = Device(d, 'a', hello=False)
        hello = {'endpoint': 'a', 'auth': {'method': 'token',
                                           'token': d.token('a')}}
        waits.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'hello',
                         'params': hello})
        old.recv_frame()        # the question, which it does not answer
        waits.abort()           # the newcomer
        bus.expect('endpoint.online', 'a')
        bus.expect('endpoint.disconnected', 'a', timeout=30)
        old = Device(d, 'a')
        bus.expect('endpoint.online', 'a')
        waits = Device(d, 'a', hello=False)
        waits.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'hello',
                         'params': hello})
        old.recv_frame()
        old.abort()             # the holder
        begin = time.monotonic()
        answer = {}
        while answer.get('id') != 1:
            answer = json.loads(waits.recv())
        check('result' in answer, str(answer))
        check(time.monotonic() - begin < 1.5, 'waited for who had gone')
        bus.expect('endpoint.online', 'a')


# ---- stories ----------------------------------------------------------------

def test_story_zombie(scene):
    """MeshCentral#3959: a node whose cable is cut is not connected for long"""
    with scenery(scene) as d, d.bus() as bus:
        device = Device(d, 'a')         # answers no ping from now on
        begin = time.monotonic()
        bus.expect('endpoint.suspect', 'a', timeout=30)
        bus.expect('endpoint.disconnected', 'a', timeout=30)
        check(time.monotonic() - begin < 3 + 4, 'dead for too long')
        device.abort()


def test_story_restart(scene):
    """MeshCentral#275: after a restart the fleet is unknown, and
    progress shows"""
    names = [f'n{i}' for i in range(40)]
    # Nobody here answers a ping.
    with scenery(scene, names, recovery='30s', ping='1m', suspect='1m',
                 dead='3m') as d:
        live = [Device(d, n) for n in names]
        with d.request() as req:
            equal(req.ask('summary')['endpoints']['online'], 40)
        all_is_stored(live[0])
        d.kill()
        d.start()
        bus = d.bus()

        def counts():
            with d.request() as req:
                return req.ask('summary')['endpoints']
        wait_until('all unknown', lambda: counts()['unknown'] == 40)
        live = [Device(d, n) for n in names[:25]]
        wait_until('25 heard', lambda: (counts()['unknown'],
                                        counts()['online']) == (15, 25))
        live += [Device(d, n) for n in names[25:]]
        equal(bus.expect('daemon.recovered', timeout=30)['detail']['heard'],
              40)
        bus.close()


def test_story_clones(scene):
    """MeshCentral#5950: two devices with one identity are an alarm, not
    a merge"""
    with scenery(scene) as d, d.bus() as bus:
        held = [Booted(d, 'a', 'disk-1')]
        for i in range(4):
            held.append(Booted(d, 'a', f'disk-{i % 2 + 1}'))
        event = bus.expect('endpoint.clone', 'a')
        equal(sorted(x['boot_id'] for x in event['detail']['devices']),
              ['disk-1', 'disk-2'])
        equal(event['detail']['replacements'], 3)
        d.expect_log('two devices seem to have one identity endpoint=a')
        for i in range(6):
            held.append(Booted(d, 'a', f'disk-{i % 2 + 1}'))
        bus.absent('endpoint.clone', 'a', during=0.5)
        # One device that keeps coming again is none.
        for _ in range(8):
            held.append(Booted(d, 'b', 'disk-3'))
        bus.absent('endpoint.clone', 'b', during=0.5)


def test_story_late_disconnect(scene):
    """hono#1483, open-balena-vpn#287: a late end changes nothing"""
    with scenery(scene, clone_replacements='0', ping='20s', suspect='5s',
                 dead='35s') as d, d.bus() as bus:
        held = []
        for _ in range(10):
            held.append(Device(d, 'a'))
        for old in held[:-1]:           # their ends come late
            old.abort()
        equal(held[-1].call('state', {'power': 'on'}), {})
        bus.absent('endpoint.disconnected', 'a', during=0.5)
        equal(seen(d, 'a')['state'], 'online')
        equal(seen(d, 'a')['channel'], held[-1].hello_result['channel'])


def test_story_one_connection(scene):
    """mender-server#2021: overlapping sockets, one channel and one state"""
    import threading
    with scenery(scene, clone_replacements='0') as d, d.bus() as bus:
        devices, failures = [], []

        def come():
            try:
                devices.append(Device(d, 'a'))
            except (Failure, Closed, OSError) as e:
                failures.append(e)
        threads = [threading.Thread(target=come) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        numbers = sorted(x.hello_result['channel'] for x in devices)
        equal(len(set(numbers)), len(numbers), 'a number twice')
        last = max(devices, key=lambda x: x.hello_result['channel'])
        for x in devices:
            if x is not last:
                equal(over(x), 4003)
        equal(last.call('state', {'power': 'on'}), {})
        equal(seen(d, 'a')['channel'], last.hello_result['channel'])
        for _ in range(len(devices) - 1):
            bus.expect('endpoint.replaced', 'a')
        equal(len(bus.find('endpoint.online', 'a')), 1)
        equal(failures, [])


def test_story_takeover_times(scene):
    """emqx#16671: a take-over is one event, its time after the one before"""
    with scenery(scene, clone_replacements='0') as d, d.bus() as bus:
        held = [Device(d, 'a') for _ in range(6)]
        events = [bus.expect('endpoint.replaced', 'a') for _ in range(5)]
        for x, y in zip(events, events[1:]):
            check(x['time'] <= y['time'], 'time goes back')
            equal(y['old_channel'], x['channel'])
            equal(y['revision'], x['revision'] + 1)
        equal(over(held[0]), 4003)
        entry = seen(d, 'a')
        check(entry['since'] <= entry['changed'], str(entry))


def test_story_mass_disconnect(scene):
    """hono#3655, #2760: after a mass disconnect and a crash nobody
    is forgotten"""
    names = [f'n{i}' for i in range(60)]
    with scenery(scene, names, recovery='1s') as d:
        live = [Device(d, n) for n in names]
        all_is_stored(live[0])
        for device in live[1:31]:
            device.abort()
        d.kill()                # a crashed adapter says nothing
        d.start()
        wait_until('nobody is shown as online or waited for', lambda: {
            x['state'] for x in snapshot(d).values()} == {'disconnected'})
        equal(sorted(snapshot(d)), sorted(names))


def test_story_last_activity(scene):
    """thingsboard#13710: the end of a channel makes nobody active"""
    with scenery(scene) as d, d.bus() as bus:
        device = Device(d, 'a')
        device.send('{"jsonrpc":"2.0","method":"event",'
                    '"params":{"data":{}}}')
        device.close(1000)
        bus.expect('endpoint.disconnected', 'a')
        bus.absent('endpoint.online', 'a', during=0.5)
        equal(seen(d, 'a')['state'], 'disconnected')


if __name__ == '__main__':
    main()
