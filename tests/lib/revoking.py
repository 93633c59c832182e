# SPDX-License-Identifier: Apache-2.0
"""An authority with revocation lists, and files that are replaced."""
import os

from harness import Pki


class Lister(Pki):
    """An authority that revokes."""

    def __init__(self, directory, name):
        os.makedirs(directory, exist_ok=True)
        super().__init__(directory, name)

    def _config(self):
        base = os.path.join(self.dir, f'{self.name}.db')
        path = os.path.join(base, 'ca.conf')
        if not os.path.exists(path):
            os.makedirs(base)
            open(os.path.join(base, 'index.txt'), 'w').close()
            with open(os.path.join(base, 'crlnumber'), 'w') as f:
                f.write('01\n')
            with open(path, 'w') as f:
                f.write('[ca]\ndefault_ca=x\n[x]\n'
                        f'database={base}/index.txt\n'
                        f'crlnumber={base}/crlnumber\ndefault_md=sha256\n'
                        '[part]\nissuingDistributionPoint=critical,@p\n'
                        '[p]\nfullname=URI:http://x/crl\nonlyuser=TRUE\n'
                        '[indirect]\nissuingDistributionPoint=critical,@i\n'
                        '[i]\nfullname=URI:http://x/crl\n'
                        'indirectCRL=TRUE\n'
                        '[delta]\n2.5.29.27=critical,DER:020101\n')
        return ['ca', '-config', path, '-cert', self.ca, '-keyfile',
                self.ca_key]

    def revoke(self, crt):
        self._openssl(*self._config(), '-revoke', crt)

    def list(self, *when):
        """PEM text of a list."""
        out = os.path.join(self.dir, f'{self.name}.crl')
        self._openssl(*self._config(), '-gencrl', '-out', out,
                      *(when or ('-crldays', '2')))
        with open(out) as f:
            return f.read()


def put(path, text):
    """As a careful administrator does: never half a file."""
    with open(path + '~', 'w') as f:
        f.write(text)
    os.rename(path + '~', path)
