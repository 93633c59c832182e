/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a device, as proto-endpoint gets them: one per line of the input;
 * a line that begins with '!' is the core's answer to hello instead, one with
 * '?' a completion, one with '>' a command.  Whatever comes, an answer is JSON,
 * nothing is sent after a close, what is published is one object, and what is
 * to be stored is JSON of its kind.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_check.h"
#include "../lib/fakehost.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

extern const struct cleat_plugin cleat_plugin;

static void
check(struct cleat_chan *c)
{
	for (unsigned i = 0; i < c->sent_n && i < FAKE_TEXTS; i++) {
		if (!c->sent[i].is_text || json_check_object(c->sent[i].p,
		    c->sent[i].n) < 0)
			abort();
	}
	if (c->message != NULL && json_check_object(c->message,
	    strlen(c->message)) < 0)
		abort();
	if (c->json != NULL && c->json[0] != '\0' &&
	    json_check_value(c->json, strlen(c->json)) < 0)
		abort();
	fake_chan_clear(c);
}

static void
complete(void *inst, struct cleat_chan *c, const uint8_t *p, size_t n)
{
	const struct cleat_protocol_ops *ops = cleat_plugin.ops;
	struct cleat_completion r = { .size = sizeof(r),
	    .request = n > 1 ? p[1] : c->request, .value = n };

	if (n > 2)
		r.error = -(int)p[2];
	ops->completed(inst, c, c->session, &r);
}

static void
command(void *inst, struct cleat_chan *c)
{
	const struct cleat_protocol_ops *ops = cleat_plugin.ops;
	struct cleat_command cmd = { .size = sizeof(cmd), .id = "c-1",
	    .verb = "reboot", .args_json = "{}" };

	(void)ops->command(inst, c, c->session, &cmd);
	ops->command_cancel(inst, c, c->session, "c-1");
}

static void
authenticated(void *inst, struct cleat_chan *c, int kind)
{
	const struct cleat_protocol_ops *ops = cleat_plugin.ops;
	struct cleat_auth_result r = { .size = sizeof(r),
	    .endpoint = c->endpoint, .security = CLEAT_SECURITY_WSS,
	    .enrolled_token = "", .fingerprint = "",
	    .error = kind == 'a' ? -EACCES : kind == 'b' ? -EAGAIN : 0 };

	ops->authenticated(inst, c, c->session, &r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct cleat_protocol_ops *ops = cleat_plugin.ops;
	struct cleat_request r = { .size = sizeof(r) };
	struct fakehost *host = fakehost_new("f", "/", cleat_plugin.opts);
	struct cleat_chan *c = fake_chan_new();
	void *inst = NULL;

	if (cleat_plugin.life->open(fakehost_self(host), fakehost_table(),
	    &inst) < 0)
		abort();
	ops->open(inst, c, &r);
	check(c);
	while (n > 0 && !c->closing) {
		const uint8_t *end = memchr(p, '\n', n);
		size_t len = end == NULL ? n : (size_t)(end - p);
		struct cleat_msg m = { .size = sizeof(m), .is_text = 1,
		    .p = p, .n = len };

		if (len > 0 && p[0] == '!')
			authenticated(inst, c, len > 1 ? p[1] : 0);
		else if (len > 0 && p[0] == '?')
			complete(inst, c, p, len);
		else if (len > 0 && p[0] == '>')
			command(inst, c);
		else
			ops->message(inst, c, c->session, &m);
		check(c);
		len += end != NULL;
		p += len;
		n -= len;
	}
	ops->closed(inst, c, c->session, 1006);
	fake_chan_free(&c);
	cleat_plugin.life->close(inst);
	fakehost_free(&host);
	return 0;
}
