/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite, wrapped thinly: see db.h. */
#include "store/db.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"

#define BUSY_MS 2000			/* waited for another program */

/* Nothing of what jobs decide (-EACCES, -EBUSY, …):
 * a device is not to be told that it is refused because a disk is. */
int
db_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EILSEQ;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	default:
		return -EIO;
	}
}

int
db_open(struct store_db *db, const char *path)
{
	int rc = sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (db->sql != NULL) {
		(void)sqlite3_extended_result_codes(db->sql, 1);
		/* An operator who looks into it holds it up, not more. */
		(void)sqlite3_busy_timeout(db->sql, BUSY_MS);
	}
	return db_errno(rc);
}

void
db_close(struct store_db *db)
{
	for (size_t i = 0; i < DB_STATEMENTS; i++)
		(void)sqlite3_finalize(db->kept[i].stmt);
	memset(db->kept, 0, sizeof(db->kept));
	(void)sqlite3_close(db->sql);
	db->sql = NULL;
}

int
db_exec(struct store_db *db, const char *text)
{
	return db_errno(sqlite3_exec(db->sql, text, NULL, NULL, NULL));
}

static int
prepare(struct store_db *db, const char *text, sqlite3_stmt **ret)
{
	struct db_kept *k = db->kept;
	int rc;

	while (k->text != NULL && k->text != text) {
		k++;
		CT_ASSERT(k < db->kept + DB_STATEMENTS);
	}
	if (k->text == NULL) {
		rc = sqlite3_prepare_v3(db->sql, text, -1,
		    SQLITE_PREPARE_PERSISTENT, &k->stmt, NULL);
		if (rc != SQLITE_OK)
			return db_errno(rc);
		k->text = text;
	}
	*ret = k->stmt;
	return 0;
}

static int
bind(sqlite3_stmt *s, const char *format, va_list ap)
{
	int rc = SQLITE_OK, at = 1;
	const void *p;

	for (; *format != '\0' && rc == SQLITE_OK; format++, at++)
		switch (*format) {
		case 't':
			rc = sqlite3_bind_text(s, at, va_arg(ap, const char *),
			    -1, SQLITE_STATIC);
			break;
		case 'i':
			rc = sqlite3_bind_int64(s, at, va_arg(ap, int64_t));
			break;
		case 'b':
			p = va_arg(ap, const void *);
			rc = sqlite3_bind_blob64(s, at, p,
			    va_arg(ap, size_t), SQLITE_STATIC);
			break;
		default:
			CT_ASSERT(false);
		}
	return db_errno(rc);
}

static int
begin(struct store_db *db, sqlite3_stmt **ret, const char *text,
    const char *format, va_list ap)
{
	sqlite3_stmt *s = NULL;
	int r = prepare(db, text, &s);

	if (r != 0)
		return r;
	if ((r = bind(s, format, ap)) != 0)
		db_end(s);
	else
		*ret = s;
	return r;
}

int
db_query(struct store_db *db, sqlite3_stmt **ret, const char *text,
    const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = begin(db, ret, text, format, ap);
	va_end(ap);
	return r;
}

int
db_next(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	return rc == SQLITE_ROW ? 1 : db_errno(rc);
}

void
db_end(sqlite3_stmt *s)
{
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
}

int
db_run(struct store_db *db, const char *text, const char *format, ...)
{
	sqlite3_stmt *s = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = begin(db, &s, text, format, ap);
	va_end(ap);
	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0)
		continue;
	db_end(s);
	return r;
}

int
db_number(struct store_db *db, int64_t *ret, const char *text,
    const char *format, ...)
{
	sqlite3_stmt *s = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = begin(db, &s, text, format, ap);
	va_end(ap);
	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0)
		*ret = db_int(s, 0);
	db_end(s);
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

const char *
db_text(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	return text == NULL ? "" : text;
}

int64_t
db_int(sqlite3_stmt *s, int column)
{
	return sqlite3_column_int64(s, column);
}

uint64_t
db_changes(struct store_db *db)
{
	return (uint64_t)sqlite3_changes64(db->sql);
}

int
db_changed(struct store_db *db, int r)
{
	if (r != 0)
		return r;
	return db_changes(db) == 0 ? -ENOENT : 0;
}

uint64_t
db_last_row(struct store_db *db)
{
	return (uint64_t)sqlite3_last_insert_rowid(db->sql);
}
