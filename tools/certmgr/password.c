/* SPDX-License-Identifier: Apache-2.0 */
/* Where a password comes from: its first line. */
#include "certmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define FILE_LIMIT 65536

static enum status
take(const struct asked *a, char *to, const char *from, const char *p,
    size_t n)
{
	if (file_line(p, n, &p, &n) < 0 || n >= PASSWORD_MAX)
		return say_error(a, STATUS_USAGE, "%s: its first line is too "
		    "long for a password, or is no text in UTF-8", from);
	memcpy(to, p, n);
	to[n] = '\0';
	return STATUS_OK;
}

enum status
password_file(const struct asked *a, const char *path, char *to)
{
	enum status s;
	struct stat st;
	uint8_t *p;
	size_t n;
	int r = file_read(path, FILE_LIMIT, &p, &n);

	if (r < 0)
		return say_error(a, STATUS_FILES, "%s: the password cannot be "
		    "read: %s", path, strerror(-r));
	if (stat(path, &st) == 0 && (st.st_mode & 07) != 0)
		say("warning: %s: everybody on this machine may read or write "
		    "the password: chmod 600", path);
	s = take(a, to, path, (const char *)p, n);
	mem_free_wiped(p, n);
	return s;
}

static enum status
from_stdin(struct asked *a)
{
	char text[PASSWORD_MAX + 2];
	size_t n = 0;
	enum status s;
	ssize_t got;

	while (n < sizeof(text) && memchr(text, '\n', n) == NULL) {
		got = read(STDIN_FILENO, text + n, sizeof(text) - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return say_error(a, STATUS_FILES, "standard input: "
			    "the password cannot be read: %s",
			    strerror(errno));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	s = take(a, a->password, "standard input", text, n);
	mem_wipe(text, sizeof(text));
	return s;
}

/* systemd.exec(5), CREDENTIALS */
static enum status
from_credential(struct asked *a)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];

	if (strchr(a->pass_credential, '/') != NULL)
		return say_error(a, STATUS_USAGE, "--pass-credential: the "
		    "name of a credential is expected, not a path (--pass-file "
		    "takes one)");
	if (dir == NULL)
		return say_error(a, STATUS_FILES, "--pass-credential: there "
		    "are no credentials: run it as a service with "
		    "LoadCredential=%s:… (systemd-run -p does it)",
		    a->pass_credential);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, a->pass_credential);
	return password_file(a, path, a->password);
}

enum status
password_read(struct asked *a)
{
	enum status s;

	if (a->pass_file != NULL)
		s = password_file(a, a->pass_file, a->password);
	else if (a->pass_credential != NULL)
		s = from_credential(a);
	else if (a->pass_stdin)
		s = from_stdin(a);
	else
		return STATUS_OK;
	a->has_password = s == STATUS_OK;
	return s;
}
