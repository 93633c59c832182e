#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is told about the certificate in service: fingerprints, chain, end, and
how many open channels began on it and on one before it (issue 4)."""
import hashlib
import os
import re
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, LOCAL_SANS, Device, check, equal,  # noqa: E402
                     main, wait_until)
from control import Control  # noqa: E402


class Served:
    """Certificates that take each other's place at one path."""

    def __init__(self, scene, kinds=('ec', 'ec')):
        self.scene = scene
        self.link = scene.path('current')
        self.crt = []
        for i, kind in enumerate(kinds):
            crt, key = scene.pki.issue(f'server-{i}', sans=LOCAL_SANS, key=kind)
            self.crt.append(crt)
            folder = scene.path(f'generation-{i}')
            os.mkdir(folder)
            os.link(key, os.path.join(folder, 'key.pem'))
            with open(os.path.join(folder, 'chain.pem'), 'w') as f:
                for part in (crt, scene.pki.ca):
                    with open(part) as g:
                        f.write(g.read())

    def put(self, i):
        os.symlink(self.scene.path(f'generation-{i}'), self.link + '.new')
        os.rename(self.link + '.new', self.link)

    def conf(self):
        return {'plugin.cert': {
            'chain': os.path.join(self.link, 'chain.pem'),
            'key': os.path.join(self.link, 'key.pem')}}

    def sums(self, path, algorithm='sha256'):
        with open(path) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        return hashlib.new(algorithm, der).hexdigest()


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
    served = Served(scene, kinds)
    served.put(0)
    d = scene.daemon('d', served.conf())
    for i in range(4):
        d.token(f'dev-{i}')
    return served, d.start()


def swap(d, bus, served, i):
    served.put(i)
    event = bus.expect('certificate.live', timeout=30)
    equal(event['detail']['sha256'], served.sums(served.crt[i]), 'live')


def test_view(scene):
    """fingerprints and the chain are those of the files"""
    served, d = start(scene)
    entry = told(d)
    leaf, ca = served.crt[0], scene.pki.ca
    for algorithm in ('sha256', 'sha1'):
        equal(entry[algorithm], served.sums(leaf, algorithm), algorithm)
        equal([c[algorithm] for c in entry['chain']],
              [served.sums(leaf, algorithm), served.sums(ca, algorithm)],
              algorithm)
    equal([(c['subject'], c['issuer']) for c in entry['chain']],
          [('CN=server-0', 'CN=test ca'), ('CN=test ca', 'CN=test ca')])
    equal(entry['chain'][0]['not_after'], entry['not_after'], 'end')
    text = cert_text(d)
    for wanted in (rf'^sha256: +{entry["sha256"]}$',
                   rf'^sha1: +{entry["sha1"]}$',
                   r'^chain 1: +CN=server-0, issued by CN=test ca, until \S',
                   r'^chain 2: +CN=test ca, issued by CN=test ca, until \S',
                   r'^channels: +0 began on it, 0 on a previous one$'):
        check(re.search(wanted, text, re.M), f'{wanted}: {text}')


def test_channels(scene):
    """channels are counted by the certificate that they began on"""
    served, d = start(scene)
    bus = d.bus(['certificate.'])
    context = scene.client_context()
    devices = [Device(d, f'dev-{i}', context=context) for i in range(3)]
    ticket = devices[0].sock.session
    equal(counts(d), (3, 0), 'at first')
    swap(d, bus, served, 1)
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
    swap(d, bus, served, 0)
    equal(counts(d), (1, 2), 'back')
    for device in devices:
        device.abort()
    wait_until('nobody', lambda: counts(d) == (0, 0))


def test_kinds(scene):
    """a certificate of another kind takes the place of one, and its channels"""
    served, d = start(scene, ('ec', 'rsa'))
    bus = d.bus(['certificate.'])
    device = Device(d, 'dev-0')
    swap(d, bus, served, 1)
    equal(counts(d), (0, 1), 'after the swap')
    device.call('state', {'power': 'on'})
    other = Device(d, 'dev-1')
    equal(counts(d), (1, 1), 'both')
    other.abort()
    device.abort()


if __name__ == '__main__':
    main()
