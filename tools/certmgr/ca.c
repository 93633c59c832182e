/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small authority for devices and servers.  Its directory (0700) holds
 * ca.pem, ca.key, crl.pem, crlnumber, and `index`: a line for each certificate,
 * with tabs between serial number, V or R (revoked), kind, end, time and reason
 * of the revocation, name.  Each file is replaced whole; a lock on the
 * directory keeps others out.  What is issued is in the index before anybody
 * has it.
 */
#include "ca.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "cert/describe.h"
#include "cert/make.h"

#define CA_DAYS 3650
#define SERVER_DAYS 397
#define CLIENT_DAYS 825
#define DAYS_MAX 36500
#define INDEX_LIMIT (64u << 20)

const char *
ca_path(const struct ca *c, const char *name, char path[CA_PATH_SIZE])
{
	(void)snprintf(path, CA_PATH_SIZE, "%s/%s", c->a->directory, name);
	return path;
}

enum status
ca_fault(const struct ca *c, enum status s, const char *path, const char *what,
    int error)
{
	char why[CERT_WHY_SIZE];

	(void)cert_why(why, error, "%s: %s%s%s", path, what,
	    error == 0 ? "" : ": ", error == 0 ? "" : strerror(-error));
	return say_error(c->a, s, "%s", why);
}

enum status
ca_put_file(const struct ca *c, const char *path, const void *p, size_t n,
    unsigned mode)
{
	int r = file_write_atomic(path, p, n, mode);

	return r == 0 ? STATUS_OK : ca_fault(c, STATUS_FILES, path,
	    "cannot be written", r);
}

/* What was done, with the files that were written; NULL ends. */
enum status
ca_done(const struct ca *c, const char *what, const char *serial,
    const char *const *files)
{
	uint8_t area[16384];
	struct outbuf out = { .p = area, .cap = sizeof(area) - 1 };
	struct json_out j;

	if (!c->a->json) {
		(void)printf("%s%s%s\n", what, serial[0] == '\0' ? "" :
		    ", serial number ", serial);
		for (; *files != NULL; files++)
			(void)printf("  %s\n", *files);
		return put_out("", 0);
	}
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_raw(&j, "ok", "true", 4);
	jout_uint(&j, "status", STATUS_OK);
	if (serial[0] != '\0')
		jout_string(&j, "serial", serial);
	jout_array(&j, "files");
	for (; *files != NULL; files++)
		jout_string(&j, NULL, *files);
	jout_array_end(&j);
	jout_object_end(&j);
	area[out.n++] = '\n';
	return put_out((const char *)area, out.n);
}

/* ---- its directory ------------------------------------------------------- */

enum status
ca_lock(struct ca *c)
{
	const char *dir = c->a->directory;
	struct stat st;

	c->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->lock < 0)
		return ca_fault(c, errno == ENOENT ? STATUS_NOTHING :
		    STATUS_FILES, dir, errno == ENOENT ? "there is no "
		    "authority (\"cleat-certmgr ca init\" makes one, "
		    "--directory names another place)" : "cannot be opened",
		    -errno);
	if (fstat(c->lock, &st) == 0 && (st.st_mode & 077) != 0)
		return ca_fault(c, STATUS_FILES, dir, "others can look into it "
		    "or write there: chmod 700 it", 0);
	if (flock(c->lock, LOCK_EX | LOCK_NB) < 0)
		return ca_fault(c, STATUS_FILES, dir, "another cleat-certmgr "
		    "works there: try again when it has ended", -errno);
	return STATUS_OK;
}

enum status
ca_read_index(struct ca *c)
{
	char path[CA_PATH_SIZE];
	uint8_t *p;
	size_t n;
	int r = file_read(ca_path(c, "index", path), INDEX_LIMIT, &p, &n);

	if (r < 0)
		return ca_fault(c, STATUS_FILES, path, "cannot be read", r);
	text_add(&c->index, (const char *)p, n);
	mem_free(p);
	return c->index.failed ? ca_fault(c, STATUS_BROKEN, path,
	    "cannot be read", -ENOMEM) : STATUS_OK;
}

enum status
ca_write_index(const struct ca *c, const struct text *index)
{
	char path[CA_PATH_SIZE];

	(void)ca_path(c, "index", path);
	if (index->failed)
		return ca_fault(c, STATUS_BROKEN, path, "cannot be written",
		    -ENOMEM);
	return ca_put_file(c, path, text_str(index), index->n, 0600);
}

enum status
ca_read(struct ca *c)
{
	const char *password = c->a->has_password ? c->a->password : NULL;
	char why[CERT_WHY_SIZE] = "out of memory", path[CA_PATH_SIZE];
	struct cert_facts f;
	int r;

	r = cert_bundle_new(&c->bundle);
	if (r == 0)
		r = cert_bundle_add_file(c->bundle, ca_path(c, "ca.pem", path),
		    NULL, why, NULL, NULL);
	if (r == 0)
		r = cert_bundle_add_file(c->bundle, ca_path(c, "ca.key", path),
		    password, why, NULL, NULL);
	if (r == 0 && c->bundle->keys_n == 0)
		r = cert_why(why, -EINVAL, "%s: there is no private key in "
		    "it", path);
	if (r == 0)
		r = cert_chain_build(c->bundle, NULL, &c->bundle->keys[0],
		    c->a->now_s, why, &c->chain);
	if (r == 0)
		r = cert_describe(c->chain.crt[0]->crt, &f);
	if (r < 0)
		return say_error(c->a, r == -ENOENT ? STATUS_NOTHING :
		    status_of(r), "%s", why);
	c->not_after = f.not_after;
	if (f.not_after <= c->a->now_s)
		return ca_fault(c, STATUS_REFUSED, ca_path(c, "ca.pem", path),
		    "the authority has expired: make a new one in another "
		    "directory", 0);
	return STATUS_OK;
}

/* ---- what was asked ------------------------------------------------------ */

enum status
ca_usage(const struct asked *a, const char *text)
{
	return say_error(a, STATUS_USAGE, "%s", text);
}

enum status
ca_days(const struct asked *a, unsigned long otherwise, int64_t *ret_s)
{
	unsigned long v = otherwise;
	char *end;

	errno = 0;
	if (a->days != NULL) {
		v = strtoul(a->days, &end, 10);
		if (errno != 0 || *end != '\0' || !isdigit((unsigned char)
		    a->days[0]) || v == 0 || v > DAYS_MAX)
			return ca_usage(a, "--days: a number from 1 to 36500 "
			    "is expected");
	}
	*ret_s = (int64_t)v * CA_DAY_S;
	return STATUS_OK;
}

/* It stands in a line of the index. */
bool
ca_plain(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		if (iscntrl((unsigned char)*text))
			return false;
	return true;
}

/* ---- init ---------------------------------------------------------------- */

static enum status
make_ca(struct ca *c, int64_t valid_s)
{
	const struct asked *a = c->a;
	struct cert_make_spec spec = { .kind = CERT_MAKE_CA, .cn = a->cn,
	    .o = a->o, .ou = a->ou, .from_s = a->now_s - CA_DAY_S,
	    .to_s = a->now_s + valid_s };
	struct cert_blob crt = { NULL, 0 }, key = crt;
	char why[CERT_WHY_SIZE] = "out of memory";
	char crt_path[CA_PATH_SIZE], key_path[CA_PATH_SIZE];
	char index[CA_PATH_SIZE];
	const char *const files[] = { crt_path, key_path, NULL };
	enum status s;
	int r;

	r = cert_make(&spec, a->has_password ? a->password : NULL, why, &crt,
	    &key);
	if (r < 0)
		return say_error(a, status_of(r), "%s", why);
	(void)ca_path(c, "ca.pem", crt_path);
	(void)ca_path(c, "ca.key", key_path);
	/* The key last: with it there is an authority. */
	s = ca_put_file(c, ca_path(c, "index", index), "", 0, 0600);
	if (s == STATUS_OK)
		s = ca_put_file(c, crt_path, crt.p, crt.n, 0644);
	if (s == STATUS_OK)
		s = ca_put_file(c, key_path, key.p, key.n, 0600);
	/* Half of one would be in the way of the next attempt. */
	if (s != STATUS_OK) {
		(void)unlink(key_path);
		(void)unlink(crt_path);
	}
	cert_blob_free(&key);
	cert_blob_free(&crt);
	return s == STATUS_OK ? ca_done(c, "Made an authority", "", files) : s;
}

static enum status
init(struct ca *c)
{
	const struct asked *a = c->a;
	char path[CA_PATH_SIZE];
	struct stat st;
	int64_t valid_s;
	enum status s;

	if (a->words != 2)
		return ca_usage(a, "ca init takes no words, but --cn NAME");
	if (a->cn == NULL)
		return ca_usage(a, "ca init: --cn is missing: the name of the "
		    "authority");
	s = ca_days(a, CA_DAYS, &valid_s);
	if (s != STATUS_OK)
		return s;
	if (mkdir(a->directory, 0700) < 0 && errno != EEXIST)
		return ca_fault(c, STATUS_FILES, a->directory, "cannot be made",
		    -errno);
	s = ca_lock(c);
	if (s != STATUS_OK)
		return s;
	if (lstat(ca_path(c, "ca.key", path), &st) == 0 ||
	    lstat(ca_path(c, "ca.pem", path), &st) == 0)
		return ca_fault(c, STATUS_REFUSED, path, "there is an "
		    "authority already: name another --directory", 0);
	return make_ca(c, valid_s);
}

/* ---- issue --------------------------------------------------------------- */

struct issued {
	struct cert_blob crt, key;	/* PEM */
	struct cert_bundle *bundle;	/* of both, and the authority */
	struct cert_chain chain;
	struct cert_facts facts;
};

static void
issued_free(struct issued *i)
{
	cert_blob_free(&i->crt);
	cert_blob_free(&i->key);
	cert_bundle_free(&i->bundle);
}

static void
pem_paths(const char *prefix, char crt[CA_PATH_SIZE], char key[CA_PATH_SIZE])
{
	(void)snprintf(crt, CA_PATH_SIZE, "%s.pem", prefix);
	(void)snprintf(key, CA_PATH_SIZE, "%s.key", prefix);
}

static enum status
taken(const struct ca *c, const char *path)
{
	return ca_fault(c, STATUS_REFUSED, path, "is there already: move it "
	    "away, or name another with --out or -pkcs12", 0);
}

/* Makes it, and its chain up to the authority. */
static int
make(const struct ca *c, const struct cert_make_spec *spec, char *why,
    struct issued *i)
{
	char path[CA_PATH_SIZE];
	int r;

	r = cert_make(spec, NULL, why, &i->crt, &i->key);
	if (r == 0)
		r = cert_bundle_new(&i->bundle);
	if (r == 0)
		r = cert_bundle_add(i->bundle, "", i->crt.p, i->crt.n, NULL,
		    why);
	if (r == 0)
		r = cert_bundle_add(i->bundle, "", i->key.p, i->key.n, NULL,
		    why);
	if (r == 0)
		r = cert_bundle_add_file(i->bundle, ca_path(c, "ca.pem", path),
		    NULL, why, NULL, NULL);
	if (r == 0)
		r = cert_chain_build(i->bundle, NULL, &i->bundle->keys[0],
		    c->a->now_s, why, &i->chain);
	return r < 0 ? r : cert_describe(i->chain.crt[0]->crt, &i->facts);
}

/* What is there may be somebody's certificate, key or list: it stays. */
static enum status
put_new(const struct ca *c, const char *path, const struct cert_blob *b,
    unsigned mode)
{
	int r = file_write_new(path, b->p, b->n, mode);

	return r == 0 ? STATUS_OK : r == -EEXIST ? taken(c, path) :
	    ca_fault(c, STATUS_FILES, path, "cannot be written", r);
}

static enum status
put_pkcs12(const struct ca *c, const struct issued *i)
{
	const char *const files[] = { c->a->pkcs12, NULL };
	char why[CERT_WHY_SIZE] = "out of memory";
	struct cert_blob p12 = { NULL, 0 };
	enum status s;
	int r;

	r = cert_make_pkcs12(&i->chain, c->out_password, i->facts.subject.cn,
	    why, &p12);
	if (r < 0)
		return say_error(c->a, status_of(r), "%s", why);
	s = put_new(c, c->a->pkcs12, &p12, 0600);
	cert_blob_free(&p12);
	return s == STATUS_OK ? ca_done(c, "Issued a certificate",
	    i->facts.serial, files) : s;
}

static enum status
put_pem(const struct ca *c, const struct issued *i, const char *prefix)
{
	char crt_path[CA_PATH_SIZE], key_path[CA_PATH_SIZE];
	const char *const files[] = { crt_path, key_path, NULL };
	char why[CERT_WHY_SIZE] = "out of memory";
	struct cert_blob chain = { NULL, 0 };
	enum status s;
	int r;

	pem_paths(prefix, crt_path, key_path);
	r = cert_chain_pem(&i->chain, &chain);
	if (r < 0)
		return say_error(c->a, status_of(r), "%s", why);
	s = put_new(c, key_path, &i->key, 0600);
	if (s == STATUS_OK) {
		s = put_new(c, crt_path, &chain, 0644);
		if (s != STATUS_OK)
			(void)unlink(key_path);	/* good for nothing */
	}
	cert_blob_free(&chain);
	return s == STATUS_OK ? ca_done(c, "Issued a certificate",
	    i->facts.serial, files) : s;
}

/* Before anything is issued. */
static enum status
check_room(const struct ca *c, const char *prefix)
{
	char crt_path[CA_PATH_SIZE], key_path[CA_PATH_SIZE];
	struct stat st;

	if (c->a->pkcs12 != NULL)
		return lstat(c->a->pkcs12, &st) < 0 ? STATUS_OK :
		    taken(c, c->a->pkcs12);
	pem_paths(prefix, crt_path, key_path);
	return lstat(key_path, &st) == 0 ? taken(c, key_path) :
	    lstat(crt_path, &st) == 0 ? taken(c, crt_path) : STATUS_OK;
}

static enum status
make_and_put(struct ca *c, struct cert_make_spec *spec, const char *prefix)
{
	const char *kind = spec->kind == CERT_MAKE_SERVER ? "server" :
	    "client";
	char why[CERT_WHY_SIZE] = "out of memory";
	struct issued i = { .bundle = NULL };
	enum status s;
	int r;

	if (spec->to_s > c->not_after) {
		spec->to_s = c->not_after;
		say("note: it ends with the authority");
	}
	spec->issuer = &c->chain;
	r = make(c, spec, why, &i);
	if (r < 0) {
		issued_free(&i);
		return say_error(c->a, status_of(r), "%s", why);
	}
	text_printf(&c->index, "%s\tV\t%s\t%" PRId64 "\t\t\t%s\n",
	    i.facts.serial, kind, i.facts.not_after, spec->cn);
	s = ca_write_index(c, &c->index);
	if (s == STATUS_OK)
		s = c->a->pkcs12 != NULL ? put_pkcs12(c, &i) :
		    put_pem(c, &i, prefix);
	issued_free(&i);
	return s;
}

static enum status
issue(struct ca *c)
{
	const struct asked *a = c->a;
	const char *names[NAMES_MAX + 2] = { NULL }, *prefix;
	struct cert_make_spec spec = { .names = names, .o = a->o,
	    .ou = a->ou, .from_s = a->now_s - 3600 };
	size_t n = 0;
	enum status s;

	if (a->words != 4 || (strcmp(a->word[2], "server") != 0 &&
	    strcmp(a->word[2], "client") != 0))
		return ca_usage(a, "ca issue server|client NAME is expected");
	spec.cn = a->word[3];
	spec.kind = strcmp(a->word[2], "server") == 0 ? CERT_MAKE_SERVER :
	    CERT_MAKE_CLIENT;
	if (!ca_plain(spec.cn) || spec.cn[0] == '\0' || strlen(spec.cn) > 64)
		return ca_usage(a, "ca issue: a NAME has 1 to 64 bytes and no "
		    "control characters");
	prefix = a->out != NULL ? a->out : spec.cn;
	if (a->out == NULL && a->pkcs12 == NULL && strchr(spec.cn, '/'))
		return ca_usage(a, "ca issue: with / in NAME, --out or -pkcs12 "
		    "has to say where it goes");
	if (a->pkcs12 != NULL && a->out_pass_file == NULL)
		return ca_usage(a, "ca issue -pkcs12: --out-pass-file is "
		    "missing: the file with its password");
	if (spec.kind == CERT_MAKE_SERVER)
		names[n++] = spec.cn;	/* clients look nowhere else */
	for (size_t i = 0; a->name[i] != NULL; i++)
		if (n == 0 || strcmp(a->name[i], names[0]) != 0)
			names[n++] = a->name[i];
	s = ca_days(a, spec.kind == CERT_MAKE_SERVER ? SERVER_DAYS :
	    CLIENT_DAYS, &spec.to_s);
	spec.to_s += a->now_s;
	if (s == STATUS_OK && a->pkcs12 != NULL)
		s = password_file(a, a->out_pass_file, c->out_password);
	if (s == STATUS_OK)
		s = ca_lock(c);
	if (s == STATUS_OK)
		s = check_room(c, prefix);
	if (s == STATUS_OK)
		s = ca_read(c);
	if (s == STATUS_OK)
		s = ca_read_index(c);
	return s == STATUS_OK ? make_and_put(c, &spec, prefix) : s;
}

/* ---- all ----------------------------------------------------------------- */

enum status
ca_run(struct asked *a)
{
	static const struct {
		const char *word;
		enum status (*run)(struct ca *);
	} table[] = {
		{ "init", init }, { "issue", issue }, { "revoke", ca_revoke },
		{ "crl", ca_crl }
	};
	struct ca c = { .a = a, .lock = -1 };
	enum status s = STATUS_USAGE;
	size_t i, n = sizeof(table) / sizeof(table[0]);

	for (i = 0; i < n && a->words > 1; i++) {
		if (strcmp(a->word[1], table[i].word) == 0)
			break;
	}
	if (i == n || a->words < 2)
		(void)ca_usage(a, "ca: init, issue, revoke or crl is "
		    "expected");
	else
		s = table[i].run(&c);
	cert_bundle_free(&c.bundle);
	text_free(&c.index);
	mem_wipe(c.out_password, sizeof(c.out_password));
	if (c.lock >= 0)
		(void)close(c.lock);
	return s;
}
