/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon itself: status, drain, reload, log level. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ctl.h"
#include "when.h"

/* ---- status ------------------------------------------------------------- */

/* "3 online, 1 asleep": those that are not 0. */
static void
put_counts(const struct ctl *x, struct text *out, const char *title,
    json_t *counts)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	text_printf(out, "%s:%*s", title, (int)(15 - strlen(title)), "");
	json_object_foreach(counts, key, value) {
		const char *colour = x->colour ? state_colour(key) : NULL;

		if (json_integer_value(value) <= 0)
			continue;
		text_puts(out, n++ == 0 ? "" : ", ");
		text_printf(out, "%llu ",
		    (unsigned long long)json_integer_value(value));
		if (colour != NULL)
			text_printf(out, "\033[%sm", colour);
		text_escaped(out, key, strlen(key));
		if (colour != NULL)
			text_puts(out, "\033[0m");
	}
	text_puts(out, n == 0 ? "none\n" : "\n");
}

static void
put_daemon(struct ctl *x, struct text *out, const json_t *o)
{
	char span[WHEN_SIZE], started[TIME_TEXT_SIZE], line[128];

	when_span(member_number(o, "uptime_ms"), span);
	(void)snprintf(line, sizeof(line), "%.40s, up %s, epoch %llu",
	    member(o, "version"), span,
	    (unsigned long long)member_number(o, "epoch"));
	put_field(x, out, "cleatd", line, NULL);
	put_field(x, out, "state", member(o, "state"),
	    strcmp(member(o, "state"), "ready") == 0 ? "32" : "33");
	member_time(o, "started", started);
	put_field(x, out, "started", started, NULL);
}

/* Bug fixes that are on the disk and not in force. */
static void
put_restart(struct ctl *x, struct text *out, const json_t *o)
{
	const json_t *restart = json_object_get(o, "restart"), *path;
	char line[4200];
	size_t i;

	if (!json_is_true(json_object_get(restart, "pending")))
		return;
	put_field(x, out, "restart", "pending: 'cleatctl upgrade --wait' "
	    "loads what was replaced on the disk", "33");
	json_array_foreach(json_object_get(restart, "replaced"), i, path) {
		const char *text = json_string_value(path);

		(void)snprintf(line, sizeof(line), "%.4096s",
		    text == NULL ? "" : text);
		put_field(x, out, "replaced", line, "33");
	}
}

static void
put_endpoints(struct ctl *x, struct text *out, const json_t *o)
{
	const json_t *e = json_object_get(o, "endpoints");
	const json_t *recovery = json_object_get(o, "recovery");
	char line[128], left[WHEN_SIZE];

	(void)snprintf(line, sizeof(line), "%llu known, %llu pending",
	    (unsigned long long)member_number(e, "known"),
	    (unsigned long long)member_number(e, "pending"));
	put_field(x, out, "endpoints", line, NULL);
	put_counts(x, out, "states", json_object_get(e, "states"));
	put_counts(x, out, "security", json_object_get(e, "security"));
	(void)snprintf(line, sizeof(line), "%llu open",
	    (unsigned long long)member_number(json_object_get(o, "channels"),
	    "open"));
	put_field(x, out, "channels", line, NULL);
	(void)snprintf(line, sizeof(line), "%llu open",
	    (unsigned long long)member_number(json_object_get(o, "commands"),
	    "open"));
	put_field(x, out, "commands", line, NULL);
	if (!json_is_true(json_object_get(recovery, "active")))
		return;
	when_span(member_number(recovery, "remaining_ms"), left);
	(void)snprintf(line, sizeof(line), "%llu of %llu heard, %s left",
	    (unsigned long long)member_number(recovery, "heard"),
	    (unsigned long long)member_number(recovery, "expected"), left);
	put_field(x, out, "recovery", line, "33");
}

static void
put_inside(struct ctl *x, struct text *out, const json_t *o)
{
	const json_t *store = json_object_get(o, "store");
	const json_t *bus = json_object_get(o, "bus");
	bool healthy = json_is_true(json_object_get(store, "healthy"));
	char line[160];

	(void)snprintf(line, sizeof(line), "%s, %llu waiting, %llu failed, "
	    "last commit %.1f ms", healthy ? "healthy" : "FAILING",
	    (unsigned long long)member_number(store, "waiting"),
	    (unsigned long long)member_number(store, "failed"),
	    (double)member_number(store, "commit_us") / 1000.0);
	put_field(x, out, "store", line, healthy ? NULL : "31");
	(void)snprintf(line, sizeof(line), "%llu published, %llu dropped",
	    (unsigned long long)member_number(bus, "published"),
	    (unsigned long long)member_number(bus, "dropped"));
	put_field(x, out, "bus", line, member_number(bus, "dropped") > 0 ?
	    "33" : NULL);
}

static void
put_trusts(struct ctl *x, struct text *out, const json_t *o)
{
	char line[1024], due[TIME_TEXT_SIZE];
	const json_t *p, *weak;
	size_t i, k;

	json_array_foreach(json_object_get(o, "client_certificates"), i, p) {
		bool late = json_is_true(json_object_get(p, "crl_expired"));

		member_time(p, "crl_due", due);
		(void)snprintf(line, sizeof(line), "%.64s: %llu authorities, "
		    "%llu revoked in %llu lists%s%s", member(p, "listener"),
		    (unsigned long long)member_number(p, "authorities"),
		    (unsigned long long)member_number(p, "revoked"),
		    (unsigned long long)member_number(p, "crls"),
		    due[0] == '\0' ? "" : late ? ", EXPIRED since " :
		    ", the next is due ", due);
		put_field(x, out, "clients", line, late ? "31" : NULL);
		if (member(p, "error")[0] != '\0') {
			(void)snprintf(line, sizeof(line), "%.64s: kept as it "
			    "was: %.800s", member(p, "listener"),
			    member(p, "error"));
			put_field(x, out, "clients", line, "31");
		}
		json_array_foreach(json_object_get(p, "weakened"), k, weak) {
			const char *text = json_string_value(weak);

			(void)snprintf(line, sizeof(line), "%.64s: %.800s",
			    member(p, "listener"), text == NULL ? "" : text);
			put_field(x, out, "WEAKENED", line, "31");
		}
	}
}

static void
put_parts(struct ctl *x, struct text *out, const json_t *o)
{
	char line[256], until[TIME_TEXT_SIZE];
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(o, "certificates"), i, p) {
		bool there = json_is_true(json_object_get(p, "present"));

		member_time(p, "not_after", until);
		(void)snprintf(line, sizeof(line), "%.64s: %s%s",
		    member(p, "slot"), !there ? "none" : until[0] == '\0' ?
		    "in service" : "until ", until);
		put_field(x, out, "certificate", line, there ? NULL : "31");
	}
	json_array_foreach(json_object_get(o, "plugins"), i, p) {
		bool up = json_is_true(json_object_get(p, "up"));

		(void)snprintf(line, sizeof(line), "%.64s (%.64s): %s, %llu "
		    "slow calls, %llu events lost", member(p, "instance"),
		    member(p, "module"), up ? "up" : "down",
		    (unsigned long long)member_number(p, "slow"),
		    (unsigned long long)member_number(p, "lost"));
		put_field(x, out, "plugin", line, up ? NULL : "31");
	}
}

static void
show_status(struct ctl *x, const json_t *o)
{
	struct text out = { 0 };

	put_daemon(x, &out, o);
	put_restart(x, &out, o);
	put_endpoints(x, &out, o);
	put_inside(x, &out, o);
	put_parts(x, &out, o);
	put_trusts(x, &out, o);
	(void)put_text(x, &out);	/* main() says if not */
}

static int
call(struct ctl *x, const char *method, const char *path, json_t *body,
    void (*then)(struct ctl *, const json_t *))
{
	struct text t = { 0 };
	int r;

	text_puts(&t, path);
	r = api_show(x, method, &t, body, then);
	text_free(&t);
	return r;
}

int
status_run(struct ctl *x)
{
	return call(x, "GET", "/v1/status", NULL, show_status);
}

/* ---- what changes it ---------------------------------------------------- */

static void
say_drained(struct ctl *x, const json_t *o)
{
	(void)x;
	say("%llu channels were told to connect again",
	    (unsigned long long)member_number(o, "channels"));
}

/* NULL: out of memory, or not UTF-8. */
static json_t *
split(const char *list)
{
	json_t *a = json_array();

	while (a != NULL && list != NULL) {
		size_t n = strcspn(list, ",");

		if (json_array_append_new(a, json_stringn(list, n)) != 0) {
			json_decref(a);
			return NULL;
		}
		list = list[n] == ',' ? list + n + 1 : NULL;
	}
	return a;
}

static void
say_drain(const json_t *o)
{
	char span[WHEN_SIZE];

	when_span(member_number(o, "remaining_ms"), span);
	if (json_is_true(json_object_get(o, "active")))
		say("%llu of %llu channels are left, for %s",
		    (unsigned long long)member_number(o, "left"),
		    (unsigned long long)member_number(o, "channels"), span);
	else
		say("no drain is under way; %s", json_is_true(json_object_get(
		    o, "ready")) ? "ready" : "not ready: drain --abort ends "
		    "that");
}

static void
say_aborted(struct ctl *x, const json_t *o)
{
	(void)x;
	say("given up: %llu of %llu channels stay, ready",
	    (unsigned long long)member_number(o, "left"),
	    (unsigned long long)member_number(o, "channels"));
}

/* Tells how far it is, until it is over; to end this does not end the drain. */
static int
drain_wait(struct ctl *x)
{
	const struct timespec pause = { .tv_sec = 1 };
	struct text path = { 0 };
	json_t *o = NULL;
	bool active = true;
	int r = EXIT_OK;

	text_puts(&path, "/v1/drain");
	while (active) {
		r = api(x, "GET", &path, NULL, &o);
		if (r != EXIT_OK)
			break;
		active = json_is_true(json_object_get(o, "active"));
		say_drain(o);
		json_decref(o);
		o = NULL;
		if (active)
			(void)nanosleep(&pause, NULL);
	}
	text_free(&path);
	return r;
}

static int
drain_servers(struct ctl *x, json_t **ret)
{
	const char *list = x->option[O_SERVERS];

	if (x->option[O_TO] != NULL && list != NULL) {
		say("--to and --servers say the same: give one");
		return EXIT_USAGE;
	}
	if (x->option[O_TO] != NULL)
		list = x->option[O_TO];
	if (list == NULL)
		return EXIT_OK;
	*ret = split(list);
	if (*ret != NULL)
		return EXIT_OK;
	say("the servers: that is not UTF-8");
	return EXIT_USAGE;
}

int
drain_run(struct ctl *x)
{
	uint64_t window;
	json_t *body, *servers = NULL;
	int r;

	if (x->option[O_ABORT] != NULL)
		return call(x, "DELETE", "/v1/drain", NULL, say_aborted);
	if (x->option[O_WINDOW] == NULL && x->option[O_WAIT] != NULL)
		return drain_wait(x);
	if (x->option[O_WINDOW] == NULL) {
		say("drain: --window is missing: devices come again at a "
		    "random time within it");
		return EXIT_USAGE;
	}
	if (option_span(x, O_WINDOW, &window) != EXIT_OK ||
	    drain_servers(x, &servers) != EXIT_OK)
		return EXIT_USAGE;
	body = json_pack("{s:I, s:o*, s:s*}", "window_ms",
	    (json_int_t)window, "servers", servers, "why",
	    x->option[O_WHY]);
	if (body == NULL) {
		say("what is given is not UTF-8");
		return EXIT_USAGE;
	}
	r = call(x, "POST", "/v1/drain", body, say_drained);
	return r == EXIT_OK && x->option[O_WAIT] != NULL ? drain_wait(x) : r;
}

/* A certificate that cannot be used does not keep the rest from being in
 * force, but who has just configured it wants to know. */
static void
say_not_taken(struct ctl *x, int64_t since_ms)
{
	struct text path = { 0 };
	json_t *status = NULL;
	const json_t *c;
	int64_t failed;
	size_t i;

	text_puts(&path, "/v1/status");
	(void)api(x, "GET", &path, NULL, &status);
	json_array_foreach(json_object_get(status, "certificates"), i, c) {
		if (when_parse(member(c, "error_time"), &failed) == 0 &&
		    failed >= since_ms)
			say(json_is_true(json_object_get(c, "present")) ?
			    "but slot %s goes on with the certificate that it "
			    "had: %s" : "slot %s has no certificate: %s",
			    member(c, "slot"), member(c, "error"));
	}
	text_free(&path);
	json_decref(status);
}

static void
say_reloaded(struct ctl *x, const json_t *o)
{
	(void)x, (void)o;
	say("the configuration is in force");
}

int
reload_run(struct ctl *x)
{
	int64_t began_ms = clock_wall_ms();
	int r = call(x, "POST", "/v1/reload", NULL, say_reloaded);

	if (r == EXIT_OK && x->option[O_JSON] == NULL)
		say_not_taken(x, began_ms);
	return r;
}

static void
show_level(struct ctl *x, const json_t *o)
{
	struct text out = { 0 };

	text_escaped(&out, member(o, "level"), strlen(member(o, "level")));
	text_puts(&out, "\n");
	(void)put_text(x, &out);	/* main() says if not */
}

int
log_level_run(struct ctl *x)
{
	json_t *body;

	if (x->args_n == 0)
		return call(x, "GET", "/v1/log-level", NULL, show_level);
	body = json_pack("{s:s}", "level", x->args[0]);
	if (body == NULL) {
		say("what is given is not UTF-8");
		return EXIT_USAGE;
	}
	return call(x, "PUT", "/v1/log-level", body, show_level);
}
