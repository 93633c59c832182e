# SPDX-License-Identifier: Apache-2.0
"""What the stories of the packages have in common: where things are, what is
asked of the installed daemon, and the machine that they happen in."""
import glob
import json
import os
import re
import ssl
import sys

from machine import run
from harness import Failure, Skip, equal, main, need, wait_until

TARBALL, WORK = (os.path.abspath(p) for p in sys.argv[1:3])

machine = None          # booted


def enter(m):
    """From now on what is asked here is asked in there."""
    global machine
    machine = m


def tell():
    """Runs the tests of the program, and shuts the machine down."""
    del sys.argv[1:3]
    try:
        main()
    finally:
        if machine is not None:
            machine.close()


class Service:
    """What a Device wants to know of its daemon."""

    def __init__(self, scene, port=8443):
        self.scene, self.port, self.tokens = scene, port, {}

    def address(self, _listener):
        return '127.0.0.1', self.port

    def token(self, name):
        if name not in self.tokens:
            machine.run('cleatctl', 'endpoint', 'add', name, ok=False)
            self.tokens[name] = machine.result(
                'cleatctl', 'credential', 'add', name).strip()
        return self.tokens[name]


class Trust:
    """The scene of one test ends with it; this certificate does not."""

    def __init__(self, ca):
        self.context = ssl.create_default_context(cafile=ca)

    def client_context(self, _cert=None):
        return self.context


def need_machine():
    if machine is None:
        raise Skip('there is no booted system')
    return machine


def debs(version, names=('cleat', 'cleat-agent')):
    found = []
    for name in names:
        found += glob.glob(os.path.join(WORK, version, name + '_*.deb'))
    equal(len(found), len(names), f'packages of {names} in {version}')
    return found


def show(prop, unit='cleatd.service'):
    return machine.out('systemctl', 'show', '-P', prop, unit).strip()


def main_pid(unit='cleatd.service'):
    return int(show('MainPID', unit))


def status():
    return machine.json('cleatctl', 'status', '--json')


def endpoint(name):
    return machine.json('cleatctl', 'endpoint', 'show', name, '--json')


def online(name):
    def state():
        said, code = machine.run('cleatctl', 'endpoint', 'show', name,
                                 '--json', ok=False)
        return code == 0 and json.loads(said)['state'] == 'online'
    wait_until(f'{name} is online', state)


def journal(*args):
    return machine.out('journalctl', '--no-pager', '-o', 'short-monotonic',
                       *args)


def dependencies():
    """What the packages need that are none of ours."""
    out = []
    for deb in debs('old'):
        said, _ = run('dpkg-deb', '-f', deb, 'Depends')
        out += [d for d in said.strip().split(', ') if 'cleat' not in d]
    return ', '.join(sorted(set(out)))


def there(*paths):
    return [p for p in paths if os.path.exists(machine.path(p))]


def exposure(unit, tenths, drop_in=''):
    """systemd-analyze finds at most that, of the file and what is added."""
    need('systemd-analyze', 'systemd')
    with open(unit) as f:
        text = f.read()
    path = os.path.join(WORK, os.path.basename(unit))
    with open(path, 'w') as f:
        f.write(text + drop_in)
    said, code = run('systemd-analyze', 'security', '--offline=true',
                     f'--threshold={tenths}', path, ok=False)
    line = [x for x in said.splitlines() if 'Overall exposure' in x]
    print('#', *line)
    equal(code, 0, said)
