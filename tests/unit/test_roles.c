/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/roles.c: who may do what, by a peer's credentials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf_dir.h"
#include "control/roles.h"
#include "../lib/tmpdir.h"

#define SELF 500

static struct control_rules
rules(void)
{
	return (struct control_rules){
		.operators = { { false, 1001 }, { true, 2001 } },
		.operators_n = 2,
		.viewers = { { false, 1002 }, { true, 2002 } },
		.viewers_n = 2
	};
}

static void
root_and_the_daemons_user_are_operators(void **state)
{
	struct control_rules r = { .viewers_n = 0 };

	(void)state;
	assert_int_equal(roles_of(&r, SELF, 0, NULL, 0), CONTROL_OPERATOR);
	assert_int_equal(roles_of(&r, SELF, SELF, NULL, 0), CONTROL_OPERATOR);
	assert_int_equal(roles_of(&r, SELF, 501, NULL, 0), CONTROL_NOBODY);
}

static void
users_and_groups_of_a_list_have_its_role(void **state)
{
	static const uint32_t both[] = { 7, 2002, 2001 }, view[] = { 2002 },
	    uids[] = { 1001, 1002 };
	struct control_rules r = rules();

	(void)state;
	assert_int_equal(roles_of(&r, SELF, 1001, NULL, 0), CONTROL_OPERATOR);
	assert_int_equal(roles_of(&r, SELF, 1002, NULL, 0), CONTROL_VIEWER);
	assert_int_equal(roles_of(&r, SELF, 1003, view, 1), CONTROL_VIEWER);
	assert_int_equal(roles_of(&r, SELF, 1003, both, 3), CONTROL_OPERATOR);
	assert_int_equal(roles_of(&r, SELF, 1003, both, 1), CONTROL_NOBODY);
	/* The number of a user is not that of a group, nor the other way. */
	assert_int_equal(roles_of(&r, SELF, 1003, uids, 2), CONTROL_NOBODY);
	assert_int_equal(roles_of(&r, SELF, 2001, NULL, 0), CONTROL_NOBODY);
}

static void
without_viewers_everybody_is_one(void **state)
{
	struct control_rules r = rules();

	(void)state;
	r.anyone_views = true;
	assert_int_equal(roles_of(&r, SELF, 1003, NULL, 0), CONTROL_VIEWER);
	assert_int_equal(roles_of(&r, SELF, 1001, NULL, 0), CONTROL_OPERATOR);
}

/* ---- who really connects ------------------------------------------------ */

static void
what_is_no_unix_socket_is_nobody(void **state)
{
	struct control_rules r = { .anyone_views = true };
	uint32_t uid = 77;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(roles_of_peer(&r, fd, &uid), CONTROL_NOBODY);
	assert_int_equal(roles_of_peer(&r, -1, &uid), CONTROL_NOBODY);
	assert_int_equal(uid, 77);
	(void)close(fd);
}

static void
our_own_process_is_an_operator(void **state)
{
	struct control_rules r = { .viewers_n = 0 };
	uint32_t uid = 77;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(roles_of_peer(&r, fd[0], &uid), CONTROL_OPERATOR);
	assert_int_equal(uid, getuid());
	(void)close(fd[0]);
	(void)close(fd[1]);
}

/* In a child: becomes somebody, connects, and stays until it is let go. */
static void
be(const char *path, const gid_t *groups, size_t n, uid_t uid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (setgroups(n, groups) != 0 || setgid(65534) != 0 ||
	    setuid(uid) != 0 ||
	    connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
		_exit(1);
	_exit(read(fd, &byte, 1) < 0 ? 1 : 0);
}

static enum control_role
role_of(const struct control_rules *r, int listening, const char *path,
    const gid_t *groups, size_t n)
{
	enum control_role role;
	uint32_t uid = 0;
	pid_t child = fork();
	int fd, status;

	assert_true(child >= 0);
	if (child == 0)
		be(path, groups, n, 65533);
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	role = roles_of_peer(r, fd, &uid);
	(void)close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(uid, 65533);
	return role;
}

static void
a_peer_has_all_its_groups(void **state)
{
	static const gid_t none[] = { 9 }, viewer[] = { 9, 2002, 10 },
	    operator[] = { 2002, 2001 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct control_rules r = rules();
	const char *path;
	gid_t many[1100];
	int fd;

	(void)state;
	if (getuid() != 0) {
		skip();
		return;
	}
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/s",
	    tmpdir_make());
	path = un.sun_path;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 8), 0);
	*strrchr(un.sun_path, '/') = '\0';
	assert_int_equal(chmod(un.sun_path, 0711), 0);
	un.sun_path[strlen(un.sun_path)] = '/';
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(role_of(&r, fd, path, none, 1), CONTROL_NOBODY);
	assert_int_equal(role_of(&r, fd, path, viewer, 3), CONTROL_VIEWER);
	assert_int_equal(role_of(&r, fd, path, operator, 2),
	    CONTROL_OPERATOR);
	/* More than there is room for: only the first group counts. */
	for (unsigned i = 0; i < 1100; i++)
		many[i] = 2001;
	assert_int_equal(role_of(&r, fd, path, many, 1100), CONTROL_NOBODY);
	r.operators[1].id = 65534;
	assert_int_equal(role_of(&r, fd, path, many, 1100),
	    CONTROL_OPERATOR);
	(void)close(fd);
	tmpdir_remove();
}

/* ---- names -------------------------------------------------------------- */

static int
read_rules(const char *text, char *why, struct control_rules *ret)
{
	struct conf *conf = conf_of(text);
	int r = control_rules_read(conf, why, ret);

	conf_unref(&conf);
	return r;
}

static void
names_and_numbers_are_looked_up(void **state)
{
	struct control_rules r = { .operators_n = 99 };
	char why[CONTROL_WHY_SIZE] = "";

	(void)state;
	assert_int_equal(read_rules("[control]\n"
	    "operators = root, @root, 1001, @2001\n"
	    "viewers = @0\nconnections = 20\nstreams = 5\n"
	    "request_size = 8KiB\nstream_queue = 16KiB\ntimeout = 2s\n", why,
	    &r), 0);
	assert_int_equal(r.operators_n, 4);
	assert_false(r.operators[0].group);
	assert_int_equal(r.operators[0].id, 0);
	assert_true(r.operators[1].group);
	assert_int_equal(r.operators[1].id, 0);
	assert_false(r.operators[2].group);
	assert_int_equal(r.operators[2].id, 1001);
	assert_true(r.operators[3].group);
	assert_int_equal(r.operators[3].id, 2001);
	assert_int_equal(r.viewers_n, 1);
	assert_false(r.anyone_views);
	assert_int_equal(r.connections, 20);
	assert_int_equal(r.streams, 5);
	assert_int_equal(r.request_max, 8192);
	assert_int_equal(r.stream_max, 16384);
	assert_int_equal(r.timeout_ms, 2000);
	assert_int_equal(read_rules("[control]\n", why, &r), 0);
	assert_true(r.anyone_views);
}

static void
a_name_that_nobody_has_is_an_error(void **state)
{
	static const char *const bad[] = {
		"no-such-user-here", "@no-such-group-here", "@",
		"99999999999999999999", "-1"
	};
	struct control_rules r = { .operators_n = 99 };
	char why[CONTROL_WHY_SIZE], text[200];

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		(void)snprintf(text, sizeof(text), "[control]\n%s = root, %s"
		    "\n", i % 2 == 0 ? "operators" : "viewers", bad[i / 2]);
		assert_int_equal(read_rules(text, why, &r), -EINVAL);
		assert_non_null(strstr(why, i % 2 == 0 ? "operators" :
		    "viewers"));
		assert_non_null(strstr(why, "there is no "));
		assert_int_equal(r.operators_n, 99);
	}
}

static void
a_list_has_at_most_64_names(void **state)
{
	struct control_rules r = { .operators_n = 99 };
	char why[CONTROL_WHY_SIZE], text[600] = "[control]\noperators = 1";

	(void)state;
	for (unsigned i = 1; i < CONTROL_WHO_MAX; i++)
		(void)strncat(text, ", 2", sizeof(text) - strlen(text) - 1);
	assert_int_equal(read_rules(text, why, &r), 0);
	assert_int_equal(r.operators_n, CONTROL_WHO_MAX);
	(void)strncat(text, ", 3", sizeof(text) - strlen(text) - 1);
	assert_int_equal(read_rules(text, why, &r), -EINVAL);
	assert_non_null(strstr(why, "at most 64"));
	assert_int_equal(r.operators_n, CONTROL_WHO_MAX);
}

static void
short_memory_is_an_error(void **state)
{
	struct control_rules r = { .operators_n = 99 };
	struct conf *conf = conf_of("[control]\noperators = root\n");
	char why[CONTROL_WHY_SIZE] = "";

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(control_rules_read(conf, why, &r), -ENOMEM);
	mem_fail_nth(0);
	assert_int_equal(r.operators_n, 99);
	conf_unref(&conf);
}

#define WITH_CONF(t) \
	cmocka_unit_test_setup_teardown(t, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_and_the_daemons_user_are_operators),
		cmocka_unit_test(users_and_groups_of_a_list_have_its_role),
		cmocka_unit_test(without_viewers_everybody_is_one),
		cmocka_unit_test(what_is_no_unix_socket_is_nobody),
		cmocka_unit_test(our_own_process_is_an_operator),
		cmocka_unit_test(a_peer_has_all_its_groups),
		WITH_CONF(names_and_numbers_are_looked_up),
		WITH_CONF(a_name_that_nobody_has_is_an_error),
		WITH_CONF(a_list_has_at_most_64_names),
		WITH_CONF(short_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
