/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods telemetry and inventory: handed to the daemon, answered when what
 * they brought is durable.  doc/protocol.md.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"

void
telemetry_call(struct call *c)
{
	const json_t *seq = json_object_get(c->rpc.params, "seq");
	json_t *data = json_object_get(c->rpc.params, "data");
	uint64_t number;
	char *text;

	if (!json_is_integer(seq) || json_integer_value(seq) < 1) {
		call_error(c, RPC_PARAMS, "seq: an integer from 1 on is "
		    "expected");
		return;
	}
	if (!json_is_array(data)) {
		call_error(c, RPC_PARAMS, "data: an array is expected");
		return;
	}
	text = rpc_text(json_incref(data));
	if (text == NULL) {
		call_error(c, RPC_INTERNAL, "out of memory");
		return;
	}
	number = waiting_add(c, c->rpc.id, ANSWER_STORED);
	if (number == 0)		/* and what follows must not pass it */
		c->inst->host->chan_close(c->chan, CLOSE_TRY_LATER,
		    "out of memory");
	else
		waiting_asked(c, number, c->inst->host->telemetry_put(c->chan,
		    number, (uint64_t)json_integer_value(seq), text,
		    strlen(text)));
	free(text);
}

void
inventory_call(struct call *c)
{
	json_t *patch = json_object_get(c->rpc.params, "patch");
	uint64_t number;
	char *text;

	if (!json_is_object(patch)) {
		call_error(c, RPC_PARAMS, "patch: an object is expected");
		return;
	}
	text = rpc_text(json_incref(patch));
	if (text == NULL) {
		call_error(c, RPC_INTERNAL, "out of memory");
		return;
	}
	number = waiting_add(c, c->rpc.id, ANSWER_REVISION);
	waiting_asked(c, number, number == 0 ? 0 :
	    c->inst->host->inventory_patch(c->chan, number, text,
	    strlen(text)));
	free(text);
}
