/* SPDX-License-Identifier: Apache-2.0 */
/* What operators do with the daemon itself: reload, drain, log level. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_priv.h"

/* ---- what the main thread does ----------------------------------------- */

struct control_errand *
errand_of(struct exchange *x)
{
	struct control_errand *e = mem_calloc(1, sizeof(*e));

	if (e == NULL) {
		exchange_error(x, -ENOMEM, "errand");
		return NULL;
	}
	e->arg = x;
	e->home = &x->control->worker.mailbox;
	x->errand = e;
	return e;
}

void
errand_send(struct exchange *x)
{
	exchange_out(x);
	x->control->deps.hooks.ask(x->control->deps.hooks.ctx, x->errand);
}

bool
errand_went(struct control_errand *e, const char *what)
{
	struct exchange *x = e->arg;

	if (e->error == 0)
		return exchange_text(x);
	if (e->error == -ESHUTDOWN || e->error == -ENOMEM)
		exchange_error(x, e->error, what);
	else
		exchange_problem(x, PROBLEM_REFUSED, NULL, "%s",
		    e->why[0] != '\0' ? e->why : strerror(-e->error));
	return false;
}

/* For what has no arguments. */
static void
ask_main(struct exchange *x, enum control_errand_kind kind,
    void (*fn)(struct control_errand *))
{
	struct control_errand *e = errand_of(x);

	if (e == NULL)
		return;
	e->kind = kind;
	e->fn = fn;
	errand_send(x);
}

static void
on_reloaded(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "reload")) {
		jout_object(&x->text.j, NULL);
		put_time(&x->text.j, "reloaded", clock_wall_ms());
		jout_object_end(&x->text.j);
		exchange_answer(x, 200);
	}
	exchange_back(c);
}

void
system_reload(struct exchange *x)
{
	ask_main(x, CONTROL_RELOAD, on_reloaded);
}

static void
on_drained(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "drain")) {
		jout_object(&x->text.j, NULL);
		jout_uint(&x->text.j, "channels", e->channels);
		jout_object_end(&x->text.j);
		exchange_answer(x, 202);
	}
	exchange_back(c);
}

static void
on_drain_state(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "drain")) {
		jout_object(&x->text.j, NULL);
		put_bool(&x->text.j, "active", e->active);
		put_bool(&x->text.j, "ready", e->ready);
		jout_uint(&x->text.j, "channels", e->channels);
		jout_uint(&x->text.j, "left", e->left);
		jout_uint(&x->text.j, "remaining_ms", e->remaining_ms);
		jout_object_end(&x->text.j);
		exchange_answer(x, 200);
	}
	exchange_back(c);
}

void
system_drain_get(struct exchange *x)
{
	ask_main(x, CONTROL_DRAIN_LOOK, on_drain_state);
}

void
system_drain_delete(struct exchange *x)
{
	ask_main(x, CONTROL_DRAIN_ABORT, on_drain_state);
}

/* A URL of a device's channel, without what divides a list of them. */
static bool
server_valid(const char *s)
{
	size_t n = strlen(s);

	if (n > 255 || strcspn(s, ", \t\r\n\"\\") != n)
		return false;
	if (strncmp(s, "wss://", 6) == 0)
		return n > 6;
	return strncmp(s, "ws://", 5) == 0 && n > 5;
}

static bool
read_servers(struct exchange *x, const json_t *servers, char *to, size_t cap)
{
	const char *s;
	size_t i, n = 0;
	json_t *v;

	json_array_foreach(servers, i, v) {
		s = json_string_value(v);
		if (i == 16 || s == NULL || !server_valid(s) ||
		    n + strlen(s) + 2 > cap) {
			exchange_problem(x, PROBLEM_INVALID, "servers",
			    "servers: at most 16 URLs, wss://… or ws://…, are "
			    "expected");
			return false;
		}
		if (n > 0)
			to[n++] = ',';
		memcpy(to + n, s, strlen(s) + 1);
		n += strlen(s);
	}
	return true;
}

void
system_drain(struct exchange *x)
{
	static const struct member members[] = {
		{ "window_ms", JSON_INTEGER, true },
		{ "servers", JSON_ARRAY, false },
		{ "why", JSON_STRING, false }, { NULL, JSON_NULL, false }
	};
	struct control_errand *e;
	json_t *m[3];
	json_int_t window;
	const char *why;

	if (!body_members(x, members, m))
		return;
	window = json_integer_value(m[0]);
	why = m[2] == NULL ? "rebalance" : json_string_value(m[2]);
	if (window < 0 || window > 86400000) {
		exchange_problem(x, PROBLEM_INVALID, "window_ms",
		    "window_ms: 0 to 86400000 is expected");
		return;
	}
	if (strcmp(why, "restart") != 0 && strcmp(why, "rebalance") != 0 &&
	    strcmp(why, "moved") != 0) {
		exchange_problem(x, PROBLEM_INVALID, "why",
		    "why: restart, rebalance or moved is expected");
		return;
	}
	e = errand_of(x);
	if (e == NULL ||
	    !read_servers(x, m[1], e->servers, sizeof(e->servers)))
		return;
	e->kind = CONTROL_DRAIN;
	e->window_ms = (uint32_t)window;
	(void)snprintf(e->reason, sizeof(e->reason), "%s", why);
	e->fn = on_drained;
	errand_send(x);
}

/* ---- /v1/log-level ----------------------------------------------------- */

void
system_log_level_get(struct exchange *x)
{
	static const char *const names[] = {
		[LOG_LVL_ERROR] = "error", [LOG_LVL_WARNING] = "warning",
		[LOG_LVL_NOTICE] = "notice", [LOG_LVL_INFO] = "info",
		[LOG_LVL_DEBUG] = "debug"
	};

	if (!exchange_text(x))
		return;
	jout_object(&x->text.j, NULL);
	jout_string(&x->text.j, "level", names[log_get_level()]);
	jout_object_end(&x->text.j);
	exchange_answer(x, 200);
}

void
system_log_level_put(struct exchange *x)
{
	static const struct member members[] = {
		{ "level", JSON_STRING, true }, { NULL, JSON_NULL, false }
	};
	enum log_level level;
	json_t *m[1];

	if (!body_members(x, members, m))
		return;
	if (log_level_parse(json_string_value(m[0]), &level) != 0) {
		exchange_problem(x, PROBLEM_INVALID, "level", "level: error, "
		    "warning, notice, info or debug is expected");
		return;
	}
	log_set_level(level);
	system_log_level_get(x);
}
