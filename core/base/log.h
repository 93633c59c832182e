/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per message on standard error, "key=value" pairs, with the
 * "<N>" priority prefix when standard error is the journal (JOURNAL_STREAM).
 * Peer text goes through %s of log_text() fields only: escaped and cut.
 * Identical call sites are rate-limited; what was held back is counted.
 * Thread: any.
 */
#ifndef CT_LOG_H
#define CT_LOG_H

#include <stddef.h>

enum log_level {			/* syslog numbers */
	LOG_LVL_ERROR = 3,		/* someone must act */
	LOG_LVL_WARNING = 4,		/* degraded, going on */
	LOG_LVL_NOTICE = 5,		/* a state changed */
	LOG_LVL_INFO = 6,		/* connections */
	LOG_LVL_DEBUG = 7
};

void log_set_level(enum log_level max);
enum log_level log_get_level(void);
/* "error" … "debug"; -EINVAL for anything else. */
int log_level_parse(const char *text, enum log_level *ret);

/* A call site's rate limit: burst lines a second, then a count. */
struct log_site {
	_Atomic long second;
	_Atomic unsigned seen, held;
};

void log_write(struct log_site *site, enum log_level level,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Use these.  Text: what happened, then key=value pairs. */
#define LOG_AT(level, ...) do {						\
	static struct log_site log_site_here;				\
	if ((level) <= log_get_level())					\
		log_write(&log_site_here, (level), __VA_ARGS__);	\
} while (0)
#define log_error(...) LOG_AT(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_LVL_WARNING, __VA_ARGS__)
#define log_notice(...) LOG_AT(LOG_LVL_NOTICE, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LVL_DEBUG, __VA_ARGS__)

/*
 * Writes `text` (n bytes, not necessarily terminated) into `to` as a quoted,
 * escaped string cut to fit `cap` (>= 8); returns `to`.  For peer text in logs.
 */
const char *log_quote(char *to, size_t cap, const void *text, size_t n);

#endif
