#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server's certificate is replaced over and over while channels carry
traffic and clients connect: nobody is closed, nothing is lost, and every
handshake is answered with one chain and its key (issue 4).  `make swaps` is
the same with thousands of channels, and measures."""
import hashlib
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Beside, WebSocket, check, connect,  # noqa: E402
                     equal, main)
from control import Control  # noqa: E402
from generations import Generations, sums  # noqa: E402

CHANNELS = 200
SWAPS = 10




def dial(d, context):
    """The channel, and the SHA-256 of the certificate that was shown."""
    sock = context.wrap_socket(connect(d.address()),
                               server_hostname='localhost')
    shown = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()
    ws = WebSocket(sock, 'localhost', '/echo')
    equal(ws.status, 101, 'upgrade')
    return ws, shown


def test_swaps(scene):
    """swaps close no channel, lose no message and mix no chain"""
    made = Generations(scene.path('certs'))
    for _ in range(SWAPS + 1):
        made.make()
    leaves = [sums(made.leaf(i)) for i in range(SWAPS + 1)]
    made.put(0)
    d = scene.daemon('d', {
        'limits': {'connections_per_address': '0'},
        'plugin.cert': {'chain': made.chain, 'key': made.key}}).start()
    context = ssl.create_default_context(cafile=made.root)
    bus = d.bus(['certificate.'])
    channels = [dial(d, context)[0] for _ in range(CHANNELS)]
    seen, swapped = [], []

    def handshake():
        ws, shown = dial(d, context)
        ws.send('new')
        equal(ws.recv(), 'new', 'echo')
        ws.abort()
        seen.append(shown)
        return True

    def swap():
        swapped.append(len(swapped) + 1)
        made.put(swapped[-1])
        event = bus.expect('certificate.live', timeout=30)
        equal(event['detail']['sha256'], leaves[swapped[-1]], 'live')
        return len(swapped) < SWAPS

    swapper = Beside(swap)
    clients = [Beside(handshake) for _ in range(2)]
    number = 0
    while swapper.is_alive():
        number += 1
        for ws in channels:
            ws.send(str(number))
        for ws in channels:
            equal(ws.recv(), str(number), 'echo')
    swapper.end()
    for client in clients:
        client.end()
    equal(len(swapped), SWAPS, 'swaps')
    check(set(seen) <= set(leaves), 'a certificate of nobody')
    missing = [i for i, leaf in enumerate(leaves[1:-1], 1) if leaf not in seen]
    equal(missing, [], 'never shown')
    status = Control(d).get('/v1/status')
    equal(status['certificates'][0]['sha256'], leaves[-1], 'in service')
    equal(status['certificates'][0]['channels_before'], CHANNELS, 'before')
    for ws in channels:
        ws.abort()


if __name__ == '__main__':
    main()
