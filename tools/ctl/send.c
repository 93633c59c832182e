/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for devices: sending one and waiting for what becomes of it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ctl.h"
#include "grid.h"
#include "progress.h"
#include "when.h"

#define DEADLINE_MS (5 * 60 * 1000)
#define WAIT "30000"
#define WAIT_MS 30000L
#define AWAY_MS 30000			/* that the daemon may be
					 * gone meanwhile */
#define AGAIN_MS 300

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* ---- one command -------------------------------------------------------- */

static void
show(struct ctl *x, const json_t *o)
{
	static const char *const members[] = { "id", "endpoint", "verb",
		"args", "by", "state", "message", "result" };
	static const char *const times[] = { "created", "deadline", "changed" };
	struct text out = { 0 };
	char time[TIME_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		char *text = member_text(o, members[i]);

		if (text == NULL)
			out.failed = true;
		else if (text[0] != '\0')
			put_field(x, &out, members[i], text,
			    strcmp(members[i], "state") == 0 ?
			    state_colour(text) : NULL);
		mem_free(text);
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		member_time(o, times[i], time);
		put_field(x, &out, times[i], time, NULL);
	}
	(void)put_text(x, &out);	/* main() says if not */
}

int
command_show_run(struct ctl *x)
{
	struct text path = { 0 };
	int r;

	path_of(&path, "/v1/commands/", x->args[0], "");
	r = api_show(x, "GET", &path, NULL, show);
	text_free(&path);
	return r;
}

static void
say_cancelled(struct ctl *x, const json_t *o)
{
	(void)x;
	if (json_is_true(json_object_get(o, "final")))
		say("%s: %s", member(o, "id"), member(o, "state"));
	else
		say("%s: the device is asked to give it up",
		    member(o, "id"));
}

int
command_cancel_run(struct ctl *x)
{
	struct text path = { 0 };
	int r;

	path_of(&path, "/v1/commands/", x->args[0], "/cancel");
	r = api_show(x, "POST", &path, NULL, say_cancelled);
	text_free(&path);
	return r;
}

/* ---- waiting ------------------------------------------------------------ */

struct wait {
	struct ctl *ctl;
	char *id, *tag;
	bool bar;			/* standard error is a terminal */
	uint64_t gone_ms;		/* since when; 0: the daemon is there */
};

static void
draw(struct wait *w, const json_t *o)
{
	const json_t *p = json_object_get(o, "progress");
	const json_t *percent = json_object_get(p, "percent");
	const char *text = member(p, "text");
	struct winsize size = { 0 };
	struct text line = { 0 }, said = { 0 };

	if (!w->bar)
		return;
	(void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	text_puts(&said, o == NULL ? "the daemon is away" :
	    *text != '\0' ? text : member(o, "state"));
	text_puts(&line, "\r");
	progress_line(&line, size.ws_col > 1 ? size.ws_col - 1u : 79,
	    json_is_number(percent) ? json_number_value(percent) : -1,
	    text_str(&said));
	text_puts(&line, "\033[K");
	if (!line.failed && !said.failed)
		(void)fputs(text_str(&line), stderr);
	(void)fflush(stderr);
	text_free(&said);
	text_free(&line);
}

static void
undraw(const struct wait *w)
{
	if (w->bar)
		(void)fputs("\r\033[K", stderr);
}

/* The daemon may be restarted: the command outlives that. */
static bool
may_come_back(struct wait *w, int error)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	uint64_t now = clock_mono_ms();

	if (error != -ENOENT && error != -ECONNREFUSED && error != -EPIPE &&
	    error != -EAGAIN)
		return false;
	if (w->gone_ms == 0)
		w->gone_ms = now;
	if (now - w->gone_ms > AWAY_MS)
		return false;
	draw(w, NULL);
	(void)nanosleep(&pause, NULL);
	return true;
}

/* Asks until there is something new.  EXIT_OK and its present state. */
static int
ask(struct wait *w, json_t **ret)
{
	struct text path = { 0 };
	struct http_request q = { .method = "GET",
		.timeout_ms = CALL_MS + WAIT_MS };
	json_t *o = NULL;
	long status = 0;
	int r;

	path_of(&path, "/v1/commands/", w->id, "");
	path_query(&path, "wait_ms", WAIT);
	path_query(&path, "seen", w->tag);
	q.path = text_str(&path);
	do {
		json_decref(o);
		o = NULL;
		r = path.failed ? -ENOMEM :
		    api_quietly(w->ctl, &q, &status, &o);
		if (r == 0 && status == 503)
			r = -EAGAIN;	/* it is stopping */
	} while (r != 0 && !interrupted && may_come_back(w, r));
	text_free(&path);
	if (interrupted)
		r = -EINTR;
	if (r == 0 && status == 200) {
		w->gone_ms = 0;
		*ret = o;
		return EXIT_OK;
	}
	undraw(w);
	r = r != 0 ? api_failed(w->ctl, r) : api_problem(status, o);
	json_decref(o);
	return r;
}

/* *o is the command; in the end with its outcome. */
static int
wait_for(struct wait *w, json_t **o)
{
	int r = EXIT_OK;

	while (r == EXIT_OK && !json_is_true(json_object_get(*o, "final"))) {
		json_t *next = NULL;

		draw(w, *o);
		mem_free(w->tag);
		w->tag = member_text(*o, "tag");
		if (w->tag == NULL)
			return say_memory();
		r = ask(w, &next);
		if (r == EXIT_OK) {
			json_decref(*o);
			*o = next;
		}
	}
	if (r == EXIT_OK)
		undraw(w);
	else
		say("the command goes on: cleatctl command show %s, or "
		    "command cancel %s", w->id, w->id);
	return r;
}

static int
outcome(struct ctl *x, const json_t *o)
{
	const json_t *result = json_object_get(o, "result");
	const char *state = member(o, "state"), *message = member(o, "message");
	struct text out = { 0 };
	int r = EXIT_OK;

	if (x->option[O_JSON] != NULL) {
		r = put_json(x, o);
	} else {
		put_field(x, &out, member(o, "id"), state,
		    state_colour(state));
		if (*message != '\0') {
			text_escaped(&out, message, strlen(message));
			text_puts(&out, "\n");
		}
		if (result != NULL && !json_is_null(result)) {
			text_json(&out, result);
			text_puts(&out, "\n");
		}
		r = put_text(x, &out);
	}
	return r != EXIT_OK ? r : strcmp(state, "ok") == 0 ? EXIT_OK :
	    EXIT_OUTCOME;
}

static int
wait_and_show(struct ctl *x, json_t **o)
{
	const char *term = getenv("TERM");
	struct wait w = { .ctl = x,
		.bar = isatty(STDERR_FILENO) == 1 && (term == NULL ||
		strcmp(term, "dumb") != 0) };
	int r;

	w.id = member_text(*o, "id");
	if (w.id == NULL)
		return say_memory();
	r = wait_for(&w, o);
	mem_free(w.id);
	mem_free(w.tag);
	return r == EXIT_OK ? outcome(x, *o) : r;
}

/* ---- sending ------------------------------------------------------------ */

#define ARGS_MAX (1024u * 1024)

/* The arguments from standard input: nobody sees them in the list of processes
 * or in a shell's history. */
static int
read_args(struct text *to)
{
	char part[4096];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), stdin)) > 0 &&
	    to->n <= ARGS_MAX)
		text_add(to, part, n);
	if (to->failed)
		return say_memory();
	if (ferror(stdin)) {
		say("standard input: %s", strerror(errno));
		return EXIT_BROKEN;
	}
	if (to->n > ARGS_MAX || strlen(text_str(to)) != to->n) {
		say("--args: that is too much, or not JSON");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int
args_of(struct ctl *x, json_t **ret)
{
	const char *object = x->option[O_ARGS];
	char why[ARGS_WHY_SIZE];
	struct text input = { 0 };
	int r;

	if (object != NULL && strcmp(object, "-") == 0) {
		r = read_args(&input);
		if (r != EXIT_OK) {
			text_free(&input);
			return r;
		}
		object = text_str(&input);
	}
	r = args_json(object, x->args + 2, x->args_n - 2, why, ret);
	text_free(&input);
	if (r == 0)
		return EXIT_OK;
	if (r != -EINVAL)
		return say_memory();
	say("%s", why);
	return EXIT_USAGE;
}

static int
body_of(struct ctl *x, json_t **ret)
{
	uint64_t deadline = DEADLINE_MS;
	json_t *args = NULL;
	int r;

	if (x->option[O_DEADLINE] != NULL &&
	    option_span(x, O_DEADLINE, &deadline) != EXIT_OK)
		return EXIT_USAGE;
	r = args_of(x, &args);
	if (r != EXIT_OK)
		return r;
	*ret = json_pack("{s:s, s:s, s:o, s:I, s:s*}", "endpoint",
	    x->args[0], "verb", x->args[1], "args", args, "deadline_ms",
	    (json_int_t)deadline, "id", x->option[O_ID]);
	if (*ret != NULL)
		return EXIT_OK;
	say("what is given is not UTF-8");
	return EXIT_USAGE;
}

static int
send_it(struct ctl *x, json_t *body)
{
	struct text path = { 0 };
	json_t *o = NULL;
	int r;

	text_puts(&path, "/v1/commands");
	r = api(x, "POST", &path, body, &o);
	text_free(&path);
	if (r == EXIT_INTERRUPTED)
		say("it may have been accepted: cleatctl command list "
		    "--endpoint %s --open", x->args[0]);
	if (r != EXIT_OK)
		return r;
	if (x->option[O_NO_WAIT] == NULL) {
		r = wait_and_show(x, &o);
	} else if (x->option[O_JSON] != NULL) {
		r = put_json(x, o);
	} else {
		struct text out = { 0 };

		text_escaped(&out, member(o, "id"), strlen(member(o, "id")));
		text_puts(&out, "\n");
		r = put_text(x, &out);
	}
	json_decref(o);
	return r;
}

/* An interrupt ends the waiting, not the command; from before it is sent, so
 * that there is no moment in which nothing would be said of it. */
int
command_send_run(struct ctl *x)
{
	const struct sigaction act = { .sa_handler = on_interrupt };
	struct http *mine = x->http;
	json_t *body = NULL;
	int r = body_of(x, &body);

	if (r != EXIT_OK)
		return r;
	x->http = NULL;
	if (http_new(x->socket, &interrupted, &x->http) != 0) {
		json_decref(body);
		r = say_memory();
	} else {
		(void)sigaction(SIGINT, &act, NULL);
		(void)sigaction(SIGTERM, &act, NULL);
		r = send_it(x, body);
		http_free(&x->http);
	}
	x->http = mine;
	return r;
}

/* ---- the list ----------------------------------------------------------- */

static void
row(struct grid *g, const void *how, const json_t *o)
{
	char age[WHEN_SIZE];

	(void)how;
	grid_cell(g, member(o, "id"), NULL);
	grid_cell(g, member(o, "endpoint"), NULL);
	grid_cell(g, member(o, "verb"), NULL);
	grid_cell(g, member(o, "state"), state_colour(member(o, "state")));
	member_age(o, "created", age);
	grid_cell(g, age, NULL);
	member_age(o, "deadline", age);
	grid_cell(g, age, NULL);
	grid_cell(g, member(o, "by"), NULL);
	grid_cell(g, member(o, "message"), NULL);
}

int
command_list_run(struct ctl *x)
{
	static const struct grid_column heads[] = {
		{ "ID", false, false }, { "ENDPOINT", false, false },
		{ "VERB", false, false }, { "STATE", false, false },
		{ "CREATED", false, false }, { "DEADLINE", false, false },
		{ "BY", true, false }, { "MESSAGE", true, false }
	};
	struct list l = { .ctl = x, .row = row };
	struct text path = { 0 };
	int r;

	if (grid_new(heads, 8, &l.grid) != 0)
		return say_memory();
	text_puts(&path, "/v1/commands");
	path_limit(&path, PAGE);
	path_query(&path, "endpoint", x->option[O_ENDPOINT]);
	path_query(&path, "open", x->option[O_OPEN] == NULL ? NULL : "true");
	r = list_end(&l, api_pages(x, &path, "commands", list_row, &l));
	text_free(&path);
	return r;
}
