/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl upgrade: asks for it, and follows it over the change of the process.
 * The control socket answers 503 while channels move, and for a moment nobody
 * is there at all.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ctl.h"

#define AGAIN_MS 100
#define ALL_MS 240000			/* more than each step of it may take */

/* What the daemon says of itself now: EXIT_OK, or -1 nobody answers. */
static int
ask(struct ctl *x, json_t **ret)
{
	struct http_request q = { .method = "GET", .path = "/v1/status",
		.timeout_ms = CALL_MS };
	json_t *o = NULL;
	long status = 0;
	int r = api_quietly(x, &q, &status, &o);

	if (r == 0 && status == 200) {
		*ret = o;
		return EXIT_OK;
	}
	json_decref(o);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -EPIPE ||
	    (r == 0 && status == 503))
		return -1;
	return r != 0 ? api_failed(x, r) : api_problem(status, NULL);
}

/* EXIT_OK: it serves; -1 not yet. */
static int
judge(const json_t *o, uint64_t before)
{
	const json_t *u = json_object_get(o, "upgrade");

	if (member_number(o, "epoch") > before)
		return strcmp(member(o, "state"), "ready") == 0 ? EXIT_OK : -1;
	if (strcmp(member(u, "state"), "refused") != 0)
		return -1;
	say("no upgrade: %s", member(u, "why"));
	return EXIT_REFUSED;
}

static int
follow(struct ctl *x, uint64_t before, json_t **ret)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	uint64_t until = clock_mono_ms() + ALL_MS;
	json_t *o;
	int r;

	for (;;) {
		o = NULL;
		r = ask(x, &o);
		if (r == EXIT_OK)
			r = judge(o, before);
		if (r == EXIT_OK) {
			*ret = o;
			return r;
		}
		json_decref(o);
		if (r != -1)
			return r;
		if (clock_mono_ms() >= until) {
			say("the daemon is not back; what it logged says why");
			return EXIT_UNREACHABLE;
		}
		(void)nanosleep(&pause, NULL);
	}
}

static int
show(struct ctl *x, const json_t *o)
{
	if (x->option[O_JSON] != NULL)
		return put_json(x, o);
	say("upgraded: cleatd %s serves now, epoch %llu", member(o, "version"),
	    (unsigned long long)member_number(o, "epoch"));
	return EXIT_OK;
}

int
upgrade_run(struct ctl *x)
{
	struct text path = { 0 };
	json_t *body = json_pack("{s:s*}", "binary", x->option[O_BINARY]);
	json_t *begun = NULL, *now = NULL;
	int r;

	if (body == NULL) {
		say("--binary: that is not UTF-8");
		return EXIT_USAGE;
	}
	text_puts(&path, "/v1/upgrade");
	r = api(x, "POST", &path, body, &begun);
	text_free(&path);
	if (r == EXIT_OK && x->option[O_WAIT] == NULL) {
		if (x->option[O_JSON] != NULL)
			r = put_json(x, begun);
		else
			say("the upgrade has begun");
	} else if (r == EXIT_OK) {
		r = follow(x, member_number(begun, "epoch"), &now);
		if (r == EXIT_OK)
			r = show(x, now);
	}
	json_decref(begun);
	json_decref(now);
	return r;
}
