/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry and inventory. */
#include "store/telemetry.h"

#include <errno.h>
#include <string.h>

#include "store/db.h"

#define PRUNE_ROWS 500			/* in one go */
#define PRUNE_TURNS 100			/* in one transaction */

int
store_telemetry_last(struct store_db *db, const char *endpoint,
    uint64_t *ret_last)
{
	int64_t last;
	int r = db_number(db, &last,
	    "SELECT telemetry_seq FROM endpoint WHERE id = ?", "t", endpoint);

	if (r == 0)
		*ret_last = (uint64_t)last;
	return r;
}

int
store_telemetry_put(struct store_db *db, const char *endpoint, uint64_t seq,
    int64_t now_ms, const char *json, size_t n, uint64_t *ret_last,
    uint64_t *ret_cursor)
{
	int r = db_run(db, "UPDATE endpoint SET telemetry_seq = ?1"
	    " WHERE id = ?2 AND telemetry_seq < ?1", "it", (int64_t)seq,
	    endpoint);

	if (r != 0)
		return r;
	if (db_changes(db) == 0) {
		*ret_cursor = 0;
		return store_telemetry_last(db, endpoint, ret_last);
	}
	r = db_run(db, "INSERT INTO telemetry (endpoint, seq, received_ms,"
	    " json) VALUES (?,?,?,CAST(? AS TEXT))", "tiib", endpoint,
	    (int64_t)seq, now_ms, json, n);
	if (r != 0)
		return r;
	db->telemetry_rows++;
	db->telemetry_bytes += n;
	*ret_last = seq;
	*ret_cursor = db_last_row(db);
	return 0;
}

int
telemetry_count(struct store_db *db)
{
	int64_t rows, bytes;
	int r = db_number(db, &rows, "SELECT count(*) FROM telemetry", "");

	if (r == 0)
		r = db_number(db, &bytes, "SELECT ifnull(sum("
		    "length(CAST(json AS BLOB))), 0) FROM telemetry", "");
	if (r == 0) {
		db->telemetry_rows = (uint64_t)rows;
		db->telemetry_bytes = (uint64_t)bytes;
	}
	return r;
}

/* Deletes some of the oldest that were received before then.  *ret_n: how many. */
static int
cut(struct store_db *db, int64_t before_ms, unsigned *ret_n)
{
	sqlite3_stmt *s;
	unsigned n = 0;
	int r = db_query(db, &s, "DELETE FROM telemetry WHERE cursor IN"
	    " (SELECT cursor FROM telemetry ORDER BY cursor LIMIT ?2)"
	    " AND received_ms < ?1 RETURNING length(CAST(json AS BLOB))", "ii",
	    before_ms, (int64_t)PRUNE_ROWS);

	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0) {
		db->telemetry_rows--;
		db->telemetry_bytes -= (uint64_t)db_int(s, 0);
		n++;
	}
	db_end(s);
	*ret_n = n;
	return r;
}

int
telemetry_prune(struct store_db *db, uint64_t rows, uint64_t bytes,
    int64_t older_than_ms)
{
	unsigned n, turns = PRUNE_TURNS;
	int r = cut(db, older_than_ms, &n);

	while (r == 0 && turns-- > 0 && (db->telemetry_rows > rows ||
	    db->telemetry_bytes > bytes))
		r = cut(db, INT64_MAX, &n);
	return r;
}

int
store_telemetry_read(struct store_db *db, const char *endpoint,
    uint64_t after, unsigned limit, uint64_t *ret_oldest,
    bool (*fn)(void *, const struct store_telemetry *), void *ctx)
{
	struct store_telemetry t;
	int64_t oldest;
	sqlite3_stmt *s;
	int r = db_number(db, &oldest,
	    "SELECT ifnull(min(cursor), 0) FROM telemetry", "");

	if (r != 0)
		return r;
	r = endpoint == NULL ? db_query(db, &s, "SELECT cursor, endpoint, seq,"
	    " received_ms, json FROM telemetry WHERE cursor > ?"
	    " ORDER BY cursor LIMIT ?", "ii", (int64_t)after,
	    (int64_t)limit) : db_query(db, &s, "SELECT cursor, endpoint, seq,"
	    " received_ms, json FROM telemetry WHERE endpoint = ?"
	    " AND cursor > ? ORDER BY cursor LIMIT ?", "tii", endpoint,
	    (int64_t)after, (int64_t)limit);
	if (r != 0)
		return r;
	*ret_oldest = (uint64_t)oldest;
	while ((r = db_next(s)) > 0) {
		t = (struct store_telemetry){
			.cursor = (uint64_t)db_int(s, 0),
			.endpoint = db_text(s, 1),
			.seq = (uint64_t)db_int(s, 2),
			.received_ms = db_int(s, 3), .json = db_text(s, 4)
		};
		if (!fn(ctx, &t))
			break;
	}
	db_end(s);
	return r < 0 ? r : 0;
}

/* The MAC that wakes it is kept where it can be looked up. */
int
store_inventory_patch(struct store_db *db, const char *endpoint,
    const char *patch, size_t n, int64_t now_ms, uint64_t *ret_revision)
{
	int64_t revision, length;
	int r = db_run(db, "UPDATE endpoint SET"
	    " inventory_revision = inventory_revision + 1 WHERE id = ?", "t",
	    endpoint);

	if (r == 0 && db_changes(db) == 0)
		r = -ENOENT;
	if (r == 0)
		r = db_run(db, "INSERT OR IGNORE INTO inventory"
		    " VALUES (?, '{}', 0)", "t", endpoint);
	if (r == 0)
		r = db_run(db, "UPDATE inventory SET json = json_patch(json,"
		    " CAST(? AS TEXT)), changed_ms = ? WHERE endpoint = ?",
		    "bit", patch, n, now_ms, endpoint);
	if (r == 0)
		r = db_number(db, &length, "SELECT length(CAST(json AS BLOB))"
		    " FROM inventory WHERE endpoint = ?"
		    " AND json_type(json) = 'object'", "t", endpoint);
	if (r != 0)
		return r;
	if (length > STORE_INVENTORY_MAX)
		return -EMSGSIZE;
	r = db_run(db, "UPDATE endpoint SET mac = ifnull((SELECT lower("
	    "substr(replace(replace(json_extract(json, '$.mac'), ':', ''),"
	    " '-', ''), 1, 12)) FROM inventory WHERE endpoint = ?1), '') WHERE id = ?1", "t",
	    endpoint);
	if (r == 0)
		r = db_number(db, &revision, "SELECT inventory_revision"
		    " FROM endpoint WHERE id = ?", "t", endpoint);
	if (r == 0)
		*ret_revision = (uint64_t)revision;
	return r;
}

int
store_inventory_get(struct store_db *db, const char *endpoint,
    void (*fn)(void *, const char *json, uint64_t revision,
    int64_t changed_ms), void *ctx)
{
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT i.json, e.inventory_revision,"
	    " i.changed_ms FROM inventory i JOIN endpoint e"
	    " ON e.id = i.endpoint WHERE i.endpoint = ?", "t", endpoint);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0)
		fn(ctx, db_text(s, 0), (uint64_t)db_int(s, 1), db_int(s, 2));
	db_end(s);
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}
