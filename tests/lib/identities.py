# SPDX-License-Identifier: Apache-2.0
"""Devices that prove who they are, and the operator's side of it: for the
scenarios identity*.py."""
import datetime
import hashlib
import json
import os
import subprocess

from control import Control, Problem
from harness import BUILDDIR, PATIENCE, Device, Failure, check, equal

FAILED, LATER, PENDING, TOO_MANY = -32001, -32002, -32006, -32009
AWAY = {FAILED: 4001, LATER: 1013, PENDING: 1013, TOO_MANY: 4008}


def start(scene, name='d', listener=None, **auth):
    d = scene.daemon(name, conf={
        'auth': auth, 'listener.main': listener or {},
        'presence': {'recovery': '1s', 'clone_replacements': '0'}})
    d.start()
    d.control = Control(d)
    return d


def again(d):
    """A restart."""
    d.control.close()
    d.stop()
    d.start()
    d.control = Control(d)


def finish(d):
    d.control.close()
    d.stop()


def ctl(d, *args):
    """Standard output of cleatctl."""
    p = subprocess.run([os.path.join(BUILDDIR, 'cleatctl'), *args],
                       env=dict(os.environ, CLEAT_CONTROL=os.path.join(
                           d.runtime, 'control.sock')),
                       capture_output=True, text=True, timeout=PATIENCE)
    equal(p.returncode, 0, f'{args}: {p.stderr}')
    return p.stdout.strip()


class Key:
    """Ed25519, by openssl."""

    def __init__(self, scene, name):
        self.path = scene.path(name + '.pem')
        self.text = scene.path(name + '.text')
        subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519',
                        '-out', self.path], check=True)
        der = subprocess.run(['openssl', 'pkey', '-in', self.path, '-pubout',
                              '-outform', 'DER'], check=True,
                             stdout=subprocess.PIPE).stdout
        self.public = der[-32:].hex()
        self.fingerprint = hashlib.sha256(der[-32:]).hexdigest()

    def auth(self, method, nonce, endpoint, **more):
        """Not bound to the TLS connection: Python's ssl cannot export."""
        with open(self.text, 'wb') as f:
            f.write(b'cleat hello v1\0' + bytes.fromhex(nonce) + b'\0' +
                    endpoint.encode())
        signature = subprocess.run(
            ['openssl', 'pkeyutl', '-sign', '-inkey', self.path, '-rawin',
             '-in', self.text], check=True, stdout=subprocess.PIPE).stdout
        return dict({'method': method, 'public_key': self.public,
                     'signature': signature.hex(), 'binding': 'none'}, **more)


def said(d, endpoint, how, **kw):
    """A device that has said hello, and the whole answer.  how: a token, or
    what gives the auth for a nonce."""
    device = Device(d, endpoint, hello=False, **kw)
    challenge = json.loads(device.recv())
    auth = how(challenge['params']['nonce']) if callable(how) else \
        {'method': 'token', 'token': how}
    device.send_json({'jsonrpc': '2.0', 'id': 1, 'method': 'hello', 'params': {
        'endpoint': endpoint, 'auth': auth, 'boot_id': 'b1'}})
    answer = json.loads(device.recv())
    equal(answer.get('id'), 1)
    return device, answer


def comes(d, endpoint, how, **kw):
    device, answer = said(d, endpoint, how, **kw)
    check('result' in answer, f'{endpoint}: {answer}')
    device.hello_result = answer['result']
    return device


def stays_out(d, endpoint, how, code=FAILED, **kw):
    """Refused with this error; what it was."""
    device, answer = said(d, endpoint, how, **kw)
    check('error' in answer, f'{endpoint} came in: {answer}')
    equal(answer['error']['code'], code, f'{endpoint}: {answer}')
    equal(device.expect_close()[0], AWAY[code], endpoint)
    device.sock.close()
    return answer['error']


def by_key(key, endpoint, method='key', **more):
    return lambda nonce: key.auth(method, nonce, endpoint, **more)


def enrol(endpoint, key=None, **more):
    if key is None:
        return lambda nonce: {'method': 'enrol', **more}
    return by_key(key, endpoint, 'enrol', **more)


def refused(call, status):
    try:
        call()
    except Problem as p:
        equal(p.status, status, p.detail)
        return
    raise Failure(f'no problem {status}')


def credentials(d, endpoint):
    return d.control.get(f'/v1/endpoints/{endpoint}/credentials')[
        'credentials']


def soon(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) +
            datetime.timedelta(seconds=seconds)).strftime(
                '%Y-%m-%dT%H:%M:%S.%f')[:-3] + 'Z'
