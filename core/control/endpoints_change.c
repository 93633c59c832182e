/* SPDX-License-Identifier: Apache-2.0 */
/* What operators change about an endpoint: made known, described, forgotten. */
#include <stdio.h>

#include "base/id.h"
#include "channel/telemetry.h"
#include "control/control_priv.h"
#include "store/endpoints.h"

#define NAME_MAX_BYTES 128

static bool
description_valid(struct exchange *x, const json_t *name, const json_t *group)
{
	if (name != NULL &&
	    !label_valid(json_string_value(name), NAME_MAX_BYTES)) {
		exchange_problem(x, PROBLEM_INVALID, "name", "name: at most "
		    "%u bytes without control characters are expected",
		    NAME_MAX_BYTES);
		return false;
	}
	if (group != NULL && !id_group_valid(json_string_value(group))) {
		exchange_problem(x, PROBLEM_INVALID, "group", "group: at most "
		    "64 of A-Z a-z 0-9 . _ : @ - are expected");
		return false;
	}
	x->name = json_string_value(name);
	x->group = json_string_value(group);
	return true;
}

static int
describe_run(struct exchange *x, struct store_db *db)
{
	return store_endpoint_describe(db, x->id, x->name, x->group);
}

static void
described(struct exchange *x, int error)
{
	if (error != 0)
		exchange_error(x, error, x->id);
	else
		endpoint_answer(x, x->wanted);
}

void
endpoint_patch(struct exchange *x)
{
	static const struct member members[] = {
		{ "name", JSON_STRING, false }, { "group", JSON_STRING, false },
		{ NULL, JSON_NULL, false }
	};
	json_t *m[2];

	if (!body_members(x, members, m) || !description_valid(x, m[0], m[1]))
		return;
	if (m[0] == NULL && m[1] == NULL) {
		exchange_problem(x, PROBLEM_INVALID, NULL,
		    "name or group is expected");
		return;
	}
	x->wanted = 200;
	exchange_store(x, describe_run, described, false);
}

/* ---- DELETE ------------------------------------------------------------ */

static void
forgotten(struct exchange *x)
{
	telemetry_forget(x->control->deps.telemetry, x->id);
	command_table_forget(x->control->deps.commands, x->id);
	if (exchange_text(x))
		exchange_answer(x, 204);
}

void
endpoint_delete(struct exchange *x)
{
	exchange_op_begun(x, identity_forget(x->control->deps.identity, x->id,
	    exchange_op(x, forgotten)));
}

/* ---- POST -------------------------------------------------------------- */

static void
admitted(struct exchange *x)
{
	if (x->name == NULL && x->group == NULL)
		endpoint_answer(x, 201);
	else
		exchange_store(x, describe_run, described, false);
}

void
endpoint_post(struct exchange *x)
{
	static const struct member members[] = {
		{ "id", JSON_STRING, true }, { "name", JSON_STRING, false },
		{ "group", JSON_STRING, false }, { NULL, JSON_NULL, false }
	};
	json_t *m[3];
	const char *id;

	if (!body_members(x, members, m) || !description_valid(x, m[1], m[2]))
		return;
	id = json_string_value(m[0]);
	if (!id_valid(id)) {
		exchange_problem(x, PROBLEM_INVALID, "id", "id: 1 to 128 of "
		    "A-Z a-z 0-9 . _ : @ - are expected");
		return;
	}
	(void)snprintf(x->id, sizeof(x->id), "%s", id);
	(void)snprintf(x->location, sizeof(x->location), "/v1/endpoints/%s",
	    id);
	x->wanted = 201;
	exchange_op_begun(x, identity_admit(x->control->deps.identity, x->id,
	    exchange_op(x, admitted)));
}
