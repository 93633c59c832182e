/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/upgrade: another binary takes this process' place (decision 0015). */
#include "control/control_priv.h"

#include <stdio.h>
#include <string.h>

void
upgrade_write(struct json_out *j, const struct control *c)
{
	static const char *const states[] = {
		[CONTROL_UPGRADE_NONE] = "none",
		[CONTROL_UPGRADE_STARTING] = "starting",
		[CONTROL_UPGRADE_MOVING] = "moving",
		[CONTROL_UPGRADE_REFUSED] = "refused"
	};
	struct control_upgrade u = { .state = CONTROL_UPGRADE_NONE };

	c->deps.hooks.upgrade(c->deps.hooks.ctx, &u);
	jout_object(j, "upgrade");
	jout_string(j, "state", states[u.state]);
	if (u.state != CONTROL_UPGRADE_NONE)
		put_time(j, "since", u.at_ms);
	if (u.state == CONTROL_UPGRADE_REFUSED)
		put_text(j, "why", u.why);
	jout_object_end(j);
}

static void
on_begun(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "upgrade")) {
		jout_object(&x->text.j, NULL);
		jout_uint(&x->text.j, "epoch", c->deps.epoch);
		upgrade_write(&x->text.j, c);
		jout_object_end(&x->text.j);
		exchange_answer(x, 202);
	}
	exchange_back(c);
}

void
upgrade_post(struct exchange *x)
{
	static const struct member members[] = {
		{ "binary", JSON_STRING, false }, { NULL, JSON_NULL, false }
	};
	struct control_errand *e;
	const char *binary;
	json_t *m[1];

	if (!body_members(x, members, m))
		return;
	binary = m[0] == NULL ? "" : json_string_value(m[0]);
	if (m[0] != NULL && (binary[0] != '/' ||
	    strlen(binary) >= sizeof(e->binary))) {
		exchange_problem(x, PROBLEM_INVALID, "binary",
		    "binary: an absolute path is expected");
		return;
	}
	e = errand_of(x);
	if (e == NULL)
		return;
	e->kind = CONTROL_UPGRADE;
	(void)snprintf(e->binary, sizeof(e->binary), "%s", binary);
	e->fn = on_begun;
	errand_send(x);
}
