#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Certificates of every format are put in service while a channel stays open,
and bad ones are refused with a line for people while the last good one is
served on (issue 4).  The files are those of tests/lib/cert-files.sh."""
import os
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Device, SRCDIR, check, equal, main,  # noqa: E402
                     obey_modes, wait_until)

NAME = 'cert.example.org'
# In this order each is another certificate than the one before.
GOOD = ['pem P-256', 'pkcs12 rsa', 'pkcs7 DER', 'pkcs8 encrypted ed25519',
        'DER, one file each', 'pem pss', 'DEK-Info EC', 'traditional RSA',
        'key and chain in one', 'DEK-Info aes128',
        'wrong order, twice the same', 'pkcs12 P-521', 'UTF-16',
        'pkcs12 P-384', 'pkcs12 3DES SHA-1',
        'pkcs12 of certtool', 'pkcs12 without MAC']


class Files:
    """What cert-file is told to read: always the same three paths."""

    def __init__(self, scene):
        self.source = scene.path('source')
        self.live = scene.path('live')
        os.mkdir(self.source)
        os.mkdir(self.live)
        subprocess.run(['sh', os.path.join(SRCDIR, 'tests/lib/cert-files.sh'),
                        self.source], check=True)
        self.cases = {}
        # A password need not be UTF-8.
        with open(os.path.join(self.source, 'manifest'),
                  errors='surrogateescape') as f:
            for line in f:
                kind, name, *rest = line.rstrip('\n').split('\t')
                self.cases[name] = (kind, *rest)

    def path(self, i):
        return os.path.join(self.live, f'file{i}')

    def conf(self):
        return {'slot.main': {'names': NAME}, 'plugin.cert': {
            'chain': ', '.join(self.path(i) for i in range(3)), 'key': None,
            'key_passphrase': 'file:' + os.path.join(self.live,
                                                     'password')}}

    def put(self, name):
        """Links, so that fifos and devices can be put, too; turned at once."""
        _, password, files, *_ = self.cases[name]
        files = files.split(',')
        new = os.path.join(self.live, 'new')
        with open(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600), 'w',
                  errors='surrogateescape') as f:
            f.write(('none' if password == '-' else password) + '\n')
        os.rename(new, os.path.join(self.live, 'password'))
        for i in range(3):
            target = files[min(i, len(files) - 1)]
            os.symlink(os.path.join(self.source, target), new)
            os.rename(new, self.path(i))


def served(d):
    """(SHA-256 of the leaf, number of certificates), as openssl sees it."""
    host, port = d.address()
    out = subprocess.run(
        ['openssl', 's_client', '-connect', f'{host}:{port}', '-servername',
         NAME, '-showcerts'], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False).stdout
    leaf = subprocess.run(['openssl', 'x509', '-noout', '-fingerprint',
                           '-sha256'], input=out, capture_output=True,
                          text=True, check=False).stdout
    return (leaf.strip().split('=')[-1].replace(':', '').lower(),
            out.count('-----BEGIN CERTIFICATE-----'))


def start(scene):
    files = Files(scene)
    files.put(GOOD[0])
    d = scene.daemon('d', files.conf())
    d.token('dev-1')
    return files, d.start(preexec_fn=obey_modes)


def test_formats(scene):
    """every format goes live by replacing files, and an open channel stays"""
    files, d = start(scene)
    device = Device(d, 'dev-1', context=ssl._create_unverified_context())
    bus = d.bus(['certificate.'])
    for name in GOOD[1:]:
        files.put(name)
        event = bus.expect('certificate.live', timeout=30)
        sha256, count = served(d)
        equal(sha256, event['detail']['sha256'], name)
        kind, *rest = files.cases[name]
        if kind == 'chain':
            equal(count, int(rest[2]), f'{name}: certificates')
        equal(device.call('state', {'power': 'on'}), {}, 'the open channel')


def test_refused(scene):
    """what is wrong is refused within 5 s, said, and the old one serves on"""
    files, d = start(scene)
    bus = d.bus(['certificate.'])
    was = served(d)
    for name, (kind, *rest) in files.cases.items():
        if kind != 'bad':
            continue
        began = time.monotonic()
        files.put(name)
        event = bus.expect('certificate.failed', timeout=30)
        took = time.monotonic() - began
        check(rest[2] in event['detail']['why'],
              f'{name}: {event["detail"]["why"]!r} lacks {rest[2]!r}')
        check('secret' not in event['detail']['why'], name)
        check(took < 8, f'{name} took {took:.1f} s')    # one to settle
        equal(served(d), was, name)
    files.put('pkcs12 rsa')
    bus.expect('certificate.live', timeout=30)
    check(served(d) != was, 'the next good one was not served')


def test_no_issuer(scene):
    """a chain is not replaced by a certificate without its issuer"""
    files, d = start(scene)
    bus = d.bus(['certificate.'])
    was = served(d)
    files.cases['bare'] = ('bad', '-', 'leaf-rsa.pem,leaf-rsa.key', '')
    files.cases['bare EC'] = ('bad', '-', 'leaf-P-256.pem,leaf-P-256.key', '')
    files.put('bare EC')
    event = bus.expect('certificate.failed', timeout=30)
    check('missing' in event['detail']['why'], event)
    equal(served(d), was, 'served')


def test_directory(scene):
    """from a directory the newest is taken, and a newer one as it comes"""
    files = Files(scene)
    folder = scene.path('store')
    os.mkdir(folder)

    def put(name):
        os.link(os.path.join(files.source, name), os.path.join(folder, name))

    for name in ('chain-P-256.pem', 'leaf-P-256.key', 'garbage.bin',
                 'past.pem', 'past.key', 'other.pem', 'other.key'):
        put(name)
    d = scene.daemon('d', {
        'slot.main': {'names': NAME},
        'plugin.cert': {'chain': None, 'key': None, 'directory': folder,
                        'choose': 'newest'}}).start()
    was = served(d)
    equal(was[1], 2, 'certificates')
    bus = d.bus(['certificate.'])
    put('leaf-rsa.key')
    put('leaf-rsa.pem')
    event = bus.expect('certificate.live', timeout=30)
    # Beside the first, which openssl prefers.
    check(event['detail']['sha256'] != was[0], event)
    equal(served(d), was, 'the ECDSA certificate')
    thumb = event['detail']['sha256']
    d.configure({'plugin.cert': {'choose': thumb.upper()}})
    check(d.reload(), 'not reloaded')
    wait_until('the one with the thumbprint', lambda: served(d)[0] == thumb)


if __name__ == '__main__':
    main()
