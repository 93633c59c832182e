/* SPDX-License-Identifier: Apache-2.0 */
/* What the authority takes back (RFC 5280 5): the index says which, and a list
 * is made of that. */
#include "ca.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"
#include "cert/describe.h"
#include "cert/make.h"

#define CRL_DAYS 30

static size_t
bytes_of(const char *text, size_t n, uint8_t to[32])
{
	char digits[65];

	if (n == 0 || n >= sizeof(digits))
		return 0;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return hex_read(digits, to, n / 2) < 0 ? 0 : n / 2;
}

/* All lines that say R. */
static int
revoked(const struct text *index, struct cert_revoked **ret, size_t *ret_n)
{
	struct cert_revoked *list = NULL, *more, r;
	const char *line = text_str(index), *tab;
	size_t n = 0;

	for (; *line != '\0'; line += strcspn(line, "\n"), line += *line != 0) {
		tab = strchr(line, '\t');
		if (tab == NULL || strncmp(tab, "\tR\t", 3) != 0)
			continue;
		memset(&r, 0, sizeof(r));
		r.serial_n = bytes_of(line, (size_t)(tab - line), r.serial);
		if (r.serial_n == 0 || sscanf(tab, "\tR\t%*[^\t]\t%*d\t%"
		    SCNd64, &r.when_s) != 1) {
			mem_free(list);
			return -EINVAL;
		}
		more = mem_realloc(list, (n + 1) * sizeof(*list));
		if (more == NULL) {
			mem_free(list);
			return -ENOMEM;
		}
		list = more;
		list[n++] = r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

/* The number of the next list; they only grow. */
static enum status
next_number(const struct ca *c, uint64_t *ret)
{
	char path[CA_PATH_SIZE], text[32];
	uint8_t *p;
	size_t n;
	int r = file_read(ca_path(c, "crlnumber", path), 64, &p, &n);

	*ret = 1;
	if (r == 0) {
		*ret = strtoull((const char *)p, NULL, 10) + 1;
		mem_free(p);
	} else if (r != -ENOENT) {
		return ca_fault(c, STATUS_FILES, path, "cannot be read", r);
	}
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", *ret);
	return ca_put_file(c, path, text, strlen(text), 0600);
}

static enum status
write_crl(const struct ca *c, const struct text *index, const char *path)
{
	char why[CERT_WHY_SIZE] = "out of memory", own[CA_PATH_SIZE];
	struct cert_revoked *list = NULL;
	struct cert_blob crl = { NULL, 0 };
	int64_t valid_s = 0;
	uint64_t number = 0;
	size_t n = 0;
	enum status s;
	int r;

	s = ca_days(c->a, CRL_DAYS, &valid_s);
	if (s == STATUS_OK)
		s = next_number(c, &number);
	if (s != STATUS_OK)
		return s;
	r = revoked(index, &list, &n);
	if (r == -EINVAL)
		(void)cert_why(why, r, "%s: a line cannot be understood: put "
		    "it right by hand", ca_path(c, "index", own));
	if (r == 0)
		r = cert_make_crl(&c->chain, list, n, number, c->a->now_s,
		    c->a->now_s + valid_s, why, &crl);
	mem_free(list);
	if (r < 0)
		return say_error(c->a, status_of(r), "%s", why);
	s = ca_put_file(c, ca_path(c, "crl.pem", own), crl.p, crl.n, 0644);
	if (s == STATUS_OK && path != NULL)
		s = ca_put_file(c, path, crl.p, crl.n, 0644);
	cert_blob_free(&crl);
	return s;
}

/* A file with the certificate, or the number itself, with or without colons. */
static enum status
serial_of(const struct ca *c, const char *word, char serial[65])
{
	char why[CERT_WHY_SIZE] = "out of memory";
	struct cert_bundle *b = NULL;
	struct cert_facts f;
	struct stat st;
	size_t n = 0;
	int r;

	if (stat(word, &st) < 0) {
		for (; *word != '\0' && n < 64; word++)
			if (*word != ':')
				serial[n++] = (char)tolower(
				    (unsigned char)*word);
		serial[n] = '\0';
		return STATUS_OK;
	}
	r = cert_bundle_new(&b);
	if (r == 0)
		r = cert_bundle_add_file(b, word, c->a->has_password ?
		    c->a->password : NULL, why, NULL, NULL);
	if (r == 0 && b->certs_n == 0)
		r = cert_why(why, -EINVAL, "%s: there is no certificate in "
		    "it", word);
	if (r == 0)
		r = cert_describe(b->certs[0].crt, &f);
	if (r == 0)
		memcpy(serial, f.serial, sizeof(f.serial));
	cert_bundle_free(&b);
	return r < 0 ? say_error(c->a, status_of(r), "%s", why) : STATUS_OK;
}

/* The index with that line changed. */
static enum status
mark(const struct ca *c, const char *serial, struct text *to)
{
	const char *text = text_str(&c->index), *line = text;
	const char *reason = c->a->reason != NULL ? c->a->reason : "";
	size_t n = strlen(serial), kind, end;

	while (*line != '\0' && (strncmp(line, serial, n) != 0 ||
	    line[n] != '\t')) {
		line += strcspn(line, "\n");
		line += *line != '\0';
	}
	if (*line == '\0' || n == 0)
		return ca_fault(c, STATUS_NOTHING, serial, "this authority has "
		    "issued no certificate with that serial number", 0);
	if (strncmp(line + n, "\tV\t", 3) != 0)
		return ca_fault(c, STATUS_REFUSED, serial, "is revoked already",
		    0);
	kind = strcspn(line + n + 3, "\t");
	end = strcspn(line + n + 3 + kind + 1, "\t");
	text_add(to, text, (size_t)(line - text));
	text_printf(to, "%s\tR\t%.*s\t%" PRId64 "\t%s", serial,
	    (int)(kind + 1 + end), line + n + 3, c->a->now_s, reason);
	line += n + 3 + kind + 1 + end;
	if (strncmp(line, "\t\t\t", 3) != 0)	/* no time and reason yet */
		return ca_fault(c, STATUS_FILES, serial, "its line in the "
		    "index cannot be understood: put it right by hand", 0);
	text_add(to, line + 2, strlen(line + 2));
	return STATUS_OK;
}

enum status
ca_revoke(struct ca *c)
{
	char serial[65], path[CA_PATH_SIZE];
	const char *const files[] = { path, NULL };
	struct text index = { 0 };
	enum status s;

	if (c->a->words != 3)
		return ca_usage(c->a, "ca revoke SERIAL|FILE is expected");
	if (!ca_plain(c->a->reason))
		return ca_usage(c->a, "--reason: no control characters");
	s = ca_lock(c);
	if (s == STATUS_OK)
		s = ca_read(c);
	if (s == STATUS_OK)
		s = ca_read_index(c);
	if (s == STATUS_OK)
		s = serial_of(c, c->a->word[2], serial);
	if (s == STATUS_OK)
		s = mark(c, serial, &index);
	if (s == STATUS_OK)
		s = ca_write_index(c, &index);
	if (s == STATUS_OK)
		s = write_crl(c, &index, c->a->out);
	text_free(&index);
	if (s != STATUS_OK)
		return s;
	(void)ca_path(c, "crl.pem", path);
	return ca_done(c, "Revoked", serial, files);
}

enum status
ca_crl(struct ca *c)
{
	char path[CA_PATH_SIZE];
	const char *const files[] = { path, c->a->out, NULL };
	enum status s;

	if (c->a->words != 2)
		return ca_usage(c->a, "ca crl takes no words");
	s = ca_lock(c);
	if (s == STATUS_OK)
		s = ca_read(c);
	if (s == STATUS_OK)
		s = ca_read_index(c);
	if (s == STATUS_OK)
		s = write_crl(c, &c->index, c->a->out);
	(void)ca_path(c, "crl.pem", path);
	return s == STATUS_OK ? ca_done(c, "Wrote the list of revoked "
	    "certificates", "", files) : s;
}
