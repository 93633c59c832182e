#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleatctl doctor: a host that is well, and what it says of each thing that is
not, with the daemon and without."""
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from harness import BUILDDIR, check, equal  # noqa: E402


def doctor(d, status, *args):
    """{check: [(level, text, remedy)]}"""
    p = subprocess.run(
        [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
         os.path.join(d.runtime, 'control.sock'), 'doctor', '--config',
         d.conf_path, '--json', *args], capture_output=True, text=True,
        timeout=harness.PATIENCE,
        env=dict(os.environ, PATH=BUILDDIR + ':' + os.environ['PATH']))
    equal((p.returncode, p.stderr), (status, ''), p.stdout)
    found = {}
    for line in p.stdout.splitlines():
        o = json.loads(line)
        found.setdefault(o['check'], []).append(
            (o['level'], o['text'], o.get('remedy')))
    return found


def has(found, what, level, text, remedy=None):
    check(any(f[0] == level and text in f[1] and
              (remedy is None or remedy in (f[2] or ''))
              for f in found.get(what, [])), f'{what} {level} {text}: {found}')


def test_well(scene):
    """a daemon that is well has no errors"""
    d = scene.daemon().start()
    found = doctor(d, 0)
    has(found, 'library', 'ok', 'GnuTLS 3.')
    has(found, 'daemon', 'ok', f'pid {d.process.pid}')
    has(found, 'configuration', 'ok', d.conf_path)
    # Those of the tests are good for two days.
    has(found, 'certificate', 'warning', 'slot main until 20', 'install')
    has(found, 'listener', 'ok', 'main 127.0.0.1:0')
    has(found, 'tls', 'ok', 'TLS1.3, TLS1.2: ')
    has(found, 'permissions', 'ok', 'ticket.master 0600')
    check('clock' in found and 'policy' in found, found)
    if os.geteuid() == 0:
        has(found, 'limits', 'ok', 'no core dumps')
    p = subprocess.run(
        [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
         os.path.join(d.runtime, 'control.sock'), 'doctor', '--config',
         d.conf_path], capture_output=True, text=True,
        env=dict(os.environ, PATH=BUILDDIR + ':' + os.environ['PATH']))
    check('ok      library       GnuTLS 3.' in p.stdout, p.stdout)
    check(f'ok      configuration {d.conf_path}' in p.stdout, p.stdout)
    d.stop()


def test_not_running(scene):
    """without a daemon it looks at the rest, and whether ports are free"""
    taken = socket.create_server(('127.0.0.1', 0))
    port = taken.getsockname()[1]
    d = scene.daemon()
    has(doctor(d, 0), 'daemon', 'warning', 'nobody answers',
        'systemctl start')
    d.configure({'listener.main': {'address': f'127.0.0.1:{port}'}})
    found = doctor(d, 6)
    has(found, 'listener', 'error', 'in use', 'ss -ltnp')
    taken.close()
    has(doctor(d, 0), 'listener', 'ok', 'free')


def test_what_is_wrong(scene):
    """errors have a text, a remedy where there is one, and exit status 6"""
    d = scene.daemon(conf={'tls': {'cipher_suite': 'AES128-SHA'}})
    has(doctor(d, 6), 'configuration', 'error', 'AES128-SHA is not allowed')
    d.configure({'tls': {'cipher_suite': 'ALL'},
                 'presence': {'pinng': '1s'}})
    has(doctor(d, 6), 'configuration', 'error', 'unknown key')
    d.configure({'presence': None})
    has(doctor(d, 0), 'tls', 'note', 'asked for, not spoken: DHE-')
    os.makedirs(d.state, exist_ok=True)
    key = os.path.join(d.state, 'secret.key')
    with open(key, 'wb') as f:
        f.write(bytes(32))
    os.chmod(key, 0o644)
    has(doctor(d, 6), 'permissions', 'error', 'secret.key has mode 0644',
        'chmod 600')
    os.chmod(key, 0o600)
    os.chmod(d.state, 0o700)
    # The key of the certificate; and what may lie open.
    crt, key = scene.server_cert()
    os.chmod(key, 0o640)
    has(doctor(d, 0), 'permissions', 'ok', f'{key} 0640')
    os.chmod(key, 0o604)
    has(doctor(d, 6), 'permissions', 'error', f'{key} has mode 0604',
        'private key')
    os.chmod(key, 0o600)
    os.chmod(crt, 0o646)
    has(doctor(d, 6), 'permissions', 'error', f'{crt} has mode 0646', 'o-w')
    os.chmod(crt, 0o644)
    has(doctor(d, 0), 'permissions', 'ok', f'{crt} 0644')
    d.configure({'plugin.cert': {'chain': '/nonexistent', 'key':
                                 '/nonexistent', 'required': 'no'}})
    d.start()
    has(doctor(d, 6), 'certificate', 'error', 'slot main has none')
    d.stop()


if __name__ == '__main__':
    harness.main()
