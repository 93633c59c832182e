/* SPDX-License-Identifier: Apache-2.0 */
/* What is said, and where. */
#include "certmgr.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_out.h"

#define WHY_SIZE 1024

void
say(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("cleat-certmgr: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

enum status
put_out(const char *p, size_t n)
{
	if (fwrite(p, 1, n, stdout) == n && fflush(stdout) == 0)
		return STATUS_OK;
	say("standard output: %s", strerror(errno));
	return STATUS_BROKEN;
}

enum status
say_error(const struct asked *a, enum status s, const char *fmt, ...)
{
	char why[WHY_SIZE];
	uint8_t area[WHY_SIZE * 6 + 64];	/* with the longest escapes */
	struct outbuf out = { .p = area, .cap = sizeof(area) - 1 };
	struct json_out j;
	enum status o;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	say("%s", why);
	if (!a->json)
		return s;
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_raw(&j, "ok", "false", 5);
	jout_uint(&j, "status", s);
	jout_string(&j, "error", why);
	jout_object_end(&j);
	area[out.n++] = '\n';
	o = put_out((const char *)area, out.n);
	return o == STATUS_OK ? s : o;
}

enum status
status_of(int error)
{
	switch (error) {
	case 0:
		return STATUS_OK;
	case -ENOMEM:
		return STATUS_BROKEN;
	case -EINVAL: case -EKEYREJECTED: case -ENOKEY: case -ENOTSUP:
	case -E2BIG: case -EFBIG: case -EISDIR:
		return STATUS_REFUSED;
	default:
		return STATUS_FILES;
	}
}
