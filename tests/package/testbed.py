#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The packages in a second system, that has compilers and tools: the package of
a plugin is made and installed, needrestart comes after the update of a library,
and Debian's autopkgtest runs the tests of debian/tests.  Run by
`make check-package`, after build.py:

    testbed.py TARBALL WORK [TEST...]

Needs root, and the network for the first time."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine, base  # noqa: E402
import story  # noqa: E402
from story import (WORK, debs, dependencies, main_pid,  # noqa: E402
                   need_machine, show, status, tell, there)
from harness import Skip, check, equal, wait_until  # noqa: E402

TOOLS = ('apparmor', 'autopkgtest', 'build-essential', 'debhelper',
         'needrestart')
EXAMPLE = '/usr/share/doc/cleat-dev/examples/example/example-status'
PLUGIN = {
    'control': '''Source: cleat-plugin-example
Maintainer: Nobody <nobody@example.org>
Section: net
Priority: optional
Standards-Version: 4.6.2
Rules-Requires-Root: no
Build-Depends: debhelper-compat (= 13), dh-sequence-cleat, pkg-config

Package: cleat-plugin-example
Architecture: any
Depends: ${misc:Depends}, ${shlibs:Depends}
Description: an example
 It counts events.
''',
    'changelog': '''cleat-plugin-example (1.0) unstable; urgency=medium

  * First.

 -- Nobody <nobody@example.org>  Sat, 21 Nov 2026 18:00:00 +0000
''',
    'rules': '#!/usr/bin/make -f\n%:\n\tdh $@\n',
    'source/format': '3.0 (native)\n',
    'install': 'debian/50-example.conf etc/cleat/conf.d\n',
    '50-example.conf': '[plugin.example]\nmodule = example-status\n'
                       'required = no\n',
}


def tests_depend():
    """On what debian/tests/control says, that is not ours."""
    path = os.path.join(os.environ['CLEAT_SRCDIR'], 'debian/tests/control')
    with open(path) as f:
        lines = re.findall(r'^Depends: (.*(?:\n .*)*)', f.read(), re.M)
    return {d for line in lines for d in re.split(r',\s+', line)
            if not d.startswith('cleat')}


def test_boot(_scene):
    """a system with compilers and tools boots"""
    if os.geteuid() != 0:
        raise Skip('needs root')
    wanted = {*tests_depend(), *TOOLS, *dependencies().split(', ')}
    m = Machine(WORK, base(WORK, ', '.join(sorted(wanted)), 'testbed'))
    m.boot()
    story.enter(m)


# ---- the package of a plugin ------------------------------------------------

def plugin_deb():
    architecture = story.machine.out('dpkg', '--print-architecture').strip()
    return f'/build/cleat-plugin-example_1.0_{architecture}.deb'


def test_plugin_is_built(_scene):
    """a source package with dh-sequence-cleat; cleat-dev alone is installed"""
    m = need_machine()
    m.install(debs('old', ['cleat-dev']))
    m.out('mkdir', '/build')
    m.out('cp', '-r', EXAMPLE, '/build/plugin')
    for name, text in PLUGIN.items():
        m.write(text, 'build/plugin/debian', name)
    os.chmod(m.path('build/plugin/debian/rules'), 0o755)
    m.out('sh', '-c', 'cd /build/plugin && dpkg-buildpackage -us -uc -b')
    depends = m.out('dpkg-deb', '-f', plugin_deb(), 'Depends')
    check('cleat-plugin-abi-1' in depends, depends)


def test_plugin_needs_the_abi(_scene):
    """it is refused as long as no cleatd provides the ABI, or another one"""
    m = need_machine()
    said, code = m.run('dpkg', '-i', plugin_deb(), ok=False)
    check(code != 0 and 'cleat-plugin-abi-1' in said, said)
    m.out('dpkg', '--purge', 'cleat-plugin-example')
    m.install(debs('old'))
    for change in 's/-abi-1/-abi-2/', r's/(>= 1\.[0-9]*)/(>= 1.99)/':
        m.out('sh', '-c', 'cd /build && rm -rf other && '
              'dpkg-deb -R cleat-plugin-example_*.deb other && '
              f'sed -i "{change}" other/DEBIAN/control && '
              'dpkg-deb -b other other.deb')
        said, code = m.run('dpkg', '-i', '/build/other.deb', ok=False)
        check(code != 0 and 'cleat-plugin-abi-' in said, said)
        m.out('dpkg', '--purge', 'cleat-plugin-example')


def test_apparmor(_scene):
    """the profile is one; where AppArmor is, the kernel takes it"""
    story.machine.out('apparmor_parser', '--skip-kernel-load', '--skip-cache',
                      '/etc/apparmor.d/usr.sbin.cleatd')


def plugins():
    return {p['instance']: p['up'] for p in status()['plugins']}


def test_plugin_is_installed(_scene):
    """it restarts nothing, an upgrade of cleatd puts it in force, a rest is
    harmless"""
    m = need_machine()
    pid = main_pid()
    m.out('dpkg', '-i', plugin_deb())
    equal(main_pid(), pid)
    check('example' not in plugins(), 'it is in force')
    m.out('cleatctl', 'upgrade', '--wait')
    equal(plugins().get('example'), True)
    m.out('dpkg', '--remove', 'cleat-plugin-example')
    check(status()['restart']['pending'], 'what it runs from is gone')
    equal(there('etc/cleat/conf.d/50-example.conf'),
          ['etc/cleat/conf.d/50-example.conf'])
    m.out('systemctl', 'restart', 'cleatd')
    check(not plugins().get('example'), 'it is up without its file')
    m.out('dpkg', '--purge', 'cleat-plugin-example')
    equal(there('etc/cleat/conf.d/50-example.conf'), [])


# ---- needrestart ------------------------------------------------------------

def test_needrestart(_scene):
    """after a library's update needrestart leaves cleatd alone, status tells"""
    m = need_machine()
    pid = main_pid()
    wait_until('the service is settled', lambda: status()['recovery']
               ['active'] is False)
    library = m.out('sh', '-c', 'readlink -f '
                    '/usr/lib/*/libgnutls.so.30').strip()
    # As dpkg does.
    m.out('cp', '-p', library, library + '.dpkg-new')
    m.out('mv', library + '.dpkg-new', library)
    seen = m.out('needrestart', '-b', '-l', '-r', 'l')
    check('NEEDRESTART-SVC: cleatd.service' in seen, seen)
    m.out('needrestart', '-l', '-r', 'a')
    equal((main_pid(), show('NRestarts')), (pid, '0'))
    pending = status()['restart']
    check(pending['pending'] and library in pending['replaced'],
          f'{pending}')
    said = m.out('cleatctl', 'status')
    check(re.search(r'^restart: +pending', said, re.M), said)
    m.out('cleatctl', 'upgrade', '--wait')
    equal(status()['restart'], {'replaced': [], 'pending': False})
    seen = m.out('needrestart', '-b', '-l', '-r', 'l')
    check('cleatd.service' not in seen, seen)
    # Without the file of the package it would have been restarted.
    m.out('cp', '-p', library, library + '.dpkg-new')
    m.out('mv', library + '.dpkg-new', library)
    m.out('mv', '/etc/needrestart/conf.d/cleat.conf', '/root')
    pid = main_pid()
    m.out('needrestart', '-l', '-r', 'a')
    check(main_pid() != pid, 'needrestart restarts nothing here')
    m.out('mv', '/root/cleat.conf', '/etc/needrestart/conf.d')


# ---- autopkgtest ------------------------------------------------------------

def test_autopkgtest(_scene):
    """autopkgtest passes each test of debian/tests"""
    m = need_machine()
    path = os.path.join(os.environ['CLEAT_SRCDIR'], 'debian/tests/control')
    with open(path) as f:
        names = re.findall(r'^Tests: (.*)', f.read(), re.M)
    shutil.rmtree(m.path('src'), ignore_errors=True)
    source = glob.glob(os.path.join(WORK, 'old', '*.debian.tar.xz'))
    check(source, 'there is no source package')
    os.makedirs(m.path('src'))
    subprocess.run(['tar', '-x', '-f', source[0], '-C', m.path('src')],
                   check=True)
    all_debs = debs('old', ('cleat', 'cleat-agent', 'cleat-dev'))
    os.makedirs(m.path('debs'), exist_ok=True)
    for deb in all_debs:
        shutil.copy(deb, m.path('debs'))
    said, code = m.run(
        'autopkgtest', '--no-built-binaries', '--summary=/root/summary',
        *('/debs/' + os.path.basename(deb) for deb in all_debs),
        '/src/', '--', 'null', ok=False)
    with open(os.path.join(WORK, 'autopkgtest.log'), 'w') as f:
        f.write(said)
    with open(m.path('root/summary')) as f:
        summary = f.read()
    for line in summary.splitlines():
        print('# autopkgtest:', line)
    passed = re.findall(r'^(\S+)\s+PASS', summary, re.M)
    equal(sorted(passed), sorted(names), said[-6000:])
    equal(code, 0, said[-3000:])


if __name__ == '__main__':
    tell()
