/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shell completion: what may stand at the end of a line, from the table of
 * commands and the daemon.  The scripts of the shells only pass the line on.
 * Nothing is ever said about errors: there is just nothing to offer.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"

#define WORDS_MAX 256
#define ASK_MS 2000L

struct line {
	char *words[WORDS_MAX];		/* the last one is being written */
	size_t n;
};

/* Cuts the line at blanks, as a shell would; quotes are only taken away. */
static void
split(char *s, struct line *l)
{
	char quote = '\0', *to;

	while (l->n < WORDS_MAX) {
		s += strspn(s, " \t\n");
		to = l->words[l->n++] = s;
		for (; *s != '\0' && (quote != '\0' ||
		    strchr(" \t\n", *s) == NULL); s++) {
			if (quote == '\0' ? *s == '"' || *s == '\'' :
			    *s == quote)
				quote = quote == '\0' ? *s : '\0';
			else
				*to++ = *s;
		}
		if (*s == '\0') {
			*to = '\0';
			return;
		}
		s++;
		*to = '\0';
	}
}

/* The words behind the last "cleatctl". */
static void
skip_program(struct line *l)
{
	size_t first = 0;

	for (size_t i = 0; i + 1 < l->n; i++) {
		const char *slash = strrchr(l->words[i], '/');

		if (strcmp(slash == NULL ? l->words[i] : slash + 1,
		    "cleatctl") == 0)
			first = i + 1;
	}
	memmove(l->words, l->words + first,
	    (l->n - first) * sizeof(l->words[0]));
	l->n -= first;
}

struct offer {
	struct ctl *ctl;
	const char *word;		/* so far */
	struct text out;
};

/* `before` is what of the word stays. */
static void
offer(struct offer *f, const char *before, const char *candidate)
{
	size_t n = strlen(before);

	if (strncmp(f->word, before, n) != 0 ||
	    strncmp(candidate, f->word + n, strlen(f->word + n)) != 0)
		return;
	text_puts(&f->out, before);
	text_escaped(&f->out, candidate, strlen(candidate));
	text_puts(&f->out, "\n");
}

/* A member of all rows, if they can be had. */
static void
offer_rows(struct offer *f, const char *before, const struct text *path,
    const char *list, const char *name)
{
	struct http_request q = { .method = "GET", .path = text_str(path),
		.timeout_ms = ASK_MS };
	json_t *page = NULL, *row;
	long status;
	size_t i;

	if (path->failed || api_quietly(f->ctl, &q, &status, &page) != 0)
		return;
	json_array_foreach(json_object_get(page, list), i, row) {
		char *text = member_text(row, name);

		if (text != NULL && text[0] != '\0')
			offer(f, before, text);
		mem_free(text);
	}
	json_decref(page);
}

static void
offer_words(struct offer *f, const char *before, enum kind kind)
{
	const char *const *w = ctl_words_of(kind);

	for (; w != NULL && *w != NULL; w++)
		offer(f, before, *w);
}

/* Credentials are numbered over all endpoints, but listed for one. */
static void
offer_kind(struct offer *f, const char *before, enum kind kind)
{
	struct text path = { 0 };
	const char *rest = f->word + strlen(before);

	switch (kind) {
	case K_ENDPOINT:
		text_puts(&path, "/v1/endpoints?limit=200");
		path_query(&path, "prefix", *rest == '\0' ? NULL : rest);
		offer_rows(f, before, &path, "endpoints", "id");
		break;
	case K_GROUP:
		text_puts(&path, "/v1/endpoints?limit=1000");
		offer_rows(f, before, &path, "endpoints", "group");
		break;
	case K_COMMAND:
	case K_OPEN_COMMAND:
		text_puts(&path, "/v1/commands?limit=200");
		path_query(&path, "open", kind == K_COMMAND ? NULL : "true");
		offer_rows(f, before, &path, "commands", "id");
		break;
	case K_ENROL_TOKEN:
		text_puts(&path, "/v1/enrolment-tokens");
		offer_rows(f, before, &path, "enrolment_tokens", "number");
		break;
	default:
		offer_words(f, before, kind);
		break;
	}
	text_free(&path);
}

/* What the option's value may be; of a list only the last element
 * is written. */
static void
offer_value(struct offer *f, const char *before, enum opt o)
{
	const char *comma = strrchr(f->word, ',');
	char *list;

	if (ctl_options[o].kind != K_COLUMNS || comma == NULL) {
		offer_kind(f, before, ctl_options[o].kind);
		return;
	}
	list = mem_dup(f->word, (size_t)(comma - f->word) + 2);
	if (list == NULL)
		return;
	list[comma - f->word + 1] = '\0';
	offer_kind(f, list, K_COLUMNS);
	mem_free(list);
}

static enum opt
option_of(const char *word, size_t n)
{
	for (int o = O_NONE + 1; o < O_COUNT; o++)
		if (strlen(ctl_options[o].name) == n &&
		    memcmp(ctl_options[o].name, word, n) == 0)
			return o;
	return O_NONE;
}

static void
offer_options(struct offer *f, const struct command *c)
{
	for (int o = O_NONE + 1; o < O_COUNT; o++)
		if (c == NULL ? o == O_SOCKET || o == O_HELP ||
		    o == O_VERSION : ctl_has_option(c, o))
			offer(f, "--", ctl_options[o].name);
}

/* The first word of all commands, or the second of those that begin with it. */
static void
offer_names(struct offer *f, const char *first)
{
	char last[64] = "";

	for (const struct command *c = ctl_commands; c->name != NULL; c++) {
		size_t n = strcspn(c->name, " ");
		char word[64];

		if (first == NULL) {
			(void)snprintf(word, sizeof(word), "%.*s", (int)n,
			    c->name);
			if (strcmp(word, last) != 0)
				offer(f, "", word);
			(void)snprintf(last, sizeof(last), "%s", word);
		} else if (strlen(first) == n && c->name[n] == ' ' &&
		    memcmp(first, c->name, n) == 0) {
			offer(f, "", c->name + n + 1);
		}
	}
}

/* The words before the last one without options and their values; the option
 * whose value is being written, or O_NONE. */
static enum opt
arguments(struct ctl *x, struct line *l)
{
	size_t n = 0;
	enum opt open = O_NONE;

	for (size_t i = 0; i + 1 < l->n; i++) {
		const char *w = l->words[i];
		size_t length;

		if (open != O_NONE) {
			if (open == O_SOCKET)
				x->socket = w;
			open = O_NONE;
			continue;
		}
		if (strncmp(w, "--", 2) != 0) {
			l->words[n++] = l->words[i];
			continue;
		}
		length = strcspn(w + 2, "=");
		open = option_of(w + 2, length);
		if (open == O_SOCKET && w[2 + length] == '=')
			x->socket = w + 3 + length;
		if (w[2 + length] == '=' || ctl_options[open].arg == NULL)
			open = O_NONE;
	}
	l->n = n;
	return open;
}

static void
offer_word(struct offer *f, struct line *l, enum opt open)
{
	size_t words = 0, length = strcspn(f->word, "="), place;
	const struct command *c = ctl_command_of(l->words, l->n, &words);
	bool help = c != NULL && c->run == help_run;

	if (open != O_NONE) {
		offer_value(f, "", open);
	} else if (strncmp(f->word, "--", 2) == 0 && f->word[length] == '=') {
		char before[64];

		(void)snprintf(before, sizeof(before), "%.*s",
		    (int)length + 1, f->word);
		offer_value(f, before, option_of(f->word + 2, length - 2));
	} else if (f->word[0] == '-') {
		offer_options(f, c);
	} else if (c == NULL) {
		offer_names(f, l->n == 0 ? NULL : l->words[0]);
	} else if (help) {
		offer_names(f, l->n == 1 ? NULL : l->words[1]);
	} else {
		place = l->n - words;
		if (place < c->most)
			offer_kind(f, "", c->kinds[place > 2 ? 2 : place]);
	}
}

int
complete_run(struct ctl *x, const char *line)
{
	struct line l = { .n = 0 };
	struct offer f = { .ctl = x };
	struct http *mine = x->http, *other = NULL;
	const char *before = x->socket;
	char *copy = mem_strdup(line);
	enum opt open;
	int r;

	if (copy == NULL)
		return EXIT_BROKEN;
	split(copy, &l);
	skip_program(&l);
	f.word = l.n == 0 ? "" : l.words[l.n - 1];
	open = arguments(x, &l);
	if (strcmp(before, x->socket) != 0 &&
	    http_new(x->socket, NULL, &other) == 0)
		x->http = other;
	offer_word(&f, &l, open);
	x->http = mine;
	http_free(&other);
	r = put_text(x, &f.out);
	x->socket = before;
	mem_free(copy);
	return r;
}
