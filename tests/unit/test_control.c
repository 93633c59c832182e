/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/control.c: the socket, connections, deadlines, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/control_rig.h"
#include "../lib/under_valgrind.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/bus.h"

#define STATUS "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"

static struct control_rig rig;
static char other[170], why[CONTROL_WHY_SIZE];

static int
set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LVL_ERROR);
	control_rig_init(&rig);
	return 0;
}

static int
set_up_started(void **state)
{
	(void)set_up(state);
	control_rig_start(&rig);
	(void)snprintf(other, sizeof(other), "%s2", rig.path);
	why[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	control_rig_stop(&rig);
	return 0;
}

static struct control *
the_control(void)
{
	return atomic_load(&rig.control);
}

/* ---- the socket --------------------------------------------------------- */

static int
open_at(const char *path, struct control **ret)
{
	struct control_deps deps = rig.deps;

	deps.path = path;
	return control_new(&deps, &rig.rules, why, ret);
}

static void
close_it(struct control **c)
{
	control_stop(*c);
	control_free(c);
	assert_null(*c);
}

static void
only_its_owner_and_group_can_connect(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(rig.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void
a_socket_that_is_in_use_is_left_alone(void **state)
{
	struct control *c = NULL;

	(void)state;
	assert_int_equal(open_at(rig.path, &c), -EADDRINUSE);
	assert_null(c);
	assert_non_null(strstr(why, "another daemon"));
	assert_int_equal(control_rig_status(&rig, "GET", "/v1/status", NULL,
	    NULL), 200);
}

static void
a_socket_that_was_left_is_replaced(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct control *c = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", other);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	(void)close(fd);
	assert_int_equal(open_at(other, &c), 0);
	close_it(&c);
	assert_int_equal(access(other, F_OK), -1);
}

static void
files_that_were_replaced_are_named_but_not_all(void **state)
{
	struct control_answer a;
	json_t *restart;

	(void)state;
	for (rig.replaced = 0; rig.replaced <= 40; rig.replaced += 20) {
		unsigned named = rig.replaced == 0 ? 0 : 16;

		control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
		assert_int_equal(a.status, 200);
		restart = json_object_get(a.json, "restart");
		assert_int_equal(json_is_true(json_object_get(restart,
		    "pending")), rig.replaced > 0);
		assert_int_equal(json_array_size(json_object_get(restart,
		    "replaced")), named);
		control_answer_free(&a);
	}
}

static void
a_path_where_no_socket_can_be_is_an_error(void **state)
{
	struct control *c = NULL;
	char path[400];
	int fd = open(other, O_CREAT | O_WRONLY, 0600);

	(void)state;
	(void)close(fd);
	assert_int_equal(open_at(other, &c), -EEXIST);
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(open_at("/nowhere/at/all", &c), -ENOENT);
	(void)snprintf(path, sizeof(path), "/tmp/%0200d", 1);
	assert_int_equal(open_at(path, &c), -ENAMETOOLONG);
	assert_null(c);
	assert_non_null(strstr(why, "control socket \"/tmp/00"));
}

static void
short_memory_at_the_start_leaves_nothing(void **state)
{
	struct control *c = NULL;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = open_at(other, &c);
		if (mem_fail_nth(0) < n)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(c);
		assert_true(why[0] != '\0');
		assert_int_equal(access(other, F_OK), -1);
	}
	assert_int_equal(r, 0);
	assert_true(n > 2);
	close_it(&c);
	control_free(&c);
	control_stop(NULL);
	control_refuse(NULL);
}

/* ---- connections -------------------------------------------------------- */

static void
more_connections_than_allowed_are_told(void **state)
{
	struct control_answer a;
	int fd[4], more;

	(void)state;
	rig.rules.connections = 4;
	control_rig_start(&rig);
	for (int i = 0; i < 4; i++)
		fd[i] = control_rig_dial(&rig);
	more = control_rig_dial(&rig);
	control_rig_answer(&rig, more, &a);
	assert_int_equal(a.status, 503);
	control_answer_free(&a);
	control_rig_answer(&rig, more, &a);
	assert_int_equal(a.status, 0);
	(void)close(more);
	assert_int_equal(atomic_load(&the_control()->counters.
	    connections_refused), 1);
	control_rig_send(&rig, fd[3], STATUS);
	control_rig_answer(&rig, fd[3], &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	for (int i = 0; i < 4; i++)
		(void)close(fd[i]);
	while (atomic_load(&the_control()->counters.connections) > 0)
		control_rig_turn(&rig);
	assert_int_equal(control_rig_status(&rig, "GET", "/v1/status", NULL,
	    NULL), 200);
}

/* In a child that is somebody else: two connections are taken, and the third is
 * told why not. */
static void
be_a_viewer(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char got[64];
	int fd = -1;

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", rig.path);
	if (setgroups(0, NULL) != 0 || setgid(65534) != 0 ||
	    setuid(65534) != 0)
		_exit(1);
	for (int i = 0; i < 3; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
			_exit(2);
	}
	if (recv(fd, got, 12, MSG_WAITALL) != 12 ||
	    memcmp(got, "HTTP/1.1 503", 12) != 0)
		_exit(3);
	(void)raise(SIGKILL);		/* valgrind says nothing
					 * of a copy then */
}

static void
a_quarter_of_the_connections_is_for_operators(void **state)
{
	struct control *c;
	pid_t child;
	int fd, status;

	(void)state;
	rig.rules.connections = 4;
	rig.rules.anyone_views = true;
	control_rig_start(&rig);
	c = the_control();
	if (getuid() != 0) {
		skip();
		return;
	}
	*strrchr(rig.path, '/') = '\0';
	assert_int_equal(chmod(rig.path, 0711), 0);
	rig.path[strlen(rig.path)] = '/';
	assert_int_equal(chmod(rig.path, 0666), 0);
	fd = control_rig_dial(&rig);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		be_a_viewer();
	while (waitpid(child, &status, WNOHANG) == 0)
		control_rig_turn(&rig);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(atomic_load(&c->counters.connections_refused), 1);
	(void)close(fd);
}

static void
no_memory_for_a_connection_is_told(void **state)
{
	struct control_answer a;
	int fd;

	(void)state;
	mem_fail_nth(1);
	fd = control_rig_dial(&rig);
	mem_fail_nth(0);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 503);
	control_answer_free(&a);
	(void)close(fd);
	assert_int_equal(atomic_load(&the_control()->counters.connections), 0);
	assert_int_equal(control_rig_status(&rig, "GET", "/v1/status", NULL,
	    NULL), 200);
}

static void
without_descriptors_it_waits_and_goes_on(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct control *c = the_control();
	struct rlimit was, low;
	int fd, lowest;

	(void)state;
	if (under_valgrind()) {
		skip();
		return;
	}
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", rig.path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	lowest = dup(fd);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = was;
	low.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (!c->paused)
		control_rig_turn(&rig);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	while (atomic_load(&c->counters.connections) == 0)
		control_rig_turn(&rig);
	assert_false(c->paused);
	(void)close(fd);
}

static void
changed_rules_hold_at_once(void **state)
{
	struct control_rules rules = rig.rules;

	(void)state;
	rules.request_max = 10;
	control_set_rules(the_control(), &rules);
	assert_int_equal(control_rig_status(&rig, "PUT", "/v1/log-level",
	    "{\"level\":\"error\"}", NULL), 413);
	assert_true(control_counters(the_control()) ==
	    &the_control()->counters);
}

/* ---- deadlines ---------------------------------------------------------- */

static void
a_request_has_to_come_in_time(void **state)
{
	static const char *const begun[] = {
		"", "GET /v1/st",
		("PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 10\r\n\r\n{")
	};
	struct control_answer a;
	int fd;

	(void)state;
	rig.rules.timeout_ms = 50;
	control_rig_start(&rig);
	for (unsigned i = 0; i < 3; i++) {
		fd = control_rig_dial(&rig);
		control_rig_send(&rig, fd, begun[i]);
		control_rig_answer(&rig, fd, &a);
		assert_int_equal(a.status, 408);
		control_answer_free(&a);
		control_rig_answer(&rig, fd, &a);
		assert_int_equal(a.status, 0);
		(void)close(fd);
	}
	assert_int_equal(atomic_load(&the_control()->counters.timeouts), 3);
	/* Between requests it ends in silence. */
	fd = control_rig_dial(&rig);
	control_rig_send(&rig, fd, STATUS);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 0);
	(void)close(fd);
	assert_int_equal(atomic_load(&the_control()->counters.timeouts), 4);
}

static void
who_waits_for_news_has_no_deadline(void **state)
{
	struct control_answer a;
	int fd;

	(void)state;
	rig.rules.timeout_ms = 50;
	control_rig_start(&rig);
	fd = control_rig_dial(&rig);
	control_rig_send(&rig, fd, "GET /v1/telemetry?wait_ms=300 HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	(void)close(fd);
}

static void
who_hangs_up_while_it_waits_is_forgotten(void **state)
{
	int fd = control_rig_dial(&rig);

	(void)state;
	control_rig_send(&rig, fd, "GET /v1/telemetry?wait_ms=60000 "
	    "HTTP/1.1\r\nHost: x\r\n\r\n");
	while (list_empty(&the_control()->waiting))
		control_rig_turn(&rig);
	control_rig_settle(&rig);
	(void)close(fd);
	while (atomic_load(&the_control()->counters.connections) > 0)
		control_rig_turn(&rig);
	assert_true(list_empty(&the_control()->waiting));
	assert_true(list_empty(&the_control()->exchanges));
}

/* ---- the end ------------------------------------------------------------ */

static void
nobody_is_let_in_after_refuse(void **state)
{
	struct control_answer a;
	int fd = control_rig_dial(&rig);

	(void)state;
	control_refuse(the_control());
	control_refuse(the_control());
	control_rig_send(&rig, fd, STATUS);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 503);
	control_answer_free(&a);
	(void)close(fd);
}

/* With its thread, as in the daemon. */
static void
the_end_answers_who_waits(void **state)
{
	struct control_answer a;
	struct control *c = the_control();
	char text[400] = "";
	int poll = control_rig_dial(&rig), stream = control_rig_dial(&rig);

	(void)state;
	control_rig_send(&rig, poll, "GET /v1/telemetry?wait_ms=60000 "
	    "HTTP/1.1\r\nHost: x\r\n\r\n");
	control_rig_send(&rig, stream, "GET /v1/events HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	assert_true(control_rig_text(&rig, stream, text, sizeof(text),
	    "event: open"));
	while (list_empty(&c->waiting))
		control_rig_turn(&rig);
	control_rig_settle(&rig);
	assert_int_equal(control_start(c), 0);
	control_refuse(c);
	control_stop(c);
	control_stop(c);
	atomic_store(&rig.control, NULL);
	control_rig_answer(&rig, poll, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	while (recv(stream, text, sizeof(text), 0) > 0)
		continue;
	assert_int_equal(access(rig.path, F_OK), -1);
	event_bus_free(&rig.bus);
	store_free(&rig.store);
	control_free(&c);
	(void)close(poll);
	(void)close(stream);
}

/* ---- a new process takes over ------------------------------------------- */

static void
what_begins_while_it_is_held_is_told_to_come_again(void **state)
{
	struct control_answer a;
	char text[400] = "";
	int poll = control_rig_dial(&rig), stream = control_rig_dial(&rig);
	struct control *c = the_control();

	(void)state;
	control_rig_send(&rig, poll, "GET /v1/telemetry?wait_ms=60000 "
	    "HTTP/1.1\r\nHost: x\r\n\r\n");
	control_rig_send(&rig, stream, "GET /v1/events HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	assert_true(control_rig_text(&rig, stream, text, sizeof(text),
	    "event: open"));
	while (list_empty(&c->waiting))
		control_rig_turn(&rig);
	control_hold(c, true);
	control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
	assert_int_equal(a.status, 503);
	assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
	assert_string_equal(json_string_value(json_object_get(a.json,
	    "type")), "urn:cleat:problem:upgrading");
	control_answer_free(&a);
	control_rig_ask(&rig, "POST", "/v1/reload", NULL, &a);
	assert_int_equal(a.status, 503);
	control_answer_free(&a);
	assert_int_equal(rig.errands, 0);
	/* Streams go on, and so does who waits. */
	event_emit(rig.bus, &(struct event){ .type = EVENT_DAEMON_READY });
	event_kick(rig.bus);
	assert_true(control_rig_text(&rig, stream, text, sizeof(text),
	    "daemon.ready"));
	assert_false(list_empty(&c->waiting));
	control_hold(c, false);
	control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
	assert_int_equal(a.status, 200);
	assert_null(strstr(a.head, "Retry-After"));
	control_answer_free(&a);
	(void)close(poll);
	(void)close(stream);
	control_rig_settle(&rig);
}

static int
adopt_at(const char *path, int fd, struct control **ret)
{
	struct control_deps deps = rig.deps;

	deps.path = path;
	deps.passed = true;
	deps.passed_fd = fd;
	return control_new(&deps, &rig.rules, why, ret);
}

static void
the_socket_is_lent_and_becomes_the_next_ones(void **state)
{
	struct control *c = NULL, *next = NULL;
	struct control_answer a;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(open_at(other, &c), 0);
	assert_int_equal(adopt_at(other, control_fd(c), &next), 0);
	close_it(&next);		/* it gave up: not its file */
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(adopt_at(other, control_fd(c), &next), 0);
	assert_true(control_fd(next) != control_fd(c));
	control_lend(c, true);
	close_it(&c);
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(open_at(other, &c), -EADDRINUSE);
	/* It serves who connected before it ran. */
	control_lend(next, false);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", other);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(send(fd, STATUS, strlen(STATUS), 0), strlen(STATUS));
	assert_int_equal(control_start(next), 0);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	(void)close(fd);
	close_it(&next);
	assert_int_equal(access(other, F_OK), -1);
}

static void
a_socket_of_somewhere_else_is_not_adopted(void **state)
{
	struct control *c = NULL;
	int pair[2];

	(void)state;
	assert_int_equal(adopt_at(other, control_fd(the_control()), &c),
	    -EADDRNOTAVAIL);
	assert_int_equal(adopt_at(other, -1, &c), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(adopt_at(other, pair[0], &c), -ENOTSOCK);
	assert_non_null(strstr(why, other));
	assert_null(c);
	(void)close(pair[0]);
	(void)close(pair[1]);
	for (unsigned long n = 1; ; n++) {
		int r;

		mem_fail_nth(n);
		r = adopt_at(rig.path, control_fd(the_control()), &c);
		mem_fail_nth(0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(c);
	}
	close_it(&c);
	assert_int_equal(access(rig.path, F_OK), 0);
}

#define TEST(t) \
	cmocka_unit_test_setup_teardown(t, set_up_started, tear_down)
#define TEST_OWN(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_its_owner_and_group_can_connect),
		TEST(a_socket_that_is_in_use_is_left_alone),
		TEST(a_socket_that_was_left_is_replaced),
		TEST(files_that_were_replaced_are_named_but_not_all),
		TEST(a_path_where_no_socket_can_be_is_an_error),
		TEST(short_memory_at_the_start_leaves_nothing),
		TEST_OWN(more_connections_than_allowed_are_told),
		TEST_OWN(a_quarter_of_the_connections_is_for_operators),
		TEST(no_memory_for_a_connection_is_told),
		TEST(without_descriptors_it_waits_and_goes_on),
		TEST(changed_rules_hold_at_once),
		TEST_OWN(a_request_has_to_come_in_time),
		TEST_OWN(who_waits_for_news_has_no_deadline),
		TEST(who_hangs_up_while_it_waits_is_forgotten),
		TEST(nobody_is_let_in_after_refuse),
		TEST(the_end_answers_who_waits),
		TEST(what_begins_while_it_is_held_is_told_to_come_again),
		TEST(the_socket_is_lent_and_becomes_the_next_ones),
		TEST(a_socket_of_somewhere_else_is_not_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
