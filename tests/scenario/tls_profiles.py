#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles, priority strings and cipher lists, seen from the other side of a
handshake by the openssl program; and that our reading of cipher lists is
OpenSSL's."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from harness import check, equal  # noqa: E402

EMS = ('ALL:!aNULL:!eNULL:!LOW:!3DES:!MD5:!EXP:!PSK:!DSS:!RC4:!SEED:!ADH'
       ':!IDEA:!3DES:!SRP')
OURS = {'ECDHE-%s-%s' % (a, c) for a in ('ECDSA', 'RSA')
        for c in ('AES128-GCM-SHA256', 'AES256-GCM-SHA384',
                  'CHACHA20-POLY1305')}
LISTS = [
    EMS, EMS + ':!kEDH', 'ALL', 'DEFAULT', 'HIGH', 'MEDIUM:LOW:HIGH',
    'ECDHE', 'EECDH', 'kECDHE', 'ECDH', 'ECDH:!aNULL', 'aRSA', 'aECDSA',
    'RSA:ECDHE+aRSA', 'ECDHE+AESGCM', 'EECDH+AESGCM:EDH+AESGCM',
    'kEECDH+aRSA+AES256', 'AES256+ECDHE', 'AES:!AES128', 'CHACHA20',
    'CHACHA20:AESGCM:!kRSA', 'TLSv1.2', 'TLSv1.2:!aRSA', 'ALL:!CHACHA20',
    'DEFAULT:!SHA1:!SHA256',
    'ALL:!SHA384', 'ALL:!AESGCM:CHACHA20', 'ALL:+aRSA', 'FIPS',
    'ALL:@STRENGTH', 'DEFAULT@SECLEVEL=2', 'ALL!ADH', 'HIGH,!aNULL',
    'HIGH;!ECDSA', 'ECDHE-RSA-AES256-GCM-SHA384', 'ALL:!CBC',
    'ALL:!ECDHE-RSA-AES128-GCM-SHA256:!ECDHE-ECDSA-AES128-GCM-SHA256']


def openssl(*args, stdin=''):
    p = subprocess.run(('openssl',) + args, input=stdin, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=harness.PATIENCE)
    return p.returncode, p.stdout


def spoken(d, keys):
    """What --check-config says of [tls], and the suites of TLS 1.2."""
    d.configure({'tls': {'profile': None, 'priority': None,
                         'cipher_suite': None, **keys}})
    p = subprocess.run(d.command('-c', d.conf_path, '--check-config'),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=harness.PATIENCE)
    equal((p.returncode, p.stderr), (0, ''), keys)
    line = [l for l in p.stdout.splitlines() if l.startswith('tls ')][0]
    names = set()
    for name in line.split(': ')[1].split(', '):
        words = name.split('_')
        if words[1] != 'ECDHE':
            continue
        what = '_'.join(words[3:])
        names.add('ECDHE-%s-%s' % (words[2], {
            'AES_128_GCM_SHA256': 'AES128-GCM-SHA256',
            'AES_256_GCM_SHA384': 'AES256-GCM-SHA384',
            'CHACHA20_POLY1305': 'CHACHA20-POLY1305'}[what]))
    return line, names


def quoted(text):
    """A value with ; or # needs quotes in the file."""
    return '"%s"' % text


def test_lists_are_read_as_openssl_reads_them(scene):
    """of each cipher list the suites that we speak are those of openssl"""
    harness.need('openssl', 'openssl')
    d = scene.daemon()
    for text in LISTS:
        code, output = openssl('ciphers', text)
        wanted = set(output.strip().split(':')) & OURS
        if not wanted:
            continue
        line, names = spoken(d, {'cipher_suite': quoted(text)})
        equal(names, wanted, f'{text}: {line}')


def test_the_librarys_own_policy_counts(scene):
    """what /etc/gnutls/config has switched off is not spoken, and not had"""
    policy = scene.path('gnutls.conf')
    with open(policy, 'w') as f:
        f.write('[overrides]\ntls-disabled-cipher = aes-256-gcm\n')
    d = scene.daemon()
    for keys, code, text in [
            ({}, 0, 'TLS_ECDHE_RSA_AES_128_GCM_SHA256'),
            ({'cipher_suite': 'ALL'}, 0, 'TLS_ECDHE_RSA_AES_128_GCM_SHA256'),
            ({'cipher_suite': 'ECDHE-RSA-AES256-GCM-SHA384:ALL'}, 1,
             'ECDHE-RSA-AES256-GCM-SHA384 cannot be had from the library'),
            ({'priority': 'NORMAL:+AES-256-GCM'}, 1,
             'AES-256-GCM cannot be had from the library')]:
        d.configure({'tls': {'cipher_suite': None, 'priority': None,
                             **keys}})
        p = subprocess.run(
            d.command('-c', d.conf_path, '--check-config'),
            capture_output=True, text=True, timeout=harness.PATIENCE,
            env=dict(os.environ, GNUTLS_SYSTEM_PRIORITY_FILE=policy))
        equal(p.returncode, code, p.stderr)
        check(text in p.stdout + p.stderr, p.stdout + p.stderr)
        check('_AES_256_GCM_' not in p.stdout, p.stdout)


def handshake(d, *args):
    _, port = d.address()
    code, output = openssl('s_client', '-connect', f'127.0.0.1:{port}',
                           *args)
    return 'Cipher is (NONE)' not in output and \
        'New, ' in output, output


def test_the_wire_is_as_configured(scene):
    """what openssl can agree on with the daemon is what the profile says"""
    d = scene.daemon(conf={'tls': {'profile': 'modern'}}).start()
    check(any('tls: TLS1.3: TLS_AES_128' in line for line in d.log),
          'the log says it')
    check(handshake(d, '-tls1_3')[0], 'TLS 1.3')
    check(not handshake(d, '-tls1_2')[0], 'no TLS 1.2')
    d.configure({'tls': {'profile': 'intermediate',
                         'cipher_suite': EMS + ':!AES128:!CHACHA20'}})
    check(d.reload(), 'reload')
    check(any('tls: not spoken, though asked for: ' in line and
              'DHE-RSA' in line for line in d.log), 'what was dropped')
    good, output = handshake(d, '-tls1_2')
    check(good and 'ECDHE-ECDSA-AES256-GCM-SHA384' in output, output)
    check(not handshake(d, '-tls1_2', '-cipher',
                        'ECDHE-ECDSA-AES128-GCM-SHA256')[0], 'AES-128')
    check(not handshake(d, '-tls1_3', '-ciphersuites',
                        'TLS_AES_128_GCM_SHA256')[0], 'AES-128 in 1.3')
    d.configure({'tls': {'cipher_suite': 'AES128-SHA'}})
    check(not d.reload(), 'a suite that cannot be had')
    check(any('AES128-SHA is not allowed' in line for line in d.log), 'why')
    check(handshake(d, '-tls1_2')[0], 'the old policy still serves')


def test_listeners_have_their_own(scene):
    """a listener with its own profile or list speaks that, others [tls]"""
    d = scene.daemon(conf={
        'tls': {'profile': 'intermediate'},
        'listener.modern': {'address': '127.0.0.1:0',
                            'tls_profile': 'modern'},
        'listener.ems': {'address': '127.0.0.1:0',
                         'cipher_suite': EMS + ':!AES128:!CHACHA20'}}).start()
    check(any('listener.modern: TLS1.3: TLS_AES' in line for line in d.log),
          'the log says it')
    ports = {name: str(d.address(name)[1]) for name in
             ('main', 'modern', 'ems')}

    def good(name, *args):
        _, output = openssl('s_client', '-connect', '127.0.0.1:' +
                            ports[name], *args)
        return 'Cipher is (NONE)' not in output and 'New, ' in output

    weak = ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256')
    equal([good(n, '-tls1_2') for n in ports], [True, False, True], '1.2')
    equal([good(n, '-tls1_3') for n in ports], [True, True, True], '1.3')
    equal([good(n, *weak) for n in ports], [True, False, False], 'AES-128')
    p = subprocess.run(d.command('-c', d.conf_path, '--check-config'),
                       capture_output=True, text=True)
    check('\nlistener-tls modern TLS1.3: TLS_AES_128' in p.stdout, p.stdout)
    check('\nlistener-tls-dropped ems DHE-' in p.stdout, p.stdout)
    d.configure({'listener.modern': {'tls_profile': None},
                 'listener.ems': {'cipher_suite': 'AES128-SHA'}})
    check(not d.reload(), 'a bad list of one listener')
    check(any('[listener.ems] cipher_suite: AES128-SHA' in line
              for line in d.log), 'and why')
    d.configure({'listener.ems': {'cipher_suite': None}})
    check(d.reload(), 'reload')
    check(good('modern', '-tls1_2'), 'as [tls] now')
    d.stop()


def test_agent_speaks_what_it_is_told(scene):
    """profile and cipher list of the agent decide, and are logged"""
    d = scene.daemon(conf={'tls': {'profile': 'modern'}}).start()
    token = scene.path('token')
    with open(token, 'w') as f:
        f.write(d.token('lamp'))
    os.chmod(token, 0o600)
    d.reload()
    agent = [os.path.join(harness.BUILDDIR, 'cleat-agent'), '-s', d.url(),
             '-e', 'lamp', '--token-file', token, '--ca', scene.pki.ca,
             '--state-dir', scene.path('agent')]
    for args, wanted in [
            (['--cipher-suite', EMS], 'state=online'),
            (['--tls-profile', 'modern'], 'tls: TLS1.3: TLS_AES_128_GCM'),
            (['--cipher-suite', 'AES128-SHA'], 'AES128-SHA is not allowed'),
            (['--fips'], 'says that FIPS 140 mode is off')]:
        p = subprocess.Popen(agent + args, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        seen = ''
        for line in p.stderr:
            seen += line
            if wanted in line or 'online' in line and wanted == 'state=online':
                break
        else:
            p.wait()
            raise harness.Failure(f'{args}: {seen}')
        p.terminate()
        p.communicate(timeout=harness.PATIENCE)


if __name__ == '__main__':
    harness.main()
