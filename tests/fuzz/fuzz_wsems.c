/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as config.json of a WS EMS.  Beyond crashes it looks for lies: a
 * listener that cleatd would not read, a line for the agent that was not meant
 * as one, a report that could draw on a terminal.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"
#include "wsems.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
is_conf(const struct text *t)
{
	struct conf_errors errs = { .n = 0 };
	struct conf *c = NULL;
	char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	if (fd < 0 || write(fd, t->p, t->n) != (ssize_t)t->n)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (conf_load(path, &errs, &c) != 0) {
		(void)fprintf(stderr, "%s\n%s\n", t->p, errs.line[0]);
		abort();
	}
	conf_unref(&c);
	(void)close(fd);
}

static void
is_printable(const struct text *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (((unsigned char)t->p[i] < ' ' && t->p[i] != '\n') ||
		    t->p[i] == 0x7f)
			abort();
}

/* Each option once. */
static void
is_options(const struct text *t)
{
	static const char *const once[] = { "\nca = ", "\nserver = ",
		"\nendpoint = ", "\ntoken-file = ", "\nno-verify-chain = ",
		"\nproxy = ", "\nsubject-cn = ", "\ncert = " };

	is_printable(t);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		const char *at = strstr(text_str(t), once[i]);

		if (at != NULL && strstr(at + 1, once[i]) != NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct wsems_opts opts = { .listener = true };
	char why[WSEMS_WHY_SIZE] = "";
	struct wsems w;
	int r = wsems_import((const char *)p, n, &opts, why, &w);

	if ((r < 0) != (why[0] != '\0'))
		abort();
	if (r == 0) {
		is_options(&w.agent);
		is_printable(&w.report);
		if (w.listener.n > 0)
			is_conf(&w.listener);
	}
	wsems_fini(&w);
	return 0;
}
