#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""OCSP responses from a file, as the openssl program sees them: sent while they
are valid, not any more when they are out of date, new ones without a reload;
and certificates that must have one."""
import datetime
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from harness import LOCAL_SANS, check, wait_until  # noqa: E402

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import ocsp
except ImportError:
    x509 = None


def seconds(n):
    return datetime.timedelta(seconds=n)


def load(path):
    with open(path, 'rb') as f:
        return x509.load_pem_x509_certificate(f.read())


def key_of(path):
    with open(path, 'rb') as f:
        return serialization.load_pem_private_key(f.read(), None)


def respond(scene, crt, path, since=-60, until=3600, good=True):
    """An OCSP response for the certificate, put in place at once."""
    now = datetime.datetime.utcnow()
    ca = load(scene.pki.ca)
    status = ocsp.OCSPCertStatus
    response = ocsp.OCSPResponseBuilder().add_response(
        load(crt), ca, hashes.SHA256(),
        status.GOOD if good else status.REVOKED, now + seconds(since),
        None if until is None else now + seconds(until),
        None if good else now - seconds(60), None
    ).responder_id(ocsp.OCSPResponderEncoding.HASH, ca).sign(
        key_of(scene.pki.ca_key), hashes.SHA256())
    with open(path + '.new', 'wb') as f:
        f.write(response.public_bytes(serialization.Encoding.DER))
    os.rename(path + '.new', path)


def must_staple(scene, life=86400):
    """A certificate with the TLS feature status_request (RFC 7633), for so many
    seconds."""
    ca = load(scene.pki.ca)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    crt = x509.CertificateBuilder().subject_name(x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    ).issuer_name(ca.subject).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(
        now - seconds(60)).not_valid_after(now + seconds(life)
    ).add_extension(x509.SubjectAlternativeName(
        [x509.DNSName('localhost')]), False).add_extension(
        x509.TLSFeature([x509.TLSFeatureType.status_request]), False
    ).sign(key_of(scene.pki.ca_key), hashes.SHA256())
    paths = scene.path('must.crt'), scene.path('must.key')
    with open(paths[0], 'wb') as f:
        f.write(crt.public_bytes(serialization.Encoding.PEM))
    with open(paths[1], 'wb') as f:
        f.write(key.private_bytes(serialization.Encoding.PEM,
                                  serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))
    os.chmod(paths[1], 0o600)
    return paths


def stapled(scene, d, version='-tls1_3'):
    """Whether a good response came, and what openssl printed."""
    _, port = d.address()
    p = subprocess.run(
        ['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-status',
         '-CAfile', scene.pki.ca, '-servername', 'localhost', version],
        input='', text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    check('Verify return code: 0' in p.stdout, p.stdout)
    none = 'OCSP response: no response sent' in p.stdout
    good = 'OCSP Response Status: successful' in p.stdout and \
        'Cert Status: good' in p.stdout
    check(none != good, p.stdout)
    return good


def begin(scene, **how):
    if x509 is None:
        raise harness.Skip('python3-cryptography is not installed')
    crt, key = scene.pki.issue('stapled', sans=LOCAL_SANS)
    path = scene.path('ocsp.der')
    if how:
        respond(scene, crt, path, **how)
    return crt, path, scene.daemon(conf={'plugin.cert': {
        'chain': crt, 'key': key, 'ocsp': path, 'poll': '1s'}})


def test_sent_until_out_of_date(scene):
    """sent in TLS 1.2 and 1.3 until nextUpdate, then not; a new one is sent"""
    crt, path, d = begin(scene, until=8)
    d.start()
    check(stapled(scene, d), 'TLS 1.3')
    check(stapled(scene, d, '-tls1_2'), 'TLS 1.2')
    wait_until('it is out of date', lambda: not stapled(scene, d),
               timeout=60, step=0.5)
    check(not stapled(scene, d, '-tls1_2'), 'TLS 1.2, out of date')
    respond(scene, crt, path)
    wait_until('the new one is sent', lambda: stapled(scene, d), timeout=60,
               step=0.2)
    d.stop()


def test_out_of_date_at_the_start(scene):
    """a response that is out of date, or of the future, does no harm"""
    for how in ({'since': -7200, 'until': -3600},
                {'since': 3600, 'until': 7200}):
        crt, path, d = begin(scene, **how)
        d.start()
        check(not stapled(scene, d), how)
        respond(scene, crt, path, until=None)
        wait_until('without nextUpdate', lambda: stapled(scene, d),
                   timeout=60, step=0.2)
        d.stop()


def test_must_staple(scene):
    """a Must-Staple certificate goes live only with a response that is valid"""
    crt, path, d = begin(scene, until=3600)
    d.start()
    must_crt, must_key = must_staple(scene)
    respond(scene, must_crt, path, since=-7200, until=-3600)
    d.configure({'plugin.cert': {'chain': must_crt, 'key': must_key}})
    d.reload()
    check(any('out of date' in line for line in d.log if
              'Must-Staple' in line), d.log[-5:])
    respond(scene, must_crt, path)
    d.expect_log('certificate in service slot=main')
    check(stapled(scene, d), 'Must-Staple with its response')
    d.stop()


def start_refused(d):
    """What the daemon says when it does not start."""
    d.launch()
    check(d.wait() != 0, 'it has started')
    d.process = None
    return next(line for line in d.log if 'cannot start' in line)


def check_log(d, pattern):
    check(any(re.search(pattern, line) for line in d.log), d.log)


def test_restart(scene):
    """what was in service is so after a restart when only time has gone by"""
    crt, path, d = begin(scene)
    must_crt, must_key = must_staple(scene, life=25)
    d.configure({'plugin.cert': {'chain': must_crt, 'key': must_key}})
    # What never was is not, and the last line says why.
    respond(scene, must_crt, path, since=-7200, until=-3600)
    said = start_refused(d)
    check('Must-Staple' in said and 'Invalid argument' not in said, said)
    respond(scene, must_crt, path, until=5)
    d.start()
    check(stapled(scene, d), 'not stapled')
    wait_until('it is out of date', lambda: not stapled(scene, d), timeout=60,
               step=0.5)
    d.stop()
    d.start()
    check(not stapled(scene, d), 'stapled')
    check_log(d, 'slot=main serves what was in service before the restart')
    check_log(d, 'no new certificate slot=main: .*Must-Staple')
    d.stop()
    os.unlink(path)
    d.start()
    wait_until('it has expired', lambda: load(must_crt).not_valid_after <
               datetime.datetime.utcnow(), timeout=60, step=0.5)
    d.stop()
    d.start()
    check_log(d, 'no new certificate slot=main: .*expired')
    serial = subprocess.run(
        ['openssl', 's_client', '-connect', '%s:%d' % d.address()],
        input='', text=True, capture_output=True).stdout
    check(re.search('CN ?= ?localhost', serial), serial)
    d.stop()
    # Another name is another fault.
    d.configure({'slot.main': {'names': 'other.example.org'}})
    said = start_refused(d)
    check('other.example.org' in said or 'expired' in said, said)


if __name__ == '__main__':
    harness.main()
