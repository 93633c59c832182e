/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one section [plugin.NAME] says, and which slots name it: immutable and
 * shared by reference; a reload makes new ones.  The only file of plug/ that
 * knows the daemon's own keys of these sections.
 */
#ifndef CT_PLUG_SETTINGS_H
#define CT_PLUG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct cleat_opts;
struct conf;
struct plug_module;
struct plug_settings;

/* `section` is "plugin.NAME"; the module's schema must outlive it.  -EINVAL
 * with why[PLUG_WHY_SIZE] (file, line, key, what was expected), -ENOMEM. */
int settings_new(struct conf *, const char *section,
    const struct plug_module *, char *why, struct plug_settings **ret);
struct plug_settings *settings_ref(struct plug_settings *);
void settings_unref(struct plug_settings **);

const struct cleat_opts *settings_opts(const struct plug_settings *);
bool settings_same_opts(const struct plug_settings *,
    const struct plug_settings *);
/* The first key that differs and cannot be changed while running, or NULL. */
const char *settings_restart_key(const struct plug_settings *was,
    const struct plug_settings *is);

bool settings_required(const struct plug_settings *);
/* Request paths of a protocol; NULL: not configured, the plugin's default. */
const char *const *settings_paths(const struct plug_settings *);
size_t settings_max_message(const struct plug_settings *);
bool settings_compression(const struct plug_settings *);

/* The i-th slot whose source is this instance; NULL behind the last. */
const char *settings_slot(const struct plug_settings *, unsigned i);
bool settings_has_slot(const struct plug_settings *, const char *slot);
/* The i-th server name of a slot; NULL behind the last, or not its slot. */
const char *settings_slot_name(const struct plug_settings *,
    const char *slot, unsigned i);
/* Whether `is` has the slot with other names than `was`, or `was` not at
 * all. */
bool settings_slot_changed(const struct plug_settings *was,
    const struct plug_settings *is, const char *slot);

#endif
