/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log.  One write(2) a line, so that lines of different threads never mix.
 * Whatever the format made, a line holds no control character: nobody can forge
 * a second line.  Never fails and never changes errno.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_SIZE 2048
#define BURST 20			/* lines a second and call site */

static _Atomic int max_level = LOG_LVL_INFO;
static pthread_once_t look_once = PTHREAD_ONCE_INIT;
static bool to_journal;

static const struct {
	enum log_level level;
	const char *word;
} words[] = {
	{ LOG_LVL_ERROR, "error" },
	{ LOG_LVL_WARNING, "warning" },
	{ LOG_LVL_NOTICE, "notice" },
	{ LOG_LVL_INFO, "info" },
	{ LOG_LVL_DEBUG, "debug" },
};
#define WORDS (sizeof(words) / sizeof(words[0]))

void
log_set_level(enum log_level max)
{
	atomic_store_explicit(&max_level, (int)max, memory_order_relaxed);
}

enum log_level
log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&max_level,
	    memory_order_relaxed);
}

int
log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (strcmp(text, words[i].word) == 0) {
			*ret = words[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

static const char *
level_word(enum log_level level)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (words[i].level == level)
			return words[i].word;
	}
	return "?";
}

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the journal's socket.
 * It is inherited by children whose stderr goes elsewhere: compare. */
static void
look_at_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	to_journal = (unsigned long long)st.st_dev == dev &&
	    (unsigned long long)st.st_ino == ino;
}

/* True: this line may go out, and *ret_held were held back before it. */
static bool
site_allows(struct log_site *site, unsigned *ret_held)
{
	long now = (long)(clock_mono_ms() / 1000) + 1;
	long last = atomic_load(&site->second);

	*ret_held = 0;
	if (last != now &&
	    atomic_compare_exchange_strong(&site->second, &last, now)) {
		*ret_held = atomic_exchange(&site->held, 0);
		atomic_store(&site->seen, 0);
	}
	if (atomic_fetch_add(&site->seen, 1) < BURST)
		return true;
	atomic_fetch_add(&site->held, 1 + *ret_held);
	return false;
}

static size_t
clip(int made, size_t room)
{
	if (made < 0)
		return 0;
	return (size_t)made < room ? (size_t)made : room - 1;
}

void
log_write(struct log_site *site, enum log_level level, const char *fmt, ...)
{
	char line[LINE_SIZE + 32], when[CLOCK_TEXT_SIZE];
	int saved = errno;
	unsigned held = 0;
	size_t start, n;
	va_list ap;

	if (level > log_get_level())
		return;
	if (site != NULL && !site_allows(site, &held))
		return;
	(void)pthread_once(&look_once, look_at_stderr);
	if (to_journal) {
		n = clip(snprintf(line, LINE_SIZE, "<%d>", (int)level),
		    LINE_SIZE);
	} else {
		clock_text(clock_wall_ms(), when);
		n = clip(snprintf(line, LINE_SIZE, "%s %s ", when,
		    level_word(level)), LINE_SIZE);
	}
	start = n;
	errno = saved;		/* for %m */
	va_start(ap, fmt);
	n += clip(vsnprintf(line + n, LINE_SIZE - n, fmt, ap), LINE_SIZE - n);
	va_end(ap);
	if (held > 0)
		n += clip(snprintf(line + n, sizeof(line) - 1 - n,
		    " held_back=%u", held), sizeof(line) - 1 - n);
	for (size_t i = start; i < n; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	}
	line[n++] = '\n';
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* One byte as it appears between the quotes; at most 4 characters. */
static size_t
quote_byte(char to[5], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	to[0] = '\\';
	switch (c) {
	case '"':
	case '\\':
		to[1] = (char)c;
		return 2;
	case '\n':
		to[1] = 'n';
		return 2;
	case '\r':
		to[1] = 'r';
		return 2;
	case '\t':
		to[1] = 't';
		return 2;
	default:
		break;
	}
	/* Beyond ASCII too: direction marks and look-alikes mislead readers. */
	if (c < 0x20 || c > 0x7e) {
		to[1] = 'x';
		to[2] = hex[c >> 4];
		to[3] = hex[c & 15];
		return 4;
	}
	to[0] = (char)c;
	return 1;
}

const char *
log_quote(char *to, size_t cap, const void *text, size_t n)
{
	const unsigned char *p = text;
	char piece[5];
	size_t at = 0, fits = 1, len;
	bool cut = false;

	to[at++] = '"';
	for (size_t i = 0; i < n; i++) {
		len = quote_byte(piece, p[i]);
		if (at + len + 2 > cap) {
			cut = true;
			break;
		}
		memcpy(to + at, piece, len);
		at += len;
		if (at + 5 <= cap)	/* still room for ..." and NUL */
			fits = at;
	}
	if (cut) {
		at = fits;
		memcpy(to + at, "...", 3);
		at += 3;
	}
	to[at++] = '"';
	to[at] = '\0';
	return to;
}
