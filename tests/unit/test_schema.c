/* SPDX-License-Identifier: Apache-2.0 */
/* The schema, and the files in etc/ that show it (core/conf/schema.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/conf_priv.h"

static char path[4096];

static const char *
etc(const char *name)
{
	const char *root = getenv("CLEAT_SRCDIR");

	(void)snprintf(path, sizeof(path), "%s/etc/%s", root != NULL ? root :
	    ".", name);
	return path;
}

static void
every_default_is_right_in_itself(void **state)
{
	struct conf_value v = { .key = NULL };

	(void)state;
	for (const struct conf_key *k = conf_schema; k->section != NULL; k++) {
		assert_int_equal(conf_value_set(&v, k, k->value, NULL), 0);
		assert_true(k->help != NULL && k->help[0] != '\0');
		assert_true((k->flags & CONF_REQUIRED) == 0 ||
		    k->value == NULL);
		conf_value_fini(&v);
	}
}

static void
keys_of_a_section_stand_together_and_once(void **state)
{
	const struct conf_key *k = conf_schema;

	(void)state;
	for (; k->section != NULL; k++) {
		for (const struct conf_key *o = conf_schema; o < k; o++) {
			if (strcmp(o->section, k->section) != 0)
				continue;
			assert_string_equal(k[-1].section, k->section);
			assert_string_not_equal(o->name, k->name);
		}
	}
}

static void
patterns_stand_for_named_sections(void **state)
{
	unsigned n = 0;

	(void)state;
	assert_true(conf_schema_is("listener.*", "listener.a"));
	assert_false(conf_schema_is("listener.*", "listener."));
	assert_false(conf_schema_is("listener.*", "listener.A"));
	assert_false(conf_schema_is("listener.*", "listeners.a"));
	assert_true(conf_schema_is("daemon", "daemon"));
	assert_false(conf_schema_is("daemon", "daemon.a"));
	assert_null(conf_schema_of("nothing", &n));
	assert_string_equal(conf_schema_of("slot.a", &n)->name, "source");
	assert_int_equal(n, 3);
}

/* A listener is bound once; only what a handshake looks up can change. */
static void
a_listener_changes_by_restart_but_for_client_certificates(void **state)
{
	unsigned n = 0;
	const struct conf_key *k = conf_schema_of("listener.a", &n);

	(void)state;
	static const char *const fixed[] = {
		"address", "tls", "proxy", "trusted_proxies",
		"default_protocol", "origins", "backlog"
	};

	for (unsigned i = 0; i < n; i++) {
		bool is_fixed = false;

		for (size_t f = 0; f < sizeof(fixed) / sizeof(*fixed); f++)
			is_fixed |= strcmp(k[i].name, fixed[f]) == 0;
		assert_int_equal((k[i].flags & CONF_RESTART) != 0, is_fixed);
	}
}

static bool
has_default(const struct conf_entries *l, const struct conf_key *k)
{
	const char *value = k->value == NULL ? "" : k->value;

	for (size_t i = 0; i < l->n; i++) {
		const struct conf_entry *e = &l->e[i];

		if (e->key != NULL && strcmp(e->key, k->name) == 0 &&
		    conf_schema_is(k->section, e->section) &&
		    ((k->flags & CONF_REQUIRED) != 0 ||
		    strcmp(e->text, value) == 0))
			return true;
	}
	return false;
}

static void
the_complete_example_names_every_key_with_its_default(void **state)
{
	struct conf_entries l = { NULL, 0, 0 };
	struct conf_errors errs = { .n = 0 };
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_read(etc("cleat.conf"), CONF_FILE_MAX, &p, &n),
	    0);
	assert_int_equal(conf_scan("cleat.conf", (char *)p, n, &errs, &l), 0);
	for (const struct conf_key *k = conf_schema; k->section != NULL; k++) {
		if (has_default(&l, k))
			continue;
		print_message("# [%s] %s\n", k->section, k->name);
		fail();
	}
	conf_entries_fini(&l);
	mem_free(p);
}

static void
both_examples_load(void **state)
{
	static const char *const names[] = { "cleat.conf",
	    "cleat.conf.minimal" };
	struct conf_errors errs = { .n = 0 };
	struct conf *c = NULL;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(conf_load(etc(names[i]), &errs, &c), 0);
		assert_int_equal(errs.n, 0);
		assert_string_equal(conf_section(c, "listener", 0),
		    "listener.public");
		conf_unref(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_right_in_itself),
		cmocka_unit_test(keys_of_a_section_stand_together_and_once),
		cmocka_unit_test(patterns_stand_for_named_sections),
		cmocka_unit_test(
		    a_listener_changes_by_restart_but_for_client_certificates),
		cmocka_unit_test(
		    the_complete_example_names_every_key_with_its_default),
		cmocka_unit_test(both_examples_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
