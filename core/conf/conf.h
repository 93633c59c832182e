/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: cleat.conf and conf.d/NAME.conf beside it, read once into
 * an immutable, typed, complete tree.  A key that is not in the files has its
 * default; what is not in the schema is an error.  Decision 0009; the syntax is
 * in cleat.conf(5).
 *
 * Sections are named "daemon", or "listener.NAME" where the schema says
 * "listener.*".  Asking for a key that the schema does not have, or by a getter
 * of another type, is a bug and asserted.  Getters: any thread; what they
 * return lives as long as the tree.  Loading: one thread at a time (iniparser).
 */
#ifndef CT_CONF_H
#define CT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr_range;
struct cleat_opt;
struct conf;
struct conf_set;

/* What the configuration never goes beyond, for who has room for as many. */
#define CONF_WORKERS_MAX 64
#define CONF_ORIGINS_MAX 64		/* of a listener */
#define CONF_SLOT_NAMES_MAX 64

/* Everything that is wrong, one line each, "FILE:LINE: [section] key = value:
 * expected what (did you mean "nearest"?)".  Zeroed before the first use. */
#define CONF_ERRORS_MAX 64
struct conf_errors {
	char *line[CONF_ERRORS_MAX];
	unsigned n;
	unsigned more;			/* that were not kept */
};
void conf_errors_fini(struct conf_errors *);
void conf_error(struct conf_errors *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Blocking.  -EINVAL with at least one error; -ENOMEM (without, perhaps).
 * Besides each key, it checks what keys say about each other.  The caller holds
 * one reference.
 */
int conf_load(const char *path, struct conf_errors *, struct conf **ret);
struct conf *conf_ref(struct conf *);
void conf_unref(struct conf **);	/* NULL is fine */

bool conf_bool(const struct conf *, const char *section, const char *key);
/* Numbers; "auto" is 0. */
uint64_t conf_uint(const struct conf *, const char *section, const char *key);
uint64_t conf_ms(const struct conf *, const char *section, const char *key);
/* Bytes. */
size_t conf_size(const struct conf *, const char *section, const char *key);
/* Strings, words of an enumeration, paths, addresses; NULL when unset. */
const char *conf_str(const struct conf *, const char *section,
    const char *key);
/* The i-th element of a list of strings; NULL behind the last. */
const char *conf_item(const struct conf *, const char *section,
    const char *key, unsigned i);
/* Whether one of them is this. */
bool conf_has_item(const struct conf *, const char *section, const char *key,
    const char *value);
/* A list of address ranges; NULL and 0 when empty. */
const struct addr_range *conf_ranges(const struct conf *, const char *section,
    const char *key, unsigned *ret_n);

/* "FILE:LINE" of a key, or "default". */
const char *conf_where(const struct conf *, const char *section,
    const char *key);

/*
 * How the text of a secret key becomes the secret (tls/secret.h), which conf/
 * cannot do itself: 0 and mem_alloc()ed text, or -errno with one line in
 * why[CONF_WHY_SIZE].  key_file is [daemon] secret_key.  Set once, before
 * threads; without it, texts are taken as they are.
 */
#define CONF_WHY_SIZE 256
typedef int conf_secret_fn(const char *text, const char *key_file, char *why,
    char **ret);
void conf_set_secret_fn(conf_secret_fn *);

/* The i-th section of a kind, in the order of the files: for "listener" the
 * full name, "listener.public"; NULL behind the last. */
const char *conf_section(const struct conf *, const char *kind, unsigned i);
bool conf_has_section(const struct conf *, const char *section);
/* "public" of "listener.public". */
const char *conf_instance(const char *section);

/*
 * The options of a plugin section that are the plugin's own, by the schema that
 * its file exports (ends with name NULL; it must live as long as the set).
 * -EINVAL with errors (also for what the schema does not know), -ENOMEM.
 */
int conf_set_new(const struct conf *, const char *section,
    const struct cleat_opt *, struct conf_errors *, struct conf_set **ret);
void conf_set_free(struct conf_set **);
/* As cleat_host's opt_text, opt_number and opt_item, but a name that is not in
 * the schema is answered NULL, 0, NULL: the asker is a plugin. */
const char *conf_set_text(const struct conf_set *, const char *name);
uint64_t conf_set_number(const struct conf_set *, const char *name);
const char *conf_set_item(const struct conf_set *, const char *name,
    unsigned i);
/* A secret as it is now: where it is in a file, that is read again.  Blocking;
 * any thread.  "" if none is set; mem_free_wiped().  Errors as of
 * conf_secret_fn. */
int conf_set_secret(const struct conf_set *, const char *name, char *why,
    char **ret);
/* True if any option differs. */
bool conf_set_differs(const struct conf_set *, const struct conf_set *);
/* Name of the first CLEAT_OPT_RESTART option that differs, or NULL. */
const char *conf_set_restart_key(const struct conf_set *,
    const struct conf_set *);

/* Calls fn for each key that needs a restart and differs between the two, in
 * sections that both have. */
void conf_restart_keys(const struct conf *was, const struct conf *is,
    void (*fn)(void *ctx, const char *section, const char *key), void *ctx);

#endif
