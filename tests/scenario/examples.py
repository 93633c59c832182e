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
    os.makedirs(parts)
    with open(os.path.join(parts, 'here.conf'), 'w') as f:
        for section, keys in {**HERE, **overrides}.items():
            f.write(f'[{section}]\n')
            f.writelines(f'{k} = {v}\n' for k, v in keys.items())
    return d


def check_config(daemon):
    p = subprocess.run(
        daemon.command('-c', daemon.conf_path, '--check-config'),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=harness.PATIENCE)
    return p.returncode, p.stdout


def is_good(scene, name):
    code, output = check_config(example(scene, name, {}))
    equal((code, output), (0, ''), f'etc/{name}')


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
    code, output = check_config(d)
    equal(code, 1, 'exit status')
    check('here.conf:4: [presence] pinng: unknown key (did you mean "ping"?)'
          in output, output)


def test_check_finds_faults_in_options(scene):
    """cleatd --check-config judges the options of plugins as well"""
    d = example(scene, 'cleat.conf.minimal', {'plugin.cert': {'poll': '5'}})
    code, output = check_config(d)
    equal(code, 1, 'exit status')
    check('here.conf:4: [plugin.cert] poll = 5: expected a duration' in output,
          output)


if __name__ == '__main__':
    harness.main()
