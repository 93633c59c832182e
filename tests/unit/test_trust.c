/* SPDX-License-Identifier: Apache-2.0 */
/* The peer policy: what it asks of a certificate, what it believes, what it
 * takes back, and the files that it is made of. */
#include "tls/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "base/hex.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "tls/trust_priv.h"
#include "../lib/tls_pair.h"
#include "../lib/tmpdir.h"

enum { GOOD, PLAIN, SELF, EXPIRED, UNDER, CERTS };

static struct test_cert ca, ca_b, inter, server, cert[CERTS];
static struct tls_cred *cred;
static struct pair pair;
static char why[TLS_WHY_SIZE];
static const char *version;		/* of the client; NULL: TLS 1.3 */
static char ca_name[] = "ca.pem", crl_name[] = "crl.pem";

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .o = "Makers",
	    .ou = "Trust", .ca = true},
	    sb = {.cn = "CA B", .ca = true},
	    si = {.cn = "Inter", .ca = true, .issuer = &ca},
	    ss = {.cn = "server", .issuer = &ca};
	const struct test_cert_spec sc[CERTS] = {
		[GOOD] = {.cn = "dev-1", .o = "Plant, Ltd.", .ou = "Line 2",
		    .issuer = &ca, .dns = {"dev-1.plant.test"},
		    .uri = "urn:plant:2:dev-1", .ip = {192, 0, 2, 7}},
		[PLAIN] = {.cn = "dev-2", .issuer = &ca},
		[SELF] = {.cn = "dev-1"},
		[EXPIRED] = {.cn = "dev-1", .from_s = -7200, .to_s = -3600},
		[UNDER] = {.cn = "dev-3", .issuer = &inter}
	};

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&sb, &ca_b);
	test_cert_make(&si, &inter);
	test_cert_make(&ss, &server);
	for (int i = 0; i < CERTS; i++)
		test_cert_make(&sc[i], &cert[i]);
	assert_int_equal(tls_cred_new(server.pem, server.pem_n, server.key_pem,
	    server.key_n, NULL, 0, NULL, &cred), 0);
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_fini(&pair);
	tls_cred_unref(&cred);
	for (int i = 0; i < CERTS; i++)
		test_cert_free(&cert[i]);
	test_cert_free(&ca);
	test_cert_free(&ca_b);
	test_cert_free(&inter);
	test_cert_free(&server);
	return 0;
}

/* ---- helpers ------------------------------------------------------------ */

static struct tls_blob
blob_of(const struct test_cert *c)
{
	return (struct tls_blob){c->pem, c->pem_n, ca_name, false};
}

static struct tls_trust *
trust_of(struct tls_trust_spec spec)
{
	const struct tls_blob blob = blob_of(&ca);
	struct tls_trust *t = NULL;

	spec.of_clients = true;
	if (spec.ca == NULL) {
		spec.ca = &blob;
		spec.ca_n = 1;
	}
	if (tls_trust_new(&spec, why, &t) != 0)
		fail_msg("%s", why);
	return t;
}

static struct tls_snapshot *
snapshot_of(struct tls_trust *t)
{
	const uint8_t master[TLS_TICKET_MASTER_SIZE] = {3};
	const struct tls_slot_spec slot = {.name = "main", .is_default = true,
	    .cred = {cred}};
	const struct tls_listener_spec l = {
		.client_auth = TLS_CLIENT_REQUIRED, .trust = t
	};
	const struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1,
	    .listeners = &l, .listeners_n = 1, .ticket_master = master};
	struct tls_snapshot *s = NULL;

	assert_int_equal(tls_snapshot_new(&spec, why, &s), 0);
	return s;
}

/* Shows the certificate to a listener with that trust. */
static int
show(struct tls_trust *t, const struct test_cert *c, const char *chain,
    const gnutls_datum_t *resume)
{
	const struct pair_opts o = {.cert = c, .chain = chain,
	    .resume = resume, .priority = version};
	struct tls_snapshot *s = snapshot_of(t);

	pair_begin(&pair, s, &o);
	pair_run(&pair, &o);
	tls_snapshot_unref(&s);
	return pair.server;
}

static const char *
reason(void)
{
	return tls_handshake_reason(pair.hs);
}

static void
fingerprint_of(const struct test_cert *c, char hex[65])
{
	uint8_t hash[32];
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_DER,
	    &der), 0);
	assert_int_equal(digest_sha256(der.data, der.size, hash), 0);
	gnutls_free(der.data);
	hex_write(hash, 32, hex);
}

static void
pin_of(const struct test_cert *c, bool of_ca, char *to)
{
	uint8_t hash[32];
	size_t n = sizeof(hash);

	assert_int_equal(gnutls_x509_crt_get_key_id(c->crt,
	    GNUTLS_KEYID_USE_SHA256, hash, &n), 0);
	memcpy(to, "ca:sha256/", 11);
	if (!of_ca)
		memmove(to, to + 3, 8);
	digest_base64(hash, 32, to + strlen(to));
}

/* ---- criteria ----------------------------------------------------------- */

static void
expect(struct tls_trust_spec spec, const struct test_cert *c, const char *no)
{
	struct tls_trust *t = trust_of(spec);
	int r = show(t, c, NULL, NULL);

	if (no == NULL && r != TLS_HS_DONE)
		fail_msg("refused: %s", reason());
	if (no != NULL) {
		assert_int_equal(r, -EACCES);
		if (strstr(reason(), no) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", no, reason());
		assert_int_equal(gnutls_alert_get(pair.client) ==
		    GNUTLS_A_ACCESS_DENIED || pair.client_rc == 0, true);
	}
	tls_trust_unref(&t);
}

static void
test_each_field_must_be_exactly_right(void **state)
{
	static const char *const right[TLS_TRUST_FIELDS] = {"dev-1",
	    "Plant, Ltd.", "Line 2", "CA", "Makers", "Trust"};

	(void)state;
	for (int f = 0; f < TLS_TRUST_FIELDS; f++) {
		struct tls_trust_spec spec = {.of_clients = true};
		char wrong[32];

		spec.field[f] = right[f];
		expect(spec, &cert[GOOD], NULL);
		if (f <= TLS_SUBJECT_OU)
			expect(spec, &cert[PLAIN], "is expected");
		(void)snprintf(wrong, sizeof(wrong), "%s ", right[f]);
		spec.field[f] = wrong;
		expect(spec, &cert[GOOD], right[f]);
	}
}

static void
test_alternative_names(void **state)
{
	static const struct {
		const char *sans;
		bool fits;
	} cases[] = {
		{"dns:dev-1.plant.test", true}, {"DNS:DEV-1.Plant.TEST", true},
		{"dns:*.plant.test", true}, {"dns:*.test", false},
		{"dns:plant.test", false}, {"dns:xdev-1.plant.test", false},
		{"uri:urn:plant:2:dev-1", true}, {"uri:urn:plant:2:*", true},
		{"uri:urn:plant:2:", false}, {"uri:urn:plant:2:dev-12", false},
		{"ip:192.0.2.7", true}, {"ip:192.0.2.8", false},
		{"ip:2001:db8::1, uri:urn:x", false},
		{"ip:2001:db8::1, dns:dev-1.plant.test", true}
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect((struct tls_trust_spec){.sans = cases[i].sans},
		    &cert[GOOD], cases[i].fits ? NULL : "alternative names");
	expect((struct tls_trust_spec){.sans = "dns:a"}, &cert[PLAIN],
	    "alternative names");
}

static void
test_fingerprints_and_pins(void **state)
{
	char hex[65], list[512], a[64], b[64];

	(void)state;
	fingerprint_of(&cert[GOOD], hex);
	expect((struct tls_trust_spec){.fingerprints = hex}, &cert[GOOD],
	    NULL);
	expect((struct tls_trust_spec){.fingerprints = hex}, &cert[PLAIN],
	    "not in the list");
	list[0] = '\0';
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(list + 3 * i - (i > 0), 5, "%s%c%c",
		    i == 0 ? "" : ":", hex[2 * i] - (hex[2 * i] >= 'a' ? 32 :
		    0), hex[2 * i + 1]);
	expect((struct tls_trust_spec){.fingerprints = list}, &cert[GOOD],
	    NULL);
	pin_of(&cert[GOOD], false, a);
	pin_of(&ca, true, b);
	expect((struct tls_trust_spec){.pins = a}, &cert[GOOD], NULL);
	expect((struct tls_trust_spec){.pins = a}, &cert[PLAIN],
	    "does not match the pins");
	expect((struct tls_trust_spec){.pins = b}, &cert[PLAIN], NULL);
	pin_of(&ca_b, true, b);
	expect((struct tls_trust_spec){.pins = b}, &cert[PLAIN],
	    "does not match the pins");
	(void)snprintf(list, sizeof(list), "%s %s", b, a);
	expect((struct tls_trust_spec){.pins = list}, &cert[GOOD], NULL);
}

static void
test_all_or_any(void **state)
{
	struct tls_trust_spec spec = {.sans = "ip:192.0.2.7"};

	(void)state;
	spec.field[TLS_SUBJECT_CN] = "dev-2";
	expect(spec, &cert[GOOD], "subject CN");
	expect(spec, &cert[PLAIN], "alternative names");
	spec.any_of = true;
	expect(spec, &cert[GOOD], NULL);
	expect(spec, &cert[PLAIN], NULL);
	spec.field[TLS_SUBJECT_CN] = "dev-3";
	expect(spec, &cert[PLAIN], "subject CN");
}

static void
test_bad_lists_are_refused(void **state)
{
	static const char *const sans[] = {"dev-1", "dns:", "dns:*", "uri:*",
	    "ip:1.2.3", "dns:a*b", "mail:x"};
	static const char *const prints[] = {"ab", "xyz",
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0"
	};
	const struct tls_blob blob = blob_of(&ca);
	struct tls_trust_spec spec = {.ca = &blob, .ca_n = 1};
	struct tls_trust *t = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(sans) / sizeof(*sans); i++) {
		spec.sans = sans[i];
		assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
		assert_non_null(strstr(why, sans[i]));
	}
	spec.sans = NULL;
	for (size_t i = 0; i < sizeof(prints) / sizeof(*prints); i++) {
		spec.fingerprints = prints[i];
		assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
		assert_non_null(strstr(why, "64 hexadecimal digits"));
	}
	spec.fingerprints = NULL;
	spec.pins = "sha1/abc";
	assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
	assert_non_null(strstr(why, "pins"));
	assert_null(t);
}

/* ---- weakenings --------------------------------------------------------- */

static void
test_what_nobody_vouches_for_proves_nothing(void **state)
{
	struct tls_trust_spec spec = {.self_signed = true};
	struct tls_trust *t = trust_of(spec);
	char hex[65];

	(void)state;
	for (int v = 0; v < 2; v++) {
		version = v == 0 ? PAIR_TLS12 : NULL;
		assert_int_equal(show(t, &cert[SELF], NULL, NULL),
		    TLS_HS_DONE);
		assert_false(pair.peer.has_cert);
		assert_string_equal(pair.peer.cert_cn, "");
	}
	assert_int_equal(show(t, &cert[GOOD], NULL, NULL), TLS_HS_DONE);
	assert_true(pair.peer.has_cert);
	assert_int_equal(show(t, &cert[EXPIRED], NULL, NULL), -EACCES);
	assert_string_equal(reason(), "client certificate is "
	    "expired by this host's clock");
	assert_int_equal(show(t, &cert[UNDER], NULL, NULL), -EACCES);
	assert_int_equal(tls_trust_weakness(t, 0) != NULL, true);
	assert_null(tls_trust_weakness(t, 1));
	tls_trust_unref(&t);

	fingerprint_of(&cert[SELF], hex);
	spec.fingerprints = hex;
	t = trust_of(spec);
	assert_int_equal(show(t, &cert[SELF], NULL, NULL), TLS_HS_DONE);
	assert_true(pair.peer.has_cert);
	assert_false(pair.peer.cert.anchored);
	assert_true(tls_trust_holds(t, &pair.peer.cert, NULL));
	tls_trust_unref(&t);

	t = trust_of((struct tls_trust_spec){.any_chain = true});
	for (int i = 0; i < CERTS; i++) {
		assert_int_equal(show(t, &cert[i], NULL, NULL), TLS_HS_DONE);
		assert_int_equal(pair.peer.has_cert, i == GOOD || i == PLAIN);
	}
	assert_non_null(strstr(tls_trust_weakness(t, 0), "anybody"));
	tls_trust_unref(&t);
	t = trust_of((struct tls_trust_spec){.any_of = true});
	assert_non_null(strstr(tls_trust_weakness(t, 0), "one of"));
	tls_trust_unref(&t);
	t = trust_of((struct tls_trust_spec){.of_clients = true});
	assert_null(tls_trust_weakness(t, 0));
	tls_trust_unref(&t);
}

/* ---- revocation --------------------------------------------------------- */

static struct tls_trust *
trust_with(char *const *crls, size_t n, const struct test_cert *const *cas,
    size_t cas_n)
{
	struct tls_blob ca_blob[4], crl[4];

	for (size_t i = 0; i < cas_n; i++)
		ca_blob[i] = blob_of(cas[i]);
	for (size_t i = 0; i < n; i++)
		crl[i] = (struct tls_blob){crls[i], strlen(crls[i]), crl_name,
		    false};
	return trust_of((struct tls_trust_spec){.ca = ca_blob, .ca_n = cas_n,
	    .crl = crl, .crl_n = n});
}

static void
test_a_revoked_certificate_is_refused(void **state)
{
	const struct test_cert *gone[] = {&cert[GOOD]};
	const struct test_cert *cas[] = {&ca};
	char *crl = test_crl_make(&ca, gone, 1, 3600);
	struct tls_trust *before = trust_with(NULL, 0, cas, 1), *after;
	struct tls_proof proof[2];
	gnutls_datum_t ticket[2];
	struct tls_trust_info info;
	const char *text = "";

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(show(before, &cert[i], NULL, NULL),
		    TLS_HS_DONE);
		proof[i] = pair.peer.cert;
		pair_check_echo(&pair, 10);
		assert_int_equal(gnutls_session_get_data2(pair.client,
		    &ticket[i]), 0);
		assert_true(tls_trust_holds(before, &proof[i], NULL));
	}
	after = trust_with(&crl, 1, cas, 1);
	tls_trust_info(after, &info);
	assert_int_equal(info.crls, 1);
	assert_int_equal(info.revoked, 1);
	assert_int_equal(show(after, &cert[GOOD], NULL, NULL), -EACCES);
	assert_string_equal(reason(), "client certificate is revoked");
	assert_false(tls_trust_holds(after, &proof[0], &text));
	assert_string_equal(text, "its certificate is revoked");
	/* The ticket brings it back to the judge, and the other one in. */
	assert_int_equal(show(after, &cert[GOOD], NULL, &ticket[0]), -EACCES);
	assert_string_equal(reason(), "client certificate is revoked");
	assert_int_equal(show(after, &cert[PLAIN], NULL, &ticket[1]),
	    TLS_HS_DONE);
	assert_true(pair.peer.resumed);
	assert_true(tls_trust_holds(after, &proof[1], NULL));
	for (int i = 0; i < 2; i++)
		gnutls_free(ticket[i].data);
	tls_trust_unref(&before);
	tls_trust_unref(&after);
	free(crl);
}

static void
test_a_revoked_ca_takes_its_certificates_with_it(void **state)
{
	const struct test_cert *gone[] = {&inter};
	const struct test_cert *cas[] = {&ca};
	char *crl = test_crl_make(&ca, gone, 1, 3600);
	char *chain = test_cert_join(&cert[UNDER], &inter);
	struct tls_trust *before = trust_with(NULL, 0, cas, 1);
	struct tls_trust *after = trust_with(&crl, 1, cas, 1);
	const char *text = "";

	(void)state;
	assert_int_equal(show(before, &cert[UNDER], chain, NULL), TLS_HS_DONE);
	assert_int_equal(pair.peer.cert.path_n, 3);
	assert_false(tls_trust_holds(after, &pair.peer.cert, &text));
	assert_string_equal(text, "a CA above its certificate is revoked");
	assert_int_equal(show(after, &cert[UNDER], chain, NULL), -EACCES);
	assert_string_equal(reason(), "client certificate has a revoked CA");
	tls_trust_unref(&before);
	tls_trust_unref(&after);
	free(chain);
	free(crl);
}

static void
test_a_ca_is_known_by_name_and_key(void **state)
{
	const struct test_cert *cas[] = {&ca, &ca_b}, *only_b[] = {&ca_b},
	    *under[] = {&inter};
	char *chain = test_cert_join(&cert[UNDER], &inter);
	struct tls_trust *one = trust_with(NULL, 0, cas, 1);
	struct tls_trust *two = trust_with(NULL, 0, cas, 2);
	struct tls_trust *other = trust_with(NULL, 0, only_b, 1);
	struct tls_trust *lower = trust_with(NULL, 0, under, 1);
	const char *text = "";

	(void)state;
	assert_int_equal(show(one, &cert[UNDER], chain, NULL), TLS_HS_DONE);
	assert_true(tls_trust_holds(two, &pair.peer.cert, NULL));
	assert_true(tls_trust_holds(lower, &pair.peer.cert, NULL));
	assert_false(tls_trust_holds(other, &pair.peer.cert, &text));
	assert_string_equal(text, "its CA is not trusted any more");
	assert_int_equal(show(one, &cert[PLAIN], NULL, NULL), TLS_HS_DONE);
	assert_false(tls_trust_holds(lower, &pair.peer.cert, NULL));
	tls_trust_unref(&one);
	tls_trust_unref(&two);
	tls_trust_unref(&other);
	tls_trust_unref(&lower);
	free(chain);
}

static void
test_lists_that_do_not_count(void **state)
{
	const struct test_cert *gone[] = {&cert[GOOD]}, *cas[] = {&ca};
	const struct test_cert_spec same = {.cn = "CA", .o = "Makers",
	    .ou = "Trust", .ca = true};
	struct test_cert fake;
	char *foreign = test_crl_make(&ca_b, gone, 1, 3600), *forged;
	char *late = test_crl_make(&ca, gone, 1, -60);
	const struct tls_blob blob = blob_of(&ca);
	struct tls_blob crl = {foreign, strlen(foreign), crl_name, false};
	const struct tls_trust_spec spec = {.of_clients = true, .ca = &blob,
	    .ca_n = 1, .crl = &crl, .crl_n = 1};
	struct tls_trust *t = NULL;
	struct tls_trust_info info;

	(void)state;
	assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
	assert_string_equal(why,
	    "crl.pem: no CA that is given has signed this list");
	test_cert_make(&same, &fake);
	for (int i = 0; i < 2; i++) {
		forged = test_crl_make(&fake, gone, 1, i == 0 ? 3600 : -60);
		crl.p = forged;
		crl.n = strlen(forged);
		assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
		assert_string_equal(why,
		    "crl.pem: no CA that is given has signed this list");
		free(forged);
	}
	test_cert_free(&fake);
	crl.p = ca.pem;
	crl.n = ca.pem_n;
	assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
	assert_string_equal(why, "crl.pem: no revocation list in it");
	late[strlen(late) / 2] ^= 4;
	crl.p = late;
	crl.n = strlen(late);
	assert_int_equal(tls_trust_new(&spec, why, &t), -EINVAL);
	late[strlen(late) / 2] ^= 4;
	/* One that is overdue counts, and can be told. */
	t = trust_with(&late, 1, cas, 1);
	tls_trust_info(t, &info);
	assert_true(info.crl_next_update > 0);
	assert_int_equal(info.revoked, 1);
	tls_trust_unref(&t);
	free(foreign);
	free(late);
}

static void
test_a_fingerprint_that_goes_takes_its_channel_along(void **state)
{
	char a[65], b[65];
	struct tls_trust *with, *without, *any;

	(void)state;
	fingerprint_of(&cert[GOOD], a);
	fingerprint_of(&cert[PLAIN], b);
	with = trust_of((struct tls_trust_spec){.fingerprints = a});
	without = trust_of((struct tls_trust_spec){.fingerprints = b});
	any = trust_of((struct tls_trust_spec){.fingerprints = b,
	    .sans = "ip:192.0.2.7", .any_of = true});
	assert_int_equal(show(with, &cert[GOOD], NULL, NULL), TLS_HS_DONE);
	assert_true(tls_trust_holds(with, &pair.peer.cert, NULL));
	assert_false(tls_trust_holds(without, &pair.peer.cert, NULL));
	assert_true(tls_trust_holds(any, &pair.peer.cert, NULL));
	tls_trust_unref(&with);
	tls_trust_unref(&without);
	tls_trust_unref(&any);
}

/* ---- files -------------------------------------------------------------- */

static void
put(const char *dir, const char *name, const void *p, size_t n)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int
read_dir(const char *dir, unsigned *ret_anchors)
{
	struct tls_blobs b = {NULL, 0};
	struct tls_trust_spec spec = {.of_clients = true};
	struct tls_trust *t = NULL;
	struct tls_trust_info info;
	int r = tls_blobs_read(dir, why, &b);

	spec.ca = b.blob;
	spec.ca_n = b.n;
	if (r == 0)
		r = tls_trust_new(&spec, why, &t);
	if (r == 0) {
		tls_trust_info(t, &info);
		*ret_anchors = info.anchors;
		tls_trust_unref(&t);
	}
	tls_blobs_free(&b);
	return r;
}

static void
test_a_directory_of_cas(void **state)
{
	const char *dir = tmpdir_make();
	char path[256], *crl = test_crl_make(&ca, NULL, 0, 3600);
	gnutls_datum_t der;
	unsigned n = 0;
	uint64_t stamp = tls_blobs_stamp(dir);

	(void)state;
	assert_int_not_equal(stamp, 0);
	assert_int_equal(read_dir(dir, &n), -ENOENT);
	put(dir, "README", "the authorities", 15);
	assert_int_equal(read_dir(dir, &n), -EINVAL);
	put(dir, "a.pem", ca.pem, ca.pem_n);
	assert_int_not_equal(tls_blobs_stamp(dir), stamp);
	stamp = tls_blobs_stamp(dir);
	assert_int_equal(tls_blobs_stamp(dir), stamp);
	assert_int_equal(gnutls_x509_crt_export2(ca_b.crt, GNUTLS_X509_FMT_DER,
	    &der), 0);
	put(dir, "b.cer", der.data, der.size);
	put(dir, "list.r0", crl, strlen(crl));
	put(dir, ".hidden", "-----BEGIN CERTIFICATE-----", 27);
	(void)snprintf(path, sizeof(path), "%s/more", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(read_dir(dir, &n), 0);
	assert_int_equal(n, 2);
	/* What is there only in part is no removed CA. */
	put(dir, "b.cer", der.data, der.size / 2);
	assert_int_equal(read_dir(dir, &n), -EINVAL);
	assert_non_null(strstr(why, "b.cer"));
	put(dir, "b.cer", "", 0);
	assert_int_equal(read_dir(dir, &n), -EINVAL);
	put(dir, "b.cer", der.data, der.size);
	gnutls_free(der.data);
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_dir(dir, &n), -ENOTSUP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(tls_blobs_stamp(dir), 0);
	assert_int_equal(read_dir(dir, &n), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_dir(dir, &n), 0);
	(void)snprintf(path, sizeof(path), "%s/more", dir);
	assert_int_equal(rmdir(path), 0);
	(void)snprintf(path, sizeof(path), "%s/.hidden", dir);
	assert_int_equal(unlink(path), 0);
	tmpdir_remove();
	free(crl);
}

static int
anchors_of(const void *p, size_t n, unsigned *ret)
{
	static char name[] = "cas";
	struct tls_blob blob = {(void *)(uintptr_t)p, n, name, false};
	struct tls_trust_spec spec = {.of_clients = true, .ca = &blob,
	    .ca_n = 1};
	struct tls_trust_info info;
	struct tls_trust *t = NULL;
	int r = tls_trust_new(&spec, why, &t);

	if (r == 0) {
		tls_trust_info(t, &info);
		*ret = info.anchors;
		tls_trust_unref(&t);
	}
	return r;
}

static void
expect_anchors(const void *p, size_t n, unsigned wanted)
{
	unsigned have = 0;

	if (anchors_of(p, n, &have) != 0)
		fail_msg("%s", why);
	assert_int_equal(have, wanted);
}

/* Every format that a server's own certificate may have. */
static void
test_cas_in_every_format(void **state)
{
	char text[16384], wide[2 * 4096];
	gnutls_pkcs7_t p7;
	gnutls_datum_t d;
	unsigned n;

	(void)state;
	assert_int_equal(gnutls_pkcs7_init(&p7), 0);
	assert_int_equal(gnutls_pkcs7_set_crt(p7, ca.crt), 0);
	assert_int_equal(gnutls_pkcs7_set_crt(p7, ca_b.crt), 0);
	assert_int_equal(gnutls_pkcs7_export2(p7, GNUTLS_X509_FMT_PEM, &d), 0);
	expect_anchors(d.data, d.size, 2);
	gnutls_free(d.data);
	assert_int_equal(gnutls_pkcs7_export2(p7, GNUTLS_X509_FMT_DER, &d), 0);
	expect_anchors(d.data, d.size, 2);
	gnutls_free(d.data);
	gnutls_pkcs7_deinit(p7);
	assert_true(ca.pem_n < sizeof(wide) / 2);
	for (size_t i = 0; i < ca.pem_n; i++) {
		wide[2 * i] = ca.pem[i];
		wide[2 * i + 1] = '\0';
	}
	expect_anchors(wide, 2 * ca.pem_n, 1);
	(void)snprintf(text, sizeof(text), "\xef\xbb\xbfthe authority\r\n%s"
	    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nnobody reads\n"
	    "-----END ENCRYPTED PRIVATE KEY-----\n%s%s", ca.pem, ca.pem,
	    ca_b.pem);
	expect_anchors(text, strlen(text), 2);
	assert_int_equal(anchors_of(ca.key_pem, ca.key_n, &n), -EINVAL);
	assert_string_equal(why, "cas: a private key, but there is no "
	    "certificate in it");
}

static void
test_allocation_failures(void **state)
{
	const struct test_cert *gone[] = {&cert[GOOD]};
	char *text = test_crl_make(&ca, gone, 1, 3600);
	const struct tls_blob blob = blob_of(&ca);
	struct tls_blob crl = {text, strlen(text), crl_name, false};
	const char *dir = tmpdir_make();
	char hex[65], pin[64];
	struct tls_trust_spec spec = {.of_clients = true, .ca = &blob,
	    .ca_n = 1, .crl = &crl, .crl_n = 1, .sans = "dns:a ip:::1",
	    .fingerprints = hex, .pins = pin, .field = {"a", "b"}};
	struct tls_blobs b = {NULL, 0};
	struct tls_trust *t = NULL;
	unsigned long n;
	int r;

	(void)state;
	fingerprint_of(&cert[GOOD], hex);
	pin_of(&ca, true, pin);
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_trust_new(&spec, why, &t);
		mem_fail_nth(0);
		assert_true(r == 0 ? t != NULL : t == NULL);
	}
	assert_true(n > 8);
	tls_trust_unref(&t);
	put(dir, "a.pem", ca.pem, ca.pem_n);
	put(dir, "b.pem", ca.pem, ca.pem_n);
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_blobs_read(dir, why, &b);
		mem_fail_nth(0);
		assert_true(r == 0 ? b.n == 2 : b.blob == NULL);
	}
	assert_true(n > 6);
	tls_blobs_free(&b);
	tmpdir_remove();
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_field_must_be_exactly_right),
		cmocka_unit_test(test_alternative_names),
		cmocka_unit_test(test_fingerprints_and_pins),
		cmocka_unit_test(test_all_or_any),
		cmocka_unit_test(test_bad_lists_are_refused),
		cmocka_unit_test(test_what_nobody_vouches_for_proves_nothing),
		cmocka_unit_test(test_a_revoked_certificate_is_refused),
		cmocka_unit_test(
		    test_a_revoked_ca_takes_its_certificates_with_it),
		cmocka_unit_test(test_a_ca_is_known_by_name_and_key),
		cmocka_unit_test(test_lists_that_do_not_count),
		cmocka_unit_test(
		    test_a_fingerprint_that_goes_takes_its_channel_along),
		cmocka_unit_test(test_a_directory_of_cas),
		cmocka_unit_test(test_cas_in_every_format),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("trust", tests, setup, teardown);
}
