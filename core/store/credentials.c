/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about credentials and one-time tokens. */
#include "store/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/db.h"

int
store_credential_add(struct store_db *db, const struct store_credential *c,
    uint64_t *ret_number)
{
	int r = db_run(db, "INSERT INTO credential (endpoint, kind, value,"
	    " label, created_ms, expires_ms) VALUES (?,?,?,?,?,?)", "tibtii",
	    c->endpoint, (int64_t)c->kind, c->value, sizeof(c->value),
	    c->label, c->created_ms, c->expires_ms);

	if (r == 0)
		*ret_number = db_last_row(db);
	return r;
}

int
store_credential_find(struct store_db *db, const char *endpoint,
    enum store_cred_kind kind, const uint8_t value[32], uint64_t *ret_number)
{
	uint64_t number = 0;
	bool revoked = false;
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT number, revoked FROM credential"
	    " WHERE endpoint = ? AND kind = ? AND value = ?", "tib", endpoint,
	    (int64_t)kind, value, (size_t)32);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0) {
		number = (uint64_t)db_int(s, 0);
		revoked = db_int(s, 1) != 0;
	}
	db_end(s);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	if (revoked)
		return -EACCES;
	*ret_number = number;
	return 0;
}

int
store_credential_count(struct store_db *db, const char *endpoint,
    uint64_t *ret)
{
	int64_t n = 0;
	int r = db_number(db, &n, "SELECT count(*) FROM credential"
	    " WHERE endpoint = ? AND revoked = 0", "t", endpoint);

	if (r == 0)
		*ret = (uint64_t)n;
	return r;
}

int
store_credential_revoke(struct store_db *db, uint64_t number)
{
	return db_changed(db, db_run(db,
	    "UPDATE credential SET revoked = 1 WHERE number = ?", "i",
	    (int64_t)number));
}

int
store_credential_used(struct store_db *db, uint64_t number, int64_t at_ms)
{
	return db_changed(db, db_run(db,
	    "UPDATE credential SET used_ms = ? WHERE number = ?", "ii",
	    at_ms, (int64_t)number));
}

static void
copy_bytes(sqlite3_stmt *s, int column, uint8_t to[32])
{
	int n = sqlite3_column_bytes(s, column);

	if (n > 0)
		memcpy(to, sqlite3_column_blob(s, column), n > 32 ? 32 :
		    (size_t)n);
}

#define CREDENTIAL "SELECT number, endpoint, kind, value, label, created_ms," \
	" expires_ms, used_ms, revoked FROM credential"

int
store_credential_each(struct store_db *db, const char *endpoint,
    void (*fn)(void *, const struct store_credential *), void *ctx)
{
	struct store_credential c;
	sqlite3_stmt *s;
	int r = endpoint == NULL ?
	    db_query(db, &s, CREDENTIAL " ORDER BY number", "") :
	    db_query(db, &s, CREDENTIAL " WHERE endpoint = ? ORDER BY number",
	    "t", endpoint);

	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0) {
		c = (struct store_credential){
			.number = (uint64_t)db_int(s, 0),
			.endpoint = db_text(s, 1),
			.kind = (enum store_cred_kind)db_int(s, 2),
			.label = db_text(s, 4), .created_ms = db_int(s, 5),
			.expires_ms = db_int(s, 6), .used_ms = db_int(s, 7),
			.revoked = db_int(s, 8) != 0
		};
		copy_bytes(s, 3, c.value);
		fn(ctx, &c);
	}
	db_end(s);
	return r;
}

int
store_enrolment_add(struct store_db *db, const struct store_enrolment *e,
    uint64_t *ret_number)
{
	int r = db_run(db, "INSERT INTO enrolment (sha256, endpoint, grp,"
	    " created_ms, expires_ms, uses_left) VALUES (?,?,?,?,?,?)",
	    "bttiii", e->sha256, sizeof(e->sha256), e->endpoint, e->group,
	    e->created_ms, e->expires_ms, (int64_t)e->uses_left);

	if (r == 0)
		*ret_number = db_last_row(db);
	return r;
}

int
store_enrolment_take(struct store_db *db, const uint8_t sha256[32],
    const char *endpoint, int64_t now_ms, char *ret_group)
{
	char group[65] = "";
	sqlite3_stmt *s;
	int64_t number;
	int r = db_query(db, &s, "SELECT number, endpoint, grp, expires_ms,"
	    " uses_left FROM enrolment WHERE sha256 = ?", "b", sha256,
	    (size_t)32);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r <= 0) {
		db_end(s);
		return r == 0 ? -ENOENT : r;
	}
	r = 0;
	if (db_text(s, 1)[0] != '\0' && strcmp(db_text(s, 1), endpoint) != 0)
		r = -EACCES;
	else if (db_int(s, 3) != 0 && db_int(s, 3) <= now_ms)
		r = -ETIME;
	else if (db_int(s, 4) <= 0)
		r = -EDQUOT;
	number = db_int(s, 0);
	(void)snprintf(group, sizeof(group), "%s", db_text(s, 2));
	db_end(s);
	if (r == 0)
		r = db_run(db, "UPDATE enrolment SET uses_left = uses_left - 1"
		    " WHERE number = ?", "i", number);
	if (r == 0)
		memcpy(ret_group, group, sizeof(group));
	return r;
}

int
store_enrolment_remove(struct store_db *db, uint64_t number)
{
	return db_changed(db, db_run(db,
	    "DELETE FROM enrolment WHERE number = ?", "i", (int64_t)number));
}

int
store_enrolment_each(struct store_db *db,
    void (*fn)(void *, const struct store_enrolment *), void *ctx)
{
	struct store_enrolment e;
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT number, sha256, endpoint, grp,"
	    " created_ms, expires_ms, uses_left FROM enrolment"
	    " ORDER BY number", "");

	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0) {
		e = (struct store_enrolment){
			.number = (uint64_t)db_int(s, 0),
			.endpoint = db_text(s, 2), .group = db_text(s, 3),
			.created_ms = db_int(s, 4), .expires_ms = db_int(s, 5),
			.uses_left = (uint32_t)db_int(s, 6)
		};
		copy_bytes(s, 1, e.sha256);
		fn(ctx, &e);
	}
	db_end(s);
	return r;
}
