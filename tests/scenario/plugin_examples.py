#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin author's day: the examples are built against what `make install`
puts into place, and by nothing else, and the daemon loads what comes out."""
import os
import shutil
import subprocess
import tempfile

SRC = os.environ['CLEAT_SRCDIR']
BUILD = os.environ['CLEAT_BUILDDIR']
EXAMPLES = ['example-cert', 'example-proto', 'example-status']
CONF = '''[daemon]
state_dir = %(tmp)s
runtime_dir = %(tmp)s
plugin_dir = %(tmp)s/modules
[listener.x]
address = 127.0.0.1:0
[slot.m]
source = cert
default = yes
[plugin.cert]
module = example-cert
file = %(tmp)s/x.pem
[plugin.proto]
module = example-proto
[plugin.status]
module = example-status
'''

done = 0


def ok(good, name, output=''):
    global done
    done += 1
    for line in ('' if good else output).splitlines():
        print('# ' + line)
    print('%sok %d - %s' % ('' if good else 'not ', done, name))


def run(args, **more):
    env = dict(os.environ)
    for name in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'DESTDIR'):
        env.pop(name, None)
    env.update(more)
    p = subprocess.run(args, env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=120)
    return p.returncode == 0, p.stdout


def main():
    tmp = tempfile.mkdtemp(prefix='cleat-examples-')
    try:
        root = os.path.join(tmp, 'root')
        good, text = run(['make', '-C', BUILD, 'DESTDIR=' + root,
                          'install-pkgincludeHEADERS',
                          'install-pkgconfigDATA'])
        ok(good, 'the headers and cleat-plugin.pc are installed', text)
        pc = [d for d, _, f in os.walk(root) if 'cleat-plugin.pc' in f]
        modules = os.path.join(tmp, 'modules')
        os.mkdir(modules, 0o755)
        for name in EXAMPLES:
            there = os.path.join(tmp, name)
            shutil.copytree(os.path.join(SRC, 'plugins/example', name), there)
            # The source tree may be read-only.
            os.chmod(there, 0o755)
            with open(os.path.join(there, 'Makefile')) as f:
                lines = f.read().count('\n')
            ok(lines <= 12, '%s has a Makefile of 12 lines' % name)
            good, text = run(['make', '-C', there, 'CFLAGS=-O1 -Wall -Wextra '
                              '-Werror'], PKG_CONFIG_PATH=pc[0],
                             PKG_CONFIG_SYSROOT_DIR=root)
            ok(good, '%s is built with them alone' % name, text)
            if good:
                to = os.path.join(modules, name + '.so')
                shutil.copy(os.path.join(there, name + '.so'), to)
                os.chmod(to, 0o644)
        conf = os.path.join(tmp, 'cleat.conf')
        with open(conf, 'w') as f:
            f.write(CONF % {'tmp': tmp})
        good, text = run([os.path.join(BUILD, 'cleatd'), '-c', conf,
                          '--check-config'])
        ok(good, 'the daemon takes all three', text)
        with open(conf, 'a') as f:
            f.write('every = never\n')
        good, text = run([os.path.join(BUILD, 'cleatd'), '-c', conf,
                          '--check-config'])
        ok(not good and 'every' in text,
           'and checks their options', text)
    finally:
        shutil.rmtree(tmp)
    print('1..%d' % done)


if __name__ == '__main__':
    main()
