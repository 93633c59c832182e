/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of servers. */
#include "servers.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define SEPARATORS ", \t\r\n"
#define FILE_MAX_BYTES (64 * 1024)

static int
take_one(const char *p, size_t n, struct url *ret)
{
	char text[1024];

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, p, n);
	text[n] = '\0';
	return url_parse(text, ret);
}

/* "URL, URL URL".  -EINVAL: one is none, or there are too many or none at
 * all; -ENOMEM. */
static int
parse(const char *text, struct url **ret, unsigned *ret_n)
{
	struct url *list = mem_calloc(SERVERS_MAX, sizeof(*list));
	unsigned n = 0;
	int r = 0;

	if (list == NULL)
		return -ENOMEM;
	for (;;) {
		size_t len;

		text += strspn(text, SEPARATORS);
		if (*text == '\0')
			break;
		len = strcspn(text, SEPARATORS);
		r = n == SERVERS_MAX ? -EINVAL :
		    take_one(text, len, &list[n]);
		if (r != 0)
			break;
		n++;
		text += len;
	}
	if (r == 0 && n == 0)
		r = -EINVAL;
	if (r != 0) {
		mem_free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

/* Nobody talks us into plain text:
 * neither a server nor who can write our file. */
static int
parse_named(const struct servers *s, const char *text, struct url **ret,
    unsigned *ret_n)
{
	struct url *list;
	unsigned n;
	int r = parse(text, &list, &n);

	if (r != 0)
		return r;
	for (unsigned i = 0; i < n && s->own[0].tls; i++)
		if (!list[i].tls)
			r = -EINVAL;
	if (r != 0) {
		mem_free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int
servers_init(struct servers *s, const char *own, const char *file)
{
	uint8_t *text = NULL;
	size_t n;
	int r;

	*s = (struct servers){ 0 };
	r = parse(own, &s->own, &s->own_n);
	if (r != 0 || file == NULL)
		return r;
	r = file_read(file, FILE_MAX_BYTES, &text, &n);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = parse_named(s, (const char *)text, &s->named, &s->named_n);
	mem_free(text);
	if (r == -EINVAL || r == -EFBIG) {
		(void)unlink(file);	/* refused again if it stays */
		return 1;
	}
	if (r != 0)
		servers_fini(s);
	return r;
}

void
servers_fini(struct servers *s)
{
	mem_free(s->own);
	mem_free(s->named);
	*s = (struct servers){ 0 };
}

unsigned
servers_count(const struct servers *s)
{
	return s->own_n + s->named_n;
}

const struct url *
servers_now(const struct servers *s)
{
	return s->at < s->named_n ? &s->named[s->at] :
	    &s->own[s->at - s->named_n];
}

void
servers_first(struct servers *s)
{
	s->at = 0;
}

int
servers_next(struct servers *s)
{
	s->at++;
	if (s->at < servers_count(s))
		return 0;
	s->at = 0;
	return 1;
}

int
servers_name(struct servers *s, const char *text, const char *file)
{
	struct url *list = NULL;
	unsigned n = 0;
	int r = 0;

	if (text[strspn(text, SEPARATORS)] != '\0')
		r = parse_named(s, text, &list, &n);
	if (r != 0)
		return r;
	mem_free(s->named);
	s->named = list;
	s->named_n = n;
	s->at = 0;
	return file == NULL || n == 0 ? 0 :
	    file_write_atomic(file, text, strlen(text), 0600);
}
