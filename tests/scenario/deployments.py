#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The deployments of doc/examples: an EMS-style one, taken over from its
config.json, in medium and high security, and a Thriot-style one.  The scripts
are run as they are; the right devices come online, the wrong ones stay out."""
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from agents import Agent  # noqa: E402
from control import Control  # noqa: E402
from harness import (BUILDDIR, PATIENCE, SRCDIR, check, equal,  # noqa: E402
                     need, ports, wait_until)

EXAMPLES = os.path.join(SRCDIR, 'doc', 'examples')
# As if all of it were installed.
ENV = dict(os.environ, ADDRESS='127.0.0.1',
           PATH=BUILDDIR + ':' + os.environ['PATH'])


def run(*args, **kw):
    p = subprocess.run(args, env=ENV, capture_output=True, text=True,
                       timeout=PATIENCE * 2, **kw)
    check('Sanitizer' not in p.stderr and 'runtime error' not in p.stderr,
          p.stderr)
    equal(p.returncode, 0, f'{args}: {p.stdout}{p.stderr}')
    return p.stdout, p.stderr


def start(scene, base):
    """cleatd as the script says, but for where its modules are."""
    parts = os.path.join(base, 'server', 'conf.d')
    os.makedirs(parts, exist_ok=True)
    with open(os.path.join(parts, 'zz-test.conf'), 'w') as f:
        f.write('[daemon]\nplugin_dir = '
                f'{os.path.join(BUILDDIR, "plugins-1")}\n')
    d = scene.daemon()
    d.dir = os.path.join(base, 'server')
    d.conf_path = os.path.join(d.dir, 'cleat.conf')
    d.state = os.path.join(d.dir, 'state')
    d.runtime = os.path.join(d.dir, 'run')
    return d.start()


class Device(Agent):
    """cleat-agent with a file of options, and more options."""

    def __init__(self, scene, config, *args):
        self.args = [os.path.join(BUILDDIR, 'cleat-agent'), '-c', config,
                     *args]
        self.env = {k: v for k, v in os.environ.items()
                    if not k.lower().endswith('_proxy')}
        self.scene, self.log = scene, []
        self.start()

    def stays_out(self, why, d=None, reason=None):
        """`why` is what the device says, `reason` what the daemon does."""
        self.says(r'offline: .*' + why)
        check(not any('online: ' in x for x in self.log), self.log)
        if reason:
            d.expect_log(reason)
        self.kill()


def online(d, name, security):
    got = wait_until(f'{name} online', lambda: next(
        (e for e in Control(d).get('/v1/endpoints')['endpoints']
         if e['id'] == name and e['state'] == 'online'), None))
    equal(got['security'], security, f'{name}: {got}')


def served(d, port, name):
    """The certificate that is shown, DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(('127.0.0.1', port), PATIENCE) as s:
        with context.wrap_socket(s, server_hostname=name) as t:
            return t.getpeercert(True)


# ---- EMS --------------------------------------------------------------------

class Ems:
    def __init__(self, scene, level):
        need('openssl', 'openssl')
        self.scene = scene
        self.base = scene.path('ems')
        self.port, self.site_port = ports(2)
        self.out, self.err = run(
            os.path.join(EXAMPLES, 'ems-style.sh'), self.base, level,
            'localhost', self.port, self.site_port)
        self.d = start(scene, self.base)

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def device(self, *args):
        return Device(self.scene, self.path('device', 'agent.conf'), *args)

    def site(self, *args):
        return Device(self.scene, self.path('site', 'agent.conf'), *args)

    def lines(self, kind):
        return re.findall(rf'^cleatctl: {kind}: ([\w.]+):', self.err, re.M)


def other_authority(scene, name, *fields):
    """One with the names of the real one, and a device's certificate from it:
    ['--cert', ..., '--key', ...]"""
    where, out = scene.path('other'), scene.path(f'other-{name}')
    if not os.path.exists(where):
        run('cleat-certmgr', 'ca', 'init', '--directory', where, '--cn',
            'Fleet CA', '--o', 'Example')
    return where, issue(where, name, out, *fields)


def issue(where, name, out, *fields):
    run('cleat-certmgr', 'ca', 'issue', 'client', name, '--directory', where,
        '--out', out, *(fields or ('--o', 'Example', '--ou', 'Plant')))
    return ['--cert', out + '.pem', '--key', out + '.key']


def test_ems_medium(scene):
    """EMS, medium security: chain verified, tokens; others stay out"""
    ems = Ems(scene, 'medium')
    equal(ems.lines('weakened'), ['certificates.allow_self_signed'], ems.err)
    equal(ems.lines('wrong') + ems.lines('unknown'), [], ems.err)
    device, site = ems.device(), ems.site()
    device.says('WEAKENED: the server\'s certificate may be signed by itself')
    online(ems.d, 'ems-1', 'wss')
    online(ems.d, 'lsr-1', 'wss')
    # Names, tokens and servers that are not these.
    refused = 'hello refused: authentication failed'
    ems.site('-e', 'lsr-2').stays_out(refused)
    wrong = scene.path('wrong')
    with open(wrong, 'w') as f:
        f.write('0123456789abcdef0123456789abcdef\n')
    ems.site('--token-file', wrong).stays_out(refused)
    where, _ = other_authority(scene, 'x')
    other = os.path.join(where, 'ca.pem')
    ems.site('--ca', other).stays_out('certificate')
    # It is not signed by itself, so that switch does not help it.
    ems.device('--ca', other, '--state-dir', scene.path('s'), '--token-file',
               wrong).stays_out('certificate')
    online(ems.d, 'ems-1', 'wss')
    online(ems.d, 'lsr-1', 'wss')
    device.stop()
    site.stop()


def test_ems_high(scene):
    """EMS, high security: certificates, criteria, allowlist; others stay out"""
    ems = Ems(scene, 'high')
    equal(ems.lines('weakened') + ems.lines('wrong') + ems.lines('unknown'),
          [], ems.err)
    for path in ('device/agent.conf', 'server/conf.d/wsems.conf'):
        with open(ems.path(path)) as f:
            check('plain:' not in f.read(), path)
    device, site = ems.device(), ems.site()
    online(ems.d, 'ems-1', 'wss-safe')
    online(ems.d, 'lsr-1', 'wss-safe')
    check(not any('WEAKENED' in x for x in device.log + site.log + ems.d.log),
          'a weakening')
    state = ['--state-dir', scene.path('s')]
    # Another authority of the same name, the same subject.
    _, mine = other_authority(scene, 'ems-1')
    ems.device(*mine, *state).stays_out('', ems.d, 'has an unknown issuer')
    # The right authority, which has other devices, too.
    fleet, password = ems.path('fleet'), ems.path('fleet-password')
    for fields, reason in (
            (['--o', 'Other', '--ou', 'Plant'], 'subject O "Other"'),
            (['--o', 'Example', '--ou', 'Office'], 'subject OU "Office"')):
        mine = issue(fleet, 'ems-1', scene.path('-'.join(fields)[3:]),
                     '--pass-file', password, *fields)
        ems.device(*mine, *state).stays_out('', ems.d, reason)
    # The right authority and subject, but not on the list.
    mine = issue(fleet, 'lsr-1', scene.path('lsr'), '--pass-file', password,
                 '--o', 'Example', '--ou', 'Plant')
    ems.site(*mine).stays_out('', ems.d, 'a fingerprint that is not in the '
                              'list')
    # The right certificate, but in another's name.
    ems.site('-e', 'ems-1').stays_out('hello refused: authentication failed')
    # Servers that are not the right one: another chain, subject, issuer.
    where = scene.path('other')
    for args in (['--ca', os.path.join(where, 'ca.pem')],
                 ['--subject-cn', 'elsewhere'], ['--subject-o', 'Other'],
                 ['--subject-ou', 'Site'], ['--issuer-cn', 'Example Root CA'],
                 ['--issuer-o', 'Other'], ['--issuer-ou', 'Other']):
        ems.device(*args, *state).stays_out('certificate')
    online(ems.d, 'ems-1', 'wss-safe')
    online(ems.d, 'lsr-1', 'wss-safe')
    # It is stolen.
    run('cleat-certmgr', 'ca', 'revoke', ems.path('device', 'ems-1.pem'),
        '--directory', fleet, '--pass-file', password, '--out',
        ems.path('server', 'fleet.crl'))
    device.says('offline: .*4005')
    device.stop()
    ems.device().stays_out('', ems.d, 'certificate is revoked')
    online(ems.d, 'lsr-1', 'wss-safe')
    site.stop()


# ---- Thriot -----------------------------------------------------------------

def sha1(path):
    out, _ = run('openssl', 'x509', '-in', path, '-noout', '-fingerprint',
                 '-sha1')
    return out.strip().split('=')[1].replace(':', '').lower()


def test_thriot(scene):
    """Thriot: PFX in a store by thumbprint, devices that believe the root"""
    need('openssl', 'openssl')
    script = os.path.join(EXAMPLES, 'thriot-style.sh')
    base, (port,) = scene.path('thriot'), ports(1)
    run(script, 'server', base, 'localhost', port)
    # The store has more than one; the thumbprint says which.
    crt, key = scene.server_cert()
    run('openssl', 'pkcs12', '-export', '-in', crt, '-inkey', key,
        '-passout', 'file:' + os.path.join(base, 'server', 'pfx.password'),
        '-out', os.path.join(base, 'store', 'newer.pfx'))
    d = start(scene, base)
    der = served(d, int(port), 'localhost')
    equal(hashlib.sha1(der).hexdigest(),
          sha1(os.path.join(base, 'pki', 'localhost.pem')), 'what is served')
    run(script, 'device', base, 'lamp-1')
    config = os.path.join(base, 'devices', 'lamp-1', 'agent.conf')
    lamp = Device(scene, config)
    online(d, 'lamp-1', 'wss-safe')
    check(not any('WEAKENED' in x for x in lamp.log), lamp.log)
    # Once means once; nobody comes without one, or in another's name.
    for args, why in [(['-e', 'lamp-2'], 'hello refused'),
                      (['-e', 'lamp-1'], 'hello refused'),
                      (['--ca', scene.pki.ca], 'certificate')]:
        Device(scene, config, '--state-dir', scene.path(
            f'state{len(args)}{args[1][-1]}'), *args).stays_out(why)
    # It keeps its key: the token is not needed any more.
    lamp.stop()
    os.unlink(os.path.join(base, 'devices', 'lamp-1', 'once'))
    lamp = Device(scene, config)
    online(d, 'lamp-1', 'wss-safe')
    lamp.stop()


if __name__ == '__main__':
    harness.main()
