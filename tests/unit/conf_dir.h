/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of conf/: a directory with configuration files, and loading it. */
#ifndef CT_TEST_CONF_DIR_H
#define CT_TEST_CONF_DIR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "conf/conf.h"

static char conf_dir[64];
static char conf_dir_files[8][128];
static unsigned conf_dir_n;
static struct conf_errors errs;

static inline int
conf_dir_set_up(void **state)
{
	(void)state;
	(void)snprintf(conf_dir, sizeof(conf_dir),
	    "/tmp/cleat-test-conf-XXXXXX");
	conf_dir_n = 0;
	memset(&errs, 0, sizeof(errs));
	return mkdtemp(conf_dir) == NULL ? -1 : 0;
}

static inline int
conf_dir_tear_down(void **state)
{
	char name[128];

	(void)state;
	conf_errors_fini(&errs);
	while (conf_dir_n > 0)
		(void)unlink(conf_dir_files[--conf_dir_n]);
	(void)snprintf(name, sizeof(name), "%s/conf.d", conf_dir);
	(void)rmdir(name);
	return rmdir(conf_dir);
}

static inline void
conf_dir_put(const char *file, const char *text)
{
	char name[128];
	char *to = conf_dir_files[conf_dir_n++];

	(void)snprintf(name, sizeof(name), "%s/conf.d", conf_dir);
	if (strncmp(file, "conf.d/", 7) == 0)
		(void)mkdir(name, 0700);
	(void)snprintf(to, 128, "%s/%s", conf_dir, file);
	assert_int_equal(file_write_atomic(to, text, strlen(text), 0600), 0);
}

static inline int
conf_dir_load(struct conf **ret)
{
	char name[128];

	conf_errors_fini(&errs);
	(void)snprintf(name, sizeof(name), "%s/cleat.conf", conf_dir);
	return conf_load(name, &errs, ret);
}

/* The tree of a text that has to be right. */
static inline struct conf *
conf_of(const char *text)
{
	struct conf *c = NULL;
	int err;

	conf_dir_n = 0;
	conf_dir_put("cleat.conf", text);
	err = conf_dir_load(&c);
	for (unsigned i = 0; i < errs.n; i++)
		print_message("# %s\n", errs.line[i]);
	assert_int_equal(err, 0);
	return c;
}

/* The text has exactly one error; without the directory it reads as said. */
static inline void
conf_fails(const char *text, const char *error)
{
	struct conf *c = NULL;
	size_t n = strlen(conf_dir) + 1;

	conf_dir_n = 0;
	conf_dir_put("cleat.conf", text);
	assert_true(conf_dir_load(&c) < 0);
	assert_null(c);
	for (unsigned i = 1; i < errs.n; i++)
		print_message("# %s\n", errs.line[i]);
	assert_int_equal(errs.n, 1);
	assert_memory_equal(errs.line[0], conf_dir, n - 1);
	assert_string_equal(errs.line[0] + n, error);
}

#endif
