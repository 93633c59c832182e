/* SPDX-License-Identifier: Apache-2.0 */
/* core/tls/ed25519.c, with the vectors of RFC 8032 7.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "tls/ed25519.h"

static const struct {
	const char *seed, *public_key, *message, *signature;
} vector[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	  "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	  "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69"
	  "da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c"
	  "00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	  "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5a"
	  "c3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec4"
	  "0a" }
};

static void
the_vectors_of_rfc_8032_hold(void **state)
{
	uint8_t seed[32], public_key[32], got[64], message[2], signature[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
		n = strlen(vector[i].message) / 2;
		assert_int_equal(hex_read(vector[i].seed, seed, 32),
		    0);
		assert_int_equal(hex_read(vector[i].message, message,
		    n), 0);
		assert_int_equal(hex_read(vector[i].signature,
		    signature, 64), 0);
		assert_int_equal(ed25519_public(seed, got), 0);
		assert_int_equal(hex_read(vector[i].public_key,
		    public_key, 32), 0);
		assert_memory_equal(got, public_key, 32);
		assert_int_equal(ed25519_sign(seed, message, n, got), 0);
		assert_memory_equal(got, signature, 64);
		assert_int_equal(ed25519_verify(public_key, message, n, got),
		    0);
	}
}

static void
any_changed_bit_is_refused(void **state)
{
	uint8_t seed[32], public_key[32], signature[64], message[] = "hello";

	(void)state;
	assert_int_equal(ed25519_generate(seed, public_key), 0);
	assert_int_equal(ed25519_sign(seed, message, 5, signature), 0);
	assert_int_equal(ed25519_verify(public_key, message, 5, signature), 0);
	for (unsigned bit = 0; bit < 64 * 8; bit += 7) {
		signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(ed25519_verify(public_key, message, 5,
		    signature), -EACCES);
		signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	message[0] ^= 1;
	assert_int_equal(ed25519_verify(public_key, message, 5, signature),
	    -EACCES);
	message[0] ^= 1;
	assert_int_equal(ed25519_verify(public_key, message, 4, signature),
	    -EACCES);
	public_key[0] ^= 1;
	assert_int_equal(ed25519_verify(public_key, message, 5, signature),
	    -EACCES);
}

static void
what_is_signed_tells_everything_apart(void **state)
{
	uint8_t nonce[32] = { 1 }, exporter[32] = { 2 };
	uint8_t a[ED25519_HELLO_MAX], b[ED25519_HELLO_MAX];
	char id[257];
	size_t n;

	(void)state;
	n = ed25519_hello(nonce, exporter, "dev", a);
	assert_int_equal(n, 15 + 32 + 33 + 3);
	assert_memory_equal(a, "cleat hello v1", 15);
	assert_int_equal(a[47], 1);
	assert_memory_equal(a + 80, "dev", 3);
	n = ed25519_hello(nonce, NULL, "dev", b);
	assert_int_equal(n, 15 + 32 + 1 + 3);
	assert_int_equal(b[47], 0);
	memset(id, 'x', 256);
	id[256] = '\0';
	assert_int_equal(ed25519_hello(nonce, exporter, id, a), 0);
	id[255] = '\0';
	assert_int_equal(ed25519_hello(nonce, exporter, id, a),
	    ED25519_HELLO_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_8032_hold),
		cmocka_unit_test(any_changed_bit_is_refused),
		cmocka_unit_test(what_is_signed_tells_everything_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
