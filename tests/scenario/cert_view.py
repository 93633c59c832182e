#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is told about the certificate in service: fingerprints, chain, end, and
how many open channels began on it and on one before it (issue 4)."""
import os
import re
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, Device, check, equal, main,  # noqa: E402
                     wait_until)
from control import Control  # noqa: E402
from generations import Generations, sums  # noqa: E402


def told(d):
    """What the control API says of the only slot."""
    entries = Control(d).get('/v1/status')['certificates']
    equal(len(entries), 1, 'entries')
    return entries[0]


def counts(d):
    entry = told(d)
    return entry.get('channels'), entry['channels_before']


def cert_text(d):
    return subprocess.run(
        [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
         os.path.join(d.runtime, 'control.sock'), 'cert'], check=True,
        capture_output=True, text=True).stdout


def start(scene, kinds=('ec', 'ec')):
    made = Generations(scene.path('certs'))
    for kind in kinds:
        made.make(kind)
    made.put(0)
    d = scene.daemon('d', {'plugin.cert': {'chain': made.chain,
                                           'key': made.key}})
    for i in range(4):
        d.token(f'dev-{i}')
    return made, d.start()


def trusting(made):
    return ssl.create_default_context(cafile=made.root)


def swap(bus, made, i):
    made.put(i)
    event = bus.expect('certificate.live', timeout=30)
    equal(event['detail']['sha256'], sums(made.leaf(i)), 'live')


def test_view(scene):
    """fingerprints and the chain are those of the files"""
    made, d = start(scene)
    entry = told(d)
    leaf, inter = made.leaf(0), made.intermediate(0)
    for algorithm in ('sha256', 'sha1'):
        equal(entry[algorithm], sums(leaf, algorithm), algorithm)
        equal([c[algorithm] for c in entry['chain']],
              [sums(leaf, algorithm), sums(inter, algorithm)],
              algorithm)
    equal([(c['subject'], c['issuer']) for c in entry['chain']],
          [('CN=leaf-0', 'CN=inter-0'), ('CN=inter-0', 'CN=root')])
    equal(entry['chain'][0]['not_after'], entry['not_after'], 'end')
    text = cert_text(d)
    for wanted in (rf'^sha256: +{entry["sha256"]}$',
                   rf'^sha1: +{entry["sha1"]}$',
                   r'^chain 1: +CN=leaf-0, issued by CN=inter-0, until \S',
                   r'^chain 2: +CN=inter-0, issued by CN=root, until \S',
                   r'^channels: +0 began on it, 0 on a previous one$'):
        check(re.search(wanted, text, re.M), f'{wanted}: {text}')


def test_channels(scene):
    """channels are counted by the certificate that they began on"""
    made, d = start(scene)
    bus = d.bus(['certificate.'])
    context = trusting(made)
    devices = [Device(d, f'dev-{i}', context=context) for i in range(3)]
    ticket = devices[0].sock.session
    equal(counts(d), (3, 0), 'at first')
    swap(bus, made, 1)
    equal(counts(d), (0, 3), 'after the swap')
    devices.append(Device(d, 'dev-3', context=context))
    equal(counts(d), (1, 3), 'one more')
    check(re.search(r'^channels: +1 began on it, 3 on a previous one$',
                    cert_text(d), re.M), cert_text(d))
    devices.pop(1).close()
    wait_until('one less', lambda: counts(d) == (1, 2))
    # It resumes: it was shown no certificate, but began on the new one.
    devices[0].abort()
    wait_until('one less', lambda: counts(d) == (1, 1))
    devices[0] = Device(d, 'dev-0', context=context, session=ticket)
    check(devices[0].sock.session_reused, 'not resumed')
    equal(counts(d), (2, 1), 'resumed')
    # Back again: those that began on it are no previous ones.
    swap(bus, made, 0)
    equal(counts(d), (1, 2), 'back')
    for device in devices:
        device.abort()
    wait_until('nobody', lambda: counts(d) == (0, 0))


def test_kinds(scene):
    """a certificate of another kind takes the place of one, and its channels"""
    made, d = start(scene, ('ec', 'rsa'))
    bus = d.bus(['certificate.'])
    device = Device(d, 'dev-0', context=trusting(made))
    swap(bus, made, 1)
    equal(counts(d), (0, 1), 'after the swap')
    device.call('state', {'power': 'on'})
    other = Device(d, 'dev-1', context=trusting(made))
    equal(counts(d), (1, 1), 'both')
    other.abort()
    device.abort()


if __name__ == '__main__':
    main()
