/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl: what an operator sees and changes of a running daemon, over its
 * control socket.  cleatctl(1).  Here: the command line, by the table in
 * commands.c.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "ctl.h"

#define SOCKET_DEFAULT "/run/cleat/control.sock"
#define FIRST_VALUE 256			/* of getopt_long(); no character */

static bool
before_command(enum opt o)
{
	return o == O_SOCKET || o == O_HELP || o == O_VERSION ||
	    o == O_COMPLETE;
}

/* Those of the command, or with NULL those that stand before it. */
static void
long_options(const struct command *c, struct option to[O_COUNT + 1])
{
	size_t n = 0;

	for (int o = O_NONE + 1; o < O_COUNT; o++) {
		if (c == NULL ? !before_command(o) : !ctl_has_option(c, o))
			continue;
		to[n++] = (struct option){ .name = ctl_options[o].name,
			.has_arg = ctl_options[o].arg == NULL ? no_argument :
			required_argument, .val = FIRST_VALUE + o };
	}
	to[n] = (struct option){ .name = NULL };
}

/* One that getopt does not know: what it may have been. */
static int
unknown_option(const struct option *known, const char *given)
{
	char name[64] = "";
	struct nearest near = { .word = name };
	size_t begins = 0, n;

	if (strncmp(given, "--", 2) == 0)
		(void)snprintf(name, sizeof(name), "%.*s",
		    (int)strcspn(given + 2, "="), given + 2);
	n = strlen(name);
	for (; known->name != NULL && n > 0; known++) {
		if (strncmp(known->name, name, n) == 0)
			begins++;
		nearest_try(&near, known->name);
	}
	if (begins > 1)
		say("--%s may be more than one option: write it out", name);
	else if (near.best != NULL)
		say("there is no option %s (did you mean --%s?)", given,
		    near.best);
	else
		say("there is no option %s", given);
	return EXIT_USAGE;
}

/* `got` is what getopt said: ':' or '?'; it leaves in optopt which option that
 * was, or 0 for a long one that it does not know. */
static int
bad_option(const struct option *known, const char *given, int got)
{
	if (optopt == 0)
		return unknown_option(known, given == NULL ? "" : given);
	if (optopt < FIRST_VALUE)
		say("there is no option -%c", optopt);
	else
		say("--%s %s", ctl_options[optopt - FIRST_VALUE].name,
		    got == ':' ? "wants a value" : "takes no value");
	return EXIT_USAGE;
}

/* Reads options as far as they go; EXIT_OK or EXIT_USAGE, said. */
static int
read_options(struct ctl *x, int argc, char **argv, const char *shorts)
{
	struct option known[O_COUNT + 1];
	int got;

	long_options(x->command, known);
	opterr = 0;
	optind = 0;			/* glibc: start anew */
	while ((got = getopt_long(argc, argv, shorts, known, NULL)) != -1) {
		if (got == 'h')
			got = FIRST_VALUE + O_HELP;
		if (got == '?' || got == ':')
			return bad_option(known, argv[optind - 1], got);
		x->option[got - FIRST_VALUE] = optarg == NULL ? "" : optarg;
	}
	return EXIT_OK;
}

static int
no_such_command(char *const *words, size_t n)
{
	char two[130] = "";
	struct nearest near = { .word = two };
	size_t first = strlen(words[0]);
	bool begins = false;

	(void)snprintf(two, sizeof(two), n > 1 ? "%.64s %.64s" : "%.64s",
	    words[0], n > 1 ? words[1] : "");
	for (const struct command *c = ctl_commands; c->name != NULL; c++) {
		nearest_try(&near, c->name);
		begins = begins || (strncmp(c->name, words[0], first) == 0 &&
		    c->name[first] == ' ');
	}
	if (near.best == NULL && n > 1 && !begins) {
		near.word = words[0];
		for (const struct command *c = ctl_commands; c->name != NULL;
		    c++)
			nearest_try(&near, c->name);
	}
	if (near.best != NULL && !(begins && n == 1))
		say("there is no command \"%s\" (did you mean \"%s\"?)",
		    begins || n == 1 || near.word == two ? two : words[0],
		    near.best);
	else
		say("%s \"%s\"; cleatctl help %s names them", begins ?
		    "that is not a whole command:" : "there is no command",
		    two, begins ? words[0] : "");
	return EXIT_USAGE;
}

/* What cannot be a name in a path would be another path. */
static int
check_names(const struct ctl *x)
{
	for (size_t i = 0; i < x->args_n && i < 3; i++) {
		enum kind k = x->command->kinds[i];
		const char *s = x->args[i];

		if ((k != K_ENDPOINT && k != K_COMMAND && k !=
		    K_OPEN_COMMAND) || (*s != '\0' && strchr(s, '/') == NULL))
			continue;
		say("%s: \"%s\" is no %s", x->command->name, s,
		    k == K_ENDPOINT ? "ENDPOINT" : "ID");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int
check_arguments(const struct ctl *x)
{
	const struct command *c = x->command;

	if (x->args_n >= c->least && x->args_n <= c->most)
		return check_names(x);
	if (x->args_n < c->least)
		say("%s: something is missing", c->name);
	else if (c->run == secret_encrypt_run)
		/* Not the argument: it is the secret, perhaps. */
		say("%s: the secret comes from standard input; on the command "
		    "line everybody can see it", c->name);
	else
		say("%s: \"%s\" is too much", c->name, x->args[c->most]);
	say("usage: cleatctl %s%s%s", c->name, c->args[0] == '\0' ? "" : " ",
	    c->args);
	return EXIT_USAGE;
}

static int
run(struct ctl *x)
{
	int r = http_new(x->socket, NULL, &x->http);

	if (r == -ENAMETOOLONG) {
		say("%s: too long for a unix socket", x->socket);
		return EXIT_USAGE;
	}
	if (r != 0)
		return say_memory();
	r = x->option[O_COMPLETE] != NULL ?
	    complete_run(x, x->option[O_COMPLETE]) : x->command->run(x);
	http_free(&x->http);
	return r;
}

/* Which command, its options and arguments. */
static int
read_command(struct ctl *x, int argc, char **argv)
{
	size_t words = 0;
	int r;

	x->command = ctl_command_of(argv, (size_t)argc, &words);
	if (x->command == NULL) {
		if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
		    strcmp(argv[1], "-h") == 0)) {
			x->option[O_HELP] = "";
			argc = 1;
		}
		if (x->option[O_HELP] == NULL)
			return no_such_command(argv, (size_t)argc);
		x->args = argv;
		x->args_n = (size_t)argc;
		return EXIT_OK;
	}
	/* getopt begins behind argv[0], the last word of the command. */
	argv += words - 1;
	argc -= (int)words - 1;
	r = read_options(x, argc, argv, ":h");
	x->args = argv + optind;
	x->args_n = (size_t)(argc - optind);
	return r;
}

static void
look_around(struct ctl *x)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	const char *socket = getenv("CLEAT_CONTROL");

	x->terminal = isatty(STDOUT_FILENO) == 1;
	x->colour = x->terminal && (no_color == NULL || *no_color == '\0') &&
	    (term == NULL || strcmp(term, "dumb") != 0);
	x->socket = socket != NULL && *socket != '\0' ? socket :
	    SOCKET_DEFAULT;
}

static int
read_line(struct ctl *x, int argc, char **argv)
{
	int r = read_options(x, argc, argv, "+:h");

	if (r != EXIT_OK || x->option[O_VERSION] != NULL ||
	    x->option[O_COMPLETE] != NULL || optind == argc)
		return r;
	r = read_command(x, argc - optind, argv + optind);
	if (r != EXIT_OK || x->command == NULL || x->option[O_HELP] != NULL)
		return r;
	return check_arguments(x);
}

static int
finish(struct ctl *x, int r)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && x->broken == 0)
		x->broken = errno == 0 ? EIO : errno;
	if (x->broken == 0)
		return r;
	if (x->broken == ENOMEM)
		(void)say_memory();
	else
		say("standard output: %s", strerror(x->broken));
	return r == EXIT_OK ? EXIT_BROKEN : r;
}

int
main(int argc, char **argv)
{
	struct ctl x = { .command = NULL };
	int r;

	text_locale();
	look_around(&x);
	r = read_line(&x, argc, argv);
	if (r != EXIT_OK)
		return r;
	if (x.option[O_SOCKET] != NULL)
		x.socket = x.option[O_SOCKET];
	if (x.socket[0] == '\0') {
		say("--socket: a path is expected");
		return EXIT_USAGE;
	}
	if (x.option[O_VERSION] != NULL) {
		(void)puts("cleatctl " PACKAGE_VERSION);
		return finish(&x, EXIT_OK);
	}
	if (x.option[O_HELP] != NULL && x.command == NULL)
		return finish(&x, help_run(&x));
	if (x.option[O_HELP] != NULL) {
		help_usage(x.command);
		return finish(&x, EXIT_OK);
	}
	if (x.command == NULL && x.option[O_COMPLETE] == NULL) {
		say("what is to be done?  cleatctl help names the commands");
		return EXIT_USAGE;
	}
	return finish(&x, run(&x));
}
