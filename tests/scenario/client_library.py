#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libcleat-client as its users find it: built against what `make install` puts
into place and by nothing else, the example is a device of the real daemon."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, SANITIZER, SRCDIR, Skip, check,  # noqa: E402
                     equal, main, wait_until)
from control import Control  # noqa: E402

EXAMPLE = os.path.join(SRCDIR, 'client', 'example.c')


def run(*args, **env):
    clean = {k: v for k, v in os.environ.items()
             if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'DESTDIR')}
    p = subprocess.run(args, env=dict(clean, **env), text=True, timeout=120,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    equal(p.returncode, 0, ' '.join(args) + '\n' + p.stdout)
    return p.stdout


def install(scene):
    """Where it is, and the flags that pkg-config gives."""
    root = scene.path('root')
    run('make', '-C', BUILDDIR, 'DESTDIR=' + root, 'install-libLTLIBRARIES',
        'install-includeHEADERS', 'install-pkgconfigDATA')
    where = {f: d for d, _, files in os.walk(root) for f in files}
    for name in ('cleat-client.pc', 'cleat-client.h', 'libcleat-client.so.0'):
        check(name in where or any(os.path.lexists(os.path.join(d, name))
                                   for d in where.values()),
              f'{name} is not installed')
    flags = run('pkg-config', '--cflags', '--libs', 'cleat-client',
                PKG_CONFIG_PATH=where['cleat-client.pc'],
                PKG_CONFIG_SYSROOT_DIR=root).split()
    lib = next(f[2:] for f in flags if f.startswith('-L'))
    return lib, flags


def compiler():
    return os.environ.get('CC', 'cc').split() + (
        [] if SANITIZER == 'no' else ['-fsanitize=' + SANITIZER])


def test_example(scene):
    """the example is built with header, library and .pc, enrols and reports"""
    with open(EXAMPLE) as f:
        check(f.read().count('\n') <= 64, 'it has some 60 lines')
    lib, flags = install(scene)
    run(*compiler(), '-std=c11', '-Wall', '-Wextra', '-Werror', EXAMPLE, '-o',
        scene.path('lamp'), *flags)
    d = scene.daemon(conf={'auth': {'enrol': 'open'}, 'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no'}}).start()
    scene.spawn(scene.path('lamp'), 'ws://127.0.0.1:%d' %
                d.address('plain')[1], cwd=scene.dir,
                stdout=subprocess.DEVNULL,
                env=dict(os.environ, LD_LIBRARY_PATH=lib, no_proxy='*'))

    def lamp():
        return [e for e in Control(d).pages('/v1/endpoints', 'endpoints')
                if e['id'] == 'lamp-1' and e['state'] == 'online']
    wait_until('the lamp is online', lamp)
    given = Control(d).post('/v1/commands', {
        'endpoint': 'lamp-1', 'id': 'c1', 'verb': 'x-shine', 'args': {},
        'deadline_ms': 600000})
    equal(given['id'], 'c1')
    wait_until('the outcome', lambda: Control(d).get(
        '/v1/commands/c1')['final'])
    equal(Control(d).get('/v1/commands/c1')['state'], 'error',
          'a lamp obeys nobody')
    got = Control(d).get('/v1/endpoints/lamp-1/inventory')
    equal(got['inventory'], {'model': 'lamp'}, 'inventory')


def test_cplusplus(scene):
    """the header is C++, too"""
    cxx = shutil.which('c++') or shutil.which('clang++')
    if cxx is None:
        raise Skip('there is no c++ (package clang)')
    source = scene.path('x.cc')
    with open(source, 'w') as f:
        f.write('#include <cleat-client.h>\n'
                'int main() { return cleat_client_fd(nullptr); }\n')
    run(cxx, '-fsyntax-only', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
        '-I', os.path.join(SRCDIR, 'client'), source)


def test_man_page(scene):
    """the example of the man page is the example"""
    with open(EXAMPLE) as f:
        example = f.read().split('*/\n', 2)[2]
    with open(os.path.join(SRCDIR, 'doc', 'cleat-client.3.scd')) as f:
        page = f.read().replace('\\\\', '\\')
    check(example in page, 'it is another one')


if __name__ == '__main__':
    main()
