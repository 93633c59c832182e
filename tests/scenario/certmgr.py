#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleat-certmgr (issue 4): the words and options of certmgr.bat, what is
installed and kept, what is refused and how, the small authority, and that the
real daemon serves it.  Certificates by openssl and certtool."""
import glob
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, LOCAL_SANS, PATIENCE, PING, PONG,  # noqa: E402
                     Device, Pki, Skip, check, equal, main, need,
                     obey_modes)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stapling  # noqa: E402

PROGRAM = os.path.join(BUILDDIR, 'cleat-certmgr')
REFUSED, USAGE, NOTHING, FILES, NOT_LIVE, UNREACHABLE = range(1, 7)
SELF_WORDS = 'TLS connector uses the default self-signed certificate.\n'


class Run:
    def __init__(self, *args, status=0, stdin='', env=None, program=PROGRAM,
                 **kw):
        environment = dict(os.environ, TZ='UTC', **(env or {}))
        p = subprocess.run([program, *args], env=environment, input=stdin,
                           capture_output=True, text=True,
                           timeout=PATIENCE * 2, **kw)
        self.out, self.err = p.stdout, p.stderr
        check('Sanitizer' not in p.stderr and 'runtime error' not in p.stderr,
              p.stderr)
        equal(p.returncode, status, f'{args}: {p.stdout}{p.stderr}')

    def json(self):
        return json.loads(self.out)


class Place:
    """A directory to install into, and an authority."""

    def __init__(self, scene):
        self.scene = scene
        self.dir = scene.path('tls')
        self.pki = Pki(scene.path(), 'company')

    def run(self, *args, **kw):
        return Run('--directory', self.dir, *args, **kw)

    def issue(self, name, **kw):
        return self.pki.issue(name, sans=kw.pop('sans', LOCAL_SANS), **kw)

    def file(self, name):
        with open(os.path.join(self.dir, 'current', name)) as f:
            return f.read()


def openssl(*args, **kw):
    return subprocess.run(['openssl', *args], check=True, capture_output=True,
                          **kw).stdout


def sha256(path):
    text = openssl('x509', '-in', path, '-noout', '-fingerprint', '-sha256')
    return text.decode().split('=')[1].strip().replace(':', '').lower()


def write(scene, name, data):
    path = scene.path(name)
    with open(path, 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


def trusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def served(d):
    context = trusting()
    with socket.create_connection(d.address(), PATIENCE) as s:
        with context.wrap_socket(s, server_hostname='localhost') as t:
            return ssl.DER_cert_to_PEM_cert(t.getpeercert(True))


def pem_sha256(scene, pem):
    return sha256(write(scene, 'served.pem', pem))


# ---- the words of the seed --------------------------------------------------

def test_words(scene):
    """-cert, -key, -pass, -pkcs12, -self, -show, -help say what they said"""
    p = Place(scene)
    key, csr = scene.path('k.pem'), scene.path('r.pem')
    openssl('req', '-newkey', 'rsa:2048', '-passout', 'pass:key-password',
            '-subj', '/O=MaOrg/CN=company.example.com', '-keyout', key,
            '-out', csr)
    ext = write(scene, 'ext', 'subjectAltName=DNS:company.example.com\n')
    crt, p7 = scene.path('c.pem'), scene.path('company.p7f')
    openssl('x509', '-req', '-in', csr, '-CA', p.pki.ca, '-CAkey',
            p.pki.ca_key, '-CAcreateserial', '-extfile', ext, '-days', '300',
            '-out', crt)
    openssl('crl2pkcs7', '-nocrl', '-certfile', p.pki.ca, '-certfile', crt,
            '-out', p7)
    p12 = scene.path('company-keystore.pkcs12')
    openssl('pkcs12', '-export', '-inkey', key, '-in', crt, '-certfile',
            p.pki.ca, '-passin', 'pass:key-password', '-passout',
            'pass:keystore-password', '-out', p12)
    said = p.run('-cert', p7, '-key', key, '-pass', 'key-password')
    check('warning: a password on the command line' in said.err, said.err)
    check('key-password' not in said.err + said.out, 'the password is said')
    out = p.run('-show').out
    wanted = (r'TLS connector uses a company certificate\n'
              r'Subject:\n'
              r'    Common Name:         company\.example\.com\n'
              r'    Organizational Unit:\n'
              r'    Organization:        MaOrg\n'
              r'Issuer:\n'
              r'    Common Name:         test company\n'
              r'    Organizational Unit:\n'
              r'    Organization:\n'
              r'Validity:\n'
              r'    NotBefore: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n'
              r'    NotAfter: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n'
              r'Subject Alt Names: company\.example\.com\n')
    check(re.fullmatch(wanted, out), out)
    equal(p.run('--show').out, out)
    p.run('--self')
    equal(p.run('-show').out, SELF_WORDS)
    p.run('--pkcs12', p12, '--pass=keystore-password')
    equal(p.run('-show').out, out)
    p.run('-self')
    equal(p.run('-show').out, SELF_WORDS)
    text = Run('-help').out
    equal(text, Run('--help').out)
    with open(os.path.join(os.environ.get('CLEAT_SRCDIR', '.'), 'doc',
                           'cleat-certmgr.1.scd')) as f:
        page = f.read()
    for name, words in (('cert', 'certificate chain file to install'),
                        ('help', 'show command help'),
                        ('key', 'server key file to install (bound to the '
                                'certificate chain)'),
                        ('pass', 'password to access server key'),
                        ('pkcs12', 'key store file in PKCS12 format to '
                                   'install'),
                        ('self', 'restore self signed default certificate '
                                 '(default: false)'),
                        ('show', 'show current installed certificate '
                                 '(default: false)')):
        check(re.search(rf'^    -{name} +{re.escape(words)}$', text, re.M),
              f'-{name} is not in {text}')
    for option in sorted(set(re.findall(r'(?<!\w)--?([a-z][a-z0-9-]*)',
                                        text))):
        check(f'-{option}*' in page, f'-{option} is not in the man page')


def test_usage(scene):
    """what does not go together is said, and nothing is changed"""
    p = Place(scene)
    for args, text in (((), 'nothing to do'),
                       (('-shwo',), 'did you mean -show'),
                       (('-key', 'x'), 'add -cert'),
                       (('-cert',), 'value is missing'),
                       (('-cert', ''), 'value is empty'),
                       (('-self', '-show'), 'only one of'),
                       (('-self=yes',), 'takes no value'),
                       (('-pkcs12', 'x', '-cert', 'y'), 'leave -cert'),
                       (('--check', '-self'), 'changes nothing'),
                       (('-self', '--timeout', '0'), '--timeout'),
                       (('-self', '--owner', 'nobody-of-that-name'),
                        'there is no user'),
                       (('-pass', 'a', '--pass-stdin', '-show'),
                        'one password'),
                       (('show',), 'is no option'),
                       (('-self', '--cn', 'x'), 'are for'),
                       (('ca',), 'init, issue, revoke or crl'),
                       (('ca', 'init'), '--cn is missing'),
                       (('ca', 'issue', 'client'), 'is expected')):
        check(text in p.run(*args, status=USAGE).err, f'{args}: {text}')
    check(not os.path.exists(p.dir), 'something was made')
    # As on a fresh installation of the seed.
    said = p.run('-show')
    equal(said.out, SELF_WORDS)
    check('note: ' + p.dir in said.err, said.err)
    told = p.run('-show', '--json').json()
    equal((told['ok'], told['kind'], told['chains']),
          (True, 'self-signed', []))
    check(not os.path.exists(p.dir), 'something was made')
    os.mkdir(p.dir, 0o700)
    equal(p.run('-show').out, SELF_WORDS)
    for args in (('--check',), ('--rollback',), ('--wait-live',)):
        check('nothing is installed' in p.run(*args, status=NOTHING).err,
              args)


def test_json(scene):
    """with --json each end is one object that has the exit status"""
    p = Place(scene)
    crt, key = p.issue('one')
    lost = write(scene, 'lost', '')
    good = ('-cert', crt, '-cert', p.pki.ca, '-key', key)
    other = p.issue('other')[1]
    ca = ('ca', 'issue', 'client', 'x')
    for args, status in (((), USAGE), (('-bogus',), USAGE),
                         (('-cert',), USAGE), (('a', 'b', 'c', 'd', 'e'),
                                               USAGE),
                         (('-key', 'x'), USAGE), (('x' * 5000,), USAGE),
                         (('-self', '-timeout', '0'), USAGE),
                         ((*good, '--pass-file', lost + 'x'), FILES),
                         ((*good, '--pass-credential', 'x'), FILES),
                         ((*good, '--pass-credential', '/x'), USAGE),
                         ((*good, '--owner', 'nobody-of-that-name'), USAGE),
                         ((*good, '--check', '--anchors', lost), REFUSED),
                         ((*good, '--anchors', lost), REFUSED),
                         ((*good[:-1], other), REFUSED),
                         ((*good, '--name', 'a.b'), REFUSED),
                         (('--rollback',), NOTHING),
                         (('ca',), USAGE), (('ca', 'init'), USAGE),
                         (('ca', 'init', '--cn', 'x', '--days', 'x'), USAGE),
                         (('ca', 'revoke'), USAGE), (ca[:3], USAGE),
                         (ca, NOTHING), (('ca', 'crl', 'x'), USAGE),
                         ((*good, '--check'), 0), (good, 0), (good, 0),
                         (('-self',), 0),
                         (('-self', '--name', 'a\udcff'), REFUSED),
                         (('--wait-live', '--socket', lost), UNREACHABLE)):
        for option in ('--json', '-json'):
            told = p.run(option, *args, status=status).json()
            equal((told['ok'], told['status']), (status == 0, status), args)
            check(status == 0 or 'findings' in told or told['error'], told)
    equal(p.run('-bogus', '--json', status=USAGE).json()['ok'], False)
    equal(p.run('--rollback', '--json').json()['ok'], True)


# ---- installing -------------------------------------------------------------

def test_install(scene):
    """a generation is 0600, the one before is kept, and --rollback goes back"""
    p = Place(scene)
    first, key = p.issue('first')
    second, key2 = p.issue('second', key='rsa')
    p.run('-cert', first, '-key', key)
    p.run('-cert', second, p.pki.ca, '-key', key2, status=USAGE)
    p.run('-cert', second, '-cert', p.pki.ca, '-key', key2)
    for name in ('chain.pem', 'key.pem'):
        mode = os.stat(os.path.join(p.dir, 'current', name)).st_mode
        equal(stat.S_IMODE(mode), 0o600, name)
    equal(stat.S_IMODE(os.stat(p.dir).st_mode), 0o700)
    equal(p.file('chain.pem').count('BEGIN CERTIFICATE'), 2)
    equal(p.run('-show', '--json').json()['chains'][0][0]['sha256'],
          sha256(second))
    p.run('--rollback')
    equal(p.run('-show', '--json').json()['chains'][0][0]['sha256'],
          sha256(first))
    said = p.run('--rollback', status=NOTHING).err
    check('is kept' in said, said)
    os.chmod(p.dir, 0o777)
    said = p.run('-self', status=FILES).err
    check('others may write there' in said, said)


def test_self(scene):
    """-self restores the same certificate, and another for other names"""
    p = Place(scene)
    crt, key = p.issue('one')
    p.run('-self')
    one = p.file('chain.pem')
    p.run('-cert', crt, '-cert', p.pki.ca, '-key', key)
    p.run('-self')
    equal(p.file('chain.pem'), one)
    p.run('-self', '--name', 'x.example.org')
    check(p.file('chain.pem') != one, 'it is the same')
    p.run('--check', '--name', 'x.example.org')
    p.run('--check', '--name', 'y.example.org', status=REFUSED)
    # Nor is what was made on another host, of whose disk this is a copy.
    with open('/etc/machine-id') as f:
        known = f.read().strip() != ''
    theirs = os.path.join(p.dir, 'self-signed.pem')
    copied = write(scene, 'copied.pem', '')
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '3650', '-subj',
            '/CN=x.example.org/OU=0123456789abcdef', '-addext',
            'basicConstraints=critical,CA:FALSE', '-addext',
            'subjectAltName=DNS:x.example.org', '-keyout', copied + '.key',
            '-out', copied)
    with open(theirs, 'w') as f:
        f.write(open(copied + '.key').read() + open(copied).read())
    p.run('-self', '--name', 'x.example.org')
    equal(p.run('-show', '--json').json()['chains'][0][0]['sha256'] !=
          sha256(copied), known, 'the key of another host')
    # What somebody else put there is not taken.
    os.unlink(theirs)
    both = write(scene, 'both.pem', open(key).read() + open(crt).read())
    os.symlink(both, theirs)
    p.run('-self')
    check(p.run('-show', '--json').json()['chains'][0][0]['sha256'] !=
          sha256(crt), 'a link was followed')


def test_owner(scene):
    """what is installed belongs to the owner of the directory, or to --owner"""
    if os.geteuid() != 0:
        raise Skip('only root can give files away')
    p = Place(scene)
    nobody = pwd.getpwnam('nobody')
    p.run('-self', '--owner', 'nobody')
    for path in [p.dir] + glob.glob(p.dir + '/g-*') + glob.glob(
            p.dir + '/current/*'):
        equal(os.stat(path).st_uid, nobody.pw_uid, path)
    p.run('-self')
    for path in glob.glob(p.dir + '/current/*'):
        equal(os.stat(path).st_uid, nobody.pw_uid, path)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)


def test_passwords(scene):
    """a password comes from a file, standard input or a credential
    of systemd"""
    p = Place(scene)
    crt, key = p.issue('one')
    locked = scene.path('locked.key')
    openssl('pkcs8', '-topk8', '-v2', 'aes256', '-in', key, '-passout',
            'pass:se cret', '-out', locked)
    given = ('-cert', crt, '-key', locked)
    word = write(scene, 'word', '\ufeffse cret\r\nmore\n')
    os.chmod(word, 0o604)
    said = p.run(*given, '--pass-file', word)
    check('warning: a password' not in said.err, said.err)
    check('word: everybody on this machine' in said.err, said.err)
    os.chmod(word, 0o600)
    equal(p.run(*given, '--pass-file', word).err, said.err.replace(
        said.err.splitlines()[0] + '\n', ''))
    p.run(*given, '--pass-file', write(scene, 'wide', 'se cret'.encode(
        'utf-16')), status=USAGE)
    p.run(*given, '--pass-stdin', stdin='se cret')
    p.run(*given, '--pass-credential', 'word',
          env={'CREDENTIALS_DIRECTORY': scene.path()})
    p.run(*given, '--pass-credential', '../word', status=USAGE,
          env={'CREDENTIALS_DIRECTORY': scene.path()})
    p.run(*given, '--pass-credential', 'word', status=FILES)
    p.run(*given, '--pass-file', scene.path('none'), status=FILES)
    p.run(*given, '--pass-file', scene.path(), status=FILES)
    for more in ((), ('--pass-file', write(scene, 'wrong', 'wr0ng'))):
        said = p.run(*given, *more, status=REFUSED)
        check('password' in said.err and locked in said.err, said.err)
        check('wr0ng' not in said.err, 'the password is said')


def test_refusals(scene):
    """each refusal names file and remedy, in time, and what was good stays"""
    p = Place(scene)
    crt, key = p.issue('good')
    p.run('-cert', crt, '-cert', p.pki.ca, '-key', key)
    good = p.file('chain.pem')
    other, other_key = p.issue('other')
    client, client_key = p.issue('client', usage='clientAuth')
    fifo = scene.path('fifo')
    os.mkfifo(fifo)
    with open(crt, 'rb') as f:
        cut = write(scene, 'cut.pem', f.read()[:300])
    cases = [
        (other, key, r'good\.key'),
        (p.pki.ca, p.pki.ca_key, r'company\.crt.*authority'),
        (client, client_key, r'client\.crt.*server'),
        (crt, key, r'good\.crt.*intermediates'),
        (write(scene, 'empty', ''), key, 'empty: is empty'),
        (write(scene, 'garbage', os.urandom(3000)), key, 'garbage'),
        (cut, key, r'cut\.pem'),
        (write(scene, 'large', b'x' * (17 << 20)), key, 'large: is larger'),
        (scene.path(), key, 'is a directory'),
        (fifo, key, 'fifo: is not a regular file'),
        ('/dev/zero', key, 'is not a regular file'),
        (scene.path('none'), key, 'none: cannot be opened'),
    ]
    for c, k, text in cases:
        began = time.monotonic()
        status = (FILES if 'none' in c else REFUSED)
        said = p.run('-cert', c, '-key', k, status=status).err
        check(re.search(text, said), f'{c}: {said!r} lacks {text}')
        check('Traceback' not in said and len(said.splitlines()) <= 4, said)
        check(time.monotonic() - began < 5 or 'no' not in os.environ.get(
            'CLEAT_SANITIZER', 'no'), f'{c}: slow')
        told = p.run('--check', '-cert', c, '-key', k, '--json',
                     status=status if c != crt else 0).json()
        equal(told['ok'], c == crt, c)
        equal(p.file('chain.pem'), good)
    os.chmod(other_key, 0)
    p.run('-cert', other, '-key', other_key, status=FILES,
          preexec_fn=obey_modes)


def test_check(scene):
    """--check makes all checks and changes nothing"""
    p = Place(scene)
    crt, key = p.issue('one', days=300)
    said = p.run('--check', '-cert', crt, '-cert', p.pki.ca, '-key', key,
                 '--anchors', p.pki.ca, '--name', 'localhost')
    equal(said.out, 'All checks are passed.\n')
    check(not os.path.exists(p.dir), 'something was made')
    said = p.run('--check', '-cert', crt)
    check('need no private key' in said.out, said.out)
    stranger = Pki(scene.path(), 'stranger')
    said = p.run('--check', '-cert', crt, '-key', key, '--anchors',
                 stranger.ca, status=REFUSED)
    check('error: chain: ' in said.out, said.out)
    told = p.run('--check', '-cert', crt, '-key', key, '--name', 'a.b',
                 '--name', 'c.d', '--json', status=REFUSED).json()
    names = [f['text'] for f in told['findings'] if f['check'] == 'names']
    equal(len(names), 2, told['findings'])
    p.run('-cert', crt, '-key', key)
    before = sorted(os.listdir(p.dir))
    p.run('--check')
    equal(sorted(os.listdir(p.dir)), before)


def test_ocsp(scene):
    """-ocsp installs the response that a Must-Staple certificate needs"""
    if stapling.x509 is None:
        raise Skip('python3-cryptography is not installed')
    p = Place(scene)
    crt, key = stapling.must_staple(scene)
    given = ('-cert', crt, '-cert', scene.pki.ca, '-key', key)
    said = p.run(*given, status=REFUSED).err
    check('Must-Staple' in said and '-ocsp' in said, said)
    response = scene.path('response.der')
    for how, text in (({'since': -7200, 'until': -3600}, 'out of date'),
                      ({'good': False}, 'does not say')):
        stapling.respond(scene, crt, response, **how)
        said = p.run(*given, '-ocsp', response, status=REFUSED).err
        check(text in said, said)
    stapling.respond(scene, scene.pki.ca, response)
    said = p.run(*given, '-ocsp', response, status=REFUSED).err
    check('for another certificate' in said, said)
    p.run(*given, '-ocsp', scene.path('none'), status=FILES)
    check('add -cert' in p.run('-show', '-ocsp', response, status=USAGE).err,
          'alone')
    stapling.respond(scene, crt, response)
    p.run(*given, '--check', '--ocsp', response)
    p.run(*given, '-ocsp', response)
    with open(response, 'rb') as f, open(
            os.path.join(p.dir, 'current', 'staple.der'), 'rb') as g:
        equal(f.read(), g.read())
    p.run('--check')
    # The way to a new one that the man page tells; the daemon sends it.
    current = os.path.join(p.dir, 'current')
    d = scene.daemon(conf={'plugin.cert': {
        'chain': current + '/chain.pem', 'key': current + '/key.pem',
        'ocsp': current + '/staple.der', 'poll': '1s'}})
    d.start()
    check(stapling.stapled(scene, d), 'it is not sent')
    stapling.respond(scene, crt, response, since=-30)
    p.run('-cert', current + '/chain.pem', '-key', current + '/key.pem',
          '-ocsp', response, '--wait-live', '--socket',
          os.path.join(d.runtime, 'control.sock'))
    # One that needs none takes its place, without a response.
    other, other_key = scene.pki.issue('localhost', sans=LOCAL_SANS)
    p.run('-cert', other, '-cert', scene.pki.ca, '-key', other_key,
          '--wait-live', '--socket', os.path.join(d.runtime, 'control.sock'))
    check(not os.path.exists(current + '/staple.der'), 'an old one is there')
    d.expect_log('staple.der: is not there')
    check(not stapling.stapled(scene, d), 'it is sent')
    d.stop()


def test_certtool(scene):
    """what certtool writes is installed: PKCS#12, PKCS#8, PKCS#7"""
    need('certtool', 'gnutls-bin')
    p = Place(scene)
    crt, key = p.issue('one')
    p12, p7 = scene.path('one.p12'), scene.path('one.p7b')
    subprocess.run(['certtool', '--to-p12', '--load-certificate', crt,
                    '--load-privkey', key, '--p12-name', 'x', '--password',
                    'word', '--outder', '--outfile', p12], check=True,
                   capture_output=True)
    subprocess.run(['certtool', '--p7-generate', '--load-certificate', crt,
                    '--outfile', p7], check=False, capture_output=True)
    p.run('-pkcs12', p12, '--pass-stdin', stdin='word\n')
    equal(p.run('-show', '--json').json()['chains'][0][0]['sha256'],
          sha256(crt))


# ---- the daemon -------------------------------------------------------------

def daemon(scene, place):
    current = os.path.join(place.dir, 'current')
    d = scene.daemon(conf={'plugin.cert': {
        'chain': current + '/chain.pem', 'key': current + '/key.pem',
        'poll': '1s'}})
    d.token('dev-1')
    d.start()
    return d, ('--socket', os.path.join(d.runtime, 'control.sock'))


def ctl(d, *args, **kw):
    return Run('--socket', os.path.join(d.runtime, 'control.sock'), *args,
               program=os.path.join(BUILDDIR, 'cleatctl'), **kw)


def test_live(scene):
    """--wait-live returns when the daemon serves it, and nobody is dropped"""
    p = Place(scene)
    p.run('-self')
    d, socket_ = daemon(scene, p)
    p.run('--wait-live', *socket_)
    device = Device(d, 'dev-1', context=trusting())
    crt, key = p.issue('localhost')
    p.run('-cert', crt, '-cert', p.pki.ca, '-key', key, '--wait-live',
          *socket_)
    equal(pem_sha256(scene, served(d)), sha256(crt))
    told = p.run('--wait-live', '--json', *socket_, '--slot', 'main').json()
    check(told['ok'], told)
    out = ctl(d, 'cert').out
    for wanted in (r'^slot: +main$', r'^source: +cert$',
                   r'^subject: +CN=localhost$', rf'^sha256: +{sha256(crt)}$',
                   r'^valid until: +\S', r'^live since: +\S'):
        check(re.search(wanted, out, re.M), f'{wanted}: {out}')
    check('last error' not in out, out)
    equal(ctl(d, 'cert', 'main', '--json').json()['sha256'], sha256(crt))
    check('no slot nope' in ctl(d, 'cert', 'nope', status=5).err, 'slot')
    p.run('--rollback', '--wait-live', *socket_)
    check('self-signed' in ctl(d, 'cert').out, 'not told')
    check(pem_sha256(scene, served(d)) != sha256(crt), 'not back')
    device.send(b'still there', PING)
    while device.recv_frame()[0] != PONG:
        pass


def test_not_live(scene):
    """--wait-live says why not: refused, elsewhere, no daemon, no such slot"""
    p = Place(scene)
    p.run('-self')
    d, socket_ = daemon(scene, p)
    # The daemon has a name that the tool was not told.
    d.configure({'slot.main': {'names': 'other.example.org'}})
    check(d.reload() is not None, 'reload')
    crt, key = p.issue('localhost')
    said = p.run('-cert', crt, '-cert', p.pki.ca, '-key', key, '--wait-live',
                 *socket_, status=NOT_LIVE)
    check('other.example.org' in said.err and 'slot main' in said.err,
          said.err)
    out = ctl(d, 'cert').out
    check(re.search(r'^last error: .*other\.example\.org', out, re.M) and
          re.search(r'^that was: +\S', out, re.M), out)
    told = p.run('--wait-live', '--json', *socket_, status=NOT_LIVE)
    equal(told.json()['ok'], False)
    elsewhere = Place(scene)
    elsewhere.dir = scene.path('elsewhere')
    elsewhere.run('-self')
    said = elsewhere.run('--wait-live', *socket_, '--slot', 'nope',
                         '--timeout', '1', status=NOT_LIVE)
    check('there is no such slot' in said.err, said.err)
    d.stop()
    said = p.run('--wait-live', *socket_, status=UNREACHABLE)
    check(socket_[1] in said.err, said.err)


# ---- the authority ----------------------------------------------------------

def test_authority(scene):
    """ca init, issue, revoke and crl make what openssl verifies"""
    where = scene.path('ca')

    def ca(*args, **kw):
        return Run('ca', *args, '--directory', where, cwd=scene.path(), **kw)

    check('ca init' in ca('crl', status=NOTHING).err, 'no remedy')
    ca('init', '--cn', 'Fleet', '--o', 'Org')
    equal(stat.S_IMODE(os.stat(where).st_mode), 0o700)
    equal(stat.S_IMODE(os.stat(where + '/ca.key').st_mode), 0o600)
    check('already' in ca('init', '--cn', 'x', status=REFUSED).err, 'again')
    os.rename(where + '/ca.key', scene.path('offline.key'))
    check('already' in ca('init', '--cn', 'x', status=REFUSED).err, 'offline')
    os.rename(scene.path('offline.key'), where + '/ca.key')
    ca('issue', 'server', 'srv.example.org', '--name', '127.0.0.1')
    word = write(scene, 'word', 'p12 word\n')
    issued = ca('issue', 'client', 'dev-1', '-pkcs12', 'dev-1.p12',
                '--out-pass-file', word, '--json').json()
    serial = issued['serial']
    check(re.fullmatch('[4-7][0-9a-f]{31}', serial), serial)
    ca('issue', 'client', 'dev-2', '--name', 'urn:fleet:dev-2', '--days', '3')
    said = ca('issue', 'client', 'dev-2', status=REFUSED).err
    check('is there already' in said, said)
    # Nor is a certificate, a list, or what a link leads to.
    for name in ('taken.pem', 'crl.pem'):
        write(scene, name, 'mine')
        said = ca('issue', 'client', name[:-4], status=REFUSED).err
        check(name + ': is there already' in said, said)
        equal(open(scene.path(name)).read(), 'mine')
        check(not os.path.exists(scene.path(name[:-4] + '.key')), 'a key')
    os.symlink(scene.path('to.key'), scene.path('link.key'))
    ca('issue', 'client', 'link', status=REFUSED)
    ca('issue', 'client', 'x', '-pkcs12', scene.path('taken.pem'),
       '--out-pass-file', word, status=REFUSED)
    ca('issue', 'client', 'x', '-pkcs12', scene.path('x.p12'),
       '--out-pass-file', scene.path('none'), status=FILES)
    with open(where + '/index') as f:
        equal(len(f.readlines()), 3, 'something was issued')
    root = where + '/ca.pem'
    openssl('verify', '-purpose', 'sslserver', '-verify_ip', '127.0.0.1',
            '-CAfile', root, scene.path('srv.example.org.pem'))
    openssl('pkcs12', '-in', scene.path('dev-1.p12'), '-passin',
            'pass:p12 word', '-nodes', '-out', scene.path('dev-1.pem'))
    openssl('verify', '-purpose', 'sslclient', '-CAfile', root,
            scene.path('dev-1.pem'))
    ca('revoke', scene.path('dev-2.pem'), '--reason', 'lost')
    ca('revoke', serial.upper())
    check('already' in ca('revoke', serial, status=REFUSED).err, 'twice')
    ca('revoke', 'abcd', status=NOTHING)
    ca('crl', '--out', scene.path('fleet.crl'), '--days', '3')
    text = openssl('crl', '-in', scene.path('fleet.crl'), '-noout', '-text',
                   '-CAfile', root).decode().lower()
    equal(text.count('serial number:'), 2, text)
    check(serial in text, text)
    for name, good in (('srv.example.org', True), ('dev-1', False),
                       ('dev-2', False)):
        r = subprocess.run(['openssl', 'verify', '-crl_check', '-CAfile',
                            root, '-CRLfile', scene.path('fleet.crl'),
                            scene.path(name + '.pem')], capture_output=True)
        equal(r.returncode == 0, good, name)
    with open(where + '/index') as f:
        lines = [line.split('\t') for line in f.read().splitlines()]
    equal([(x[1], x[2], x[5], x[6]) for x in lines],
          [('V', 'server', '', 'srv.example.org'),
           ('R', 'client', '', 'dev-1'), ('R', 'client', 'lost', 'dev-2')])
    os.chmod(where, 0o755)
    check('chmod 700' in ca('crl', status=FILES).err, 'open to others')


def test_authority_locked(scene):
    """the authority's key may have a password, which is then needed"""
    where, word = scene.path('ca'), write(scene, 'word', 'x y')

    def ca(*args, **kw):
        return Run('ca', *args, '--directory', where, cwd=scene.path(), **kw)

    ca('init', '--cn', 'Fleet', '--pass-file', word)
    check('password' in ca('issue', 'client', 'a', status=REFUSED).err, 'no')
    ca('issue', 'client', 'a', '--pass-stdin', stdin='x y\n')
    check('BEGIN PRIVATE KEY' in open(scene.path('a.key')).read(), 'key')
    shutil.rmtree(where)


if __name__ == '__main__':
    main()
