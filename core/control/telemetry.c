/* SPDX-License-Identifier: Apache-2.0 */
/* What devices reported: telemetry by cursor, inventory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control_priv.h"
#include "control/stream.h"
#include "store/telemetry.h"

/* ---- GET /v1/telemetry ------------------------------------------------- */

static bool
on_row(void *ctx, const struct store_telemetry *t)
{
	struct exchange *x = ctx;
	struct json_out *j = &x->text.j;
	size_t n = strlen(t->json);

	if (x->found > 0 && x->text.out.n > PAGE_BYTES)
		return false;
	if (text_room(&x->text, 1024 + n) != 0) {
		j->failed = true;
		return false;
	}
	jout_object(j, NULL);
	jout_uint(j, "cursor", t->cursor);
	jout_string(j, "endpoint", t->endpoint);
	jout_uint(j, "seq", t->seq);
	put_time(j, "received", t->received_ms);
	jout_raw(j, "data", t->json, n);
	jout_object_end(j);
	x->found++;
	x->last_cursor = t->cursor;
	return true;
}

static int
read_run(struct exchange *x, struct store_db *db)
{
	struct json_out *j = &x->text.j;
	uint64_t oldest = 0;
	int r;

	x->found = 0;
	x->last_cursor = x->number;
	jout_object(j, NULL);
	jout_array(j, "telemetry");
	r = store_telemetry_read(db, param_of(x, "endpoint"), x->number,
	    (unsigned)x->limit, &oldest, on_row, x);
	if (r == 0)
		r = text_room(&x->text, 256);
	if (r != 0)
		return r;
	jout_array_end(j);
	jout_uint(j, "next", x->last_cursor);
	put_number(j, "oldest", oldest);
	put_bool(j, "missed", oldest > x->number + 1);
	jout_object_end(j);
	return 0;
}

static void
read_then(struct exchange *x, int error)
{
	if (error != 0)
		exchange_error(x, error, "telemetry");
	else if (x->found > 0 || !wait_more(x))
		exchange_answer(x, 200);
}

static void
look(struct exchange *x)
{
	if (exchange_text(x))
		exchange_store(x, read_run, read_then, true);
}

void
telemetry_get(struct exchange *x)
{
	const char *endpoint = param_of(x, "endpoint");
	uint64_t ms;

	if (!id_param_valid(x, "endpoint") ||
	    !param_number(x, "after", 0, 0, INT64_MAX, &x->number) ||
	    !param_number(x, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX,
	    &x->limit) || !param_number(x, "wait_ms", 0, 0, 60000, &ms))
		return;
	(void)snprintf(x->id, sizeof(x->id), "%s",
	    endpoint == NULL ? "" : endpoint);
	wait_begin(x, ms, look);
	look(x);
}

/* ---- GET /v1/endpoints/{id}/inventory ---------------------------------- */

static void
on_document(void *ctx, const char *json, uint64_t revision,
    int64_t changed_ms)
{
	struct exchange *x = ctx;
	struct json_out *j = &x->text.j;
	size_t n = strlen(json);

	if (text_room(&x->text, 1024 + n) != 0) {
		j->failed = true;
		return;
	}
	jout_object(j, NULL);
	jout_string(j, "endpoint", x->id);
	jout_uint(j, "revision", revision);
	put_time(j, "changed", changed_ms);
	jout_raw(j, "inventory", json, n);
	jout_object_end(j);
	(void)snprintf(x->etag, sizeof(x->etag), "\"%llu\"",
	    (unsigned long long)revision);
}

static int
inventory_run(struct exchange *x, struct store_db *db)
{
	return store_inventory_get(db, x->id, on_document, x);
}

static void
inventory_then(struct exchange *x, int error)
{
	const char *known = MHD_lookup_connection_value(x->mhd,
	    MHD_HEADER_KIND, "If-None-Match");

	if (error == -ENOENT)
		exchange_problem(x, PROBLEM_NOT_FOUND, NULL,
		    "there is no inventory of %s", x->id);
	else if (error != 0)
		exchange_error(x, error, x->id);
	else if (known != NULL && strcmp(known, x->etag) == 0)
		exchange_answer(x, 304);
	else
		exchange_answer(x, 200);
}

void
inventory_show(struct exchange *x)
{
	if (exchange_text(x))
		exchange_store(x, inventory_run, inventory_then, true);
}
