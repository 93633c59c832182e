#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The configurations in etc/ are good as they are, but for their directories,
which conf.d overrides."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness                              # noqa: E402
from harness import check, equal            # noqa: E402

HERE = {'daemon': {'plugin_dir': os.path.join(harness.BUILDDIR, 'plugins-1')}}
# The journal of this machine is not for tests.
QUIET = {'plugin.journal': {'log': 'yes'}}


def example(scene, name, overrides):
    d = scene.daemon()
    shutil.copy(os.path.join(harness.SRCDIR, 'etc', name), d.conf_path)
    parts = os.path.join(d.dir, 'conf.d')
    os.makedirs(parts, exist_ok=True)
    with open(os.path.join(parts, 'here.conf'), 'w') as f:
        for section, keys in {**HERE, **overrides}.items():
            f.write(f'[{section}]\n')
            f.writelines(f'{k} = {v}\n' for k, v in keys.items())
    return d


def check_config(daemon):
    p = subprocess.run(
        daemon.command('-c', daemon.conf_path, '--check-config'),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=harness.PATIENCE)
    return p.returncode, p.stderr, p.stdout


def is_good(scene, name):
    code, errors, shown = check_config(example(scene, name, {}))
    equal((code, errors), (0, ''), f'etc/{name}')
    check('\nlistener public ' in shown, shown)
    check('\ntls TLS1.3, TLS1.2: TLS_AES_128_GCM_SHA256, ' in shown, shown)


def starts(scene, name, overrides):
    d = example(scene, name, {
        'daemon': {**HERE['daemon'], 'state_dir': scene.path('state'),
                   'runtime_dir': scene.path('run')},
        'listener.public': {'address': '127.0.0.1:0'}, **overrides})
    d.start()
    d.stop()


def test_complete_is_good(scene):
    """cleatd --check-config accepts etc/cleat.conf"""
    is_good(scene, 'cleat.conf')


def test_minimal_is_good(scene):
    """cleatd --check-config accepts etc/cleat.conf.minimal"""
    is_good(scene, 'cleat.conf.minimal')


def test_complete_starts(scene):
    """cleatd starts with etc/cleat.conf"""
    starts(scene, 'cleat.conf', QUIET)


def test_minimal_starts(scene):
    """cleatd starts with etc/cleat.conf.minimal"""
    starts(scene, 'cleat.conf.minimal', {})


def test_check_finds_faults(scene):
    """cleatd --check-config names file, line and the key that was meant"""
    d = example(scene, 'cleat.conf.minimal',
                {'presence': {'pinng': '20s'}})
    code, output, _ = check_config(d)
    equal(code, 1, 'exit status')
    check('here.conf:4: [presence] pinng: unknown key (did you mean "ping"?)'
          in output, output)


def test_check_shows_what_is_spoken(scene):
    """cleatd --check-config resolves profile, priority and cipher_suite"""
    ems = ('ALL:!aNULL:!eNULL:!LOW:!3DES:!MD5:!EXP:!PSK:!DSS:!RC4:!SEED:!ADH'
           ':!IDEA:!3DES:!SRP')
    for keys, shown in [
            ({'profile': 'modern'}, 'tls TLS1.3: TLS_AES_128_GCM_SHA256, '
             'TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256\n'),
            ({'cipher_suite': ems}, 'tls-dropped DHE-'),
            ({'cipher_suite': ems + ':!kEDH'}, 'tls TLS1.3, TLS1.2: '),
            ({'priority': 'NORMAL'}, 'tls-dropped VERS-TLS1.1, ')]:
        d = example(scene, 'cleat.conf.minimal', {'tls': keys})
        code, errors, output = check_config(d)
        equal((code, errors), (0, ''), keys)
        check(shown in output, output)
    for keys, why in [
            ({'cipher_suite': 'AES128-SHA:ALL'}, 'AES128-SHA is not allowed'),
            ({'priority': 'NORMAL:+RSA'}, 'RSA is not allowed'),
            ({'profile': 'custom'}, 'needs priority or cipher_suite'),
            ({'fips': 'require'}, 'says that FIPS 140 mode is off')]:
        d = example(scene, 'cleat.conf.minimal', {'tls': keys})
        code, errors, output = check_config(d)
        equal((code, output), (1, ''), keys)
        check(why in errors, errors)


def test_check_finds_faults_in_options(scene):
    """cleatd --check-config judges the options of plugins as well"""
    d = example(scene, 'cleat.conf.minimal', {'plugin.cert': {'poll': '5'}})
    code, output, _ = check_config(d)
    equal(code, 1, 'exit status')
    check('here.conf:4: [plugin.cert] poll = 5: expected a duration' in output,
          output)


if __name__ == '__main__':
    harness.main()
