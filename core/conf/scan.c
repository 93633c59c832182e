/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw scan of a file's text, line by line.  It accepts less than iniparser
 * does: whatever versions of iniparser read differently, or swallow silently (a
 * comment behind a value, a second value of a key, a backslash that joins
 * lines), is an error here with its line.
 */
#include "conf/conf_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"

#define NAME_MAX_LEN 63

struct scan {
	const char *file;
	unsigned line;
	size_t from;			/* first entry of this file */
	struct conf_entries *out;
	struct conf_errors *errs;
	bool failed;
	bool lost;			/* below a head that was refused */
	char section[2 * NAME_MAX_LEN + 2];
};

void
conf_entries_fini(struct conf_entries *l)
{
	for (size_t i = 0; i < l->n; i++) {
		mem_free(l->e[i].section);
		mem_free(l->e[i].key);
		/* It may be a secret. */
		if (l->e[i].text != NULL)
			mem_free_wiped(l->e[i].text, strlen(l->e[i].text));
		mem_free(l->e[i].where);
	}
	mem_free(l->e);
	memset(l, 0, sizeof(*l));
}

static bool
copy(const char *s, char **ret)
{
	*ret = s == NULL ? NULL : mem_strdup(s);
	return s == NULL || *ret != NULL;
}

int
conf_entries_add(struct conf_entries *l, const struct conf_entry *e)
{
	struct conf_entry mine = { NULL, NULL, NULL, NULL }, *bigger;
	size_t cap = l->cap == 0 ? 32 : l->cap * 2;

	if (l->n == CONF_ENTRIES_MAX)
		return -E2BIG;
	if (l->n == l->cap) {
		bigger = mem_realloc(l->e, cap * sizeof(*bigger));
		if (bigger == NULL)
			return -ENOMEM;
		l->e = bigger;
		l->cap = cap;
	}
	if (!copy(e->section, &mine.section) || !copy(e->key, &mine.key) ||
	    !copy(e->text, &mine.text) || !copy(e->where, &mine.where)) {
		mem_free(mine.section);
		mem_free(mine.key);
		if (mine.text != NULL)
			mem_free_wiped(mine.text, strlen(mine.text));
		mem_free(mine.where);
		return -ENOMEM;
	}
	l->e[l->n++] = mine;
	return 0;
}

static bool
is_small(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool
conf_is_name(const char *s)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++) {
		if (!is_small(s[n]) && (s[n] != '-' || n == 0))
			return false;
	}
	return n > 0 && n <= NAME_MAX_LEN;
}

static bool
is_section(const char *s)
{
	const char *dot = strchr(s, '.');
	char kind[NAME_MAX_LEN + 1];
	size_t n = dot == NULL ? strlen(s) : (size_t)(dot - s);

	if (n > NAME_MAX_LEN)
		return false;
	memcpy(kind, s, n);
	kind[n] = '\0';
	return conf_is_name(kind) && (dot == NULL || conf_is_name(dot + 1));
}

static int
wrong(struct scan *s, const char *what)
{
	conf_error(s->errs, "%s:%u: %s", s->file, s->line, what);
	s->failed = true;
	return 0;
}

static char *
trim(char *p)
{
	size_t n;

	while (*p == ' ' || *p == '\t')
		p++;
	n = strlen(p);
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	p[n] = '\0';
	return p;
}

/* Adds an entry unless this file has it already. */
static int
add(struct scan *s, const char *key, const char *text)
{
	char where[512];
	struct conf_entry e;
	int err;

	for (size_t i = s->from; i < s->out->n; i++) {
		const struct conf_entry *o = &s->out->e[i];

		if (strcmp(o->section, s->section) != 0 ||
		    (o->key == NULL) != (key == NULL) ||
		    (key != NULL && strcmp(o->key, key) != 0))
			continue;
		conf_error(s->errs, "%s:%u: [%s]%s%s: given twice in this file"
		    " (first at %s)", s->file, s->line, s->section,
		    key == NULL ? "" : " ", key == NULL ? "" : key, o->where);
		s->failed = true;
		return 0;
	}
	(void)snprintf(where, sizeof(where), "%s:%u", s->file, s->line);
	memset(&e, 0, sizeof(e));
	e.section = s->section;
	/* Only copied. */
	e.key = (char *)(uintptr_t)key;
	e.text = (char *)(uintptr_t)text;
	e.where = where;
	err = conf_entries_add(s->out, &e);
	return err == -E2BIG ? wrong(s, "too many lines") : err;
}

static int
head(struct scan *s, char *p)
{
	size_t n = strlen(p);

	s->lost = true;
	if (p[n - 1] != ']')
		return wrong(s, "expected [section] alone on its line");
	p[n - 1] = '\0';
	if (!is_section(p + 1))
		return wrong(s, "expected a section such as [daemon] or"
		    " [listener.public], in lower case");
	s->lost = false;
	(void)snprintf(s->section, sizeof(s->section), "%s", p + 1);
	return add(s, NULL, NULL);
}

/* The value's text in place; NULL after an error was told. */
static char *
value(struct scan *s, char *p)
{
	size_t n = strlen(p);

	if (p[0] == '"' || p[0] == '\'') {
		if (n < 2 || strchr(p + 1, p[0]) == NULL) {
			(void)wrong(s, "the quote is not closed");
			return NULL;
		}
		if (strchr(p + 1, p[0]) != p + n - 1) {
			(void)wrong(s, "nothing may follow the closing quote");
			return NULL;
		}
		p[n - 1] = '\0';
		return p + 1;
	}
	if (strpbrk(p, ";#") != NULL) {
		(void)wrong(s, "a value with ; or # must be quoted (a comment"
		    " needs a line of its own)");
		return NULL;
	}
	if (strpbrk(p, "\"'") != NULL) {
		(void)wrong(s, "quotes must enclose the whole value");
		return NULL;
	}
	return p;
}

static int
pair(struct scan *s, char *p)
{
	char *eq = strchr(p, '='), *key, *text;

	if (eq == NULL)
		return wrong(s, "expected key = value");
	*eq = '\0';
	key = trim(p);
	if (!conf_is_name(key) || strchr(key, '-') != NULL)
		return wrong(s, "expected a key in lower case before the =");
	text = value(s, trim(eq + 1));
	if (text == NULL || s->lost)
		return 0;
	if (s->section[0] == '\0')
		return wrong(s, "a key before the first [section]");
	return add(s, key, text);
}

/* Returns 0 also when it told an error: the other lines are looked at too. */
static int
one_line(struct scan *s, const char *p, size_t n)
{
	char line[CONF_LINE_MAX + 1], *t;

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n > CONF_LINE_MAX)
		return wrong(s, "the line is longer than 1000 bytes");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return wrong(s, "a control character");
	}
	memcpy(line, p, n);
	line[n] = '\0';
	t = trim(line);
	if (t[0] == '\0')
		return 0;
	/* It would join the next line, in comments as well. */
	if (t[strlen(t) - 1] == '\\')
		return wrong(s, "a line must not end in a backslash");
	if (t[0] == ';' || t[0] == '#')
		return 0;
	if (t[0] == '[')
		return head(s, t);
	if (strchr(t, '\\') != NULL)
		return wrong(s, "a backslash cannot be part of a value");
	return pair(s, t);
}

int
conf_scan(const char *file, const char *content, size_t n,
    struct conf_errors *errs, struct conf_entries *out)
{
	struct scan s = { .file = file, .from = out->n, .out = out,
	    .errs = errs };
	const char *end = content + n, *nl;
	int err;

	while (content < end) {
		s.line++;
		nl = memchr(content, '\n', (size_t)(end - content));
		if (nl == NULL)
			nl = end;
		err = one_line(&s, content, (size_t)(nl - content));
		if (err < 0)
			return err;
		content = nl + 1;
	}
	return s.failed ? -EINVAL : 0;
}
