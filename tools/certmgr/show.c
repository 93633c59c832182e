/* SPDX-License-Identifier: Apache-2.0 */
/* What is installed and what was found, in words or as JSON. */
#include "certmgr.h"

#include <stdio.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "cert/describe.h"

#define AREA (512u * 1024)

/* ---- JSON ---------------------------------------------------------------- */

static void
put_bool(struct json_out *j, const char *key, bool b)
{
	jout_raw(j, key, b ? "true" : "false", b ? 4 : 5);
}

static void
put_name(struct json_out *j, const char *key, const struct cert_name *n)
{
	jout_object(j, key);
	jout_string(j, "cn", n->cn);
	jout_string(j, "o", n->o);
	jout_string(j, "ou", n->ou);
	jout_string(j, "dn", n->dn);
	jout_object_end(j);
}

static void
put_certificate(struct json_out *j, const struct cert_item *it)
{
	struct cert_facts f;

	if (cert_describe(it->crt, &f) < 0) {
		j->failed = true;
		return;
	}
	jout_object(j, NULL);
	jout_string(j, "file", it->from.file);
	jout_uint(j, "at", it->from.at);
	jout_string(j, "format", it->from.format);
	put_name(j, "subject", &f.subject);
	put_name(j, "issuer", &f.issuer);
	jout_string(j, "names", f.names);
	jout_time(j, "not_before", f.not_before * 1000);
	jout_time(j, "not_after", f.not_after * 1000);
	jout_string(j, "key", f.key);
	jout_string(j, "signature", f.signature);
	jout_string(j, "serial", f.serial);
	jout_hex(j, "sha256", f.sha256, sizeof(f.sha256));
	jout_hex(j, "sha1", f.sha1, sizeof(f.sha1));
	jout_hex(j, "spki_sha256", f.spki_sha256, sizeof(f.spki_sha256));
	put_bool(j, "self_signed", f.self_signed);
	put_bool(j, "ca", f.ca);
	put_bool(j, "must_staple", f.must_staple);
	jout_object_end(j);
}

static void
put_findings(struct json_out *j, const struct material *m)
{
	jout_array(j, "findings");
	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < m->found[i].n; k++) {
			const struct cert_finding *f = &m->found[i].f[k];

			jout_object(j, NULL);
			jout_string(j, "check", f->check);
			jout_string(j, "level", cert_level_name(f->level));
			jout_string(j, "text", f->text);
			jout_object_end(j);
		}
	}
	jout_array_end(j);
}

static enum status
put_json(const struct asked *a, const struct material *m, enum status s)
{
	struct outbuf out = { .p = mem_alloc(AREA), .cap = AREA - 1 };
	struct json_out j;
	enum status o;

	if (out.p == NULL)
		return say_error(a, STATUS_BROKEN, "out of memory");
	jout_init(&j, &out);
	jout_object(&j, NULL);
	put_bool(&j, "ok", s == STATUS_OK);
	jout_uint(&j, "status", s);
	if (m->generation[0] != '\0' || a->show) {
		jout_string(&j, "kind", m->self_signed ? "self-signed" :
		    "company");
		jout_string(&j, "directory", a->directory);
	}
	if (m->generation[0] != '\0')
		jout_string(&j, "generation", m->generation);
	jout_array(&j, "chains");
	for (size_t i = 0; i < m->n; i++) {
		jout_array(&j, NULL);
		for (size_t k = 0; k < m->chain[i].n; k++)
			put_certificate(&j, m->chain[i].crt[k]);
		jout_array_end(&j);
	}
	jout_array_end(&j);
	put_findings(&j, m);
	jout_object_end(&j);
	if (!jout_ok(&j)) {
		o = say_error(a, STATUS_BROKEN, "the answer is too long, or "
		    "out of memory");
	} else {
		out.p[out.n++] = '\n';
		o = put_out((const char *)out.p, out.n);
	}
	mem_free(out.p);
	return o == STATUS_OK ? s : o;
}

/* ---- words --------------------------------------------------------------- */

static void
print_part(const char *title, const char *value)
{
	if (value[0] == '\0')
		(void)printf("    %s\n", title);
	else
		(void)printf("    %-20s %s\n", title, value);
}

/* The lines of certmgr.bat. */
static void
print_name(const char *title, const struct cert_name *n)
{
	(void)printf("%s:\n", title);
	print_part("Common Name:", n->cn);
	print_part("Organizational Unit:", n->ou);
	print_part("Organization:", n->o);
}

static enum status
print_chain(const struct asked *a, const struct cert_chain *ch)
{
	char from[CERT_TIME_SIZE], to[CERT_TIME_SIZE];
	struct cert_facts f;

	if (cert_describe(ch->crt[0]->crt, &f) < 0)
		return say_error(a, STATUS_BROKEN, "the certificate cannot be "
		    "described");
	cert_time(f.not_before, from);
	cert_time(f.not_after, to);
	print_name("Subject", &f.subject);
	print_name("Issuer", &f.issuer);
	(void)printf("Validity:\n    NotBefore: %s\n    NotAfter: %s\n"
	    "Subject Alt Names: %s\n", from, to, f.names);
	return STATUS_OK;
}

enum status
show(const struct asked *a, const struct material *m)
{
	enum status s = STATUS_OK;

	if (a->json)
		return put_json(a, m, STATUS_OK);
	if (m->self_signed)
		(void)puts("TLS connector uses the default self-signed "
		    "certificate.");
	else
		(void)puts("TLS connector uses a company certificate");
	for (size_t i = 0; s == STATUS_OK && !m->self_signed && i < m->n; i++)
		s = print_chain(a, &m->chain[i]);
	return s == STATUS_OK ? put_out("", 0) : s;
}

enum status
report(const struct asked *a, const struct material *m, enum status s,
    const char *done)
{
	if (a->json)
		return put_json(a, m, s);
	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < m->found[i].n; k++) {
			const struct cert_finding *f = &m->found[i].f[k];

			(void)fprintf(a->check ? stdout : stderr,
			    "%s: %s: %s\n", cert_level_name(f->level),
			    f->check, f->text);
		}
	}
	if (done != NULL)
		(void)puts(done);
	return put_out("", 0) == STATUS_OK ? s : STATUS_BROKEN;
}
