#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets of daemon and agent from every place they may come from; planted ones
are then looked for in logs, command lines, environments, error texts and
files."""
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from harness import BUILDDIR, SRCDIR, check, equal, wait_until  # noqa: E402

PLANTED = 'Planted-7c1f-{}'


def module(scene):
    out = scene.path('secret.so')
    subprocess.run(
        [*shlex.split(os.environ.get('CC', 'cc')), '-std=gnu11',
         '-D_GNU_SOURCE', '-fPIC', '-shared', '-fvisibility=hidden',
         '-I' + os.path.join(SRCDIR, 'include'), '-o', out,
         os.path.join(SRCDIR, 'tests', 'plugins', 'secret.c')],
        check=True, stderr=subprocess.DEVNULL)
    os.chmod(out, 0o755)
    return out


def ctl(*args, stdin=''):
    p = subprocess.run([os.path.join(BUILDDIR, 'cleatctl'), *args],
                       input=stdin, text=True, capture_output=True,
                       timeout=harness.PATIENCE)
    return p.returncode, p.stdout, p.stderr


def encrypt(secret, key_file):
    code, out, err = ctl('secret', 'encrypt', '--key-file', key_file,
                         stdin=secret + '\n')
    equal((code, err), (0, ''), 'secret encrypt')
    check(re.fullmatch(r'encrypted:[A-Za-z0-9+/=]+\n', out), out)
    return out.strip()


def put(path, text, mode=0o600):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def of_process(pid):
    """Its command line and environment, and those of its children."""
    text = ''
    for name in ('cmdline', 'environ'):
        with open(f'/proc/{pid}/{name}', 'rb') as f:
            text += f.read().decode(errors='replace')
    return text


def find_nothing(where, text):
    check('Planted' not in text, f'a secret was found in {where}: {text}')


def note_of(secret):
    return f'{len(secret)} {sum(secret.encode())}'


def test_daemon(scene):
    """options come from files, credentials and encrypted; nothing shows them"""
    credentials = scene.path('credentials')
    os.mkdir(credentials)
    d = scene.daemon(conf={'plugin.pin': {
        'module': module(scene), 'pin': PLANTED.format('literal')}},
        env={'CREDENTIALS_DIRECTORY': credentials})
    os.makedirs(d.state, exist_ok=True)
    key = os.path.join(d.state, 'secret.key')
    file = put(scene.path('pin'), PLANTED.format('file') + '\n')
    put(os.path.join(credentials, 'pin'), PLANTED.format('credential'), 0o400)
    sealed = encrypt(PLANTED.format('encrypted'), key)
    equal(os.stat(key).st_mode & 0o7777, 0o600, 'mode of the key')
    d.start()
    wanted = [PLANTED.format('literal')]
    for value, secret in [('file:' + file, 'file'),
                          ('credential:pin', 'credential'),
                          (sealed, 'encrypted')]:
        d.configure({'plugin.pin': {'pin': value}})
        check(d.reload(), value)
        wanted.append(PLANTED.format(secret))
    for value, why in [
            ('file:' + put(scene.path('open'), PLANTED.format('x'), 0o644),
             'everybody may read'),
            ('credential:none', 'No such file'),
            (sealed[:-8] + 'AAAAAAA=', '[plugin.pin] pin: '),
            ('encrypted:' + PLANTED.format('y'), 'not what')]:
        d.configure({'plugin.pin': {'pin': value}})
        check(not d.reload(), f'{value} is refused')
        check(any(' error ' in line and why in line for line in d.log), why)
    notes = []
    for top, _, files in os.walk(d.state):
        if 'notes' in files:
            with open(os.path.join(top, 'notes')) as f:
                notes = f.read().splitlines()
    for secret in wanted:
        check(note_of(secret) in notes, f'{secret} in {notes}')
    find_nothing('/proc', of_process(d.process.pid))
    log = '\n'.join(d.log)
    find_nothing('the log', log.replace('encrypted:Planted', ''))
    for top, _, files in os.walk(d.state):
        for name in files:
            with open(os.path.join(top, name), 'rb') as f:
                find_nothing(name, f.read().decode(errors='replace'))
    with open(f'/proc/{d.process.pid}/limits') as f:
        check(os.geteuid() != 0 or
              re.search(r'Max core file size +0 +0 ', f.read()),
              'no core dumps')
    p = subprocess.run(d.command('-c', d.conf_path, '--check-config'),
                       capture_output=True, text=True)
    equal(p.returncode, 1, 'check-config')
    find_nothing('check-config', p.stdout + p.stderr)


def test_server_key(scene):
    """the passphrase of the server's key is one of those secrets"""
    d = scene.daemon()
    d.token('dev')
    os.makedirs(d.state, exist_ok=True)
    crt, key = scene.pki.issue('sealed', sans=harness.LOCAL_SANS)
    closed = scene.path('closed.key')
    secret = put(scene.path('pass'), PLANTED.format('pass') + '\n')
    subprocess.run(['openssl', 'pkcs8', '-topk8', '-in', key, '-out', closed,
                    '-passout', 'file:' + secret], check=True)
    d.configure({'plugin.cert': {
        'chain': crt, 'key': closed, 'key_passphrase': encrypt(
            PLANTED.format('pass'), os.path.join(d.state, 'secret.key'))}})
    d.start()
    harness.Device(d, 'dev').close()
    d.configure({'plugin.cert': {'key_passphrase': 'file:' + secret}})
    check(d.reload(), 'from a file')
    d.configure({'plugin.cert': {'key_passphrase': PLANTED.format('wrong')}})
    d.reload()
    harness.Device(d, 'dev').close()
    find_nothing('/proc', of_process(d.process.pid))
    find_nothing('the log', '\n'.join(d.log))
    d.stop()


def test_agent(scene):
    """the agent's token may be a credential or encrypted; nothing shows it"""
    d = scene.daemon()
    token = d.token('lamp')
    d.start()
    state = scene.path('agent')
    os.mkdir(state, 0o700)
    credentials = scene.path('credentials')
    os.mkdir(credentials)
    put(os.path.join(credentials, 'token'), token)
    sealed = encrypt(token, os.path.join(state, 'secret.key'))
    for value in ('credential:token', sealed,
                  'file:' + os.path.join(credentials, 'token')):
        p = subprocess.Popen(
            [os.path.join(BUILDDIR, 'cleat-agent'), '-s', d.url(), '-e',
             'lamp', '--token-file', value, '--ca', scene.pki.ca,
             '--state-dir', state, '--log-level', 'debug'],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env=dict(os.environ, CREDENTIALS_DIRECTORY=credentials))
        seen = ''
        for line in p.stderr:
            seen += line
            if 'online' in line:
                break
        check('online' in seen, seen)
        seen += of_process(p.pid)
        p.terminate()
        seen += p.communicate(timeout=harness.PATIENCE)[1]
        check(token not in seen, 'the token was shown')
    check(token not in '\n'.join(d.log), 'the token is in the log')
    p = subprocess.run(
        [os.path.join(BUILDDIR, 'cleat-agent'), '-s', d.url(), '-e', 'lamp',
         '--token-file', 'credential:none', '--state-dir', state],
        capture_output=True, text=True, timeout=harness.PATIENCE,
        env=dict(os.environ, CREDENTIALS_DIRECTORY=credentials))
    check(p.returncode == 1 and 'none: No such file' in p.stderr, p.stderr)


def test_agent_key(scene):
    """the passphrase of the agent's key is one of those secrets"""
    d = scene.daemon(conf={'listener.main': {
        'client_auth': 'required', 'ca_file': scene.pki.ca}}).start()
    crt, key = scene.pki.issue('lamp', usage='clientAuth')
    closed = scene.path('closed.key')
    secret = put(scene.path('pass'), PLANTED.format('pass') + '\n')
    subprocess.run(['openssl', 'pkcs8', '-topk8', '-in', key, '-out', closed,
                    '-passout', 'file:' + secret], check=True)
    state = scene.path('agent')
    os.mkdir(state, 0o700)
    sealed = encrypt(PLANTED.format('pass'), os.path.join(state,
                                                          'secret.key'))
    wrong = encrypt(PLANTED.format('wrong'), os.path.join(state,
                                                          'secret.key'))
    for value, wanted in [(sealed, 'online'), (secret, 'online'),
                          (wrong, 'password does not open')]:
        p = subprocess.Popen(
            [os.path.join(BUILDDIR, 'cleat-agent'), '-s', d.url(), '-e',
             'lamp', '--cert', crt, '--key', closed, '--state-dir', state,
             '--key-passphrase-file', value, '--ca', scene.pki.ca],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        seen = ''
        for line in p.stderr:
            seen += line
            if wanted in line:
                break
        p.terminate()
        seen += p.communicate(timeout=harness.PATIENCE)[1]
        check(wanted in seen, seen)
        find_nothing('the log', seen)


def test_ctl(scene):
    """cleatctl takes no secret from its command line, and repeats none"""
    key = scene.path('k')
    code, out, err = ctl('secret', 'encrypt', PLANTED.format('argument'))
    equal((code, out), (2, ''), err)
    find_nothing('the message', err)
    for text, why in [('', 'empty'), ('x' * 4097, 'longer than 4096'),
                      ('a\0b', 'NUL')]:
        code, out, err = ctl('secret', 'encrypt', '--key-file', key,
                             stdin=text)
        equal((code, out), (1, ''), why)
        check(why in err, err)
    check(not os.path.exists(key), 'no key for nothing')
    code, out, err = ctl('secret', 'encrypt', '--key-file', '/nonexistent/k',
                         stdin=PLANTED.format('z'))
    equal((code, out), (1, ''), 'no directory')
    check('cannot be made' in err, err)
    find_nothing('the message', err)
    reader, writer = os.pipe()
    p = subprocess.Popen([os.path.join(BUILDDIR, 'cleatctl'), 'secret',
                          'encrypt', '--key-file', key], stdin=reader,
                         stdout=subprocess.PIPE, text=True)
    os.close(reader)
    os.write(writer, PLANTED.format('pipe').encode())
    wait_until('cleatctl runs',
               lambda: b'secret' in open(f'/proc/{p.pid}/cmdline',
                                         'rb').read())
    find_nothing('/proc', of_process(p.pid))
    os.close(writer)
    check(p.communicate()[0].startswith('encrypted:'), 'encrypted')


if __name__ == '__main__':
    harness.main()
