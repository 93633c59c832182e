/* SPDX-License-Identifier: Apache-2.0 */
/* Builds modules with $CC through the shell, since CC may hold options. */
#include "modules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *
env(const char *name, const char *other)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : other;
}

static void
die(const char *what)
{
	(void)fprintf(stderr, "modules: %s\n", what);
	exit(1);
}

int
modules_sh(const char *fmt, ...)
{
	char cmd[4096];
	int status = -1;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid < 0)
		die("fork failed");
	if (pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

char *
modules_dir(void)
{
	char *dir = strdup("/tmp/cleat-modules-XXXXXX");

	if (dir == NULL || mkdtemp(dir) == NULL)
		die("no directory");
	return dir;
}

void
modules_remove(char **dir)
{
	if (*dir != NULL && modules_sh("rm -rf '%s'", *dir) != 0)
		die("the directory stays");
	free(*dir);
	*dir = NULL;
}

void
modules_build(const char *dir, const char *source, const char *name,
    const char *libs)
{
	const char *src = env("CLEAT_SRCDIR", ".");

	if (modules_sh("umask 022; %s -std=gnu11 -D_GNU_SOURCE -Wall -Wextra "
	    "-fPIC -shared -fvisibility=hidden -I'%s/include' "
	    "-o '%s/%s.so' '%s/%s' %s", env("CC", "cc"), src, dir, name, src,
	    source, libs) != 0)
		die(source);
}

void
modules_copy(const char *dir, const char *name)
{
	if (modules_sh("install -m 0644 '%s/plugins/%s/.libs/%s.so' "
	    "'%s/%s.so'", env("CLEAT_BUILDDIR", "."), name, name, dir,
	    name) != 0)
		die(name);
}
