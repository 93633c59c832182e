#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Channels move between workers while they are used (decision 0003)."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
from harness import (Device, WebSocket, check, connect, equal,  # noqa: E402
                     main, wait_until)

CHANNELS = 400
DEVICES = 60


def moved(daemon):
    return sum(int(m.group(1)) for line in list(daemon.log)
               for m in [re.search(r'channels moved .*moved=(\d+)', line)]
               if m)


def skewed(scene):
    """A daemon whose workers have very different shares."""
    d = scene.daemon(conf={'daemon': {'workers': '4'}})
    for i in range(DEVICES):
        d.token(f'dev-{i}')
    d.start()
    context = scene.client_context()
    channels = []
    for _ in range(CHANNELS):
        sock = context.wrap_socket(connect(d.address()),
                                   server_hostname='localhost')
        channels.append(WebSocket(sock, 'localhost', '/echo'))
    return d, channels


def test_channels_move_under_traffic(scene):
    """numbered traffic on moving channels: nothing lost, doubled, reordered"""
    d, channels = skewed(scene)
    sent = 0

    def round_trip():
        nonlocal sent
        for i, c in enumerate(channels):
            c.send(f'{i}:{sent}:a')
            c.send(f'{i}:{sent}:b')
        for i, c in enumerate(channels):
            equal(c.recv(), f'{i}:{sent}:a')
            equal(c.recv(), f'{i}:{sent}:b')
        sent += 1
        return moved(d) >= 32

    wait_until('channels moved between workers', round_trip)
    for _ in range(3):
        round_trip()
    for c in channels:
        equal(c.close()[0], 1000, 'close code')


def test_devices_keep_their_identity(scene):
    """a device that moved is still the live channel of its endpoint"""
    d, channels = skewed(scene)
    with d.bus(['endpoint.']) as bus:
        devices = [Device(d, f'dev-{i}') for i in range(DEVICES)]
        for i in range(DEVICES):
            bus.expect('endpoint.online', endpoint=f'dev-{i}')
        wait_until('channels moved', lambda: moved(d) >= 64)
        for device in devices:
            device.call('event', {'type': 'still', 'data': {'here': 1}})
        for i in range(DEVICES):
            bus.expect('endpoint.message', endpoint=f'dev-{i}')
        again = Device(d, 'dev-7')
        event = bus.expect('endpoint.replaced', endpoint='dev-7')
        check(event['channel'] > event['old_channel'], 'channel numbers rise')
        equal(devices[7].expect_close()[0], 4003, 'the old one is told')
        again.close()
    for c in channels:
        c.sock.close()


if __name__ == '__main__':
    main()
