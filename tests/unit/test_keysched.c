/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule and the record layer against the trace of RFC 8448 section 3
 * (simple 1-RTT handshake): traffic keys, and the records sent under them.
 */
#include "tls/keysched.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "base/transport.h"
#include "tls/aead.h"
#include "tls/record.h"

static const char client_secret[] =
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
static const char client_key[] = "17422dda596ed5d9acd890e3c63f5051";
static const char server_key[] = "9f02283b6c9c07efc26bb9f2ac92e356";
static const char client_iv[] = "5b78923dee08579033e523d9";
static const char server_iv[] = "cf782b88dd83549aadf1e984";
static const char ticket_record[] =
    "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6"
    "b580dcf3d11d63c758db289a015940252f55713e061dc13e078891a38efbcf5753ad8ef1"
    "70ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f75e09c30ba1e62972ac46f75f7b9"
    "81be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca475840025db2f0a77"
    "f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f650db4d02"
    "3e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b"
    "3b6c6779b37bf15985684f";
static const char client_data[] =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8"
    "a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
static const char server_data[] =
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf9"
    "7d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
static const char client_alert[] =
    "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
static const char server_alert[] =
    "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

static size_t
hex(const char *text, uint8_t *to)
{
	size_t n = strlen(text) / 2;
	char two[3] = "";

	for (size_t i = 0; i < n; i++) {
		memcpy(two, text + 2 * i, 2);
		to[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static void
assert_hex(const uint8_t *p, const char *text)
{
	uint8_t want[512];

	assert_memory_equal(p, want, hex(text, want));
}

static void
traffic_keys_are_those_of_rfc_8448(void **state)
{
	uint8_t secret[48], key[16], iv[12];

	(void)state;
	hex(client_secret, secret);
	assert_int_equal(keysched_traffic(GNUTLS_MAC_SHA256, secret, key, 16,
	    iv), 0);
	assert_hex(key, client_key);
	assert_hex(iv, client_iv);
	hex(server_secret, secret);
	assert_int_equal(keysched_traffic(GNUTLS_MAC_SHA256, secret, key, 16,
	    iv), 0);
	assert_hex(key, server_key);
	assert_hex(iv, server_iv);
}

static void
secrets_have_the_size_of_their_hash(void **state)
{
	(void)state;
	assert_int_equal(keysched_secret_size(GNUTLS_MAC_SHA256), 32);
	assert_int_equal(keysched_secret_size(GNUTLS_MAC_SHA384), 48);
	assert_int_equal(keysched_secret_size(GNUTLS_MAC_SHA512), 0);
	assert_int_equal(keysched_secret_size(0), 0);
}

static void
next_secret_is_the_traffic_upd_expansion(void **state)
{
	uint8_t secret[48], want[48];

	(void)state;
	for (int i = 0; i < 48; i++)
		secret[i] = (uint8_t)i;
	assert_int_equal(keysched_expand(GNUTLS_MAC_SHA384, secret,
	    "traffic upd", want, 48), 0);
	assert_int_equal(keysched_next(GNUTLS_MAC_SHA384, secret), 0);
	assert_memory_equal(secret, want, 48);
}

static void
direction(const char *secret, const char *key, const char *iv, uint64_t seq,
    struct tls_direction *d)
{
	d->secret_len = hex(secret, d->secret);
	d->key_len = hex(key, d->key);
	d->iv_len = hex(iv, d->iv);
	d->seq = seq;
}

static struct transport *
side(bool is_client)
{
	struct tls_detach d = {
		.version = 0x0304, .cipher = GNUTLS_CIPHER_AES_128_GCM,
		.prf = GNUTLS_MAC_SHA256, .limit = 16384,
		.take = 16384, .is_client = is_client,
	};
	struct transport *t = NULL;

	/* the server's ticket was its record 0 */
	direction(client_secret, client_key, client_iv, 0,
	    is_client ? &d.wr : &d.rd);
	direction(server_secret, server_key, server_iv, is_client ? 0 : 1,
	    is_client ? &d.rd : &d.wr);
	assert_int_equal(tls_record_new(&d, &t), 0);
	return t;
}

static void
take(struct transport *t, struct stage *st, const char *record, int want)
{
	uint8_t wire[512];
	size_t n = hex(record, wire);
	ssize_t rc = t->ops->read(t, st, wire, n);

	assert_int_equal(rc, want == 0 ? (int)n : want);
}

static void
records_of_rfc_8448_open_and_seal_byte_for_byte(void **state)
{
	struct transport *c = side(true), *s = side(false);
	struct stage st;
	uint8_t data[50];

	(void)state;
	assert_int_equal(stage_init(&st), 0);
	assert_int_equal(aead_cache_new(8, &st.aead), 0);
	for (int i = 0; i < 50; i++)
		data[i] = (uint8_t)i;
	take(c, &st, ticket_record, 0);
	assert_int_equal(st.rx.n, 0);
	take(s, &st, client_data, 0);
	take(c, &st, server_data, 0);
	assert_int_equal(st.rx.n, 100);
	assert_memory_equal(st.rx.p, data, 50);
	assert_memory_equal(st.rx.p + 50, data, 50);
	assert_int_equal(c->ops->write(c, &st, data, 50), 50);
	assert_int_equal(c->ops->shutdown(c, &st), 0);
	assert_int_equal(st.tx.n, 72 + 24);
	assert_hex(st.tx.p, client_data);
	assert_hex(st.tx.p + 72, client_alert);
	st.tx.n = 0;
	assert_int_equal(s->ops->write(s, &st, data, 50), 50);
	assert_int_equal(s->ops->shutdown(s, &st), 0);
	assert_hex(st.tx.p, server_data);
	assert_hex(st.tx.p + 72, server_alert);
	take(s, &st, client_alert, -EPIPE);
	take(c, &st, server_alert, -EPIPE);
	c->ops->free(&c);
	s->ops->free(&s);
	aead_cache_free(&st.aead);
	stage_fini(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traffic_keys_are_those_of_rfc_8448),
		cmocka_unit_test(secrets_have_the_size_of_their_hash),
		cmocka_unit_test(next_secret_is_the_traffic_upd_expansion),
		cmocka_unit_test(
		    records_of_rfc_8448_open_and_seal_byte_for_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
