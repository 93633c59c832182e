#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleatctl import wsems: what it makes of an EMS's config.json is accepted by
cleat-agent and cleatd, what is weak is told, and no secret is shown."""
import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from harness import BUILDDIR, PATIENCE, check, equal  # noqa: E402

APP_KEY = 'Planted-8f4c0a4e-1d2b-4a0c'
CIPHERS = ('ALL:!aNULL:!eNULL:!LOW:!3DES:!MD5:!EXP:!PSK:!DSS:!RC4:!SEED:!ADH'
           ':!IDEA:!3DES:!SRP')


def program(name, *args, **kw):
    p = subprocess.run([os.path.join(BUILDDIR, name), *args], text=True,
                       capture_output=True, timeout=PATIENCE, **kw)
    check('Sanitizer' not in p.stderr and 'runtime error' not in p.stderr,
          p.stderr)
    return p.returncode, p.stdout, p.stderr


def imported(path, *args, status=0):
    code, out, err = program('cleatctl', 'import', 'wsems', path, *args)
    equal(code, status, err)
    check('Planted' not in err, f'a secret is told: {err}')
    return out, err


def put(path, text):
    with open(path, 'w') as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    return path


def read(path):
    with open(path) as f:
        return f.read()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def accepted(agent, listener=None, scene=None, key=None):
    """By the programs that read it, with nothing said."""
    code, out, err = program('cleat-agent', '-c', agent, '--check-config')
    equal((code, out), (0, ''), err)
    if listener:
        d = scene.daemon()
        d.configure({'daemon': {'secret_key': key},
                     'listener.main': None, 'slot.main': None,
                     'plugin.cert': None})
        parts = os.path.join(d.dir, 'conf.d')
        os.makedirs(parts, exist_ok=True)
        put(os.path.join(parts, 'wsems.conf'), read(listener))
        p = subprocess.run(d.command('-c', d.conf_path, '--check-config'),
                           text=True, capture_output=True, timeout=PATIENCE)
        equal((p.returncode, p.stderr), (0, ''), read(listener))
        return err, p.stdout
    return err, ''


def high(**more):
    return {
        'ws_servers': [{'host': 'fleet.example.org', 'port': 8443}],
        'appKey': APP_KEY,
        'http_server': {
            'host': '127.0.0.1', 'port': 8000, 'ssl': True,
            'certificate': '/etc/ems/server.pem',
            'private_key': '/etc/ems/server.key', 'passphrase': 'Planted-p',
            'authenticate': True, 'user': 'lsr', 'password': 'Planted-q'},
        'certificates': {
            'validate': True, 'allow_self_signed': False,
            'cert_chain': ' /etc/ems/ca.pem', 'cipher_suite': CIPHERS,
            'http_client_ca_certs': '/etc/ems/lsr-ca.pem',
            'fingerprint_allowlist': [':'.join(['AB'] * 32)],
            'validation_criteria': {
                'Cert_Common_Name': 'fleet.example.org',
                'Cert_Organization': 'Example',
                'CA_Cert_Common_Name': 'Example CA'}},
        'auto_bind': [{'name': 'lamp-1', 'gateway': True}], **more}


def test_high(scene):
    """high security is taken over whole, and accepted by agent and daemon"""
    path = put(scene.path('config.json'), high())
    agent, listener = scene.path('agent.conf'), scene.path('l.conf')
    state, key = scene.path('state'), scene.path('secret.key')
    os.mkdir(state, 0o700)
    out, err = imported(path, '--output', agent, '--listener', listener,
                        '--state-dir', state, '--key-file', key)
    equal(out, '', 'standard output')
    check('weakened:' not in err, err)
    check('cleatctl: no counterpart: http_server.password: every device' in
          err, err)
    text = read(agent)
    check('Planted' not in text + read(listener), 'a secret is not encrypted')
    for line in ['server = wss://fleet.example.org:8443', 'endpoint = lamp-1',
                 f'state-dir = {state}', 'ca = /etc/ems/ca.pem',
                 'subject-cn = fleet.example.org', 'subject-o = Example',
                 'issuer-cn = Example CA', f'cipher-suite = {CIPHERS}']:
        check(line + '\n' in text, f'{line} in {text}')
    check('token-file = encrypted:' in text, text)
    equal([mode(p) for p in (agent, listener, key,
                             os.path.join(state, 'secret.key'))],
          [0o644, 0o644, 0o600, 0o600], 'modes')
    said, shown = accepted(agent, listener, scene, key)
    check('WEAKENED' not in said and 'TLS1.3' in said, said)
    check('listener wsems 127.0.0.1:8000' in shown, shown)


def test_plain(scene):
    """a secret that stays plain is a weakening, and the file is private"""
    path = put(scene.path('config.json'), high())
    agent, listener = scene.path('agent.conf'), scene.path('l.conf')
    _, err = imported(path, '--output', agent, '--listener', listener)
    for name in ('appKey', 'http_server.passphrase'):
        check(f'weakened: {name}: a secret stands in the file' in err, err)
    check(f'token-file = plain:{APP_KEY}\n' in read(agent), 'the token')
    check('key_passphrase = plain:Planted-p\n' in read(listener), 'passphrase')
    equal([mode(agent), mode(listener)], [0o600] * 2, 'modes')
    accepted(agent, listener, scene)
    out, err = imported(path)
    equal(out, read(agent), 'standard output has the same')
    check('no counterpart: http_server: cleatd' in err, err)
    os.chmod(agent, 0o644)
    _, _, err = program('cleat-agent', '-c', agent, '--check-config')
    check('others may read it: chmod 600' in err, err)
    check('Planted' not in err, err)
    _, _, err = program('cleat-agent', '-c', agent, '--token-file',
                        'plain:Planted-x', '--check-config')
    check('others can see a secret on the command line' in err, err)
    check('Planted' not in err, err)


def test_weak(scene):
    """each weakening is told here, and loudly by the agent that runs it"""
    path = put(scene.path('config.json'), {
        'ws_servers': [{'host': 'fleet.example.org', 'port': 443}],
        'appkey': APP_KEY, 'auto_bind': [{'name': 'lamp-1'}],
        'http_server': {'host': '127.0.0.1', 'port': 8080, 'ssl': False,
                        'use_default_certificate': True,
                        'authenticate': False},
        'certificates': {'validate': False, 'allow_self_signed': True,
                         'disable_hostname_validation': True}})
    agent, listener = scene.path('agent.conf'), scene.path('l.conf')
    _, err = imported(path, '--output', agent, '--listener', listener)
    for name in ('certificates.validate', 'certificates.allow_self_signed',
                 'certificates.disable_hostname_validation',
                 'http_server.ssl', 'appKey'):
        check(f'weakened: {name}: ' in err, f'{name}: {err}')
    said, shown = accepted(agent, listener, scene)
    equal(said.count('WEAKENED: '), 3, said)
    check('listener wsems 127.0.0.1:8080' in shown, shown)


def test_a_file_of_people(scene):
    """comments are passed over; what is odd is a line each, and status 6"""
    path = put(scene.path('config.json'), '''\ufeff{
  // the platform
  "ws_servers": [{ "host": "fleet.example.org", "port": "8443" }],
  "appKey": "AES:UGxhbnRlZC1zZWNyZXQ=", /* as wsems
     -encrypt printed it */
  "certificates": { "validat": false, "cert_chain": "C:\\\\ems\\\\ca.pem" },
  "auto_bind": { "name": "lamp-1" }
}
''')
    out, err = imported(path, '--endpoint', 'lamp-9', status=6)
    for text in ['wrong: ws_servers[0].port: a whole number is expected; '
                 'kept: 443', 'no counterpart: appKey: only the EMS can',
                 'unknown: certificates.validat: not taken (did you mean '
                 'validate?)', 'wrong: certificates.cert_chain: it is a path '
                 'of Windows; kept: the authorities of the system',
                 'wrong: auto_bind: a list in [ ] is expected']:
        check(text in err, f'{text}: {err}')
    check('endpoint = lamp-9\n' in out and 'no-verify' not in out, out)
    agent = put(scene.path('agent.conf'), out + 'token-file = /t\n')
    accepted(agent)


def test_refused(scene):
    """what cannot be read is one line, and nothing is written"""
    out = scene.path('out')
    big = scene.path('big')
    with open(big, 'w') as f:
        f.write('{}')
        f.truncate((1 << 20) + 1)
    fifo = scene.path('fifo')
    os.mkfifo(fifo)
    for path, why in [
            (put(scene.path('a'), '{\n "appKey": "Planted" "x"\n}'),
             'line 2, column'),
            (put(scene.path('b'), '{"appKey": "Planted'), 'line 1'),
            (put(scene.path('c'), '{ /* "Planted'), 'has no end'),
            (put(scene.path('d'), '[]'), 'no object'),
            (put(scene.path('e'), '{"a": 1, "a": 2}'), 'duplicate'),
            (put(scene.path('f'), ''), 'line 1'),
            (big, 'longer than 1 MiB'), (fifo, 'not a regular file'),
            (scene.path(), 'Is a directory'),
            (scene.path('none'), 'No such file')]:
        _, err = imported(path, '--output', out, status=1)
        check(why in err and err.count('\n') == 1, err)
        check(not os.path.exists(out), 'nothing is written')
    good = put(scene.path('config.json'), high())
    for args, status, why in [
            (['--endpoint', 'a b'], 2, '--endpoint'),
            (['--state-dir', 'here'], 2, '--state-dir'),
            (['--state-dir', '/nonexistent'], 1, 'cannot be made'),
            (['--output', '/nonexistent/x'], 1, 'No such file')]:
        _, err = imported(good, *args, status=status)
        check(why in err, err)


def test_agent_options(scene):
    """cleat-agent --check-config says what is missing, and makes nothing"""
    state = scene.path('state')
    for args, why in [
            (['-e', 'a'], 'a server is missing'),
            (['-s', 'h'], 'an endpoint is missing'),
            (['-s', 'h', '-e', 'a'], 'a token, a certificate or a key'),
            (['-s', 'h', '-e', 'a', '--cert', '/c'], "certificate's key"),
            (['-s', 'h', '-e', 'a b', '--state-dir', state], 'no id'),
            (['-s', 'http://h', '-e', 'a', '--state-dir', state],
             'wss://HOST'),
            (['-s', 'h', '-e', 'a', '--state-dir', state, '--pins', 'x'],
             'pin'),
            (['-s', 'h', '-e', 'a', '--state-dir', state, '--tls-profile',
              'x'], 'profile')]:
        code, _, err = program('cleat-agent', *args, '--check-config')
        check(code == 1 and why in err, f'{args}: {err}')
    bad = put(scene.path('ca.pem'), 'no certificate\n')
    code, _, err = program('cleat-agent', '-s', 'h', '-e', 'a', '--state-dir',
                           state, '--ca', bad, '--check-config')
    check(code == 1 and bad in err, err)
    for args in (['--state-dir', state, '--enrol'],
                 ['--cert', '/c', '--key', '/k', '--ca', '/ca'],
                 ['--token-file', '/t', '--cert', '/c', '--key', '/k']):
        code, _, err = program('cleat-agent', '-s', 'h', '-e', 'a', *args,
                               '--check-config')
        equal(code, 0, err)
    check(not os.path.exists(state), 'nothing is made')


if __name__ == '__main__':
    harness.main()
