/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys that were given, or that are installed, as chains. */
#include "certmgr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

const char *const staple_file[CHAINS_MAX] = { "staple.der", "staple-2.der" };

void
material_free(struct material *m)
{
	cert_bundle_free(&m->bundle);
	cert_bundle_free(&m->anchors);
	mem_free(m->all);
	m->all = NULL;
	for (size_t i = 0; i < m->staples_n; i++)
		cert_blob_free(&m->staple[i]);
	m->staples_n = 0;
}

static int
add_staple(struct material *m, const char *path, char *why)
{
	int r = cert_file_read(path, why, &m->staple[m->staples_n], NULL,
	    NULL);

	m->staples_n += r == 0;
	return r;
}

static int
add(struct material *m, const char *path, const struct asked *a, char *why)
{
	int r = cert_bundle_add_file(m->bundle, path, a->has_password ?
	    a->password : NULL, why, NULL, NULL);

	if (r == -ENOMEM)
		(void)cert_why(why, r, "out of memory");
	return r;
}

static int
read_anchors(const struct asked *a, char *why, struct cert_bundle **ret)
{
	struct cert_bundle *b = NULL;
	int r = cert_bundle_new(&b);

	if (r == 0)
		r = cert_bundle_add_file(b, a->anchors, NULL, why, NULL,
		    NULL);
	if (r == 0 && b->certs_n == 0)
		r = cert_why(why, -EINVAL, "%s: there is no certificate in "
		    "it", a->anchors);
	if (r < 0)
		cert_bundle_free(&b);
	else
		*ret = b;
	return r;
}

/* With nothing but certificates, --check makes the checks that need no key. */
static int
build(struct material *m, const struct asked *a, char *why)
{
	int r;

	if (m->bundle->keys_n == 0 && a->check && a->key == NULL &&
	    a->pkcs12 == NULL) {
		r = cert_chain_build(m->bundle, m->anchors, NULL, a->now_s,
		    why, &m->chain[0]);
		m->n = r == 0;
		return r;
	}
	m->all = mem_calloc(CERT_BUNDLE_KEYS, sizeof(*m->all));
	if (m->all == NULL)
		return -ENOMEM;
	return cert_chain_all(m->bundle, m->anchors, a->now_s,
	    CERT_BUNDLE_KEYS, why, m->all, &m->all_n);
}

enum status
material_given(struct asked *a, struct material *ret)
{
	struct material m = { .bundle = NULL };
	char why[CERT_WHY_SIZE] = "out of memory";
	int r;

	r = cert_bundle_new(&m.bundle);
	if (a->pkcs12 != NULL && r == 0)
		r = add(&m, a->pkcs12, a, why);
	for (size_t i = 0; r == 0 && a->cert[i] != NULL; i++)
		r = add(&m, a->cert[i], a, why);
	if (a->key != NULL && r == 0)
		r = add(&m, a->key, a, why);
	for (size_t i = 0; r == 0 && a->ocsp[i] != NULL; i++)
		r = add_staple(&m, a->ocsp[i], why);
	if (r == 0 && a->anchors != NULL)
		r = read_anchors(a, why, &m.anchors);
	if (r == 0)
		r = build(&m, a, why);
	if (r < 0) {
		material_free(&m);
		return say_error(a, status_of(r), "%s", why);
	}
	*ret = m;
	return STATUS_OK;
}

/* The file `kind` of a generation; without it the certificate is somebody's. */
static bool
is_own(const char *dir, const char *generation)
{
	struct cert_blob b = { NULL, 0 };
	char path[4096];
	bool own;

	(void)snprintf(path, sizeof(path), "%s/%s/kind", dir, generation);
	if (cert_file_read(path, NULL, &b, NULL, NULL) < 0)
		return false;
	own = strncmp((const char *)b.p, "self-signed", 11) == 0;
	cert_blob_free(&b);
	return own;
}

enum status
material_installed(const struct asked *a, char *why, struct material *ret)
{
	static const char *const files[] = { "chain.pem", "key.pem" };
	struct material m = { .bundle = NULL };
	char path[4096];
	int r;

	r = cert_install_current(a->directory, why, m.generation);
	if (r < 0)
		return r == -ENOENT ? STATUS_NOTHING : STATUS_FILES;
	(void)cert_why(why, 0, "out of memory");
	r = cert_bundle_new(&m.bundle);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", a->directory,
		    m.generation, files[i]);
		r = cert_bundle_add_file(m.bundle, path, NULL, why, NULL,
		    NULL);
	}
	for (size_t i = 0; r == 0 && i < CHAINS_MAX; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", a->directory,
		    m.generation, staple_file[i]);
		r = add_staple(&m, path, why);
		if (r == -ENOENT)
			r = 0;		/* none was given */
	}
	if (r == 0 && a->anchors != NULL)
		r = read_anchors(a, why, &m.anchors);
	if (r == 0)
		r = cert_chain_all(m.bundle, m.anchors, a->now_s, CHAINS_MAX,
		    why, m.chain, &m.n);
	if (r < 0) {
		material_free(&m);
		return status_of(r);
	}
	m.self_signed = is_own(a->directory, m.generation);
	*ret = m;
	return STATUS_OK;
}

enum status
material_current(const struct asked *a, struct material *ret)
{
	char why[CERT_WHY_SIZE];
	enum status s = material_installed(a, why, ret);

	return s == STATUS_OK ? s : say_error(a, s, "%s%s", why,
	    s != STATUS_NOTHING ? "" : " (-self, -cert and -pkcs12 install; "
	    "--directory names another place)");
}

/* ---- checks -------------------------------------------------------------- */

bool
material_fits(const struct material *m, const struct cert_blob *staple)
{
	for (size_t i = 0; i < m->n; i++) {
		if (cert_staple_fits(&m->chain[i], staple->p, staple->n))
			return true;
	}
	return false;
}

/* As the daemon does: what replaces a chain that was whole has to be whole. */
static void
set_whole(const struct material *now, bool whole[CERT_KINDS])
{
	for (size_t i = 0; now != NULL && i < now->n; i++) {
		const struct cert_chain *old = &now->chain[i];

		if (old->n > 1 || old->rooted)
			whole[cert_chain_is_rsa(old)] = true;
	}
}

enum status
material_check(const struct asked *a, const struct material *now,
    struct material *m)
{
	const struct cert_chain *all = m->all != NULL ? m->all : m->chain;
	size_t n = m->all != NULL ? m->all_n : m->n;
	struct cert_choose_spec spec = {
		.check = {
			.checks = CERT_CHECK_ALL, .now_s = a->now_s,
			.names = a->name, .anchors = m->anchors,
			.strays = m->bundle, .all = all, .all_n = n
		},
		.staples = m->staple, .staples_n = m->staples_n
	};
	struct cert_choice choice[CERT_KINDS];
	struct cert_chain chosen[CHAINS_MAX];
	int r;

	set_whole(now, spec.whole);
	r = cert_choose(all, n, &spec, choice);
	if (r < 0)
		return say_error(a, status_of(r), "out of memory");
	n = 0;
	for (int k = 0; k < CERT_KINDS; k++) {
		if (choice[k].chain == NULL)
			continue;
		chosen[n] = *choice[k].chain;
		m->found[n++] = choice[k].found;
		m->refused = m->refused ||
		    choice[k].found.errors > 0;
	}
	memcpy(m->chain, chosen, n * sizeof(chosen[0]));
	m->n = n;
	return STATUS_OK;
}
