/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open database as the row files use it: prepared statements that are kept,
 * values bound by a format, errors of SQLite as errno.  Private to store/; the
 * store's thread, or before there is one.
 *
 * A format has one letter a value: t text (const char *), i int64_t, b bytes
 * (const void *, size_t).  SQL text must be a literal: it is found again by its
 * address.
 */
#ifndef CT_STORE_DB_H
#define CT_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#define DB_STATEMENTS 96

struct store_db {
	sqlite3 *sql;
	struct db_kept {
		const char *text;
		sqlite3_stmt *stmt;
	} kept[DB_STATEMENTS];
	/* What one endpoint may have of the log; 0: as much as there is. */
	uint64_t share_rows, share_bytes;
	uint64_t pruned;		/* for that, in this transaction */
};

/* 0 for OK, ROW and DONE; -EAGAIN held by another program, -EROFS, -ENOSPC,
 * -EIO, -EILSEQ broken, -ENOMEM, -EEXIST a constraint, -EMSGSIZE. */
int db_errno(int sqlite_code);
int db_open(struct store_db *, const char *path);
void db_close(struct store_db *);
/* Some statements that return nothing and have no values. */
int db_exec(struct store_db *, const char *text);
/* Runs a statement to its end.  0 or -errno (-EEXIST: a constraint). */
int db_run(struct store_db *, const char *text, const char *format, ...);
/* Begins a query; then db_next(): 1 a row, 0 the end, or -errno;
 * then db_end(). */
int db_query(struct store_db *, sqlite3_stmt **ret, const char *text,
    const char *format, ...);
int db_next(sqlite3_stmt *);
void db_end(sqlite3_stmt *);
/* A column as text, "" if NULL; valid until db_next() or db_end(). */
const char *db_text(sqlite3_stmt *, int column);
int64_t db_int(sqlite3_stmt *, int column);
/* One number.  -ENOENT: no row. */
int db_number(struct store_db *, int64_t *ret, const char *text,
    const char *format, ...);
uint64_t db_changes(struct store_db *);	/* rows of the last db_run() */
/* r is what db_run() returned: -ENOENT if it changed no row. */
int db_changed(struct store_db *, int r);
uint64_t db_last_row(struct store_db *);

/* schema.c: checks or makes the tables.  why[256]. */
int schema_open(struct store_db *, const char *path, char *why);
unsigned schema_version(void);		/* that schema_open() leaves */
/* What to do about an error of opening, into why[256]. */
void schema_explain(const char *path, int error, const char *text, char *why);

/* Both forget what is over a limit, the oldest first and no more than that.
 * *ret_more is set if some was left for the next transaction, *ret_n if any was
 * forgotten: how many. */
int telemetry_prune(struct store_db *, uint64_t rows, uint64_t bytes,
    int64_t older_than_ms, bool *ret_more, uint64_t *ret_n);
int commands_prune(struct store_db *, int64_t older_than_ms, bool *ret_more);

#endif
