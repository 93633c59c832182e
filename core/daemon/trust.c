/* SPDX-License-Identifier: Apache-2.0 */
/* CAs, revocation lists and criteria of the listeners. */
#include "daemon/trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "tls/trust.h"

#define LIST_ROOM 1024			/* a line of the configuration */
#define FINGERPRINTS_ROOM (512 * 1024)

static const char *const files[] = { "ca_file", "crl_file",
	"fingerprint_file" };
enum { FILE_CA, FILE_CRL, FILE_FINGERPRINTS, FILES };

/* What was read, and texts that the spec points into. */
struct reading {
	struct tls_blobs blobs[FILES];
	char sans[LIST_ROOM], pins[LIST_ROOM];
	char *fingerprints;
	struct tls_trust_spec spec;
};

/* The elements of a list, with a space behind each. */
static size_t
join(const struct conf *conf, const char *section, const char *key, char *to,
    size_t cap)
{
	const char *item;
	size_t n = 0, len;

	to[0] = '\0';
	for (unsigned i = 0;
	    (item = conf_item(conf, section, key, i)) != NULL; i++) {
		len = strlen(item);
		if (n + len + 2 > cap)
			break;		/* cannot be: a line is shorter */
		memcpy(to + n, item, len);
		n += len;
		to[n++] = ' ';
		to[n] = '\0';
	}
	return n;
}

static int
read_files(const struct conf *conf, const char *section, struct reading *rd,
    char *why)
{
	char reason[TLS_WHY_SIZE] = "";
	const char *path;
	int r;

	for (int i = 0; i < FILES; i++) {
		path = conf_str(conf, section, files[i]);
		if (path == NULL)
			continue;
		r = tls_blobs_read(path, reason, &rd->blobs[i]);
		if (r != 0) {
			(void)snprintf(why, TRUST_WHY_SIZE, "[%s] %s %s",
			    section, files[i], reason[0] != '\0' ? reason :
			    strerror(-r));
			return r;
		}
	}
	return 0;
}

/* Those of the configuration, then those of the file. */
static int
take_fingerprints(const struct conf *conf, const char *section,
    struct reading *rd, char *why)
{
	const struct tls_blobs *b = &rd->blobs[FILE_FINGERPRINTS];
	size_t room = LIST_ROOM, n;

	for (size_t i = 0; i < b->n; i++) {
		if (memchr(b->blob[i].p, '\0', b->blob[i].n) != NULL ||
		    b->blob[i].n > FINGERPRINTS_ROOM) {
			(void)snprintf(why, TRUST_WHY_SIZE, "[%s] "
			    "fingerprint_file %.200s: not a list of "
			    "fingerprints", section, b->blob[i].name);
			return -EINVAL;
		}
		room += b->blob[i].n + 1;
	}
	rd->fingerprints = mem_alloc(room);
	if (rd->fingerprints == NULL)
		return -ENOMEM;
	n = join(conf, section, "fingerprint_allowlist", rd->fingerprints,
	    LIST_ROOM);
	for (size_t i = 0; i < b->n; i++) {
		memcpy(rd->fingerprints + n, b->blob[i].p, b->blob[i].n);
		n += b->blob[i].n;
		rd->fingerprints[n++] = ' ';
	}
	rd->fingerprints[n] = '\0';
	/* An empty file allows nobody; it must not mean everybody. */
	if (b->n > 0 && rd->fingerprints[strspn(rd->fingerprints,
	    ", \t\r\n")] == '\0') {
		(void)snprintf(why, TRUST_WHY_SIZE, "[%s] fingerprint_file: "
		    "no fingerprint in it", section);
		return -EINVAL;
	}
	return 0;
}

static int
fill_spec(const struct conf *conf, const char *section, struct reading *rd,
    char *why)
{
	static const char *const fields[TLS_TRUST_FIELDS] = {
		"subject_cn", "subject_o", "subject_ou", "issuer_cn",
		"issuer_o", "issuer_ou"
	};
	struct tls_trust_spec *s = &rd->spec;
	int r = take_fingerprints(conf, section, rd, why);

	if (r != 0)
		return r;
	(void)join(conf, section, "sans", rd->sans, sizeof(rd->sans));
	(void)join(conf, section, "pins", rd->pins, sizeof(rd->pins));
	*s = (struct tls_trust_spec){
		.of_clients = true,
		.ca = rd->blobs[FILE_CA].blob, .ca_n = rd->blobs[FILE_CA].n,
		.crl = rd->blobs[FILE_CRL].blob,
		.crl_n = rd->blobs[FILE_CRL].n,
		.any_chain = !conf_bool(conf, section, "validate"),
		.self_signed = conf_bool(conf, section, "allow_self_signed"),
		.any_of = strcmp(conf_str(conf, section, "match"), "any") == 0,
		.sans = rd->sans, .pins = rd->pins,
		.fingerprints = rd->fingerprints
	};
	for (int i = 0; i < TLS_TRUST_FIELDS; i++)
		s->field[i] = conf_str(conf, section, fields[i]);
	return 0;
}

static int
make(const struct conf *conf, const char *section, char *why,
    struct tls_trust **ret)
{
	struct reading *rd = mem_calloc(1, sizeof(*rd));
	char reason[TLS_WHY_SIZE] = "";
	int r;

	why[0] = '\0';
	if (rd == NULL)
		return -ENOMEM;
	r = read_files(conf, section, rd, why);
	if (r == 0)
		r = fill_spec(conf, section, rd, why);
	if (r == 0) {
		r = tls_trust_new(&rd->spec, reason, ret);
		if (r != 0)
			(void)snprintf(why, TRUST_WHY_SIZE, "[%s] %s", section,
			    reason);
	}
	for (int i = 0; i < FILES; i++)
		tls_blobs_free(&rd->blobs[i]);
	mem_free(rd->fingerprints);
	mem_free(rd);
	return r;
}

/* Of all its files; 0: one cannot be looked at. */
static uint64_t
stamp(const struct conf *conf, const char *section)
{
	uint64_t all = 1, one;
	const char *path;

	for (int i = 0; i < FILES; i++) {
		path = conf_str(conf, section, files[i]);
		if (path == NULL)
			continue;
		one = tls_blobs_stamp(path);
		if (one == 0)
			return 0;
		all = all * 1099511628211u + one;
	}
	return all != 0 ? all : 1;
}

int
listener_trust_read(const struct conf *conf, const char *section,
    struct listener_trust *ret, char *why)
{
	struct listener_trust t = { 0 };
	int r = 0;

	if (strcmp(conf_str(conf, section, "client_auth"), "off") != 0) {
		/* Before reading: what changes meanwhile is seen later. */
		t.used = t.seen = t.tried = stamp(conf, section);
		r = make(conf, section, why, &t.trust);
	}
	if (r == 0)
		*ret = t;
	return r;
}

void
listener_trust_free(struct listener_trust *t)
{
	if (t->trust != NULL)
		tls_trust_unref(&t->trust);
}

static void
say_error(const char *section, struct listener_trust *t, int error)
{
	if (t->error[0] == '\0')
		(void)snprintf(t->error, sizeof(t->error), "[%s] %s", section,
		    strerror(-error));
	log_error("CAs and revocation lists of clients keep as they were: %s",
	    t->error);
}

static void
look_at_dates(const char *section, struct listener_trust *t)
{
	struct tls_trust_info info;
	char text[CLOCK_TEXT_SIZE];
	bool late;

	tls_trust_info(t->trust, &info);
	late = info.crl_next_update != 0 &&
	    info.crl_next_update * 1000 < clock_wall_ms();
	if (late && !t->late) {
		clock_text(info.crl_next_update * 1000, text);
		log_error("[%s] a revocation list is EXPIRED since %s; it is "
		    "used on, but new revocations are not known", section,
		    text);
	}
	t->late = late;
}

bool
listener_trust_look(const struct conf *conf, const char *section,
    struct listener_trust *t, struct tls_trust **ret_fresh)
{
	uint64_t now, before = t->seen;
	int r;

	if (t->trust == NULL)
		return false;
	look_at_dates(section, t);
	now = t->seen = stamp(conf, section);
	if (now == t->used) {
		if (t->error[0] != '\0')
			log_notice("[%s] its files are again as they are used",
			    section);
		t->error[0] = '\0';
		t->tried = now;
		return false;
	}
	/* Somebody may be writing yet; and what failed once fails again. */
	if (now != before || now == t->tried)
		return false;
	t->tried = now;
	r = make(conf, section, t->error, ret_fresh);
	if (r != 0) {
		if (r == -ENOMEM)
			t->tried = t->used;	/* once more */
		say_error(section, t, r);
		return false;
	}
	/* A file that came or went while the others were read. */
	if (stamp(conf, section) != now) {
		tls_trust_unref(ret_fresh);
		t->tried = t->used;
		return false;
	}
	t->error[0] = '\0';
	return true;
}

void
listener_trust_warn(const char *section, const struct listener_trust *t)
{
	const char *text;

	if (t->trust == NULL)
		return;
	for (unsigned i = 0;
	    (text = tls_trust_weakness(t->trust, i)) != NULL; i++)
		log_warning("WEAKENED [%s] %s", section, text);
}
