/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way to be a bad plugin is refused with its own line.  The modules are
 * in tests/plugins/bad_*.c and are built here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "../lib/modules.h"
#include "plug/load.h"
#include "plug/plug.h"

static char *dir;

static const struct bad {
	const char *name;
	int error;
	const char *says;
} bads[] = {
	{ "bad_magic", -EPROTO, "magic number" },
	{ "bad_major", -EPROTO, "was built for plugin ABI 2." },
	{ "bad_minor", -EPROTO, "newer than this daemon's" },
	{ "bad_size", -EPROTO, "size of cleat_plugin is too small" },
	{ "bad_short", -EPROTO, "size of cleat_plugin is too small" },
	{ "bad_kind", -EINVAL, "is of kind 99" },
	{ "bad_name", -EINVAL, "calls itself \"somebody-else\"" },
	{ "bad_noname", -EINVAL, "has no name" },
	{ "bad_nolife", -EINVAL, "life table is missing" },
	{ "bad_noops", -EINVAL, "ops table is missing" },
	{ "bad_life_size", -EPROTO, "life table is too small" },
	{ "bad_life_open", -EINVAL, "life.open is missing" },
	{ "bad_life_close", -EINVAL, "life.close is missing" },
	{ "bad_life_commit", -EINVAL, "go together" },
	{ "bad_ops_size", -EPROTO, "ops table is too small" },
	{ "bad_event", -EINVAL, "ops.event is missing" },
	{ "bad_refresh", -EINVAL, "ops.refresh is missing" },
	{ "bad_chan_open", -EINVAL, "ops.open is missing" },
	{ "bad_message", -EINVAL, "ops.message is missing" },
	{ "bad_closed", -EINVAL, "ops.closed is missing" },
	{ "bad_auth", -EINVAL, "ops.authenticated is missing" },
	{ "bad_opt_name", -EINVAL, "option 1 has a bad name" },
	{ "bad_opt_type", -EINVAL, "\"x\" has an unknown type" },
	{ "bad_opt_twice", -EINVAL, "\"x\" is there twice" },
	{ "bad_opt_core", -EINVAL, "\"required\" is a key of the daemon" },
	{ "bad_opt_range", -EINVAL, "least value above" },
	{ "bad_opt_default", -EINVAL, "default that is not of its type" },
	{ "bad_opt_flags", -EINVAL, "unknown flags" },
	{ "bad_nosymbol", -EINVAL, "does not export the symbol" },
	{ "bad_function", -EINVAL, "is not a constant" },
	{ "bad_unresolved", -ELIBBAD, "nobody_has_this" },
};
#define BADS_N (sizeof(bads) / sizeof(bads[0]))

static void
refused(const char *module, int error, const char *says)
{
	struct plug_module *m = NULL;
	char why[PLUG_WHY_SIZE] = "";
	int err;

	err = plug_load(dir, module, why, &m);
	if (err != error || strstr(why, says) == NULL)
		print_error("%s: %d \"%s\"\n", module, err, why);
	assert_int_equal(err, error);
	assert_non_null(strstr(why, says));
	assert_null(m);
	assert_null(strchr(why, '\n'));
}

static void
path_of(char *to, size_t cap, const char *name)
{
	(void)snprintf(to, cap, "%s/%s", dir, name);
}

static void
a_good_module_is_loaded_by_name_and_by_path(void **state)
{
	struct plug_module *a = NULL, *b = NULL;
	char why[PLUG_WHY_SIZE], path[512];

	(void)state;
	assert_int_equal(plug_load(dir, "bad_good", why, &a), 0);
	assert_string_equal(a->name, "bad_good");
	assert_int_equal(a->kind, CLEAT_STATUS);
	assert_null(a->life.prepare);
	path_of(path, sizeof(path), "bad_good.so");
	assert_int_equal(plug_load("/nowhere", path, why, &b), 0);
	assert_string_equal(b->name, "bad_good");
	plug_unload(&a);
	plug_unload(&b);
	assert_null(b);
	plug_unload(&b);
}

static void
two_modules_opened_one_after_the_other_are_two(void **state)
{
	struct plug_module *a = NULL, *b = NULL;
	char why[PLUG_WHY_SIZE];

	(void)state;
	assert_int_equal(plug_load(dir, "bad_good", why, &a), 0);
	assert_int_equal(plug_load(dir, "abi_1_0_proto", why, &b), 0);
	assert_int_equal(a->kind, CLEAT_STATUS);
	assert_int_equal(b->kind, CLEAT_PROTOCOL);
	plug_unload(&a);
	plug_unload(&b);
}

static void
modules_of_abi_1_0_load_for_ever(void **state)
{
	static const char *const names[] = {
		"abi_1_0_cert", "abi_1_0_proto", "abi_1_0_status"
	};
	struct plug_module *m = NULL;
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	for (int i = 0; i < 3; i++) {
		if (plug_load(dir, names[i], why, &m) != 0)
			fail_msg("%s", why);
		assert_int_equal(m->kind, CLEAT_CERT_SOURCE + i);
		plug_unload(&m);
	}
}

static void
each_bad_descriptor_has_its_own_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < BADS_N; i++)
		refused(bads[i].name, bads[i].error, bads[i].says);
}

static void
bad_names_are_refused(void **state)
{
	(void)state;
	refused("", -EINVAL, "a name is a-z");
	refused("../x", -EINVAL, "neither a name nor an absolute path");
	refused("a/b", -EINVAL, "neither a name nor an absolute path");
	refused("Upper", -EINVAL, "a name is a-z");
	refused("x.so", -EINVAL, "a name is a-z");
	refused("/", -EINVAL, "a name is a-z");
	refused("/x y", -EINVAL, "a name is a-z");
	refused("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaa", -EINVAL, "a name is a-z");
}

static void
files_that_are_no_modules_are_refused(void **state)
{
	char path[512];

	(void)state;
	refused("missing", -ENOENT, "missing.so: No such file");
	refused("/nowhere/at-all", -ENOENT, "No such file");
	path_of(path, sizeof(path), "text.so");
	assert_int_equal(modules_sh("echo 'not a module, but longer than an "
	    "ELF header is, so that it can be read' >'%s'", path), 0);
	refused("text", -ENOEXEC, "is not an ELF file");
	path_of(path, sizeof(path), "empty.so");
	assert_int_equal(modules_sh(": >'%s'", path), 0);
	refused("empty", -ENOEXEC, "is not an ELF file");
	path_of(path, sizeof(path), "fifo.so");
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("fifo", -ENOEXEC, "is not a regular file");
	path_of(path, sizeof(path), "folder.so");
	assert_int_equal(mkdir(path, 0755), 0);
	refused("folder", -ENOEXEC, "is not a regular file");
	assert_int_equal(modules_sh("cd '%s' && ln -s bad_good.so link.so",
	    dir), 0);
	refused("link", -EACCES, "is a symbolic link");
}

/* Copies bad_good with one byte of its ELF header replaced. */
static void
patched(const char *name, unsigned at, const char *octal)
{
	assert_int_equal(modules_sh("cd '%s' && cp bad_good.so %s.so && "
	    "printf '\\%s' | dd of=%s.so bs=1 seek=%u conv=notrunc status=none",
	    dir, name, octal, name, at), 0);
}

static void
modules_of_another_machine_are_refused(void **state)
{
	(void)state;
	patched("machine", 18, "050");		/* e_machine: Arm */
	refused("machine", -ENOEXEC, "another machine");
	patched("class", 4, "001");		/* 32 bits */
	refused("class", -ENOEXEC, "another machine");
	patched("type", 16, "001");		/* an object file */
	refused("type", -ENOEXEC, "not a shared object");
	assert_int_equal(modules_sh("cd '%s' && head -c 200 bad_good.so "
	    ">cut.so", dir), 0);
	refused("cut", -ELIBBAD, "cannot be loaded");
}

static void
others_must_not_own_or_write_a_module(void **state)
{
	char path[512];

	(void)state;
	assert_int_equal(modules_sh("cd '%s' && cp bad_good.so group.so && "
	    "chmod 664 group.so && cp bad_good.so all.so && chmod 646 all.so",
	    dir), 0);
	refused("group", -EACCES, "writable by others");
	refused("all", -EACCES, "writable by others");
	assert_int_equal(chmod(dir, 0777), 0);
	refused("bad_good", -EACCES, "writable by others");
	assert_int_equal(chmod(dir, 0700), 0);
	if (geteuid() != 0) {
		print_message("no other owner can be made: not root\n");
		return;
	}
	path_of(path, sizeof(path), "group.so");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 4242, (gid_t)-1), 0);
	refused("group", -EACCES, "belongs to user 4242");
	assert_int_equal(chown(dir, 4242, (gid_t)-1), 0);
	refused("bad_good", -EACCES, "belongs to user 4242");
	assert_int_equal(chown(dir, 0, (gid_t)-1), 0);
}

static void
memory_may_run_out_at_any_point(void **state)
{
	struct plug_module *m = NULL;
	char why[PLUG_WHY_SIZE];
	unsigned long n = 1;
	int err;

	(void)state;
	for (;; n++) {
		(void)mem_fail_nth(n);
		err = plug_load(dir, "bad_good", why, &m);
		(void)mem_fail_nth(0);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(m);
	}
	assert_true(n > 2);
	plug_unload(&m);
}

static int
build_all(void **state)
{
	char source[128];

	(void)state;
	dir = modules_dir();
	modules_build(dir, "tests/plugins/bad_good.c", "bad_good", "");
	for (size_t i = 0; i < BADS_N; i++) {
		(void)snprintf(source, sizeof(source), "tests/plugins/%s.c",
		    bads[i].name);
		modules_build(dir, source, bads[i].name, "");
	}
	modules_build(dir, "tests/plugins/abi_1_0.c", "abi_1_0_cert",
	    "-DKIND=1");
	modules_build(dir, "tests/plugins/abi_1_0.c", "abi_1_0_proto",
	    "-DKIND=2");
	modules_build(dir, "tests/plugins/abi_1_0.c", "abi_1_0_status",
	    "-DKIND=3");
	return 0;
}

static int
remove_all(void **state)
{
	(void)state;
	modules_remove(&dir);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_module_is_loaded_by_name_and_by_path),
		cmocka_unit_test(
		    two_modules_opened_one_after_the_other_are_two),
		cmocka_unit_test(modules_of_abi_1_0_load_for_ever),
		cmocka_unit_test(each_bad_descriptor_has_its_own_line),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(files_that_are_no_modules_are_refused),
		cmocka_unit_test(modules_of_another_machine_are_refused),
		cmocka_unit_test(others_must_not_own_or_write_a_module),
		cmocka_unit_test(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, build_all, remove_all);
}
