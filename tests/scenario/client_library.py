#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libcleat-client as its users find it: built against what `make install` puts
into place and by nothing else, the example is a device of the real daemon."""
import datetime
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, SANITIZER, SRCDIR, Skip, check,  # noqa: E402
                     equal, main, wait_until)
from control import Control  # noqa: E402

EXAMPLE = os.path.join(SRCDIR, 'client', 'example.c')
# Says its key, and goes to sleep without a goodbye, which would be for longer.
SLEEPER = r'''
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <cleat-client.h>

static struct cleat_client *client;
static int64_t until;
static int asleep;

static void
on_answer(void *arg, const struct cleat_client_answer *answer)
{
	printf("%s %d %s\n", (const char *)arg, answer->error, answer->json);
	asleep = 1;
}

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	(void)ctx;
	(void)why;
	if (state == CLEAT_CLIENT_ONLINE)
		printf("sleep %d\n", cleat_client_sleep(client, until,
		    on_answer, "answer"));
}

int
main(int argc, char **argv)
{
	char why[CLEAT_CLIENT_WHY_SIZE];
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .endpoint = "sleeper-1", .enrol = true,
		.identity_file = "sleeper.key", .state = on_state
	};

	if (argc != 3)
		return 2;
	opts.server = argv[1];
	until = strtoll(argv[2], NULL, 10);
	if (cleat_client_new(&opts, why, &client) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	printf("key %s\n", cleat_client_public_key(client));
	printf("sleep %d\n", cleat_client_sleep(client, until, NULL, NULL));
	while (!asleep) {
		struct pollfd p = { cleat_client_fd(client),
		    cleat_client_poll_events(client), 0 };

		poll(&p, p.fd >= 0, cleat_client_timeout_ms(client));
		cleat_client_process(client);
	}
	cleat_client_free(&client);
	return 0;
}
'''


def run(*args, cwd=None, **env):
    clean = {k: v for k, v in os.environ.items()
             if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'DESTDIR')}
    p = subprocess.run(args, env=dict(clean, **env), text=True, timeout=120, cwd=cwd,
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


def build(scene, source, name):
    """The program, and the environment that it finds the library by."""
    lib, flags = install(scene)
    run(*compiler(), '-std=c11', '-Wall', '-Wextra', '-Werror', source, '-o',
        scene.path(name), *flags)
    return scene.path(name), dict(LD_LIBRARY_PATH=lib, no_proxy='*')


def daemon(scene):
    """The daemon, and its URL."""
    d = scene.daemon(conf={'auth': {'enrol': 'open'}, 'listener.plain': {
        'address': '127.0.0.1:0', 'tls': 'no'}}).start()
    return d, 'ws://127.0.0.1:%d' % d.address('plain')[1]


def test_example(scene):
    """the example is built with header, library and .pc, enrols and reports"""
    with open(EXAMPLE) as f:
        check(f.read().count('\n') <= 64, 'it has some 60 lines')
    lamp_of, env = build(scene, EXAMPLE, 'lamp')
    d, url = daemon(scene)
    scene.spawn(lamp_of, url, cwd=scene.dir, stdout=subprocess.DEVNULL,
                env=dict(os.environ, **env))

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


def test_sleep(scene):
    """a device tells its public key, and sleeps when the server knows it"""
    source = scene.path('sleeper.c')
    with open(source, 'w') as f:
        f.write(SLEEPER)
    sleeper, env = build(scene, source, 'sleeper')
    d, url = daemon(scene)
    until = int(time.time() * 1000) + 3600000
    said = run(sleeper, url, str(until), cwd=scene.dir, **env).splitlines()
    equal(said[1:], [f'sleep {-errno.ENOTCONN}', 'sleep 0', 'answer 0 {}'])
    name, key = said[0].split()
    equal((name, len(key)), ('key', 64))
    c = Control(d)
    wait_until('asleep', lambda: c.get('/v1/endpoints/sleeper-1')['state'] ==
               'asleep')
    entry = c.get('/v1/endpoints/sleeper-1')
    told = datetime.datetime.fromisoformat(
        entry['asleep_until'].replace('Z', '+00:00'))
    equal(round(told.timestamp() * 1000), until, 'asleep until')
    known, = c.get('/v1/endpoints/sleeper-1/credentials')['credentials']
    equal(known['fingerprint'],
          hashlib.sha256(bytes.fromhex(key)).hexdigest(), 'the key')


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
