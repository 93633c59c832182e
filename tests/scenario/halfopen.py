#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Half-open peers: a device in a network namespace whose packets are lost from
some moment on, while no socket learns of it.  Root only."""
import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import Device, check, connect, equal, main  # noqa: E402
from netns import Netns  # noqa: E402
import peers  # noqa: E402

PING, SUSPECT, DEAD = 2, 1, 5
TICK = 1.1      # of the timers, and of a busy machine
SLACK = 1.5


@contextlib.contextmanager
def scenery(scene, dead=DEAD):
    with Netns() as ns:
        d = scene.daemon(conf={
            'presence': {'ping': f'{PING}s', 'suspect': f'{SUSPECT}s',
                         'dead': f'{dead}s'},
            'limits': {'handshake_timeout': '2s', 'auth_timeout': '2s',
                       'http_timeout': '2s'},
            'listener.main': {'address': f'{ns.our}:0'},
            'listener.near': {'address': '127.0.0.1:0'}})
        for endpoint in ('far', 'near', 'far2'):
            d.token(endpoint)
        d.start()
        bus = d.bus()
        yield ns, d, bus
        d.stop()
        bus.close()


def far(ns, d, endpoint='far', **kw):
    with ns.inside():
        return Device(d, endpoint, **kw)


def serve(device, seconds):
    """Answers pings for a while."""
    device.sock.settimeout(0.1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            device.recv()
        except TimeoutError:
            pass
    device.sock.settimeout(30)


def within(what, took, low, high):
    check(low - 0.2 <= took <= high + TICK + SLACK,
          f'{what} after {took:.2f} s, wanted {low} to {high} s')


def test_silence(scene):
    """a peer whose packets are lost is suspect, then disconnected, in time"""
    with scenery(scene) as (ns, d, bus):
        near = Device(d, 'near', 'near')
        device = far(ns, d)
        bus.expect('endpoint.online', 'far')
        ns.silence()
        begin = time.monotonic()
        event = bus.expect('endpoint.suspect', 'far', timeout=30)
        within('suspect', time.monotonic() - begin, PING + SUSPECT,
               PING + SUSPECT)
        equal(event['reason'], 'ping-unanswered')
        equal(event['state'], 'suspect')
        serve(near, 0.1)
        event = bus.expect('endpoint.disconnected', 'far', timeout=30)
        within('disconnected', time.monotonic() - begin, DEAD, DEAD)
        equal(event['reason'], 'timeout')
        equal(event['security'], 'none')
        equal(d.counters()['timeouts'], 1)
        check(not bus.find('endpoint.disconnected', 'near'), 'near one lost')
        peers.raw(near.sock)
        near.close()
        ns.speak()
        device.sock.close()
        again = far(ns, d)
        equal(again.hello_result['channel'], 2)
        again.close()


def test_comes_back(scene):
    """a suspect that is heard again is online, over the same channel"""
    # It speaks by itself: TCP repeats the lost ping later and later.
    with scenery(scene, dead=60) as (ns, d, bus):
        device = far(ns, d)
        first = bus.expect('endpoint.online', 'far')
        ns.silence()
        bus.expect('endpoint.suspect', 'far', timeout=30)
        ns.speak()
        equal(device.call('state', {'power': 'on'}), {}, 'heard')
        event = bus.expect('endpoint.online', 'far', timeout=30)
        equal(event['reason'], 'heard')
        equal(event['channel'], first['channel'])
        check(event['revision'] > first['revision'], 'revision')
        equal(device.call('state', {'power': 'on'}), {}, 'still good')
        check(not bus.find('endpoint.disconnected', 'far'), 'was ended')
        device.close()


def test_new_connection(scene):
    """a device that comes again beside its half-open channel is never away"""
    with scenery(scene) as (ns, d, bus):
        old = far(ns, d)
        bus.expect('endpoint.online', 'far')
        ns.silence()
        bus.expect('endpoint.suspect', 'far', timeout=30)
        new = Device(d, 'far', 'near')
        event = bus.expect('endpoint.replaced', 'far')
        equal((event['old_channel'], event['channel']), (1, 2))
        serve(new, DEAD + 2)        # the old one ends meanwhile
        equal(new.call('state', {'power': 'on'}), {}, 'the new one')
        check(not bus.find('endpoint.disconnected', 'far'), 'a late end')
        equal(len(bus.find('endpoint.replaced')), 1)
        old.sock.close()
        new.close()
        bus.expect('endpoint.disconnected', 'far', channel=2)


def test_half_way(scene):
    """who is lost in the handshake or before hello goes at the deadline"""
    with scenery(scene) as (ns, d, bus):
        near = Device(d, 'near', 'near')
        serve(near, 0.3)
        files = d.open_files()
        with ns.inside():
            socks = [connect(d.address()),
                     peers.tls(scene, d.address())]
            socks += [far(ns, d, hello=False).sock]
        ns.silence()
        begin = time.monotonic()
        while d.open_files() > files and time.monotonic() - begin < 30:
            serve(near, 0.1)
        within('all gone', time.monotonic() - begin, 0, DEAD + 3)
        counted = d.counters()
        equal(counted['connections'], 1, 'the near one')
        for s in socks:
            s.close()
        near.close()


def test_lost_while_stopping(scene):
    """a lost peer does not keep the daemon from stopping in time"""
    with scenery(scene) as (ns, d, bus):
        device = far(ns, d)
        bus.expect('endpoint.online', 'far')
        ns.silence()
        begin = time.monotonic()
        d.stop()
        took = time.monotonic() - begin
        check(took < 12, f'{took} s')
        device.sock.close()
        d.start()


main()
