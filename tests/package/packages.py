#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, installed into a system of its own that is booted, and
tried there as an operator would; most of all that an upgrade of the package
keeps the channels.  Run by `make check-package`, after build.py:

    packages.py TARBALL WORK [TEST...]

The tests build on each other, in this order.  Needs root, and the network for
the first time."""
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine, base, run  # noqa: E402
import story  # noqa: E402
from story import (WORK, Service, Trust, debs, dependencies,  # noqa: E402
                   endpoint, journal, main_pid, need_machine, online, show,
                   status, tell, there)
from harness import (Beside, Closed, Device, Skip, check,  # noqa: E402
                     equal, wait_until)

WATCHDOG_S = 4
INSTALLED = ('cleat', 'cleat-agent')     # packages, and users, too
AGENT = 'cleat-agent.service'
UNITS = ('cleatd.service', AGENT)
PASSWORD = 'a key needs one'

device = None           # online through all of it


# ---- the first installation -------------------------------------------------

def test_boot(_scene):
    """a system boots"""
    if os.geteuid() != 0:
        raise Skip('needs root')
    m = Machine(WORK, base(WORK, dependencies()))
    # So that the test need not wait for half a minute.
    m.write(f'[Service]\nWatchdogSec={WATCHDOG_S}s\n',
            'etc/systemd/system/cleatd.service.d/test.conf')
    m.boot()
    m.join_network()
    story.enter(m)


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


def test_install_agent(_scene):
    """the agent's service is there, off, and its files are for it alone"""
    m = need_machine()
    said, code = m.run('systemctl', 'is-enabled', AGENT, ok=False)
    equal((said.strip(), code), ('disabled', 1))
    equal(show('ActiveState', AGENT), 'inactive')
    for path, wanted in (('/etc/cleat-agent', 'root:cleat-agent 750'),
                         ('/var/lib/cleat-agent',
                          'cleat-agent:cleat-agent 700')):
        equal(m.out('stat', '-c', '%U:%G %a', path).strip(), wanted, path)


def test_refused_start(_scene):
    """systemctl status says in words why it does not start; with the mended
    file it starts by itself"""
    m = need_machine()
    # Its own is longer than a test need wait.
    dropin = 'etc/systemd/system/cleatd.service.d/often.conf'
    m.write('[Service]\nRestartSec=100ms\n', dropin)
    m.out('systemctl', 'daemon-reload')
    m.write('[presence]\npinng = 1s\n', 'etc/cleat/conf.d/wrong.conf')
    _, code = m.run('systemctl', 'restart', 'cleatd', ok=False)
    check(code != 0, 'it starts with a wrong file')
    said, _ = m.run('systemctl', 'status', '--no-pager', '-l', 'cleatd',
                    ok=False)
    check('wrong.conf:2' in said and 'pinng' in said, said)
    # More often than the manager's default limit of starts, 5 in 10 s.
    wait_until('it is tried again and again',
               lambda: int(show('NRestarts')) > 5)
    os.unlink(m.path('etc/cleat/conf.d/wrong.conf'))
    wait_until('it starts', lambda: show('ActiveState') == 'active')
    os.unlink(m.path(dropin))
    m.out('systemctl', 'daemon-reload')


def test_own_certificate(scene):
    """a certificate of one's own CA with the key's password as a credential, a
    low port and the journal, from conf.d"""
    m = need_machine()
    crt, plain = scene.server_cert()
    key = scene.path('encrypted.key')
    run('openssl', 'pkcs8', '-topk8', '-in', plain, '-out', key,
        '-passout', 'pass:' + PASSWORD)
    # root's alone: what has it from systemd is the service.
    m.write(PASSWORD + '\n', 'root/key.password')
    os.chmod(m.path('root/key.password'), 0o600)
    m.write('[Service]\nLoadCredential=key:/root/key.password\n',
            'etc/systemd/system/cleatd.service.d/credential.conf')
    m.out('systemctl', 'daemon-reload')
    for path, name, mode in ((crt, 'chain.pem', '0644'),
                             (key, 'key.pem', '0640'),
                             (scene.pki.ca, 'ca.pem', '0644')):
        shutil.copy(path, m.path('etc/cleat', name))
        m.out('chown', 'root:cleat', '/etc/cleat/' + name)
        m.out('chmod', mode, '/etc/cleat/' + name)
    m.write('[plugin.cert]\nchain = /etc/cleat/chain.pem\n'
            'key = /etc/cleat/key.pem\n'
            'key_passphrase = credential:key\n'
            '[listener.low]\naddress = 127.0.0.1:443\n'
            '[plugin.journal]\nmodule = status-journal\nrequired = no\n'
            '[presence]\nrecovery = 1s\nretry_min = 100ms\n'
            'retry_max = 200ms\n', 'etc/cleat/conf.d/own.conf')
    # Not the service, it has no credentials.
    m.out('cleatd', '--check-config')
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


def test_agent_unit(_scene):
    """the agent under its unit, in its sandbox, reaches cleatd under its"""
    m = need_machine()
    shutil.copy(m.path('etc/cleat/ca.pem'), m.path('etc/cleat-agent'))
    m.write(m.result('cleatctl', 'enrol', 'token'), 'etc/cleat-agent/token')
    m.out('chmod', '640', '/etc/cleat-agent/token')
    m.out('chgrp', 'cleat-agent', '/etc/cleat-agent/token')
    m.write('server = wss://localhost:443\nendpoint = lamp-2\n'
            'state-dir = /var/lib/cleat-agent\n'
            'ca = /etc/cleat-agent/ca.pem\n'
            'enrol-token-file = /etc/cleat-agent/token\n'
            'telemetry = /run/lamp/telemetry\n'
            'retry-max-ms = 200\n', 'etc/cleat-agent/agent.conf')
    # Its own is longer than a test need wait.
    m.write('[Service]\nRestartSec=100ms\n',
            f'etc/systemd/system/{AGENT}.d/test.conf')
    m.out('systemctl', 'daemon-reload')
    # As cleat-agent(1) shows it, for programs that are not root's.
    m.out('groupadd', '--system', 'lamp')
    m.write('d /run/lamp 0755 root root\n'
            'p /run/lamp/telemetry 0620 cleat-agent lamp\n',
            'etc/tmpfiles.d/lamp.conf')
    m.out('systemd-tmpfiles', '--create', 'lamp.conf')
    m.out('systemctl', 'enable', '--now', AGENT)
    online('lamp-2')
    said = m.out('cat', f'/proc/{main_pid(AGENT)}/status')
    for pattern in (r'^Seccomp:\t2$', r'^NoNewPrivs:\t1$',
                    r'^CapEff:\t0000000000000000$'):
        check(re.search(pattern, said, re.M), f'{pattern}: {said}')
    check(not re.search(r'^Uid:\t0', said, re.M), 'it runs as root')
    facts = m.json('cleatctl', 'inventory', 'show', 'lamp-2', '--json')
    check('addresses' in str(facts), f'the inventory: {facts}')
    m.out('setpriv', '--reuid=nobody', '--regid=lamp', '--clear-groups',
          'sh', '-c', 'echo \'{"lumen":7}\' >/run/lamp/telemetry')
    wait_until('its telemetry', lambda: 'lumen' in m.out(
        'cleatctl', 'telemetry', 'read', 'lamp-2', '--json'))
    pid = main_pid(AGENT)
    m.out('sh', '-c', f'kill -9 {pid}')
    wait_until('it is restarted', lambda: show('NRestarts', AGENT) == '1'
               and show('ActiveState', AGENT) == 'active')
    check(main_pid(AGENT) != pid, 'the agent is the same')
    online('lamp-2')


def test_reload(scene):
    """systemctl reload waits; systemctl status says why it failed"""
    global device
    m = need_machine()
    # From here on nothing fails or ends by itself: test_watchdog reads on.
    journal('-n0', '--cursor-file=/root/cursor')
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
        # The former process may need a moment to end.
        wait_until('there is one process', lambda: story.machine.out(
            'pidof', 'cleatd').split() == [str(main_pid())])

    def check_stayed(self):
        talk()
        equal(self._channels(), self.channels)
        equal((main_pid(), status()['epoch']), (self.pid, self.epoch))


def test_upgrade_by_cleatctl(_scene):
    """cleatctl upgrade under systemd: same channels, new main process"""
    need_machine()
    for _ in range(3):
        before, talker = Before(), Talker()
        story.machine.out('cleatctl', 'upgrade', '--wait')
        talker.end()
        before.check_upgraded()


def test_package_upgrade_refused(_scene):
    """an upgrade that the new daemon refuses leaves the old one, and says"""
    m = need_machine()
    before = Before()
    m.write('[presence]\npinng = 1s\n', 'etc/cleat/conf.d/wrong.conf')
    m.out('sh', '-c', 'echo "# other" >>/lib/systemd/system/cleatd.service')
    said = m.install(debs('old'))
    check('stays in service' in said and 'pinng' in said, said)
    check('cleatd.service has changed' in said, said)
    os.unlink(m.path('etc/cleat/conf.d/wrong.conf'))
    before.check_stayed()
    pending = status()['restart']
    check(pending['pending'] and '/usr/sbin/cleatd' in pending['replaced'],
          f'{pending}')
    check('cleatctl upgrade --wait' in m.out('cleatctl', 'status'),
          'status does not say what to do')


def test_package_upgrade(_scene):
    """a higher version of the package takes the channels over"""
    m = need_machine()
    old = status()['version']
    before, talker = Before(), Talker()
    agent = main_pid(AGENT)
    said = m.install(debs('new'))
    talker.end()
    check('upgraded: cleatd ' + old + '.1 serves now' in said, said)
    check('has changed' not in said, said)
    before.check_upgraded()
    equal(status()['version'], old + '.1')
    equal(status()['restart'], {'replaced': [], 'pending': False})
    equal(m.out('dpkg', '--verify', 'cleat'), '')
    # The agent's package restarts it.
    check(main_pid(AGENT) != agent, 'the agent is the same')
    online('lamp-2')


def test_watchdog(_scene):
    """the watchdog is fed after it, and the manager does not complain"""
    m = need_machine()
    pid = main_pid()
    until = time.monotonic() + 2.5 * WATCHDOG_S
    while time.monotonic() < until:         # it is time that has to pass
        talk()
        time.sleep(0.5)
    equal((main_pid(), show('NRestarts')), (pid, '0'))
    said = journal('--cursor-file=/root/cursor')
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
    story.machine.out('sh', '-c', f'kill -9 {pid}')
    check_restarted(pid, 1)


def test_hang(_scene):
    """a process that took over and hangs is ended by the watchdog"""
    need_machine()
    wait_until('it upgrades again', lambda: story.machine.run(
        'cleatctl', 'upgrade', '--wait', ok=False)[1] == 0)
    pid = main_pid()
    story.machine.out('sh', '-c', f'kill -STOP {pid}')
    check_restarted(pid, 2)
    check('Watchdog timeout' in journal('-u', 'cleatd'), 'why?')


def test_stopped(_scene):
    """what the operator had stopped is not started by an upgrade"""
    m = need_machine()
    m.out('systemctl', 'stop', *UNITS)
    m.install(debs('new'))
    for unit in UNITS:
        equal(show('ActiveState', unit), 'inactive', unit)
    m.out('systemctl', 'start', *UNITS)
    come_back()
    online('lamp-1')
    online('lamp-2')


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
    # As the file says that is installed.
    m.out('cp', '/usr/share/doc/cleat/examples/cleatd-socket.conf',
          '/etc/systemd/system/cleatd.service.d')
    m.out('systemctl', 'daemon-reload')
    m.out('systemctl', 'stop', 'cleatd')
    m.out('systemctl', 'enable', '--now', 'cleatd.socket')
    m.out('systemctl', 'start', 'cleatd')
    come_back()
    said = m.out('cat', f'/proc/{main_pid()}/status')
    check(re.search(r'^CapEff:\t0000000000000000$', said, re.M), said)
    number = endpoint('till-1')['channel']
    wait_until('it upgrades', lambda: story.machine.run(
        'cleatctl', 'upgrade', '--wait', ok=False)[1] == 0)
    talk()
    equal(endpoint('till-1')['channel'], number)
    m.install(debs('new'))
    m.out('systemctl', 'is-active', 'cleatd.socket')
    m.out('systemctl', 'restart', 'cleatd')
    come_back()


# ---- the end ----------------------------------------------------------------

def test_remove(_scene):
    """removing ends the service and leaves configuration and state"""
    m = need_machine()
    m.out('dpkg', '--remove', *INSTALLED)
    for unit in ('cleatd.service', 'cleatd.socket', AGENT):
        _, code = m.run('systemctl', 'is-active', unit, ok=False)
        check(code != 0, f'{unit} is active')
    wait_until('no process is left', lambda: not m.run(
        'pidof', 'cleatd', ok=False)[0])
    equal(there('usr/sbin/cleatd', 'usr/bin/cleatctl',
                'lib/systemd/system/cleatd.service', 'run/cleat',
                'usr/bin/cleat-agent', 'lib/systemd/system/' + AGENT,
                'run/cleat-agent'), [])
    kept = ('etc/cleat/cleat.conf', 'etc/cleat/conf.d/own.conf',
            'var/lib/cleat/cleat.db', 'etc/needrestart/conf.d/cleat.conf',
            'etc/apparmor.d/usr.sbin.cleatd', 'etc/cleat-agent/agent.conf',
            'var/lib/cleat-agent/identity')
    equal(there(*kept), list(kept))


def test_install_again(_scene):
    """what is enabled starts when it is installed again after a removal"""
    m = need_machine()
    m.install(debs('new'))
    for unit in ('cleatd.socket', *UNITS):
        equal(show('ActiveState', unit), 'active', unit)
    equal(status()['state'], 'ready')


def test_purge(_scene):
    """purging takes conffiles and state; what the operator wrote stays"""
    m = need_machine()
    m.out('dpkg', '--purge', *INSTALLED)
    equal(there('etc/cleat/cleat.conf', 'etc/cleat/conf.d/README',
                'var/lib/cleat', 'etc/needrestart/conf.d/cleat.conf',
                'etc/apparmor.d/usr.sbin.cleatd',
                'etc/apparmor.d/local/usr.sbin.cleatd',
                'etc/systemd/system/multi-user.target.wants/cleatd.service',
                'etc/systemd/system/sockets.target.wants/cleatd.socket',
                'etc/systemd/system/multi-user.target.wants/' + AGENT,
                'etc/cleat-agent/agent.conf', 'var/lib/cleat-agent'
                ), [])
    own = ['etc/cleat/conf.d/own.conf', 'etc/cleat-agent/token']
    equal(there(*own), own)
    for user in INSTALLED:
        m.out('getent', 'passwd', user)


def test_agent_without_directory(_scene):
    """/etc/cleat-agent is put away, too, when the version before had none"""
    m = need_machine()
    shutil.rmtree(m.path('etc/cleat-agent'))
    former = m.path('root/former')
    run('dpkg-deb', '-R', debs('old', ['cleat-agent'])[0], former)
    shutil.rmtree(os.path.join(former, 'etc'))
    for name in ('conffiles', 'preinst', 'postinst', 'prerm', 'postrm'):
        os.unlink(os.path.join(former, 'DEBIAN', name))
    run('sed', '-i', 's/^Version: .*/Version: 0.0.1/',
        os.path.join(former, 'DEBIAN', 'control'))
    run('dpkg-deb', '-b', former, former + '.deb')
    m.out('dpkg', '-i', '/root/former.deb')
    equal(there('etc/cleat-agent'), [])
    m.install(debs('old', ['cleat-agent']))
    equal(m.out('stat', '-c', '%U:%G %a', '/etc/cleat-agent').strip(),
          'root:cleat-agent 750')


if __name__ == '__main__':
    tell()
