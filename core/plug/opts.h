/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of plugins: the check of the schema that a module exports, and the
 * values under the ABI's name for them.  `struct cleat_opts` is conf's set of
 * values; conf has parsed and checked them.
 */
#ifndef CT_PLUG_OPTS_H
#define CT_PLUG_OPTS_H

#include <stddef.h>
#include <stdint.h>

struct cleat_opt;
struct cleat_opts;
struct conf_set;

#define PLUG_SCHEMA_MAX 128

/* Whether a schema (NULL: none) can be worked with; it is the plugin's, so
 * nothing in it is believed.  -EINVAL with one line in why[n]. */
int plug_schema_check(const struct cleat_opt *, char *why, size_t n);

const struct cleat_opts *plug_opts_of(const struct conf_set *);
/* As in <cleat/host.h>; a name that is not in the schema is unset.  Any
 * thread. */
const char *plug_opt_text(const struct cleat_opts *, const char *name);
uint64_t plug_opt_number(const struct cleat_opts *, const char *name);
const char *plug_opt_item(const struct cleat_opts *, const char *name,
    unsigned i);
int plug_opt_secret(const struct cleat_opts *, const char *name,
    void (*fn)(void *ctx, const char *text, const char *why), void *ctx);

#endif
