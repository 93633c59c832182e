/* SPDX-License-Identifier: Apache-2.0 */
/* Short names: a unix socket's path has at most 107 bytes. */
#include "tmpdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[80];

const char *
tmpdir_make(void)
{
	const char *base = getenv("TMPDIR");

	if (base == NULL || snprintf(path, sizeof(path), "%s/ctXXXXXX",
	    base) >= (int)sizeof(path))
		(void)snprintf(path, sizeof(path), "/tmp/ctXXXXXX");
	return mkdtemp(path);
}

void
tmpdir_remove(void)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(path);
}
