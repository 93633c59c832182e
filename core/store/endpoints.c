/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about endpoints. */
#include "store/endpoints.h"

#include <errno.h>

#include "base/clock.h"
#include "store/db.h"

int
store_presence_save(struct store_db *db, const struct store_presence *p)
{
	return db_run(db, "INSERT INTO endpoint (id, state, reason, intent,"
	    " security, channel, revision, since_ms, last_seen_ms,"
	    " asleep_until_ms, rtt_us, created_ms)"
	    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
	    " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
	    " reason = excluded.reason, intent = excluded.intent,"
	    " security = excluded.security, channel = excluded.channel,"
	    " revision = excluded.revision, since_ms = excluded.since_ms,"
	    " last_seen_ms = excluded.last_seen_ms,"
	    " asleep_until_ms = excluded.asleep_until_ms,"
	    " rtt_us = excluded.rtt_us", "tiiiiiiiiiii", p->id,
	    (int64_t)p->state, (int64_t)p->reason, (int64_t)p->intent,
	    (int64_t)p->security, (int64_t)p->channel, (int64_t)p->revision,
	    p->since_ms, p->last_seen_ms, p->asleep_until_ms,
	    (int64_t)p->rtt_us, clock_wall_ms());
}

int
store_endpoint_admit(struct store_db *db, const char *id,
    enum store_status status, int64_t now_ms)
{
	return db_run(db, "INSERT INTO endpoint (id, status, created_ms)"
	    " VALUES (?,?,?)"
	    " ON CONFLICT (id) DO UPDATE SET status = excluded.status",
	    "tii", id, (int64_t)status, now_ms);
}

int
store_endpoint_status(struct store_db *db, const char *id,
    enum store_status *ret)
{
	int64_t status = 0;
	int r = db_number(db, &status,
	    "SELECT status FROM endpoint WHERE id = ?", "t", id);

	if (r == 0)
		*ret = (enum store_status)status;
	return r;
}

int
store_endpoint_hello(struct store_db *db, const char *id, const char *agent,
    const char *boot_id, const char *peer, const char *listener)
{
	return db_run(db, "INSERT INTO endpoint (id, agent, boot_id, peer,"
	    " listener, created_ms) VALUES (?,?,?,?,?,?)"
	    " ON CONFLICT (id) DO UPDATE SET agent = excluded.agent,"
	    " boot_id = excluded.boot_id, peer = excluded.peer,"
	    " listener = excluded.listener", "ttttti", id, agent, boot_id,
	    peer, listener, clock_wall_ms());
}

int
store_endpoint_describe(struct store_db *db, const char *id,
    const char *name, const char *group)
{
	return db_changed(db, db_run(db, "UPDATE endpoint SET"
	    " name = ifnull(?, name), grp = ifnull(?, grp) WHERE id = ?",
	    "ttt", name, group, id));
}

int
store_endpoint_forget(struct store_db *db, const char *id)
{
	int r = db_run(db, "DELETE FROM credential WHERE endpoint = ?", "t",
	    id);

	if (r == 0)
		r = db_run(db, "DELETE FROM command WHERE endpoint = ?", "t",
		    id);
	if (r == 0)
		r = db_run(db, "DELETE FROM telemetry WHERE endpoint = ?",
		    "t", id);
	if (r == 0)
		r = db_run(db, "DELETE FROM inventory WHERE endpoint = ?",
		    "t", id);
	return db_changed(db, r != 0 ? r : db_run(db,
	    "DELETE FROM endpoint WHERE id = ?", "t", id));
}

#define COLUMNS "id, status, name, grp, agent, boot_id, peer, listener, mac," \
	" created_ms, state, reason, intent, security, channel, revision," \
	" since_ms, last_seen_ms, asleep_until_ms, rtt_us," \
	" inventory_revision, telemetry_seq"

static void
read_row(sqlite3_stmt *s, struct store_endpoint *e)
{
	*e = (struct store_endpoint){
		.status = (enum store_status)db_int(s, 1),
		.name = db_text(s, 2), .group = db_text(s, 3),
		.agent = db_text(s, 4), .boot_id = db_text(s, 5),
		.peer = db_text(s, 6), .listener = db_text(s, 7),
		.mac = db_text(s, 8), .created_ms = db_int(s, 9),
		.inventory_revision = (uint64_t)db_int(s, 20),
		.telemetry_seq = (uint64_t)db_int(s, 21),
		.presence = {
			.id = db_text(s, 0), .state = (uint8_t)db_int(s, 10),
			.reason = (uint8_t)db_int(s, 11),
			.intent = (uint8_t)db_int(s, 12),
			.security = (uint8_t)db_int(s, 13),
			.channel = (uint64_t)db_int(s, 14),
			.revision = (uint64_t)db_int(s, 15),
			.since_ms = db_int(s, 16),
			.last_seen_ms = db_int(s, 17),
			.asleep_until_ms = db_int(s, 18),
			.rtt_us = (uint32_t)db_int(s, 19)
		}
	};
}

int
store_endpoint_get(struct store_db *db, const char *id,
    void (*fn)(void *, const struct store_endpoint *), void *ctx)
{
	struct store_endpoint e;
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT " COLUMNS
	    " FROM endpoint WHERE id = ?", "t", id);

	if (r != 0)
		return r;
	r = db_next(s);
	if (r > 0) {
		read_row(s, &e);
		fn(ctx, &e);
	}
	db_end(s);
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int
store_endpoint_list(struct store_db *db,
    const struct store_endpoint_filter *f,
    bool (*fn)(void *, const struct store_endpoint *), void *ctx)
{
	struct store_endpoint e;
	sqlite3_stmt *s;
	int r = db_query(db, &s, "SELECT " COLUMNS " FROM endpoint"
	    " WHERE id > ?1 AND (?2 = '' OR substr(id, 1, length(?2)) = ?2)"
	    " AND (?3 = '' OR grp = ?3) AND (?4 < 0 OR state = ?4)"
	    " AND (?5 < 0 OR status = ?5) ORDER BY id LIMIT ?6", "tttiii",
	    f->after, f->prefix, f->group, (int64_t)f->state,
	    (int64_t)f->status, (int64_t)f->limit);

	if (r != 0)
		return r;
	while ((r = db_next(s)) > 0) {
		read_row(s, &e);
		if (!fn(ctx, &e))
			break;
	}
	db_end(s);
	return r < 0 ? r : 0;
}
