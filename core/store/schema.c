/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables, and how older ones become them.  PRAGMA user_version counts the
 * steps that were taken; a step is never changed once it was released, a new
 * one is appended.  A file that is not ours, is newer or is broken is refused
 * and left as it is.
 */
#include <errno.h>
#include <stdio.h>

#include "event/event.h"
#include "store/db.h"

#define APPLICATION 1668048244		/* "clet" */
#define CHECK_PAGES 65536		/* a larger file is not read whole */

#define TEXT(name) name " TEXT NOT NULL DEFAULT '',"
#define NUMBER(name) name " INTEGER NOT NULL DEFAULT 0,"

static const char *const steps[] = {
	/* 1: 2026-11 */
	"CREATE TABLE run (one INTEGER PRIMARY KEY CHECK (one = 1),"
	    NUMBER("clean") "alive_ms INTEGER NOT NULL DEFAULT 0);"
	"INSERT INTO run (one, clean) VALUES (1, 1);"
	"CREATE TABLE endpoint (id TEXT PRIMARY KEY,"
	    NUMBER("status") TEXT("name") TEXT("grp") TEXT("agent")
	    TEXT("boot_id") TEXT("peer") TEXT("listener") TEXT("mac")
	    NUMBER("created_ms") "state INTEGER NOT NULL DEFAULT 6,"
	    NUMBER("reason") NUMBER("intent") NUMBER("security")
	    NUMBER("channel") NUMBER("revision") NUMBER("since_ms")
	    NUMBER("last_seen_ms") NUMBER("asleep_until_ms") NUMBER("rtt_us")
	    NUMBER("inventory_revision")
	    "telemetry_seq INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE TABLE credential (number INTEGER PRIMARY KEY AUTOINCREMENT,"
	    "endpoint TEXT NOT NULL, kind INTEGER NOT NULL,"
	    "value BLOB NOT NULL," TEXT("label") NUMBER("created_ms")
	    NUMBER("expires_ms") NUMBER("used_ms") NUMBER("revoked")
	    "UNIQUE (endpoint, kind, value));"
	"CREATE TABLE enrolment (number INTEGER PRIMARY KEY AUTOINCREMENT,"
	    "sha256 BLOB NOT NULL UNIQUE," TEXT("endpoint") TEXT("grp")
	    NUMBER("created_ms") NUMBER("expires_ms")
	    "uses_left INTEGER NOT NULL);"
	"CREATE TABLE command (ord INTEGER PRIMARY KEY AUTOINCREMENT,"
	    "id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL,"
	    "verb TEXT NOT NULL, args TEXT NOT NULL," TEXT("by")
	    NUMBER("created_ms") NUMBER("deadline_ms") NUMBER("changed_ms")
	    NUMBER("state") NUMBER("cancelling") TEXT("result")
	    "message TEXT NOT NULL DEFAULT '');"
	"CREATE INDEX command_endpoint ON command (endpoint, ord);"
	"CREATE INDEX command_open ON command (ord) WHERE state < 2;"
	"CREATE TABLE telemetry (cursor INTEGER PRIMARY KEY AUTOINCREMENT,"
	    "endpoint TEXT NOT NULL, seq INTEGER NOT NULL,"
	    "received_ms INTEGER NOT NULL, json TEXT NOT NULL);"
	"CREATE INDEX telemetry_endpoint ON telemetry (endpoint, cursor);"
	"CREATE TABLE inventory (endpoint TEXT PRIMARY KEY,"
	    "json TEXT NOT NULL, changed_ms INTEGER NOT NULL) WITHOUT ROWID;",
	/* 2: 2026-11: the log's size without reading it, finished commands by
	 * age. */
	"ALTER TABLE run ADD COLUMN telemetry_rows INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE run ADD COLUMN telemetry_bytes INTEGER NOT NULL DEFAULT 0;"
	"UPDATE run SET telemetry_rows = (SELECT count(*) FROM telemetry),"
	    " telemetry_bytes = (SELECT ifnull(sum(length(CAST(json AS BLOB)"
	    ")), 0) FROM telemetry);"
	"CREATE TRIGGER telemetry_in AFTER INSERT ON telemetry BEGIN UPDATE run"
	    " SET telemetry_rows = telemetry_rows + 1, telemetry_bytes ="
	    " telemetry_bytes + length(CAST(NEW.json AS BLOB)); END;"
	"CREATE TRIGGER telemetry_out AFTER DELETE ON telemetry BEGIN UPDATE"
	    " run SET telemetry_rows = telemetry_rows - 1, telemetry_bytes ="
	    " telemetry_bytes - length(CAST(OLD.json AS BLOB)); END;"
	"CREATE INDEX command_done ON command (changed_ms) WHERE state >= 2;",
	/* 3: 2026-11: what each endpoint has of the log,
	 * and up to where some of it was cut off before its time. */
	"ALTER TABLE endpoint ADD COLUMN"
	    " telemetry_rows INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE endpoint ADD COLUMN"
	    " telemetry_bytes INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE endpoint ADD COLUMN"
	    " telemetry_cut INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE run ADD COLUMN telemetry_cut INTEGER NOT NULL DEFAULT 0;"
	"UPDATE endpoint SET (telemetry_rows, telemetry_bytes) = (SELECT"
	    " count(*), ifnull(sum(length(CAST(json AS BLOB))), 0)"
	    " FROM telemetry WHERE telemetry.endpoint = endpoint.id);"
	"CREATE TRIGGER telemetry_to AFTER INSERT ON telemetry BEGIN UPDATE"
	    " endpoint SET telemetry_rows = telemetry_rows + 1,"
	    " telemetry_bytes = telemetry_bytes +"
	    " length(CAST(NEW.json AS BLOB)) WHERE id = NEW.endpoint; END;"
	"CREATE TRIGGER telemetry_from AFTER DELETE ON telemetry BEGIN UPDATE"
	    " endpoint SET telemetry_rows = telemetry_rows - 1,"
	    " telemetry_bytes = telemetry_bytes -"
	    " length(CAST(OLD.json AS BLOB)) WHERE id = OLD.endpoint; END;",
};
#define STEPS (int64_t)(sizeof(steps) / sizeof(steps[0]))

_Static_assert(PRESENCE_UNLINKED == 6, "the default of endpoint.state");

#define BROKEN "the database is broken; move it away, and restore a " \
	"backup if there is one"

static int
fail(char *why, int r, const char *path, const char *what)
{
	(void)snprintf(why, 256, "%.120s: %s", path, what);
	return r;
}

void
schema_explain(const char *path, int error, const char *text, char *why)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		text = "cannot be written; it and its directory must belong to "
		    "the daemon's user and be writable";
		break;
	case -ENOSPC:
	case -EDQUOT:
		text = "the disk is full; make room";
		break;
	case -EAGAIN:
		text = "another program holds it; end that";
		break;
	case -EIO:
		text = "cannot be read or written; look after the disk";
		break;
	case -EILSEQ:
		text = BROKEN;
		break;
	default:
		break;
	}
	(void)fail(why, error, path, text);
}

static int
migrate(struct store_db *db, int64_t version)
{
	char set[64];
	int r;

	for (; version < STEPS; version++) {
		(void)snprintf(set, sizeof(set),
		    "PRAGMA user_version = %lld; COMMIT",
		    (long long)version + 1);
		if ((r = db_exec(db, "BEGIN IMMEDIATE")) != 0)
			return r;
		r = db_exec(db, steps[version]);
		if (r == 0)
			r = db_exec(db, set);
		if (r != 0) {
			(void)db_exec(db, "ROLLBACK");
			return r;
		}
	}
	return 0;
}

/* Whose file it is; *ret_version: steps it has taken. */
static int
identify(struct store_db *db, const char *path, char *why,
    int64_t *ret_version)
{
	int64_t application = 0, tables = 0;
	int r;

	/* The first look into the file. */
	r = db_number(db, &tables, "SELECT count(*) FROM sqlite_schema", "");
	if (r == 0)
		r = db_number(db, &application, "PRAGMA application_id", "");
	if (r == 0)
		r = db_number(db, ret_version, "PRAGMA user_version", "");
	if (r == -EILSEQ)
		return fail(why, r, path, "not a database, or broken; move "
		    "it away, and restore a backup if there is one");
	if (r != 0)
		return r;
	if (*ret_version < 0 || (application == APPLICATION && tables > 0 &&
	    *ret_version == 0))
		return fail(why, -EILSEQ, path, BROKEN);
	if (tables > 0 && application != APPLICATION)
		return fail(why, -EILSEQ, path,
		    "a database of something else; name another state_dir");
	if (*ret_version > STEPS)
		return fail(why, -EPROTO, path, "made by a newer cleat; "
		    "install that version again, or name another state_dir");
	return 0;
}

static int
quick_check(struct store_db *db, const char *what)
{
	sqlite3_stmt *s;
	bool ok;
	int r = db_query(db, &s, what, "");

	if (r != 0)
		return r;
	r = db_next(s);
	ok = r > 0 && sqlite3_stricmp(db_text(s, 0), "ok") == 0;
	db_end(s);
	return r < 0 ? r : ok ? 0 : -EILSEQ;
}

/* Of a large file the log, the commands and the inventories are left out:
 * an error in those is met when they are read. */
static int
check(struct store_db *db, const char *path, char *why)
{
	static const char *const small[] = {
		"PRAGMA quick_check(run)", "PRAGMA quick_check(endpoint)",
		"PRAGMA quick_check(credential)",
		"PRAGMA quick_check(enrolment)"
	};
	int64_t pages = 0;
	int r = db_number(db, &pages, "PRAGMA page_count", "");

	if (r == 0 && pages <= CHECK_PAGES)
		r = quick_check(db, "PRAGMA quick_check(1)");
	for (size_t i = 0; r == 0 && pages > CHECK_PAGES &&
	    i < sizeof(small) / sizeof(small[0]); i++)
		r = quick_check(db, small[i]);
	return r == -EILSEQ ? fail(why, r, path, BROKEN) : r;
}

unsigned
schema_version(void)
{
	return (unsigned)STEPS;
}

int
schema_open(struct store_db *db, const char *path, char *why)
{
	char set[64];
	int64_t version = 0;
	int r;

	why[0] = '\0';
	/* Until it is known to be ours, closing it leaves its log alone too. */
	(void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
	    NULL);
	(void)snprintf(set, sizeof(set), "PRAGMA application_id = %d",
	    APPLICATION);
	if ((r = identify(db, path, why, &version)) == 0 &&
	    (r = db_exec(db, "PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
	    "PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -128;"
	    "PRAGMA cell_size_check = ON")) == 0 &&
	    (r = check(db, path, why)) == 0 &&
	    (version > 0 || (r = db_exec(db, set)) == 0))
		r = migrate(db, version);
	if (r == 0)
		(void)sqlite3_db_config(db->sql,
		    SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	else if (why[0] == '\0')
		schema_explain(path, r, sqlite3_errmsg(db->sql), why);
	return r;
}
