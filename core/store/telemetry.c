/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry and inventory. */
#include "store/telemetry.h"

#include <errno.h>

#include "base/addr.h"
#include "base/hex.h"
#include "store/db.h"

#define PRUNE_ROWS 2000			/* more than one transaction brings */

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

/* How much of the log is over these limits; endpoint NULL: of all of it. */
static int
excess(struct store_db *db, const char *endpoint, uint64_t rows,
    uint64_t bytes, int64_t *ret_rows, int64_t *ret_bytes)
{
	sqlite3_stmt *s;
	int r = endpoint == NULL ? db_query(db, &s,
	    "SELECT telemetry_rows - ?, telemetry_bytes - ? FROM run", "ii",
	    (int64_t)rows, (int64_t)bytes) : db_query(db, &s,
	    "SELECT telemetry_rows - ?, telemetry_bytes - ? FROM endpoint"
	    " WHERE id = ?", "iit", (int64_t)rows, (int64_t)bytes, endpoint);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0) {
		*ret_rows = db_int(s, 0);
		*ret_bytes = db_int(s, 1);
	}
	db_end(s);
	return r > 0 ? 0 : r == 0 ? -EILSEQ : r;
}

static int
cut(struct store_db *db, const char *endpoint, int64_t last)
{
	int r = db_run(db, "DELETE FROM telemetry WHERE endpoint = ?"
	    " AND cursor <= ?", "ti", endpoint, last);

	if (r == 0)
		r = db_run(db, "UPDATE endpoint SET telemetry_cut = ?"
		    " WHERE id = ?", "it", last, endpoint);
	return r != 0 ? r : db_run(db, "UPDATE run SET telemetry_cut ="
	    " max(telemetry_cut, ?)", "i", last);
}

/* Whoever has more than its share loses its own oldest, not those of others;
 * what has just come is kept. */
static int
keep_share(struct store_db *db, const char *endpoint, uint64_t newest)
{
	int64_t rows_over, bytes_over, last = 0;
	uint64_t n = 0;
	sqlite3_stmt *s;
	int r;

	if (db->share_rows == 0)
		return 0;
	r = excess(db, endpoint, db->share_rows, db->share_bytes, &rows_over,
	    &bytes_over);
	if (r != 0 || (rows_over <= 0 && bytes_over <= 0))
		return r;
	r = db_query(db, &s, "SELECT cursor, length(CAST(json AS BLOB))"
	    " FROM telemetry WHERE endpoint = ? AND cursor < ?"
	    " ORDER BY cursor LIMIT ?", "tii", endpoint, (int64_t)newest,
	    (int64_t)PRUNE_ROWS);
	if (r != 0)
		return r;
	while ((rows_over > 0 || bytes_over > 0) && (r = db_next(s)) > 0) {
		last = db_int(s, 0);
		rows_over--;
		bytes_over -= db_int(s, 1);
		n++;
	}
	db_end(s);
	if (r < 0 || n == 0)
		return r < 0 ? r : 0;
	db->pruned += n;
	return cut(db, endpoint, last);
}

int
store_telemetry_put(struct store_db *db, const char *endpoint, uint64_t seq,
    uint64_t after, int64_t now_ms, const char *json, size_t n,
    uint64_t *ret_last, uint64_t *ret_cursor)
{
	int r;

	if (seq > INT64_MAX || after >= seq)
		return -EINVAL;
	r = db_run(db, "UPDATE endpoint SET telemetry_seq = ?1 WHERE id = ?2"
	    " AND telemetry_seq < ?1 AND telemetry_seq >= ?3", "iti",
	    (int64_t)seq, endpoint, (int64_t)after);
	if (r != 0)
		return r;
	if (db_changes(db) == 0) {
		*ret_cursor = 0;
		r = store_telemetry_last(db, endpoint, ret_last);
		return r == 0 && *ret_last < seq ? -EAGAIN : r;
	}
	r = db_run(db, "INSERT INTO telemetry (endpoint, seq, received_ms,"
	    " json) VALUES (?,?,?,CAST(? AS TEXT))", "tiib", endpoint,
	    (int64_t)seq, now_ms, json, n);
	if (r != 0)
		return r;
	*ret_last = seq;
	*ret_cursor = db_last_row(db);
	return keep_share(db, endpoint, *ret_cursor);
}

int
telemetry_prune(struct store_db *db, uint64_t rows, uint64_t bytes,
    int64_t older_than_ms, bool *ret_more, uint64_t *ret_n)
{
	int64_t rows_over, bytes_over, last = 0;
	unsigned n = 0;
	sqlite3_stmt *s;
	int r = excess(db, NULL, rows, bytes, &rows_over, &bytes_over);

	if (r != 0)
		return r;
	r = db_query(db, &s, "SELECT cursor, received_ms,"
	    " length(CAST(json AS BLOB)) FROM telemetry ORDER BY cursor"
	    " LIMIT ?", "i", (int64_t)PRUNE_ROWS);
	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0 && (rows_over > 0 || bytes_over > 0 ||
	    db_int(s, 1) < older_than_ms)) {
		last = db_int(s, 0);
		rows_over--;
		bytes_over -= db_int(s, 2);
		n++;
	}
	db_end(s);
	if (r < 0 || n == 0)
		return r < 0 ? r : 0;
	*ret_n = n;
	if (n == PRUNE_ROWS)
		*ret_more = true;
	return db_run(db, "DELETE FROM telemetry WHERE cursor <= ?", "i",
	    last);
}

int
store_telemetry_read(struct store_db *db, const char *endpoint,
    uint64_t after, unsigned limit, uint64_t *ret_oldest,
    bool (*fn)(void *, const struct store_telemetry *), void *ctx)
{
	struct store_telemetry t;
	int64_t oldest, gone = 0;
	sqlite3_stmt *s;
	int r = db_number(db, &oldest,
	    "SELECT ifnull((SELECT min(cursor) FROM telemetry), 1 + ifnull("
	    "(SELECT seq FROM sqlite_sequence WHERE name = 'telemetry'), 0))",
	    "");

	if (r == 0)
		r = endpoint == NULL ? db_number(db, &gone,
		    "SELECT telemetry_cut FROM run", "") : db_number(db,
		    &gone, "SELECT telemetry_cut FROM endpoint WHERE id = ?",
		    "t", endpoint);
	if (r == -ENOENT)		/* nobody has that id */
		r = 0;
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
	*ret_oldest = (uint64_t)(gone < oldest ? oldest : gone + 1);
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

/* The MAC that wakes it is kept where it can be looked up:
 * 12 hexadecimal digits in lower case, "" none. */
static int
keep_mac(struct store_db *db, const char *endpoint)
{
	char text[13] = "";
	uint8_t mac[6];
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT json_extract(json, '$.mac')"
	    " FROM inventory WHERE endpoint = ?", "t", endpoint);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0 && addr_mac_parse(db_text(s, 0), mac))
		hex_write(mac, sizeof(mac), text);
	db_end(s);
	if (r < 0)
		return r;
	return db_run(db, "UPDATE endpoint SET mac = ? WHERE id = ?", "tt",
	    text, endpoint);
}

/* What it would become is measured before anything is written. */
static int
check_patch(struct store_db *db, const char *endpoint, const char *patch,
    size_t n)
{
	int64_t is_object = 0, length = 0;
	int r = db_number(db, &is_object, "SELECT CASE WHEN json_valid("
	    "CAST(?1 AS TEXT)) THEN json_type(CAST(?1 AS TEXT)) = 'object'"
	    " ELSE 0 END", "b", patch, n);

	if (r == 0 && is_object == 0)
		return -EINVAL;
	if (r == 0)
		r = db_number(db, &length, "SELECT length(CAST(json_patch("
		    "ifnull((SELECT json FROM inventory WHERE endpoint = ?2),"
		    " '{}'), CAST(?1 AS TEXT)) AS BLOB))", "bt", patch, n,
		    endpoint);
	return r != 0 ? r : length > STORE_INVENTORY_MAX ? -EMSGSIZE : 0;
}

int
store_inventory_patch(struct store_db *db, const char *endpoint,
    const char *patch, size_t n, int64_t now_ms, uint64_t *ret_revision)
{
	int64_t revision;
	int r = check_patch(db, endpoint, patch, n);

	if (r != 0)
		return r;
	r = db_run(db, "UPDATE endpoint SET"
	    " inventory_revision = inventory_revision + 1 WHERE id = ?", "t",
	    endpoint);
	if (r == 0 && db_changes(db) == 0)
		return -ENOENT;
	if (r == 0)
		r = db_run(db, "INSERT INTO inventory VALUES"
		    " (?1, json_patch('{}', CAST(?2 AS TEXT)), ?3)"
		    " ON CONFLICT (endpoint) DO UPDATE SET"
		    " json = json_patch(json, CAST(?2 AS TEXT)),"
		    " changed_ms = ?3", "tbi", endpoint, patch, n, now_ms);
	if (r == 0)
		r = keep_mac(db, endpoint);
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
