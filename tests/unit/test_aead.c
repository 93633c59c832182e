/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of cipher handles: right results, bounded, never a stale key. */
#include "tls/aead.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/mem.h"

static const int ciphers[] = {
	GNUTLS_CIPHER_AES_128_GCM, GNUTLS_CIPHER_AES_256_GCM,
	GNUTLS_CIPHER_CHACHA20_POLY1305, GNUTLS_CIPHER_AES_128_CCM,
	GNUTLS_CIPHER_AES_256_CCM,
};
#define CIPHERS (sizeof(ciphers) / sizeof(ciphers[0]))

static uint8_t key[2][32], nonce[12], aad[13];

static struct aead_op
op_of(int cipher, uint64_t id, int which_key)
{
	struct aead_op op = {
		.key_id = id, .key = key[which_key], .cipher = cipher,
		.nonce = nonce, .aad = aad, .aad_n = sizeof(aad),
		.key_n = gnutls_cipher_get_key_size(
		    (gnutls_cipher_algorithm_t)cipher),
	};

	return op;
}

static int
setup(void **state)
{
	(void)state;
	memset(key[0], 1, 32);
	memset(key[1], 2, 32);
	memset(nonce, 3, sizeof(nonce));
	memset(aad, 4, sizeof(aad));
	return 0;
}

static void
seals_and_opens_in_place_at_every_length(void **state)
{
	static uint8_t in[16400], a[16416], b[16416], back[16400];
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 64, 255, 256, 1000,
	    4096, 16385, 16400 };
	struct aead_cache *c = NULL;

	(void)state;
	assert_int_equal(aead_cache_new(4, &c), 0);
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 13);
	for (size_t k = 0; k < CIPHERS; k++) {
		struct aead_op op = op_of(ciphers[k], aead_key_id(), 0);

		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]);
		    i++) {
			size_t n = lengths[i];

			assert_int_equal(aead_seal(c, &op, in, n, a), 0);
			memcpy(b, in, n);
			assert_int_equal(aead_seal(c, &op, b, n, b), 0);
			assert_memory_equal(a, b, n + AEAD_TAG_SIZE);
			assert_int_equal(aead_open(c, &op, a,
			    n + AEAD_TAG_SIZE, back), 0);
			assert_memory_equal(back, in, n);
			a[n / 2] ^= 1;
			assert_int_equal(aead_open(c, &op, a,
			    n + AEAD_TAG_SIZE, back), -EBADMSG);
		}
	}
	aead_cache_free(&c);
	assert_null(c);
}

static void
another_key_id_never_meets_an_old_handle(void **state)
{
	struct aead_cache *c = NULL;
	struct aead_op old = op_of(ciphers[0], aead_key_id(), 0);
	struct aead_op new = op_of(ciphers[0], aead_key_id(), 1);
	uint8_t a[16], b[16];

	(void)state;
	assert_int_equal(aead_cache_new(256, &c), 0);
	assert_int_not_equal(old.key_id, new.key_id);
	assert_int_equal(aead_seal(c, &old, NULL, 0, a), 0);
	assert_int_equal(aead_seal(c, &new, NULL, 0, b), 0);
	assert_memory_not_equal(a, b, 16);
	assert_int_equal(aead_open(c, &new, a, 16, b), -EBADMSG);
	aead_cache_free(&c);
}

static void
a_cached_handle_is_used_again_until_it_is_dropped(void **state)
{
	struct aead_cache *c = NULL;
	struct aead_op op = op_of(ciphers[0], aead_key_id(), 0);
	uint8_t a[16];

	(void)state;
	assert_int_equal(aead_cache_new(256, &c), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(aead_seal(c, &op, NULL, 0, a), 0);
	assert_int_equal(aead_cache_misses(c), 1);
	aead_cache_drop(c, op.key_id);
	aead_cache_drop(c, op.key_id);
	assert_int_equal(aead_seal(c, &op, NULL, 0, a), 0);
	assert_int_equal(aead_cache_misses(c), 2);
	aead_cache_free(&c);
}

static void
the_least_recently_used_handle_gives_way(void **state)
{
	struct aead_cache *c = NULL;
	struct aead_op op[5];
	uint8_t a[16];

	(void)state;
	assert_int_equal(aead_cache_new(4, &c), 0);	/* one set of four */
	for (int i = 0; i < 5; i++)
		op[i] = op_of(ciphers[0], aead_key_id(), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(aead_seal(c, &op[i], NULL, 0, a), 0);
	assert_int_equal(aead_seal(c, &op[0], NULL, 0, a), 0);
	assert_int_equal(aead_seal(c, &op[4], NULL, 0, a), 0);
	assert_int_equal(aead_cache_misses(c), 5);
	assert_int_equal(aead_seal(c, &op[0], NULL, 0, a), 0);
	assert_int_equal(aead_cache_misses(c), 5);
	assert_int_equal(aead_seal(c, &op[1], NULL, 0, a), 0);
	assert_int_equal(aead_cache_misses(c), 6);
	aead_cache_free(&c);
}

static void
ten_thousand_keys_work_through_few_handles(void **state)
{
	struct aead_cache *c = NULL;
	uint8_t a[16], first[16];

	(void)state;
	assert_int_equal(aead_cache_new(64, &c), 0);
	for (int i = 0; i < 10000; i++) {
		struct aead_op op = op_of(ciphers[0], aead_key_id(), 0);

		assert_int_equal(aead_seal(c, &op, NULL, 0, a), 0);
		if (i == 0)
			memcpy(first, a, 16);
		assert_memory_equal(a, first, 16);
	}
	aead_cache_free(&c);
}

static void
bounds_and_memory_of_a_new_cache(void **state)
{
	struct aead_cache *c = NULL;

	(void)state;
	assert_int_equal(aead_cache_new(0, &c), -EINVAL);
	assert_int_equal(aead_cache_new(65537, &c), -EINVAL);
	mem_fail_nth(1);
	assert_int_equal(aead_cache_new(256, &c), -ENOMEM);
	mem_fail_nth(0);
	assert_null(c);
	aead_cache_free(&c);
	assert_int_equal(aead_cache_new(1, &c), 0);
	aead_cache_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seals_and_opens_in_place_at_every_length),
		cmocka_unit_test(another_key_id_never_meets_an_old_handle),
		cmocka_unit_test(
		    a_cached_handle_is_used_again_until_it_is_dropped),
		cmocka_unit_test(the_least_recently_used_handle_gives_way),
		cmocka_unit_test(ten_thousand_keys_work_through_few_handles),
		cmocka_unit_test(bounds_and_memory_of_a_new_cache),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
