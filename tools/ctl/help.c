/* SPDX-License-Identifier: Apache-2.0 */
/* How it is used, by the table of commands. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static void
usage_option(enum opt o)
{
	const struct option_info *i = &ctl_options[o];
	char left[40];

	(void)snprintf(left, sizeof(left), "--%s%s%s", i->name,
	    i->arg == NULL ? "" : " ", i->arg == NULL ? "" : i->arg);
	(void)printf("  %-22s %s\n", left, i->help);
}

static void
list_commands(const char *first)
{
	size_t n = first == NULL ? 0 : strlen(first);

	for (const struct command *c = ctl_commands; c->name != NULL; c++)
		if (n == 0 || (strncmp(c->name, first, n) == 0 &&
		    c->name[n] == ' '))
			(void)printf("  %-18s %s\n", c->name, c->help);
}

void
help_usage(const struct command *c)
{
	if (c == NULL) {
		(void)puts("usage: cleatctl [--socket PATH] COMMAND "
		    "[OPTIONS] [ARGUMENTS]\n");
		list_commands(NULL);
		(void)puts("");
	} else {
		(void)printf("usage: cleatctl %s%s%s%s\n\n%s\n\n", c->name,
		    c->options[0] == O_NONE ? "" : " [OPTIONS]",
		    c->args[0] == '\0' ? "" : " ", c->args, c->help);
		for (int o = O_NONE + 1; o < O_COUNT; o++)
			if (o != O_SOCKET && o != O_HELP &&
			    ctl_has_option(c, o))
				usage_option(o);
	}
	usage_option(O_SOCKET);
	usage_option(O_HELP);
	if (c == NULL)
		usage_option(O_VERSION);
	(void)puts("\ncleatctl(1) has an example of each command.");
}

int
help_run(struct ctl *x)
{
	size_t words = 0;
	const struct command *c;

	if (x->args_n == 0) {
		help_usage(NULL);
		return EXIT_OK;
	}
	c = ctl_command_of(x->args, x->args_n, &words);
	if (c != NULL) {
		help_usage(c);
		return EXIT_OK;
	}
	for (c = ctl_commands; c->name != NULL; c++) {
		size_t n = strlen(x->args[0]);

		if (strncmp(c->name, x->args[0], n) == 0 && c->name[n] == ' ') {
			list_commands(x->args[0]);
			return EXIT_OK;
		}
	}
	say("there is no command \"%s\"; cleatctl help names them",
	    x->args[0]);
	return EXIT_USAGE;
}
