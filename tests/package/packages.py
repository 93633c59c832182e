#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: two versions are built, installed into a system of its
own that is booted, and tried there as an operator would; most of all that an
upgrade of the package keeps the channels.  Run by `make check-package`:

    packages.py TARBALL WORK [TEST...]

The tests build on each other, in this order.  Needs root, and the network for
the first time."""
import glob
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine, base, run, unpack  # noqa: E402
from harness import (PATIENCE, Beside, Closed, Device,  # noqa: E402
                     Failure, Skip, check, equal, main, need, wait_until)

TARBALL, WORK = (os.path.abspath(p) for p in sys.argv[1:3])
WATCHDOG_S = 4
EXPOSURE, EXPOSURE_SOCKET = 16, 14      # tenths
INSTALLED = ('cleat', 'cleat-agent')

machine = None          # booted
device = None           # online through all of it


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


def debs(version, names=INSTALLED):
    found = []
    for name in names:
        found += glob.glob(os.path.join(WORK, version, name + '_*.deb'))
    equal(len(found), len(names), f'packages of {names} in {version}')
    return found


def show(prop):
    return machine.out('systemctl', 'show', '-P', prop,
                       'cleatd.service').strip()


def main_pid():
    return int(show('MainPID'))


def status():
    return machine.json('cleatctl', 'status', '--json')


def endpoint(name):
    return machine.json('cleatctl', 'endpoint', 'show', name, '--json')


def online(name):
    def state():
        said, code = machine.run('cleatctl', 'endpoint', 'show', name, '--json',
                                 ok=False)
        return code == 0 and json.loads(said)['state'] == 'online'
    wait_until(f'{name} is online', state)


def journal(*args):
    return machine.out('journalctl', '--no-pager', '-o', 'short-monotonic',
                       *args)


# ---- what is built ----------------------------------------------------------

def build(folder, into, *args):
    """The products are moved into a folder of their own."""
    into = os.path.join(WORK, into)
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    env = dict(os.environ, LC_ALL='C',
               DEB_BUILD_OPTIONS=f'nocheck parallel={os.cpu_count()}')
    with open(os.path.join(into, 'build.log'), 'w') as log:
        done = subprocess.run(['dpkg-buildpackage', '-us', '-uc', *args],
                              cwd=folder, env=env, stdout=log, stderr=log,
                              stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        with open(os.path.join(into, 'build.log')) as f:
            raise Failure(''.join(f.readlines()[-30:]))
    for name in os.listdir(os.path.dirname(folder)):
        path = os.path.join(os.path.dirname(folder), name)
        if os.path.isfile(path):
            shutil.move(path, into)


def raise_version(folder, version):
    """The same tree under a higher number; make finds what is left to do."""
    for name, before, after in (
            ('configure.ac', f'[cleat], [{version}]',
             f'[cleat], [{version}.1]'),
            ('debian/changelog', f'({version})', f'({version}.1)')):
        path = os.path.join(folder, name)
        with open(path) as f:
            text = f.read()
        check(before in text, f'{before!r} is not in {name}')
        with open(path, 'w') as f:
            f.write(text.replace(before, after, 1))
    # debhelper remembers what it has done, and has switched the tracking of
    # dependencies off.
    shutil.rmtree(os.path.join(folder, 'debian', '.debhelper'))
    for name in ('autoreconf.before', 'autoreconf.after',
                 'debhelper-build-stamp'):
        os.unlink(os.path.join(folder, 'debian', name))
    said, _ = run('grep', '-rl', '--include=*.c', '"config.h"', folder)
    for path in said.split():
        os.utime(path)


def test_build(_scene):
    """dpkg-buildpackage makes packages of this version and of a higher one"""
    need('dpkg-buildpackage', 'dpkg-dev')
    need('dh', 'debhelper')
    folder, version = unpack(TARBALL, os.path.join(WORK, 'src'))
    build(folder, 'old')
    raise_version(folder, version)
    build(folder, 'new', '-b', '-nc')
    for name in ('cleat', 'cleat-agent', 'cleat-dev', 'libcleat-client0',
                 'libcleat-client-dev'):
        debs('old', [name])
        debs('new', [name])


def test_lintian(_scene):
    """lintian --pedantic has nothing to say of sources and packages"""
    need('lintian', 'lintian')
    changes = glob.glob(os.path.join(WORK, 'old', '*.changes'))
    check(changes, 'nothing was built')
    said, _ = run('lintian', '--allow-root', '--pedantic', '--fail-on',
                  'error,warning,info,pedantic', *changes)
    equal(said.strip(), '')


def test_exposure(scene):
    """systemd-analyze security: at most 1.6, with the socket unit 1.4"""
    need('systemd-analyze', 'systemd')
    unit = os.path.join(os.environ['CLEAT_SRCDIR'], 'etc', 'cleatd.service')
    run('systemd-analyze', 'security', '--offline=true',
        f'--threshold={EXPOSURE}', unit)
    with open(unit) as f:
        text = re.sub(r'(AmbientCapabilities|CapabilityBoundingSet)=.*',
                      r'\1=', f.read())
    bare = scene.path('cleatd.service')
    with open(bare, 'w') as f:
        f.write(text)
    run('systemd-analyze', 'security', '--offline=true',
        f'--threshold={EXPOSURE_SOCKET}', bare)


def test_plugin_packages(scene):
    """dh_cleat lets a plugin's package depend on the ABI, and no other one"""
    dev = scene.path('dev')
    run('dpkg-deb', '-x', debs('old', ['cleat-dev'])[0], dev)
    os.makedirs(scene.path('debian', 'with', 'usr/lib/t/cleat/plugins-1'))
    os.makedirs(scene.path('debian', 'without', 'usr/lib/t'))
    with open(scene.path('debian', 'control'), 'w') as f:
        f.write('Source: some\nMaintainer: x <x@example.org>\nBuild-Depends: '
                'debhelper-compat (= 13)\n\nPackage: with\n'
                'Architecture: any\n\nPackage: without\nArchitecture: any\n')
    with open(scene.path('debian', 'changelog'), 'w') as f:
        f.write('some (1) unstable; urgency=low\n\n  * x\n\n'
                ' -- x <x@example.org>  Sat, 21 Nov 2026 18:00:00 +0000\n')
    open(scene.path('debian/with/usr/lib/t/cleat/plugins-1/x.so'),
         'w').close()
    run(os.path.join(dev, 'usr/bin/dh_cleat'), cwd=scene.dir)
    with open(scene.path('debian', 'with.substvars')) as f:
        check('misc:Depends=cleat-plugin-abi-1' in f.read(), 'substvars')
    check(not os.path.exists(scene.path('debian', 'without.substvars')),
          'a package without a plugin depends on the ABI')
    run('perl', '-c', os.path.join(
        dev, 'usr/share/perl5/Debian/Debhelper/Sequence/cleat.pm'))
    provides, _ = run('dpkg-deb', '-f', debs('old', ['cleat'])[0], 'Provides')
    equal(provides.strip(), 'cleat-plugin-abi-1')


# ---- the first installation -------------------------------------------------

def dependencies():
    out = []
    for deb in debs('old'):
        said, _ = run('dpkg-deb', '-f', deb, 'Depends')
        out += [d for d in said.strip().split(', ') if 'cleat' not in d]
    return ', '.join(sorted(set(out)))


def test_boot(_scene):
    """a system boots"""
    global machine
    if os.geteuid() != 0:
        raise Skip('needs root')
    m = Machine(WORK, base(WORK, dependencies()))
    # So that the test need not wait for half a minute.
    m.write(f'[Service]\nWatchdogSec={WATCHDOG_S}s\n',
            'etc/systemd/system/cleatd.service.d/test.conf')
    m.boot()
    m.join_network()
    machine = m


def test_install(_scene):
    """the installed package serves at once, as its own user, in its sandbox"""
    m = need_machine()
    m.install(debs('old'))
    equal(show('ActiveState'), 'active')
    equal(m.out('systemctl', 'is-enabled', 'cleatd').strip(), 'enabled')
    equal(status()['state'], 'ready')
    said = m.out('cat', f'/proc/{main_pid()}/status')
    check(re.search(r'^Seccomp:\t2$', said, re.M), 'no system call filter')
    check(re.search(r'^NoNewPrivs:\t1$', said, re.M), 'no_new_privs')
    check(re.search(r'^CapEff:\t0000000000000400$', said, re.M), said)
    check(not re.search(r'^Uid:\t0', said, re.M), 'it runs as root')
    for path, wanted in (('/etc/cleat', 'root:cleat 750'),
                         ('/var/lib/cleat', 'cleat:cleat 700'),
                         ('/run/cleat', 'cleat:cleat 750')):
        equal(m.out('stat', '-c', '%U:%G %a', path).strip(), wanted, path)
    equal(m.out('dpkg', '--verify', *INSTALLED), '')


def test_own_certificate(scene):
    """a certificate of one's own CA, a low port and the journal, from conf.d"""
    m = need_machine()
    crt, key = scene.server_cert()
    for path, name, mode in ((crt, 'chain.pem', '0644'),
                             (key, 'key.pem', '0640'),
                             (scene.pki.ca, 'ca.pem', '0644')):
        shutil.copy(path, m.path('etc/cleat', name))
        m.out('chown', 'root:cleat', '/etc/cleat/' + name)
        m.out('chmod', mode, '/etc/cleat/' + name)
    m.write('[plugin.cert]\nchain = /etc/cleat/chain.pem\n'
            'key = /etc/cleat/key.pem\n'
            '[listener.low]\naddress = 127.0.0.1:443\n'
            '[plugin.journal]\nmodule = status-journal\nrequired = no\n'
            '[presence]\nrecovery = 1s\nretry_min = 100ms\n'
            'retry_max = 200ms\n', 'etc/cleat/conf.d/own.conf')
    m.out('systemctl', 'restart', 'cleatd')
    equal(show('ActiveState'), 'active')
    check('CN=localhost' in m.out('cleatctl', 'cert'),
          m.out('cleatctl', 'cert'))


def test_agent(_scene):
    """the packaged agent enrols and is online, and the journal has it"""
    m = need_machine()
    once = m.result('cleatctl', 'enrol', 'token')
    m.write(once, 'root/once')
    os.chmod(m.path('root/once'), 0o600)
    os.mkdir(m.path('root/lamp'))
    m.out('systemd-run', '-q', '--unit=agent', 'cleat-agent',
          '-s', 'wss://localhost:443', '-e', 'lamp-1',
          '--ca', '/etc/cleat/ca.pem', '--identity', '/root/lamp/key',
          '--enrol-token-file', '/root/once', '--state-dir', '/root/lamp')
    online('lamp-1')
    wait_until('the journal has it', lambda: m.run(
        'journalctl', '-q', '--no-pager', 'CLEAT_ENDPOINT=lamp-1',
        'CLEAT_EVENT=endpoint.online', ok=False)[0].strip())


def test_reload(scene):
    """systemctl reload waits; systemctl status says why it failed"""
    global device
    m = need_machine()
    device = Device(Service(Trust(m.path('etc/cleat/ca.pem'))), 'till-1')
    online('till-1')
    pid = main_pid()
    m.write('[presence]\npinng = 1s\n', 'etc/cleat/conf.d/wrong.conf')
    _, code = m.run('systemctl', 'reload', 'cleatd', ok=False)
    check(code != 0, 'a wrong file is reloaded')
    said, _ = m.run('systemctl', 'status', '--no-pager', '-l', 'cleatd')
    check('wrong.conf' in said and 'pinng' in said, said)
    os.unlink(m.path('etc/cleat/conf.d/wrong.conf'))
    m.write('[daemon]\nlog_level = notice\n', 'etc/cleat/conf.d/level.conf')
    m.out('systemctl', 'reload', 'cleatd')
    check('notice' in m.out('cleatctl', 'log-level'), 'not in force')
    equal((show('ActiveState'), main_pid()), ('active', pid))
    talk()


# ---- upgrades ---------------------------------------------------------------

def talk():
    """On the channel that was opened before all of this."""
    check(device is not None, 'there is no device')
    device.call('event', {'type': 'still-here', 'data': {}})


class Talker(Beside):
    """Talks all the time; end() says how often, and the longest wait for an
    answer."""

    def __init__(self):
        self.longest = 0.0
        super().__init__(self.timed)

    def timed(self):
        began = time.monotonic()
        talk()
        self.longest = max(self.longest, time.monotonic() - began)

    def end(self):
        super().end()
        check(self.turns > 0, 'nothing was said')
        print(f'# {self.turns} messages, longest wait for an answer '
              f'{self.longest * 1000:.0f} ms')


class Before:
    """What must be the same after an upgrade, and what must not."""

    def __init__(self):
        self.pid, self.epoch = main_pid(), status()['epoch']
        self.channels = self._channels()

    @staticmethod
    def _channels():
        return {e: (endpoint(e)['state'], endpoint(e)['channel'])
                for e in ('till-1', 'lamp-1')}

    def check_upgraded(self):
        talk()
        equal(self._channels(), self.channels)
        wait_until('the manager knows', lambda: main_pid() != self.pid)
        equal((show('ActiveState'), show('SubState'), show('NRestarts')),
              ('active', 'running', '0'))
        check(status()['epoch'] > self.epoch, 'the epoch has not risen')
        equal(machine.out('pidof', 'cleatd').split(), [str(main_pid())])

    def check_stayed(self):
        talk()
        equal(self._channels(), self.channels)
        equal((main_pid(), status()['epoch']), (self.pid, self.epoch))


def test_upgrade_by_cleatctl(_scene):
    """cleatctl upgrade --wait under systemd: same channels, new main process"""
    need_machine()
    for _ in range(3):
        before, talker = Before(), Talker()
        machine.out('cleatctl', 'upgrade', '--wait')
        talker.end()
        before.check_upgraded()


def test_package_upgrade_refused(_scene):
    """an upgrade that the new daemon refuses leaves the old one, and says so"""
    m = need_machine()
    before = Before()
    m.write('[presence]\npinng = 1s\n', 'etc/cleat/conf.d/wrong.conf')
    said = m.install(debs('old'))
    check('stays in service' in said and 'pinng' in said, said)
    os.unlink(m.path('etc/cleat/conf.d/wrong.conf'))
    before.check_stayed()


def test_package_upgrade(_scene):
    """a higher version of the package takes the channels over"""
    m = need_machine()
    old = status()['version']
    before, talker = Before(), Talker()
    said = m.install(debs('new'))
    talker.end()
    check('upgraded: cleatd ' + old + '.1 serves now' in said, said)
    before.check_upgraded()
    equal(status()['version'], old + '.1')
    equal(m.out('dpkg', '--verify', *INSTALLED), '')


def test_watchdog(_scene):
    """the watchdog is fed after it, and the manager does not complain"""
    m = need_machine()
    pid = main_pid()
    until = time.monotonic() + 2.5 * WATCHDOG_S
    while time.monotonic() < until:         # it is time that has to pass
        talk()
        time.sleep(0.5)
    equal((main_pid(), show('NRestarts')), (pid, '0'))
    said = journal('-b')
    for wrong in ('reception only permitted', 'Watchdog timeout',
                  'which is not our child', 'Failed with result',
                  'Main process exited', 'State \'stop-'):
        check(wrong not in said, f'the journal says {wrong!r}:\n{said}')


def come_back():
    """The device that was thrown out connects again."""
    global device
    device.sock.close()
    device = wait_until('the device is back', connect_again)


def connect_again():
    try:
        return Device(device.daemon, 'till-1')
    except (OSError, Closed):
        return None


def check_restarted(pid, restarts):
    wait_until('it is restarted', lambda: int(show('NRestarts')) == restarts
               and show('ActiveState') == 'active')
    check(main_pid() != pid, 'the main process is the same')
    come_back()
    online('lamp-1')
    online('till-1')


def test_kill(_scene):
    """kill -9 of the process that took over is noticed; all is served again"""
    need_machine()
    pid = main_pid()
    machine.out('sh', '-c', f'kill -9 {pid}')
    check_restarted(pid, 1)


def test_hang(_scene):
    """a process that took over and hangs is ended by the watchdog"""
    need_machine()
    wait_until('it upgrades again', lambda: machine.run(
        'cleatctl', 'upgrade', '--wait', ok=False)[1] == 0)
    pid = main_pid()
    machine.out('sh', '-c', f'kill -STOP {pid}')
    check_restarted(pid, 2)
    check('Watchdog timeout' in journal('-u', 'cleatd'), 'why?')


def test_socket_unit(_scene):
    """with cleatd.socket systemd has the port, and cleatd no capability"""
    m = need_machine()
    m.write('[listener.public]\naddress = systemd:public\n',
            'etc/cleat/conf.d/socket.conf')
    os.rename(m.path('etc/cleat/conf.d/own.conf'), m.path('root/own.conf'))
    with open(m.path('root/own.conf')) as f:
        m.write(f.read().replace(
            '[listener.low]\naddress = 127.0.0.1:443\n', ''),
            'etc/cleat/conf.d/own.conf')
    m.write('[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n',
            'etc/systemd/system/cleatd.service.d/bare.conf')
    m.out('systemctl', 'daemon-reload')
    m.out('systemctl', 'stop', 'cleatd')
    m.out('systemctl', 'start', 'cleatd.socket')
    m.out('systemctl', 'start', 'cleatd')
    come_back()
    said = m.out('cat', f'/proc/{main_pid()}/status')
    check(re.search(r'^CapEff:\t0000000000000000$', said, re.M), said)
    number = endpoint('till-1')['channel']
    wait_until('it upgrades', lambda: machine.run(
        'cleatctl', 'upgrade', '--wait', ok=False)[1] == 0)
    talk()
    equal(endpoint('till-1')['channel'], number)
    m.install(debs('new'))
    m.out('systemctl', 'is-active', 'cleatd.socket')
    m.out('systemctl', 'restart', 'cleatd')
    come_back()


# ---- the end ----------------------------------------------------------------

def there(*paths):
    return [p for p in paths if os.path.exists(machine.path(p))]


def test_remove(_scene):
    """removing ends the service and leaves configuration and state"""
    m = need_machine()
    m.out('dpkg', '--remove', *INSTALLED)
    for unit in ('cleatd.service', 'cleatd.socket'):
        _, code = m.run('systemctl', 'is-active', unit, ok=False)
        check(code != 0, f'{unit} is active')
    equal(m.run('pidof', 'cleatd', ok=False)[0], '')
    equal(there('usr/sbin/cleatd', 'usr/bin/cleatctl',
                'lib/systemd/system/cleatd.service', 'run/cleat'), [])
    kept = ('etc/cleat/cleat.conf', 'etc/cleat/conf.d/own.conf',
            'var/lib/cleat/cleat.db', 'etc/needrestart/conf.d/cleat.conf',
            'etc/apparmor.d/usr.sbin.cleatd')
    equal(there(*kept), list(kept))


def test_purge(_scene):
    """purging takes conffiles and state; what the operator wrote stays"""
    m = need_machine()
    m.out('dpkg', '--purge', *INSTALLED)
    equal(there('etc/cleat/cleat.conf', 'etc/cleat/conf.d/README',
                'var/lib/cleat', 'etc/needrestart/conf.d/cleat.conf',
                'etc/apparmor.d/usr.sbin.cleatd',
                'etc/apparmor.d/local/usr.sbin.cleatd',
                'etc/systemd/system/multi-user.target.wants/cleatd.service'
                ), [])
    equal(there('etc/cleat/conf.d/own.conf'), ['etc/cleat/conf.d/own.conf'])
    m.out('getent', 'passwd', 'cleat')


if __name__ == '__main__':
    del sys.argv[1:3]
    try:
        main()
    finally:
        if machine is not None:
            machine.close()
