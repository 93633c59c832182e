/* SPDX-License-Identifier: Apache-2.0 */
/* Puts certificates in place: those that were given, a self-signed one, or the
 * ones before. */
#include "certmgr.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cert/describe.h"
#include "cert/self.h"

#define DAEMON_USER "cleat"		/* of the packages */

/* ---- owner --------------------------------------------------------------- */

static bool
number(const char *text, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && text[0] >= '0' &&
	    text[0] <= '9' && *ret < UINT32_MAX;
}

/* The usual place does not exist yet, and root makes it: what a user of its own
 * cannot read there is of no use to the daemon. */
static bool
for_the_daemon(const struct asked *a)
{
	return a->directory == a->default_dir && a->words == 0 &&
	    geteuid() == 0 && access(a->directory, F_OK) < 0 &&
	    errno == ENOENT;
}

static enum status
owner_find(const struct asked *a, bool *ret_has, uid_t *ret_uid,
    gid_t *ret_gid)
{
	const char *colon, *group = NULL;
	const struct passwd *pw;
	const struct group *gr;
	unsigned long n;
	char user[64];

	*ret_has = a->owner != NULL;
	if (a->owner == NULL) {
		pw = for_the_daemon(a) ? getpwnam(DAEMON_USER) : NULL;
		if (pw != NULL) {
			*ret_has = true;
			*ret_uid = pw->pw_uid;
			*ret_gid = pw->pw_gid;
		}
		return STATUS_OK;
	}
	colon = strchr(a->owner, ':');
	if (colon != NULL)
		group = colon + 1;
	(void)snprintf(user, sizeof(user), "%.*s", colon == NULL ? 63 :
	    (int)(colon - a->owner), a->owner);
	pw = getpwnam(user);
	if (pw == NULL && !number(user, &n))
		return say_error(a, STATUS_USAGE, "--owner: there is no user "
		    "%s", user);
	*ret_uid = pw != NULL ? pw->pw_uid : (uid_t)n;
	*ret_gid = pw != NULL ? pw->pw_gid : (gid_t)n;
	if (group == NULL)
		return STATUS_OK;
	gr = getgrnam(group);
	if (gr == NULL && !number(group, &n))
		return say_error(a, STATUS_USAGE, "--owner: there is no group "
		    "%s", group);
	*ret_gid = gr != NULL ? gr->gr_gid : (gid_t)n;
	return STATUS_OK;
}

/* ---- putting it there ---------------------------------------------------- */

static int
join(struct cert_blob *to, const struct cert_blob *more)
{
	uint8_t *p = mem_alloc(to->n + more->n + 1);

	if (p == NULL)
		return -ENOMEM;
	if (to->n > 0)
		memcpy(p, to->p, to->n);
	memcpy(p + to->n, more->p, more->n + 1);
	mem_free_wiped(to->p, to->n);
	to->p = p;
	to->n += more->n;
	return 0;
}

static int
as_pem(const struct material *m, struct cert_blob *chain,
    struct cert_blob *key)
{
	struct cert_blob b = { NULL, 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		r = cert_chain_pem(&m->chain[i], &b);
		if (r == 0)
			r = join(chain, &b);
		cert_blob_free(&b);
		if (r == 0)
			r = cert_key_pem(m->chain[i].key, &b);
		if (r == 0)
			r = join(key, &b);
		cert_blob_free(&b);
	}
	return r;
}

/* What belongs to no chain has been told. */
static size_t
add_staples(const struct material *m, struct cert_install_file *to)
{
	size_t n = 0;

	for (size_t i = 0; i < m->staples_n; i++) {
		const struct cert_blob *b = &m->staple[i];

		if (material_fits(m, b)) {
			to[n] = (struct cert_install_file){ staple_file[n],
			    b->p, b->n };
			n++;
		}
	}
	return n;
}

static enum status
put(const struct asked *a, struct material *m)
{
	struct cert_blob chain = { NULL, 0 }, key = { NULL, 0 };
	const char *kind = m->self_signed ? "self-signed\n" : "company\n";
	char why[CERT_WHY_SIZE] = "out of memory";
	struct cert_install_spec spec = { .dir = a->directory };
	enum status s;
	int r;

	s = owner_find(a, &spec.has_owner, &spec.uid, &spec.gid);
	if (s != STATUS_OK)
		return s;
	r = as_pem(m, &chain, &key);
	if (r == 0) {
		struct cert_install_file files[3 + CHAINS_MAX] = {
			{ "chain.pem", chain.p, chain.n },
			{ "key.pem", key.p, key.n },
			{ "kind", kind, strlen(kind) }
		};

		spec.files = files;
		spec.files_n = 3 + add_staples(m, &files[3]);
		r = cert_install(&spec, why, m->generation);
	}
	cert_blob_free(&chain);
	cert_blob_free(&key);
	if (r < 0)
		return say_error(a, r == -ENOMEM ? STATUS_BROKEN :
		    STATUS_FILES, "%s", why);
	return STATUS_OK;
}

/* Checks it, puts it in place and waits, as asked. */
static enum status
check_and_put(const struct asked *a, struct material *m,
    const struct material *now)
{
	char done[4352];
	enum status s;

	s = material_check(a, now, m);
	if (s == STATUS_OK && m->refused)
		return report(a, m, STATUS_REFUSED, NULL);
	if (s == STATUS_OK)
		s = put(a, m);
	if (s == STATUS_OK && a->wait_live)
		s = live_wait(a, m);
	if (s != STATUS_OK)
		return s;
	(void)snprintf(done, sizeof(done), "%s %s in %s/current (%s)",
	    a->wait_live ? "The daemon serves the" : "Installed a",
	    m->self_signed ? "self-signed certificate" :
	    "company certificate", a->directory, m->generation);
	return report(a, m, s, done);
}

enum status
put_given(struct asked *a)
{
	struct material m = { .bundle = NULL }, now = m;
	char why[CERT_WHY_SIZE];
	enum status s;

	s = material_given(a, &m);
	if (s != STATUS_OK)
		return s;
	/* Nothing has to be there, or to be good. */
	(void)material_installed(a, why, &now);
	s = check_and_put(a, &m, &now);
	material_free(&now);
	material_free(&m);
	return s;
}

/* ---- self-signed --------------------------------------------------------- */

static enum status
make_directory(const struct asked *a)
{
	bool has;
	uid_t uid;
	gid_t gid;
	enum status s = owner_find(a, &has, &uid, &gid);
	char why[CERT_WHY_SIZE];

	if (s != STATUS_OK)
		return s;
	if (mkdir(a->directory, 0700) < 0) {
		if (errno == EEXIST)
			return STATUS_OK;
	} else if (!has || chown(a->directory, uid, gid) == 0) {
		return STATUS_OK;
	} else {
		int err = errno;

		/* The next one would take its owner for the one to be. */
		(void)rmdir(a->directory);
		errno = err;
	}
	(void)cert_why(why, -errno, "%s: cannot be made: %s", a->directory,
	    strerror(errno));
	return say_error(a, STATUS_FILES, "%s", why);
}

enum status
put_self(struct asked *a)
{
	char why[CERT_WHY_SIZE] = "out of memory", host[256] = "";
	struct material m = { .self_signed = true };
	bool made = false;
	size_t n = 0;
	enum status s;
	int r;

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		(void)snprintf(host, sizeof(host), "localhost");
	if (a->name[0] == NULL) {
		a->name[n++] = host;
		if (strcmp(host, "localhost") != 0)
			a->name[n++] = "localhost";
		a->name[n++] = "127.0.0.1";
		a->name[n++] = "::1";
	}
	s = make_directory(a);
	if (s != STATUS_OK)
		return s;
	r = cert_self_get(a->directory, a->name, a->now_s, why, &m.bundle,
	    &made);
	if (r == 0)
		r = cert_chain_all(m.bundle, NULL, a->now_s, 1, why, m.chain,
		    &m.n);
	s = r < 0 ? say_error(a, status_of(r), "%s", why) :
	    check_and_put(a, &m, NULL);
	material_free(&m);
	return s;
}

/* ---- back ---------------------------------------------------------------- */

enum status
put_back(struct asked *a)
{
	char why[CERT_WHY_SIZE] = "out of memory", done[4352];
	char generation[CERT_GENERATION_SIZE];
	struct material m = { .bundle = NULL };
	enum status s;
	int r;

	r = cert_install_rollback(a->directory, why, generation);
	if (r < 0)
		return say_error(a, r == -ENOENT ? STATUS_NOTHING :
		    STATUS_FILES, "%s", why);
	s = material_current(a, &m);
	/* It is in place whatever the checks say: they are told. */
	if (s == STATUS_OK)
		s = material_check(a, NULL, &m);
	if (m.refused)
		say("warning: the certificate that was gone back to does not "
		    "pass all checks");
	else if (s == STATUS_OK && a->wait_live)
		s = live_wait(a, &m);
	(void)snprintf(done, sizeof(done), "Back to %s in %s/current",
	    generation, a->directory);
	if (s == STATUS_OK)
		s = report(a, &m, m.refused ? STATUS_REFUSED : s, done);
	material_free(&m);
	return s;
}
