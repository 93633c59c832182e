/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of conf/ share: the schema, the entries that the raw scan
 * found, typed values, and the tree itself.  Nobody else includes this.  A tree
 * belongs to who makes it, and is constant and any thread's from then on.
 */
#ifndef CT_CONF_PRIV_H
#define CT_CONF_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr_range;
struct conf_errors;

enum conf_type {
	CONF_BOOL,
	CONF_UINT,
	CONF_DURATION,			/* ms */
	CONF_SIZE,			/* bytes */
	CONF_ENUM,			/* one of `words` */
	CONF_STRING,
	CONF_PATH,			/* absolute */
	CONF_ADDRESS,			/* base/addr.h, or systemd:NAME */
	CONF_RANGE,			/* addresses, base/addr.h */
	CONF_NAME,			/* of an instance: a-z 0-9 _ - */
	CONF_HOST,			/* host name, "*." in front allowed */
	CONF_IPC			/* ipc:///path */
};

#define CONF_RESTART 1u
#define CONF_REQUIRED 2u
#define CONF_SECRET 4u			/* the value is never shown */
#define CONF_LIST 8u			/* comma-separated */

/* One key.  `value` is the default as text; NULL: unset.  min and max: number,
 * ms or bytes, max 0 = no limit. */
struct conf_key {
	const char *section;		/* "daemon", "listener.*" */
	const char *name;
	enum conf_type type;
	const char *value;
	uint64_t min, max;
	/* CONF_ENUM: "a|b|c".  CONF_UINT: one word that stands for 0. */
	const char *words;
	unsigned flags;
	const char *help;		/* one line */
};

/* All keys, those of a section side by side; ends with section NULL. */
extern const struct conf_key conf_schema[];
/* The keys of a section's kind; NULL and 0 for an unknown section. */
const struct conf_key *conf_schema_of(const char *section, unsigned *ret_n);
/* Whether "listener.*" stands for "listener.x", "daemon" for itself. */
bool conf_schema_is(const char *pattern, const char *section);

/* One line of a file: a key, or with key NULL the head of a section. */
struct conf_entry {
	char *section, *key, *text;
	char *where;			/* "FILE:LINE" */
};
struct conf_entries {
	struct conf_entry *e;
	size_t n, cap;
};
#define CONF_ENTRIES_MAX 4096
#define CONF_FILE_MAX (256 * 1024)
#define CONF_LINE_MAX 1000		/* iniparser's end at 1022 */
void conf_entries_fini(struct conf_entries *);
/* Copies.  -ENOMEM, -E2BIG. */
int conf_entries_add(struct conf_entries *, const struct conf_entry *);

/* Appends the entries of one file's content (n bytes and a NUL).  -EINVAL with
 * errors, -ENOMEM. */
int conf_scan(const char *file, const char *content, size_t n,
    struct conf_errors *, struct conf_entries *);
/* Name of a section's instance or of a host's label. */
bool conf_is_name(const char *);

struct conf_value {
	const struct conf_key *key;
	char *text;			/* NULL: unset */
	char *where;			/* NULL: default */
	char *source;			/* of a secret: as it is written */
	uint64_t number;
	char **items;
	unsigned items_n;
	struct addr_range *ranges;
	unsigned ranges_n;
};
/* Sets a zeroed value from text (NULL or "" for unset: the key's default).
 * -EINVAL: `text` is not what conf_value_expected() says; -ENOMEM. */
int conf_value_set(struct conf_value *, const struct conf_key *,
    const char *text, const char *where);
void conf_value_fini(struct conf_value *);
bool conf_value_same(const struct conf_value *, const struct conf_value *);
#define CONF_EXPECTED_SIZE 200
const char *conf_value_expected(const struct conf_key *,
    char to[CONF_EXPECTED_SIZE]);

/* Values of one section, in the order of its keys. */
struct conf_values {
	char *name;			/* of the section */
	char *where;			/* of its head; NULL: not in a file */
	const struct conf_key *keys;
	struct conf_value *v;
	unsigned n;
	struct conf_entries rest;	/* plugin sections: not the core's */
	const char *secret_key;		/* for secrets; borrowed */
};
int conf_values_init(struct conf_values *, const char *name,
    const char *where, const struct conf_key *, unsigned n);
void conf_values_fini(struct conf_values *);
struct conf_value *conf_values_find(const struct conf_values *,
    const char *key);
/* Sets one key from an entry, telling errors.  -EINVAL, -ENOMEM. */
int conf_values_put(struct conf_values *, const struct conf_entry *,
    struct conf_errors *);
/* A secret as it is now, "" if none is set; errors as of conf_secret_fn. */
int conf_value_secret(const struct conf_value *, const char *secret_key,
    char *why, char **ret);
/* Tells which required keys are missing.  -EINVAL. */
int conf_values_complete(const struct conf_values *, struct conf_errors *);

struct conf {
	_Atomic unsigned refs;
	struct conf_values *s;
	unsigned n;
};

/* NULL: no such section. */
struct conf_values *conf_find(const struct conf *, const char *section);
/* What keys say about each other.  -EINVAL with errors. */
int conf_cross(const struct conf *, struct conf_errors *);

#endif
