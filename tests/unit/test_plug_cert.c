/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate sources: publishing, external signing, challenges. */
#include "plug_try.h"

static struct test_cert cert;

static void
write_cert(const struct test_cert *c)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/chain.pem", dir);
	assert_int_equal(file_write_atomic(path, c->pem, c->pem_n, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/key.pem", dir);
	assert_int_equal(file_write_atomic(path, c->key_pem, c->key_n, 0600),
	    0);
}

static void
extsign_text(const char *slots, const char *delay, char *to, size_t n)
{
	(void)snprintf(to, n, "%s[plugin.c]\n"
	    "module = cert_extsign\nchain = %s/chain.pem\nkey = %s/key.pem\n"
	    "delay = %s\n", slots, dir, dir, delay);
}

static struct plugs *
extsign(const char *slots, const char *delay)
{
	char text[1024];

	extsign_text(slots, delay, text, sizeof(text));
	return plugs_of(text);
}

#define SLOT "[slot.m]\nsource = c\nnames = a.example.org\n"

static void
publish(const struct test_cert_spec *spec)
{
	struct plugs *p;

	test_cert_make(spec, &cert);
	write_cert(&cert);
	atomic_store(&got.puts, 0);
	atomic_store(&got.fails, 0);
	p = extsign(SLOT, "20ms");
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
a_certificate_is_judged_before_it_is_served(void **state)
{
	struct test_cert_spec spec = { .cn = "x", .dns = { "a.example.org" } };

	(void)state;
	publish(&spec);
	assert_int_equal(got.puts, 1);
	spec.dns[0] = "b.example.org";
	publish(&spec);
	assert_int_equal(got.puts, 0);
	assert_non_null(strstr(got.why, "not for the name a.example.org"));
	spec.dns[0] = "*.example.org";
	publish(&spec);
	assert_int_equal(got.puts, 1);
	spec.ca = true;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "CA:TRUE"));
	spec.ca = false;
	spec.from_s = -7200;
	spec.to_s = -3600;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "expired at"));
	spec.from_s = 3600;
	spec.to_s = 7200;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "not valid before"));
}

struct wait {
	struct tls_sign_job job;
	struct worker worker;
	_Atomic bool done;
};

static void
on_signed(struct mail *m)
{
	struct wait *w = CT_CONTAINER(m, struct wait, job.mail);

	atomic_store(&w->done, true);
}

/* Asks as a handshake would; what came back is in w->job. */
static int
sign(struct wait *w)
{
	static const uint8_t hash[32] = { 1, 2, 3 };

	memset(w, 0, sizeof(*w));
	assert_int_equal(worker_init(&w->worker, "handshake"), 0);
	assert_int_equal(worker_start(&w->worker), 0);
	w->job.mailbox = &w->worker.mailbox;
	w->job.mail.fn = on_signed;
	return got.cred->signer.request(got.cred->signer.ctx,
	    got.cred->key_id, 0x0403, hash, sizeof(hash), &w->job);
}

static void
sign_end(struct wait *w)
{
	for (int i = 0; i < 2000 && !atomic_load(&w->done); i++)
		pause_ms(5);
	assert_true(w->done);
	worker_stop(&w->worker);
	worker_fini(&w->worker);
}

static void
start_signing(const char *delay, struct plugs **ret)
{
	struct test_cert_spec spec = { .cn = "x", .dns = { "a.example.org" } };

	test_cert_make(&spec, &cert);
	write_cert(&cert);
	*ret = extsign(SLOT, delay);
	assert_non_null(got.cred);
}

static void
an_external_key_signs_on_its_own_thread(void **state)
{
	struct plug_info info;
	struct plugs *p;
	struct wait w;

	(void)state;
	start_signing("20ms", &p);
	assert_int_equal(sign(&w), 0);
	sign_end(&w);
	assert_int_equal(w.job.error, 0);
	assert_true(w.job.n > 60);
	assert_true(plugs_info(p, 0, &info));
	assert_int_equal(info.signs, 1);
	assert_int_equal(info.sign_failures, 0);
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
a_signer_that_never_answers_is_given_up(void **state)
{
	struct plugs *p;
	struct wait w;

	(void)state;
	start_signing("0s", &p);
	assert_int_equal(sign(&w), 0);
	atomic_store(&skew, 11000);
	sign_end(&w);
	assert_int_equal(w.job.error, -ETIMEDOUT);
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
the_end_of_an_instance_answers_what_waits(void **state)
{
	struct plugs *p;
	struct wait w, late;

	(void)state;
	start_signing("0s", &p);
	assert_int_equal(sign(&w), 0);
	plugs_stop(p);
	sign_end(&w);
	assert_int_equal(w.job.error, -ESHUTDOWN);
	assert_int_equal(sign(&late), -ESHUTDOWN);
	atomic_store(&late.done, true);
	sign_end(&late);
	tls_cred_unref(&got.cred);
	plugs_free(&p);
	test_cert_free(&cert);
}

static void
a_reload_asks_the_source_of_a_new_slot(void **state)
{
	struct plugs_staged *st = NULL;
	struct plugs *p;
	char text[1024], why[PLUG_WHY_SIZE] = "";

	(void)state;
	atomic_store(&got.puts, 0);
	start_signing("20ms", &p);
	assert_int_equal(got.puts, 1);
	extsign_text(SLOT "[slot.n]\nsource = c\ndefault = yes\n", "20ms",
	    text, sizeof(text));
	if (prepare(p, text, why, &st) != 0)
		fail_msg("%s", why);
	plugs_commit(&st);
	for (int i = 0; i < 1000 && got.puts < 2; i++)
		pause_ms(5);
	end(&p);
	assert_int_equal(got.puts, 2);		/* and not for the old one */
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
a_challenge_is_put_and_its_end_is_told(void **state)
{
	static const char text[] = "[plugin.c]\nmodule = cert_challenge\n";
	struct plugs *p = plugs_of(text);
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	assert_string_equal(challenge.key, "tok-_1");
	assert_string_equal(challenge.body, "tok.thumb");
	challenge.done(challenge.arg, 0);
	for (int i = 0; i < 1000 && !atomic_load(&challenge.was_removed); i++)
		pause_ms(5);
	assert_true(challenge.was_removed);
	assert_string_equal(challenge.removed, "done-8-0");
	end(&p);
	/* Told after the end: nobody is there, nothing leaks. */
	p = plugs_of(text);
	plugs_stop(p);
	challenge.done(challenge.arg, -ESHUTDOWN);
	plugs_free(&p);
	challenge.error = -ENOSPC;
	assert_int_equal(try_new(text, why, &p), 0);
	assert_int_equal(plugs_start(p, why), -ENOSPC);
	end(&p);
	challenge.error = 0;
}

static void
memory_may_run_out_at_any_point(void **state)
{
	static const char text[] = "[slot.m]\nsource = c\ndefault = yes\n"
	    "[plugin.p]\n" PROTO "[plugin.s]\n" STATUS "[plugin.c]\n"
	    "module = abi_1_0_cert\n";
	struct plug_deps deps = { .plugin_dir = dir, .state_dir = dir,
	    .workers = worker_of, .channels = channels_of,
	    .workers_n = WORKERS };
	struct conf *c = conf_of(text);
	char why[PLUG_WHY_SIZE];
	struct plugs *p = NULL;
	unsigned long n = 1;
	int err;

	(void)state;
	for (;; n++) {
		(void)mem_fail_nth(n);
		err = plugs_new(&deps, c, why, &p);
		(void)mem_fail_nth(0);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(p);
	}
	assert_true(n > 20);
	end(&p);
	conf_unref(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_certificate_is_judged_before_it_is_served),
		TEST(an_external_key_signs_on_its_own_thread),
		TEST(a_signer_that_never_answers_is_given_up),
		TEST(the_end_of_an_instance_answers_what_waits),
		TEST(a_reload_asks_the_source_of_a_new_slot),
		TEST(a_challenge_is_put_and_its_end_is_told),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
