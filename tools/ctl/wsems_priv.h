/* SPDX-License-Identifier: Apache-2.0 */
/* What wsems*.c share.  Thread: main only. */
#ifndef CT_CTL_WSEMS_PRIV_H
#define CT_CTL_WSEMS_PRIV_H

#include <jansson.h>

#include "wsems.h"

enum wsems_type { W_BOOL, W_TEXT, W_NUMBER, W_LIST, W_GROUP };

struct wsems_setting {
	const char *name;		/* NULL ends a table */
	enum wsems_type type;
	const char *kept;		/* instead of a value that is wrong */
	const char *lost;		/* why it has no counterpart; NULL:
					 * it has */
};

struct importer {
	const struct wsems_opts *opts;
	struct wsems *out;
	json_t *root;			/* as wsems_group() leaves it */
	json_t *certificates;		/* the same; empty if not given */
	char *why;
	int error;			/* the first one; then nothing counts */
};

/* "group.name", or "group" or "name" if the other one is NULL. */
void wsems_report(struct importer *, enum wsems_kind, const char *group,
    const char *name, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void wsems_fail(struct importer *, int error);

/* A new object with what of `o` (may be NULL) is known, has a counterpart and
 * the right type, by the names of the table; the rest is reported.  Never NULL
 * but after a failure. */
json_t *wsems_group(struct importer *, const char *group, const json_t *o,
    const struct wsems_setting *table);

/* NULL: not given, or empty. */
const char *wsems_text(const json_t *group, const char *name);
bool wsems_bool(const json_t *group, const char *name, bool otherwise);
/* `otherwise` also if it is not in the range, which is reported. */
json_int_t wsems_number(struct importer *, const char *group, const json_t *o,
    const char *name, json_int_t least, json_int_t most,
    json_int_t otherwise);

#define WSEMS_PATH 1u			/* of a file on this system */
#define WSEMS_CONF 2u			/* for cleat.conf: quoted,
					 * paths absolute */
/* The text without blanks around it, fit for a line of a configuration; NULL:
 * not given, or reported as wrong, or a failure.  mem_free(). */
char *wsems_value(struct importer *, const char *group, const json_t *o,
    const char *name, const char *kept, unsigned flags);
/* The same for what stands for a secret there: encrypted with the key, or
 * plain, then *ret_plain is set and it is reported as a weakening. */
char *wsems_secret(struct importer *, const char *group, const json_t *o,
    const char *name, const char *key, unsigned flags, bool *ret_plain);
/* Wipes and frees what wsems_secret() gave. */
void wsems_wipe(char *);

/* "name = value\n"; nothing if the value is NULL. */
void wsems_put(struct text *, const char *name, const char *value);

void wsems_agent(struct importer *);
void wsems_trust(struct importer *);	/* a part of that */
void wsems_listener(struct importer *);

#endif
