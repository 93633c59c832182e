#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of the server's certificate: files that change while it
runs."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from agents import Agent  # noqa: E402
from harness import LOCAL_SANS, equal  # noqa: E402
from revoking import Lister, put  # noqa: E402


def read(path):
    with open(path) as f:
        return f.read()


def start(scene, name='d', **conf):
    """A daemon that has the same port whenever it is started."""
    d = scene.daemon(name, conf={'presence': {
        'retry_min': '20ms', 'retry_max': '100ms'}, **conf})
    d.token('dev-1')
    d.start()
    d.configure({'listener.main': {
        'address': '127.0.0.1:%d' % d.address('main')[1]}})
    return d


def token_of(scene, d):
    path = scene.path('real-token')
    put(path, d.token('dev-1') + '\n')
    return path


# ---- files that change -----------------------------------------------------------

def serve(scene, d, cert):
    """From now on it has this certificate, and no channel."""
    crt, key = scene.server_cert()
    if d.alive():
        d.kill()
    put(crt, read(cert[0]))
    put(key, read(cert[1]))
    os.chmod(key, 0o600)
    d.start()


def said(a, text):
    return sum(text in line for line in a.log)


def test_new_authority(scene):
    """a new CA file counts from the next attempt on; a bad one changes nothing"""
    old, new = (Lister(scene.path(n), n) for n in ('old', 'new'))
    first, second = (p.issue('server', sans=LOCAL_SANS) for p in (old, new))
    d = start(scene)
    serve(scene, d, first)
    ca = scene.path('trust.pem')
    put(ca, read(old.ca))
    a = Agent(scene, d.url(), '--token-file', token_of(scene, d), '--ca', ca,
              token=False)
    a.says('online')
    serve(scene, d, second)
    a.says('unknown issuer')
    put(ca, read(old.ca) + read(new.ca))
    a.says('notice .*trust.pem has changed, it counts from now on')
    a.says('online')
    for text, why in (('garbage', 'no certificate in it'),
                      (None, 'No such file or directory')):
        if text is None:
            os.unlink(ca)
        else:
            put(ca, text)
        for _ in range(2):
            serve(scene, d, second)
            a.says('online')
        equal(said(a, why + '; what was read before stays in use'), 1, why)
    put(ca, read(old.ca))               # the new one is not trusted any more
    serve(scene, d, second)
    a.says('has changed')
    a.says('unknown issuer')
    a.stop()
    equal(said(a, 'WEAKENED'), 0, 'weakenings')


def test_new_list(scene):
    """a new revocation list counts too, and its end"""
    ca = Lister(scene.path('one'), 'one')
    good, bad = (ca.issue(n, sans=LOCAL_SANS) for n in ('good', 'bad'))
    d = start(scene)
    serve(scene, d, bad)
    crl = scene.path('list.pem')
    empty = ca.list()
    put(crl, empty)
    a = Agent(scene, d.url(), '--token-file', token_of(scene, d), '--ca',
              ca.ca, '--crl', crl, token=False)
    a.says('online')
    ca.revoke(bad[0])
    put(crl, ca.list())
    serve(scene, d, bad)
    a.says('list.pem has changed')
    a.says('is revoked')
    put(crl, Lister(scene.path('two'), 'two').list())
    a.says('no CA that is given has signed this list; what was read before '
           'stays in use')
    a.says('is revoked')
    serve(scene, d, good)
    a.says('online')
    put(crl, empty)
    serve(scene, d, bad)
    a.says('list.pem has changed')
    a.says('online')
    a.stop()


def test_new_certificate(scene):
    """the device's own certificate is taken anew as well, once both files are"""
    pki = scene.pki
    d = start(scene, **{'listener.main': {
        'client_auth': 'required', 'ca_file': pki.ca}})
    crt, key = scene.path('own.pem'), scene.path('own.key')

    def issue():
        return [read(f) for f in pki.issue('dev-1', usage='clientAuth')]
    for path, text in zip((crt, key), issue()):
        put(path, text)
        os.chmod(path, 0o600)
    a = Agent(scene, d.url(), '--cert', crt, '--key', key, '--ca', pki.ca,
              token=False)
    a.says('online')
    new = issue()
    put(crt, new[0])
    d.kill()
    d.start()
    a.says('stays in use')
    a.says('online')
    put(key, new[1])
    os.chmod(key, 0o600)
    d.kill()
    d.start()
    a.says('own.pem has changed')
    a.says('own.key has changed')
    a.says('online')
    a.stop()


if __name__ == '__main__':
    harness.main()
