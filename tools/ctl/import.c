/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl import wsems: reads config.json, writes what wsems.c makes of it,
 * and says what is weaker or missing.  It asks no daemon.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "ctl.h"
#include "wsems.h"

#define PATH_LEN 4096

static int
status_of(int error)
{
	return error == -ENOMEM ? EXIT_BROKEN : error == -EACCES ||
	    error == -EPERM ? EXIT_NOT_ALLOWED : EXIT_REFUSED;
}

static const char *
why_not_read(int error)
{
	switch (error) {
	case -EFBIG: return "longer than 1 MiB";
	case -ENOTSUP: return "not a regular file";
	default: return strerror(-error);
	}
}

/* A line of the report at a time; it is escaped already. */
static void
say_report(const struct wsems *w)
{
	const char *p = text_str(&w->report), *end;
	unsigned all = 0;

	for (; (end = strchr(p, '\n')) != NULL; p = end + 1)
		(void)fprintf(stderr, "cleatctl: %.*s\n", (int)(end - p), p);
	for (size_t i = 0; i < WSEMS_KINDS; i++)
		all += w->count[i];
	if (all > WSEMS_LINES_MAX)
		say("and %u more", all - WSEMS_LINES_MAX);
	if (all > 0)
		say("%u weakened, %u without a counterpart, %u unknown, %u "
		    "wrong, %u changed", w->count[WSEMS_WEAKENED],
		    w->count[WSEMS_LOST], w->count[WSEMS_UNKNOWN],
		    w->count[WSEMS_WRONG], w->count[WSEMS_CHANGED]);
}

static int
write_to(const char *path, const struct text *t, bool secret)
{
	int r = file_write_atomic(path, text_str(t), t->n,
	    secret ? 0600 : 0644);

	if (r == 0)
		return EXIT_OK;
	say("%s: %s", path, strerror(-r));
	return status_of(r);
}

static int
write_all(struct ctl *x, struct wsems *w)
{
	const char *listener = x->option[O_LISTENER];
	const char *output = x->option[O_OUTPUT];
	int r = EXIT_OK;

	if (listener != NULL && w->listener.n == 0)
		say("there is no http_server: %s is not written", listener);
	else if (listener != NULL)
		r = write_to(listener, &w->listener, w->listener_plain);
	if (r != EXIT_OK)
		return r;
	if (output != NULL)
		return write_to(output, &w->agent, w->agent_plain);
	(void)fwrite(text_str(&w->agent), 1, w->agent.n, stdout);
	return EXIT_OK;
}

static int
import(struct ctl *x, const char *path, const char *text, size_t n)
{
	char key[PATH_LEN], why[WSEMS_WHY_SIZE] = "";
	struct wsems_opts opts = { .listener = x->option[O_LISTENER] != NULL,
		.endpoint = x->option[O_ENDPOINT],
		.state_dir = x->option[O_STATE_DIR],
		.daemon_key = x->option[O_KEY_FILE] };
	struct wsems w;
	int r;

	if (opts.state_dir != NULL) {
		(void)snprintf(key, sizeof(key), "%s/secret.key",
		    opts.state_dir);
		opts.agent_key = key;
	}
	r = wsems_import(text, n, &opts, why, &w);
	if (r == -ENOMEM) {
		r = say_memory();
	} else if (r < 0) {
		say("%s: %s; nothing is written", path, why);
		r = status_of(r);
	} else {
		say_report(&w);
		r = write_all(x, &w);
		if (r == EXIT_OK && w.count[WSEMS_WRONG] > 0)
			r = EXIT_OUTCOME;
	}
	wsems_fini(&w);
	return r;
}

/* What goes into a file of options has to be a line of it. */
static int
check_options(const struct ctl *x)
{
	const char *endpoint = x->option[O_ENDPOINT];
	const char *dir = x->option[O_STATE_DIR];

	if (endpoint != NULL && !id_valid(endpoint)) {
		say("import wsems: --endpoint: 1 to 128 of a-z A-Z 0-9 . _ : "
		    "@ - are expected");
		return EXIT_USAGE;
	}
	if (dir != NULL && (dir[0] != '/' || strlen(dir) > PATH_LEN - 16 ||
	    strpbrk(dir, "\r\n") != NULL)) {
		say("import wsems: --state-dir: a path that begins with / is "
		    "expected");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

int
import_wsems_run(struct ctl *x)
{
	const char *path = x->args[0];
	uint8_t *text;
	size_t n;
	int r = check_options(x);

	if (r != EXIT_OK)
		return r;
	r = file_read(path, WSEMS_FILE_MAX, &text, &n);
	if (r < 0) {
		say("%s: %s", path, why_not_read(r));
		return status_of(r);
	}
	r = import(x, path, (const char *)text, n);
	mem_free_wiped(text, n);
	return r;
}
