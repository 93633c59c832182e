/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of cleatctl share: the table of commands, what was asked for,
 * how the daemon is called and what is said.  One thread.
 */
#ifndef CT_CTL_H
#define CT_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "http.h"
#include "text.h"

/* cleatctl(1), EXIT STATUS */
enum ctl_exit {
	EXIT_OK,
	EXIT_REFUSED,			/* by the daemon */
	EXIT_USAGE,
	EXIT_UNREACHABLE,
	EXIT_NOT_ALLOWED,
	EXIT_NOT_FOUND,
	EXIT_OUTCOME,			/* of a command: not ok */
	EXIT_BROKEN,			/* memory, output, an odd answer */
	EXIT_INTERRUPTED = 130
};

enum opt {
	O_NONE,				/* ends a command's list */
	O_SOCKET, O_HELP, O_VERSION, O_COMPLETE,	/* of all commands */
	O_JSON, O_WATCH, O_FOLLOW, O_OPEN, O_NO_WAIT,
	O_STATE, O_STATUS, O_GROUP, O_PREFIX, O_COLUMNS, O_ENDPOINT,
	O_NAME, O_LABEL, O_KEY, O_CERTIFICATE, O_EXPIRES, O_USES,
	O_OUTPUT, O_LISTENER, O_STATE_DIR,
	O_KEY_FILE, O_CONFIG, O_DEADLINE, O_ARGS, O_ID, O_AFTER, O_WINDOW,
	O_SERVERS, O_WHY, O_TO, O_WAIT, O_ABORT, O_BINARY,
	O_COUNT
};

/* What stands in a place, for completion. */
enum kind {
	K_NONE, K_TEXT, K_ENDPOINT, K_COMMAND, K_OPEN_COMMAND, K_CREDENTIAL,
	K_ENROL_TOKEN, K_GROUP, K_VERB, K_STATE, K_STATUS, K_LEVEL, K_WHY,
	K_COLUMNS
};

struct option_info {
	const char *name, *arg;		/* arg NULL: a switch */
	const char *help;
	enum kind kind;
};

struct ctl;

struct command {
	const char *name;		/* one word or two */
	const char *args;		/* as usage shows them */
	const char *help;		/* one line */
	unsigned least, most;		/* arguments */
	enum kind kinds[3];		/* the last one repeats */
	int (*run)(struct ctl *);	/* returns enum ctl_exit */
	enum opt options[12];
};

/* commands.c.  The commands end with a name that is NULL; options[O_NONE] is
 * empty. */
extern const struct command ctl_commands[];
extern const struct option_info ctl_options[O_COUNT];
/* The command that these words begin with, and how many they are. */
const struct command *ctl_command_of(char *const *words, size_t n,
    size_t *ret_n);
bool ctl_has_option(const struct command *, enum opt);
/* The words that may stand there, ended by NULL; NULL: there are no
 * fixed ones. */
const char *const *ctl_words_of(enum kind);

struct ctl {
	const struct command *command;
	const char *option[O_COUNT];	/* NULL: not given; switches "" */
	char **args;
	size_t args_n;
	struct http *http;
	const char *socket;
	bool terminal;			/* standard output is one */
	bool colour;
	int broken;			/* errno of what put_text() could
					 * not do */
};

/* ---- help.c, complete.c ------------------------------------------------- */

void help_usage(const struct command *);	/* NULL: of all */
int help_run(struct ctl *);
/* What may stand at the end of this line, one a line. */
int complete_run(struct ctl *, const char *line);

/* ---- say.c: what people are told ---------------------------------------- */

/* "cleatctl: ..." on standard error, with what is not for a
 * terminal escaped. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int say_memory(void);			/* EXIT_BROKEN */
/* Writes the text to standard output and empties it.  EXIT_OK, EXIT_BROKEN;
 * what was wrong is said at the end, once. */
int put_text(struct ctl *, struct text *);
/* The value on a line of its own. */
int put_json(struct ctl *, const json_t *);
/* A member as text: strings as they are, the rest as JSON; "" if it is not
 * there.  To be freed with mem_free(); NULL: out of memory. */
char *member_text(const json_t *, const char *name);
const char *member(const json_t *, const char *name);	/* "" if no string */
uint64_t member_number(const json_t *, const char *name);
/* A time for people: age, or date and age.  "" if it is not there. */
void member_age(const json_t *, const char *name, char *to);
/* "2026-11-20 23:17:40 (3m ago)" */
#define TIME_TEXT_SIZE 80
void member_time(const json_t *, const char *name, char to[TIME_TEXT_SIZE]);
/* "title:   text" with the titles in one column. */
void put_field(const struct ctl *, struct text *, const char *title,
    const char *text, const char *colour);
/* Parameters of SGR for a state of an endpoint or a command; NULL: none. */
const char *state_colour(const char *state);
/* Columns of the terminal; 0: standard output is none. */
size_t terminal_width(const struct ctl *);
size_t terminal_height(const struct ctl *);

/* ---- api.c: calls of the daemon ----------------------------------------- */

#define CALL_MS 60000L

/* Takes the body (may be NULL).  `ret`, if not NULL, is the caller's; an answer
 * without a body is an empty object.  Says what is wrong. */
int api(struct ctl *, const char *method, const struct text *path,
    json_t *body, json_t **ret);
/* The same, with the answer printed as JSON if --json was given; else `show` if
 * not NULL. */
int api_show(struct ctl *, const char *method, const struct text *path,
    json_t *body, void (*show)(struct ctl *, const json_t *));
/* Without a word: 0 and the value, or a negative errno; *ret_status is 0 when
 * there was no answer. */
int api_quietly(struct ctl *, const struct http_request *, long *ret_status,
    json_t **ret);
/* Says why and gives the exit status. */
int api_failed(struct ctl *, int error);
int api_problem(long status, const json_t *problem);
/* "/v1/endpoints/ID/rest" */
void path_of(struct text *, const char *before, const char *id,
    const char *after);
/* Adds "?name=value" or "&name=value"; nothing if the value is NULL. */
void path_query(struct text *, const char *name, const char *value);
void path_limit(struct text *, size_t page);

/* Goes on with 0. */
typedef int api_each_fn(void *arg, const json_t *);
/* All members of the list, page by page.  How long a page is, says the path. */
#define PAGE 1000u
int api_pages(struct ctl *, const struct text *path, const char *list,
    api_each_fn *each, void *arg);

/* ---- stream.c ----------------------------------------------------------- */

/* The stream of events, from now on until it ends or `each` does not go on. */
struct events;
typedef int events_fn(void *arg, const char *event, const char *data);
int events_open(struct ctl *, const char *prefix, events_fn *each, void *arg,
    struct events **ret);
/* -1: it goes on; else an exit status, said. */
int events_turn(struct events *, int timeout_ms);
void events_free(struct events **);

/* ---- list.c: lists of any length --------------------------------------- */

struct grid;
/* Adds a row of cells. */
typedef void list_row_fn(struct grid *, const void *how, const json_t *);
struct list {
	struct ctl *ctl;
	struct grid *grid;
	list_row_fn *row;
	const void *how;
	bool headed;
	int exit;
};
/* The next object; an api_each_fn of a struct list. */
int list_row(void *arg, const json_t *);
/* Prints what is left if `r`, the exit status until now, is EXIT_OK; frees the
 * table.  An exit status. */
int list_end(struct list *, int r);

/* ---- option.c: what was asked for --------------------------------------- */

/* 0, or EXIT_USAGE, said. */
int option_span(const struct ctl *, enum opt, uint64_t *ret_ms);
int option_number(const struct ctl *, enum opt, uint64_t *ret);
/* A span from now on or a time, as the daemon wants it: RFC 3339. */
int option_time(const struct ctl *, enum opt, char *to);

/* ---- endpoints.c, watch.c ----------------------------------------------- */

struct endpoint_column;
#define ENDPOINT_COLUMNS_MAX 24
/* Its columns by --columns, ended by NULL.  EXIT_USAGE, said. */
int endpoint_columns(const struct ctl *,
    const struct endpoint_column *to[ENDPOINT_COLUMNS_MAX + 1]);
const char *const *endpoint_column_names(void);
/* A table of these columns; -ENOMEM.  `heads` outlives it. */
struct grid_column;
int endpoint_grid(const struct endpoint_column *const *columns,
    struct grid_column *heads, struct grid **ret);
/* A list_row_fn: `columns` are those of the table. */
void endpoint_row(struct grid *, const void *columns, const json_t *endpoint);
/* With the filters, in pages of so many. */
void endpoint_path(const struct ctl *, size_t page, struct text *);
int watch_run(struct ctl *);

/* ---- the commands ------------------------------------------------------- */

int status_run(struct ctl *);
int cert_run(struct ctl *);
int endpoints_run(struct ctl *);
int endpoint_show_run(struct ctl *);
int endpoint_add_run(struct ctl *);
int endpoint_approve_run(struct ctl *);
int endpoint_deny_run(struct ctl *);
int endpoint_forget_run(struct ctl *);
int endpoint_rename_run(struct ctl *);
int endpoint_group_run(struct ctl *);
int credential_add_run(struct ctl *);
int credential_list_run(struct ctl *);
int credential_revoke_run(struct ctl *);
int enrol_token_run(struct ctl *);
int enrol_list_run(struct ctl *);
int enrol_remove_run(struct ctl *);
int command_send_run(struct ctl *);
int command_list_run(struct ctl *);
int command_show_run(struct ctl *);
int command_cancel_run(struct ctl *);
int telemetry_read_run(struct ctl *);
int inventory_show_run(struct ctl *);
int kick_run(struct ctl *);
int drain_run(struct ctl *);
int reload_run(struct ctl *);
int upgrade_run(struct ctl *);
int log_level_run(struct ctl *);
int events_run(struct ctl *);
int secret_encrypt_run(struct ctl *);
int import_wsems_run(struct ctl *);
int doctor_run(struct ctl *);

#endif
