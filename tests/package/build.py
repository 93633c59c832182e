#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages are built: this version twice, under other circumstances
and to the same bytes, and a higher version; lintian and the sandboxes are
looked at.
Run by `make check-package`:

    build.py TARBALL WORK [TEST...]
"""
import filecmp
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import run, unpack  # noqa: E402
from story import TARBALL, WORK, debs, exposure, tell  # noqa: E402
from harness import Failure, check, equal, need  # noqa: E402

EXPOSURE, EXPOSURE_SOCKET, EXPOSURE_AGENT = 16, 14, 12      # tenths
PACKAGES = ('cleat', 'cleat-agent', 'cleat-dev', 'libcleat-client0',
            'libcleat-client-dev')


def build(folder, into, *args, tested=False, before=(), env=None):
    """The products are moved into a folder of their own."""
    into = os.path.join(WORK, into)
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    options = f'parallel={os.cpu_count()}' + ('' if tested else ' nocheck')
    env = {**os.environ, 'LC_ALL': 'C', 'DEB_BUILD_OPTIONS': options,
           **(env or {})}
    with open(os.path.join(into, 'build.log'), 'w') as log:
        done = subprocess.run([*before, 'dpkg-buildpackage', '-us', '-uc',
                               *args],
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
            ('debian/changelog', f'({version}-', f'({version}.1-')):
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
    """dpkg-buildpackage makes packages of this version, and tests it, and of a
    higher one"""
    need('dpkg-buildpackage', 'dpkg-dev')
    need('dh', 'debhelper')
    folder, version = unpack(TARBALL, os.path.join(WORK, 'src'))
    shutil.copy(TARBALL, os.path.join(
        WORK, 'src', f'cleat_{version}.orig.tar.gz'))
    build(folder, 'old', tested=True)
    with open(os.path.join(WORK, 'old', 'build.log')) as f:
        check(re.search('^# PASS: +[1-9]', f.read(), re.M), 'no test ran')
    raise_version(folder, version)
    build(folder, 'new', '-b', '-nc')
    debs('old', PACKAGES)
    debs('new', PACKAGES)


def test_reproducible(_scene):
    """another folder, year, time zone, locale and umask: the same bytes come"""
    need('faketime', 'faketime')
    folder, _ = unpack(TARBALL, os.path.join(WORK, 'again-src'))
    other = os.path.join(os.path.dirname(folder), 'another-folder')
    os.rename(folder, other)
    before = os.umask(0o002)
    try:
        build(other, 'again', '-b', before=('faketime', '-f', '+400d'),
              env={'LC_ALL': 'C.UTF-8', 'LANGUAGE': 'de',
                   'TZ': 'Pacific/Kiritimati', 'HOME': '/nonexistent/2',
                   'USER': 'somebody'})
    finally:
        os.umask(before)
    for name in PACKAGES:
        first, second = debs('old', [name])[0], debs('again', [name])[0]
        if not filecmp.cmp(first, second, shallow=False):
            raise Failure(f'{name} differs:\n' + difference(first, second))
    shutil.rmtree(os.path.join(WORK, 'again-src'))


def difference(first, second):
    """Which files of two packages differ."""
    for deb, name in ((first, 'first'), (second, 'second')):
        to = os.path.join(WORK, 'again-src', name)
        run('dpkg-deb', '-R', deb, to)
    return run('diff', '-rq', '--no-dereference', 'first', 'second',
               ok=False, cwd=os.path.join(WORK, 'again-src'))[0]


def test_lintian(_scene):
    """lintian --pedantic has nothing to say of sources and packages"""
    need('lintian', 'lintian')
    changes = glob.glob(os.path.join(WORK, 'old', '*.changes'))
    check(changes, 'nothing was built')
    said, _ = run('lintian', '--allow-root', '--pedantic', '--fail-on',
                  'error,warning,info,pedantic', *changes)
    equal(said.strip(), '')


def test_exposure(_scene):
    """systemd-analyze security: at most 1.6, by socket 1.4, the agent 1.2"""
    etc = os.path.join(os.environ['CLEAT_SRCDIR'], 'etc')
    unit = os.path.join(etc, 'cleatd.service')
    exposure(unit, EXPOSURE)
    with open(os.path.join(etc, 'cleatd-socket.conf')) as f:
        exposure(unit, EXPOSURE_SOCKET, f.read())
    exposure(os.path.join(etc, 'cleat-agent.service'), EXPOSURE_AGENT)


def abi():
    """What the plugins here are built for."""
    with open(os.path.join(os.environ['CLEAT_SRCDIR'],
                           'include/cleat/abi.h')) as f:
        return '.'.join(re.findall(r'CLEAT_ABI_M\w+ ([0-9]+)u$', f.read(),
                                   re.M))


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
        equal(re.findall(r'misc:Depends=(.*)', f.read()),
              [f'cleat-plugin-abi-1 (>= {abi()})'])
    check(not os.path.exists(scene.path('debian', 'without.substvars')),
          'a package without a plugin depends on the ABI')
    run('perl', '-c', os.path.join(
        dev, 'usr/share/perl5/Debian/Debhelper/Sequence/cleat.pm'))
    provides, _ = run('dpkg-deb', '-f', debs('old', ['cleat'])[0], 'Provides')
    equal(provides.strip(), f'cleat-plugin-abi-1 (= {abi()})')


if __name__ == '__main__':
    tell()
