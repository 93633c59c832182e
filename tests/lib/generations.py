# SPDX-License-Identifier: Apache-2.0
"""Server certificates that take each other's place behind one link, as
cleat-certmgr installs them.  Each has a root in common and an intermediate of
its own: a chain with the leaf or the key of another does not verify."""
import hashlib
import os
import ssl
import subprocess

FIRST_SERIAL = 1000         # of leaves
KEYS = {'ec': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
        'rsa': ['rsa:2048']}


def openssl(*argv):
    subprocess.run(['openssl', *argv], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sums(path, algorithm='sha256'):
    """The fingerprint of the first certificate of a PEM file, hex."""
    with open(path) as f:
        text = f.read()
    end = '-----END CERTIFICATE-----'
    der = ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)])
    return hashlib.new(algorithm, der).hexdigest()


class Generations:
    def __init__(self, directory):
        self.dir = str(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.link = os.path.join(self.dir, 'current')
        self.chain = os.path.join(self.link, 'chain.pem')
        self.key = os.path.join(self.link, 'key.pem')
        self.made = 0
        self.root = self._path('root.pem')
        openssl('req', '-x509', '-newkey', *KEYS['ec'], '-nodes', '-days', '30',
                '-subj', '/CN=root', '-addext',
                'keyUsage=critical,keyCertSign,cRLSign', '-keyout', self._path('root.key'),
                '-out', self.root)

    def _path(self, name):
        return os.path.join(self.dir, name)

    def _issue(self, name, by, serial, extensions, key='ec'):
        ext, csr = self._path(f'{name}.ext'), self._path(f'{name}.csr')
        with open(ext, 'w') as f:
            f.write('subjectKeyIdentifier=hash\n'
                    'authorityKeyIdentifier=keyid\n' + extensions)
        openssl('req', '-newkey', *KEYS[key], '-nodes', '-subj', f'/CN={name}',
                '-keyout', self._path(f'{name}.key'), '-out', csr)
        openssl('x509', '-req', '-in', csr, '-CA', self._path(f'{by}.pem'),
                '-CAkey', self._path(f'{by}.key'), '-set_serial', str(serial),
                '-days', '30', '-extfile', ext, '-out',
                self._path(f'{name}.pem'))

    def make(self, key='ec'):
        """One more, for the name localhost; its number."""
        i = self.made
        self._issue(f'inter-{i}', 'root', 2 + i,
                    'basicConstraints=critical,CA:TRUE\n'
                    'keyUsage=keyCertSign\n')
        self._issue(f'leaf-{i}', f'inter-{i}', FIRST_SERIAL + i,
                    'basicConstraints=critical,CA:FALSE\n'
                    'extendedKeyUsage=serverAuth\n'
                    'subjectAltName=DNS:localhost,IP:127.0.0.1\n', key)
        folder = self._path(f'generation-{i}')
        os.mkdir(folder)
        with open(os.path.join(folder, 'chain.pem'), 'w') as f:
            for part in ('leaf', 'inter'):
                with open(self._path(f'{part}-{i}.pem')) as g:
                    f.write(g.read())
        os.link(self._path(f'leaf-{i}.key'), os.path.join(folder, 'key.pem'))
        self.made += 1
        return i

    def put(self, i):
        os.symlink(self._path(f'generation-{i}'), self.link + '.new')
        os.rename(self.link + '.new', self.link)

    def leaf(self, i):
        return self._path(f'leaf-{i}.pem')

    def intermediate(self, i):
        return self._path(f'inter-{i}.pem')
