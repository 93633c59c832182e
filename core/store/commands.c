/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about commands.  The database decides which outcome counts:
 * the first. */
#include "store/commands.h"

#include <errno.h>

#include "store/db.h"

#define PRUNE_ROWS 500			/* in one transaction */

int
store_command_add(struct store_db *db, const struct store_command *c,
    uint64_t *ret_order)
{
	int r = db_run(db, "INSERT INTO command (id, endpoint, verb, args, by,"
	    " created_ms, deadline_ms, changed_ms) VALUES (?,?,?,?,?,?,?,?)",
	    "tttttiii", c->id, c->endpoint, c->verb, c->args, c->by,
	    c->created_ms, c->deadline_ms, c->created_ms);

	if (r == 0)
		*ret_order = db_last_row(db);
	return r;
}

int
store_command_set(struct store_db *db, const char *id,
    enum store_command_state state, const char *result, const char *message,
    int64_t now_ms, enum store_command_state *ret_state)
{
	int64_t now_is;
	int r = db_run(db, "UPDATE command SET state = ?1, result = ?2,"
	    " message = ?3, changed_ms = ?4 WHERE id = ?5 AND state < 2"
	    " AND state < ?1", "ittit", (int64_t)state, result, message,
	    now_ms, id);

	if (r != 0)
		return r;
	if (db_changes(db) > 0) {
		*ret_state = state;
		return 0;
	}
	r = db_number(db, &now_is, "SELECT state FROM command WHERE id = ?",
	    "t", id);
	if (r != 0)
		return r;
	*ret_state = (enum store_command_state)now_is;
	return now_is == (int64_t)state && state == COMMAND_ACCEPTED ? 0 :
	    -EALREADY;
}

int
store_command_cancelling(struct store_db *db, const char *id)
{
	return db_changed(db, db_run(db, "UPDATE command SET cancelling = 1"
	    " WHERE id = ? AND state < 2", "t", id));
}

int
commands_prune(struct store_db *db, int64_t older_than_ms, bool *ret_more)
{
	int r = db_run(db, "DELETE FROM command WHERE ord IN (SELECT ord"
	    " FROM command WHERE state >= 2 AND changed_ms < ?"
	    " ORDER BY changed_ms LIMIT ?)", "ii", older_than_ms,
	    (int64_t)PRUNE_ROWS);

	if (r == 0 && db_changes(db) == PRUNE_ROWS)
		*ret_more = true;
	return r;
}

#define COLUMNS "id, endpoint, ord, verb, args, by, created_ms, deadline_ms," \
	" changed_ms, state, cancelling, result, message"

static void
read_row(sqlite3_stmt *s, struct store_command *c)
{
	*c = (struct store_command){
		.id = db_text(s, 0), .endpoint = db_text(s, 1),
		.order = (uint64_t)db_int(s, 2), .verb = db_text(s, 3),
		.args = db_text(s, 4), .by = db_text(s, 5),
		.created_ms = db_int(s, 6), .deadline_ms = db_int(s, 7),
		.changed_ms = db_int(s, 8),
		.state = (enum store_command_state)db_int(s, 9),
		.cancelling = db_int(s, 10) != 0,
		.result = db_text(s, 11), .message = db_text(s, 12)
	};
}

int
store_command_get(struct store_db *db, const char *id,
    void (*fn)(void *, const struct store_command *), void *ctx)
{
	struct store_command c;
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT " COLUMNS
	    " FROM command WHERE id = ?", "t", id);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0) {
		read_row(s, &c);
		fn(ctx, &c);
	}
	db_end(s);
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int
store_command_list(struct store_db *db, const struct store_command_filter *f,
    bool (*fn)(void *, const struct store_command *), void *ctx)
{
	struct store_command c;
	sqlite3_stmt *s;
	const char *text;
	int r;

	/* Each by an index of its own: the open ones are few. */
	if (f->open_only)
		text = "SELECT " COLUMNS " FROM command WHERE ord > ?1"
		    " AND state < 2 AND (?2 = '' OR endpoint = ?2)"
		    " ORDER BY ord LIMIT ?3";
	else if (f->endpoint[0] == '\0')
		text = "SELECT " COLUMNS " FROM command WHERE ord > ?1"
		    " AND ?2 = '' ORDER BY ord LIMIT ?3";
	else
		text = "SELECT " COLUMNS " FROM command WHERE ord > ?1"
		    " AND endpoint = ?2 ORDER BY ord LIMIT ?3";
	r = db_query(db, &s, text, "iti", (int64_t)f->after, f->endpoint,
	    (int64_t)f->limit);
	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0) {
		read_row(s, &c);
		if (!fn(ctx, &c))
			break;
	}
	db_end(s);
	return r < 0 ? r : 0;
}
