/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/endpoints: what the store knows of each, under what the endpoint table
 * knows now.  Rows are read by jobs; the table is asked in the job, row by row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "control/control_priv.h"
#include "store/credentials.h"
#include "store/endpoints.h"
#include "tls/digest.h"

#define SCAN_MAX 5000			/* rows that one page looks at */

static const char *const statuses[] = {
	[STORE_ACTIVE] = "active", [STORE_PENDING] = "pending",
	[STORE_DENIED] = "denied"
};

/* ---- one endpoint as JSON ---------------------------------------------- */

/* What is live counts; the store is a little behind. */
static void
overlay(struct control *c, const char *id, struct store_presence *p,
    bool *ret_connected)
{
	struct endpoint_facts f;

	*ret_connected = false;
	if (endpoint_get(c->deps.endpoints, id, &f) != 0)
		return;
	p->state = f.presence.state;
	p->reason = f.presence.reason;
	if (f.place.channel_id != 0)
		p->security = (uint8_t)f.security;
	p->channel = f.number;
	p->revision = f.revision;
	p->since_ms = f.since_ms;
	p->last_seen_ms = f.last_seen_ms;
	p->asleep_until_ms = f.asleep_until_ms;
	p->rtt_us = f.rtt_us;
	*ret_connected = f.place.channel_id != 0;
}

static void
write_presence(struct json_out *j, const struct store_presence *p,
    bool connected)
{
	jout_string(j, "state",
	    presence_state_name((enum presence_state)p->state));
	if (p->reason != REASON_NONE)
		jout_string(j, "reason",
		    presence_reason_name((enum presence_reason)p->reason));
	jout_string(j, "security", channel_security_name(
	    (enum channel_security)p->security));
	put_number(j, "channel", p->channel);
	put_bool(j, "connected", connected);
	jout_uint(j, "revision", p->revision);
	put_time(j, "since", p->since_ms);
	put_time(j, "last_seen", p->last_seen_ms);
	if (p->state == PRESENCE_ASLEEP)
		put_time(j, "asleep_until", p->asleep_until_ms);
	put_number(j, "rtt_us", p->rtt_us);
}

/* What is read for an exchange, inside its job. */
struct reading {
	struct exchange *x;
	struct store_db *db;
	int error;
	bool key_found;			/* of the endpoint that is written */
};

static void
on_pending_key(void *ctx, const struct store_credential *cred)
{
	struct reading *rd = ctx;
	uint8_t sum[32];

	if (cred->kind != STORE_CRED_KEY || cred->revoked || rd->key_found ||
	    digest_sha256(cred->value, sizeof(cred->value), sum) != 0)
		return;
	jout_hex(&rd->x->text.j, "fingerprint", sum, 32);
	rd->key_found = true;
}

static size_t
row_size(const struct store_endpoint *e)
{
	return 2048 + 6 * (strlen(e->name) + strlen(e->group) +
	    strlen(e->agent) + strlen(e->boot_id) + strlen(e->peer) +
	    strlen(e->listener) + strlen(e->mac));
}

/* An object that is left open. */
static void
write_endpoint(struct reading *rd, const struct store_endpoint *e,
    const struct store_presence *p, bool connected)
{
	struct json_out *j = &rd->x->text.j;

	if (text_room(&rd->x->text, row_size(e)) != 0) {
		j->failed = true;
		return;
	}
	jout_object(j, NULL);
	jout_string(j, "id", e->presence.id);
	jout_string(j, "status", statuses[e->status]);
	write_presence(j, p, connected);
	jout_string(j, "name", e->name);
	jout_string(j, "group", e->group);
	put_text(j, "agent", e->agent);
	put_text(j, "boot_id", e->boot_id);
	put_text(j, "peer", e->peer);
	put_text(j, "listener", e->listener);
	put_text(j, "mac", e->mac);
	put_time(j, "created", e->created_ms);
	put_number(j, "inventory_revision", e->inventory_revision);
	put_number(j, "telemetry_seq", e->telemetry_seq);
	rd->key_found = false;
	if (e->status == STORE_PENDING && rd->error == 0)
		rd->error = store_credential_each(rd->db, e->presence.id,
		    on_pending_key, rd);
}

/* ---- GET /v1/endpoints ------------------------------------------------- */

static bool
on_row(void *ctx, const struct store_endpoint *e)
{
	struct reading *rd = ctx;
	struct exchange *x = rd->x;
	struct store_presence p = e->presence;
	bool connected;

	overlay(x->control, e->presence.id, &p, &connected);
	x->seen++;
	(void)snprintf(x->last, sizeof(x->last), "%s", e->presence.id);
	if (x->state < 0 || p.state == x->state) {
		if (x->found == x->limit) {
			x->more = true;
			return false;
		}
		write_endpoint(rd, e, &p, connected);
		jout_object_end(&x->text.j);
		x->found++;
		(void)snprintf(x->next, sizeof(x->next), "%s", x->last);
		return !x->text.j.failed && rd->error == 0;
	}
	(void)snprintf(x->next, sizeof(x->next), "%s", x->last);
	return true;
}

static int
list_run(struct exchange *x, struct store_db *db)
{
	struct store_endpoint_filter f = {
		.after = param_of(x, "after"), .prefix = param_of(x, "prefix"),
		.group = param_of(x, "group"), .state = -1,
		.status = x->status_wanted, .limit = SCAN_MAX
	};
	struct reading rd = { .x = x, .db = db };
	int r;

	if (f.after == NULL)
		f.after = "";
	if (f.prefix == NULL)
		f.prefix = "";
	if (f.group == NULL)
		f.group = "";
	jout_object(&x->text.j, NULL);
	jout_array(&x->text.j, "endpoints");
	r = store_endpoint_list(db, &f, on_row, &rd);
	if (r == 0)
		r = rd.error;
	if (x->seen == SCAN_MAX)
		x->more = true;
	if (r == 0)
		r = text_room(&x->text, 1024);
	if (r != 0)
		return r;
	jout_array_end(&x->text.j);
	if (x->more)
		jout_string(&x->text.j, "next", x->next);
	jout_object_end(&x->text.j);
	return 0;
}

static void
list_then(struct exchange *x, int error)
{
	if (error != 0)
		exchange_error(x, error, "endpoints");
	else
		exchange_answer(x, 200);
}

/* The place of a parameter's word among n names; -1 when it is not given. */
static bool
read_word(struct exchange *x, const char *name, const char *(*word)(unsigned),
    unsigned n, int *ret)
{
	const char *s = param_of(x, name);
	char words[128] = "";

	*ret = -1;
	if (s == NULL)
		return true;
	for (unsigned i = 0; i < n; i++) {
		size_t at = strlen(words);

		if (strcmp(word(i), s) == 0) {
			*ret = (int)i;
			return true;
		}
		(void)snprintf(words + at, sizeof(words) - at, "%s%s",
		    i == 0 ? "" : ", ", word(i));
	}
	exchange_problem(x, PROBLEM_INVALID, name, "%s: there is no \"%.40s\" "
	    "(one of %s is expected)", name, s, words);
	return false;
}

static const char *
state_word(unsigned i)
{
	return presence_state_name((enum presence_state)i);
}

static const char *
status_word(unsigned i)
{
	return statuses[i];
}

void
endpoints_list(struct exchange *x)
{
	const char *group = param_of(x, "group");

	if (!read_word(x, "state", state_word, PRESENCE_STATES, &x->state) ||
	    !read_word(x, "status", status_word, 3, &x->status_wanted) ||
	    !id_param_valid(x, "after") || !id_param_valid(x, "prefix") ||
	    !param_number(x, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, &x->limit))
		return;
	if (group != NULL && !id_group_valid(group)) {
		exchange_problem(x, PROBLEM_INVALID, "group",
		    "group: the name of a group is expected");
		return;
	}
	if (exchange_text(x))
		exchange_store(x, list_run, list_then, true);
}

/* ---- GET /v1/endpoints/{id} -------------------------------------------- */

static void
on_one(void *ctx, const struct store_endpoint *e)
{
	struct reading *rd = ctx;
	struct store_presence p = e->presence;
	bool connected;

	overlay(rd->x->control, e->presence.id, &p, &connected);
	write_endpoint(rd, e, &p, connected);
}

static int
show_run(struct exchange *x, struct store_db *db)
{
	struct reading rd = { .x = x, .db = db };
	int r = store_endpoint_get(db, x->id, on_one, &rd);

	if (r == 0)
		r = rd.error;
	if (r == 0)
		jout_object_end(&x->text.j);
	return r;
}

static void
show_then(struct exchange *x, int error)
{
	if (error != 0)
		exchange_error(x, error, x->id);
	else
		exchange_answer(x, x->wanted);
}

void
endpoint_answer(struct exchange *x, unsigned status)
{
	x->wanted = status;
	if (exchange_text(x))
		exchange_store(x, show_run, show_then, true);
}

void
endpoint_show(struct exchange *x)
{
	endpoint_answer(x, 200);
}

/* ---- POST /v1/endpoints/{id}/kick -------------------------------------- */

void
endpoint_kick_it(struct exchange *x)
{
	struct endpoint_facts f;
	int r = endpoint_kick(x->control->deps.endpoints, x->id, 1013,
	    "an operator ended the channel");

	if (r == -ENOENT &&
	    endpoint_get(x->control->deps.endpoints, x->id, &f) == 0)
		exchange_problem(x, PROBLEM_NOT_CONNECTED, NULL,
		    "%s is not connected", x->id);
	else if (r != 0)
		exchange_error(x, r, x->id);
	else if (exchange_text(x)) {
		jout_object(&x->text.j, NULL);
		put_bool(&x->text.j, "kicked", true);
		jout_object_end(&x->text.j);
		exchange_answer(x, 202);
	}
}
