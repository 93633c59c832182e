/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as cleat.conf, through the scan, iniparser, values and plugin
 * options.  Beyond crashes it looks for two lies: a file that the scan accepts
 * but iniparser reads differently, and an error without a line.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cleat/abi.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct cleat_opt opts[] = {
	{ "file", CLEAT_OPT_PATH, CLEAT_OPT_REQUIRED, NULL, 0, 0, "" },
	{ "every", CLEAT_OPT_DURATION, CLEAT_OPT_RESTART, "5s", 1, 0, "" },
	{ "names", CLEAT_OPT_LIST, 0, "a, b", 0, 0, "" },
	{ NULL, 0, 0, NULL, 0, 0, NULL },
};

static bool
ends(const char *line, const char *with)
{
	size_t n = strlen(line), w = strlen(with);

	return n >= w && strcmp(line + n - w, with) == 0;
}

static void
look(const struct conf *c)
{
	struct conf_errors errs = { .n = 0 };
	struct conf_set *set = NULL;
	const char *s;

	for (unsigned i = 0; (s = conf_section(c, "plugin", i)) != NULL; i++) {
		if (conf_set_new(c, s, opts, &errs, &set) == 0) {
			if (conf_set_text(set, "file") == NULL)
				abort();
			if (conf_set_differs(set, set))
				abort();
			conf_set_free(&set);
		} else if (errs.n == 0) {
			abort();
		}
		conf_errors_fini(&errs);
	}
	for (unsigned i = 0; (s = conf_section(c, "listener", i)) != NULL;
	    i++) {
		if (conf_str(c, s, "address") == NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct conf_errors errs = { .n = 0 };
	struct conf *c = NULL;
	char path[64];
	int fd, err;

	fd = memfd_create("conf", MFD_CLOEXEC);
	if (fd < 0 || (n > 0 && write(fd, p, n) != (ssize_t)n))
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = conf_load(path, &errs, &c);
	if (err == 0)
		look(c);
	if ((err == 0) != (errs.n == 0) || (err == 0) != (c != NULL))
		abort();
	for (unsigned i = 0; i < errs.n; i++) {
		/* At the end of the line: values are in the middle. */
		if (ends(errs.line[i], "was the file changed meanwhile?") ||
		    ends(errs.line[i], "iniparser cannot read it")) {
			(void)fprintf(stderr, "%s\n", errs.line[i]);
			abort();
		}
	}
	conf_errors_fini(&errs);
	conf_unref(&c);
	(void)close(fd);
	return 0;
}
