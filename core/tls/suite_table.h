/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cipher suites as OpenSSL's ciphers(1) calls them, with what its keywords
 * select them by.  Also those that we never speak: a list is understood whole
 * before it is judged.  Constant.
 */
#ifndef CT_TLS_SUITE_TABLE_H
#define CT_TLS_SUITE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* One set of bits for each property; a suite has one bit of each. */
enum {
	KX_ECDHE = 1, KX_DHE = 2, KX_RSA = 4, KX_PSK = 8, KX_DHEPSK = 16,
	KX_ECDHEPSK = 32, KX_RSAPSK = 64, KX_SRP = 128, KX_ANY = 256
};
enum {
	AU_ECDSA = 1, AU_RSA = 2, AU_DSS = 4, AU_NONE = 8, AU_PSK = 16,
	AU_SRP = 32, AU_ANY = 64
};
enum {
	ENC_AES128GCM = 1, ENC_AES256GCM = 2, ENC_CHACHA = 4,
	ENC_AES128CCM = 8, ENC_AES256CCM = 16, ENC_AES128CCM8 = 32,
	ENC_AES256CCM8 = 64, ENC_ARIA128 = 128, ENC_ARIA256 = 256,
	ENC_AES128 = 512, ENC_AES256 = 1024, ENC_CAMELLIA128 = 2048,
	ENC_CAMELLIA256 = 4096, ENC_3DES = 8192, ENC_RC4 = 16384,
	ENC_SEED = 32768, ENC_IDEA = 65536, ENC_DES = 131072,
	ENC_NULL = 262144
};
enum { MAC_AEAD = 1, MAC_SHA1 = 2, MAC_SHA256 = 4, MAC_SHA384 = 8,
	MAC_MD5 = 16 };
enum { VER_TLS13 = 1, VER_TLS12 = 2, VER_TLS10 = 4, VER_SSL3 = 8 };

struct suite {
	const char *name;
	uint32_t kx, au, enc, mac, ver;
};

#define SUITES_MAX 256			/* more than there are */
extern const struct suite suite_table[];
extern const size_t suite_table_n;

/* A keyword; 0 in a property: any. */
struct suite_word {
	const char *name;
	uint32_t kx, au, enc, mac, ver;
};
extern const struct suite_word suite_words[];	/* ends with name NULL */

/* The index of a suite by its name, or by its IANA name if it is one of those
 * that we speak; SUITES_MAX: none. */
size_t suite_find(const char *name);

#endif
