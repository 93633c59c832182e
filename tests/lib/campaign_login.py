# SPDX-License-Identifier: Apache-2.0
"""What a simulated device proves itself with: a token, or an Ed25519 key (RFC
8032) by way of OpenSSL's libcrypto, so that not the daemon's library judges
itself.  `value` is what the daemon stores of it."""
import ctypes
import ctypes.util
import hashlib

ED25519 = 1087                  # NID_ED25519


class Token:
    def __init__(self, token):
        self.token = token
        self.value = hashlib.sha256(token.encode()).hexdigest()

    def auth(self, nonce, endpoint):
        return {'method': 'token', 'token': self.token}


class Key:
    lib = None

    def __init__(self, seed):
        if Key.lib is None:
            Key.lib = self.load()
        self.key = self.lib.EVP_PKEY_new_raw_private_key(
            ED25519, None, seed, ctypes.c_size_t(32))
        raw, n = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
        if not self.key or self.lib.EVP_PKEY_get_raw_public_key(
                self.key, raw, ctypes.byref(n)) != 1:
            raise RuntimeError('libcrypto makes no Ed25519 key')
        self.value = raw.raw.hex()

    @staticmethod
    def load():
        lib = ctypes.CDLL(ctypes.util.find_library('crypto'))
        lib.EVP_PKEY_new_raw_private_key.restype = ctypes.c_void_p
        lib.EVP_MD_CTX_new.restype = ctypes.c_void_p
        for name, args in (
                ('EVP_PKEY_get_raw_public_key', 3), ('EVP_DigestSign', 5),
                ('EVP_DigestSignInit', 5), ('EVP_MD_CTX_free', 1),
                ('EVP_PKEY_free', 1)):
            getattr(lib, name).argtypes = [ctypes.c_void_p] * args
        return lib

    def __del__(self):
        if getattr(self, 'key', None):
            self.lib.EVP_PKEY_free(self.key)

    def sign(self, text):
        out, n = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        ctx = self.lib.EVP_MD_CTX_new()
        good = self.lib.EVP_DigestSignInit(ctx, None, None, None,
                                           self.key) == 1 and \
            self.lib.EVP_DigestSign(ctx, out, ctypes.byref(n), text,
                                    len(text)) == 1
        self.lib.EVP_MD_CTX_free(ctx)
        if not good:
            raise RuntimeError('libcrypto does not sign')
        return out.raw.hex()

    def auth(self, nonce, endpoint):
        """Python's ssl exports no keying material: binding "none"."""
        text = b'cleat hello v1\0' + bytes.fromhex(nonce) + b'\0' + \
            endpoint.encode()
        return {'method': 'key', 'public_key': self.value,
                'signature': self.sign(text), 'binding': 'none'}
