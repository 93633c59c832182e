/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd in a loop (core/net/mhd.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/loop.h"
#include "net/mhd.h"
#include "../lib/fds.h"

/* Sent byte by byte, a run each: far more than are done in one go. */
#define BODY 1000

static struct loop *loop;
static struct mhd mhd;
static unsigned opened, closed;

static ssize_t
on_body(void *cls, uint64_t at, char *to, size_t max)
{
	(void)cls, (void)at, (void)max;
	*to = 'x';
	return 1;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *body, size_t *body_n,
    void **con_cls)
{
	struct MHD_Response *r;
	enum MHD_Result queued;

	(void)url, (void)method, (void)version, (void)body;
	assert_ptr_equal(cls, &mhd);
	assert_ptr_equal(*con_cls, &loop);
	*body_n = 0;
	r = MHD_create_response_from_callback(BODY, 1, on_body, NULL, NULL);
	queued = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return queued;
}

static void
on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	(void)c, (void)socket_context;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		opened++;
		return;
	}
	closed++;
	mhd_kick(cls);
}

static void
on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	(void)cls, (void)c, (void)con_cls, (void)code;
}

static void *
on_target(void *cls, const char *target, struct MHD_Connection *c)
{
	(void)cls, (void)c;
	assert_string_equal(target, "/a?b");
	return &loop;
}

static const struct mhd_opts opts = {
	.flags = MHD_ALLOW_UPGRADE, .pool = 16 * 1024,
	.log_as = "libmicrohttpd:", .cls = &mhd,
	.on_request = on_request, .on_connection = on_connection,
	.on_completed = on_completed, .on_target = on_target
};

static int
set_up(void **state)
{
	(void)state;
	opened = closed = 0;
	memset(&mhd, 0, sizeof(mhd));
	return loop_new(&loop);
}

static int
tear_down(void **state)
{
	(void)state;
	mhd_fini(&mhd);
	loop_free(&loop);
	return 0;
}

/* Our end of a new connection. */
static int
connected(void)
{
	static const struct sockaddr_un nobody = { .sun_family = AF_UNIX };
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(MHD_add_connection(mhd.daemon, fd[1],
	    (const struct sockaddr *)&nobody, sizeof(nobody.sun_family)),
	    MHD_YES);
	assert_int_equal(opened, 1);
	return fd[0];
}

static void
ask(int fd)
{
	static const char request[] = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n";

	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
	    sizeof(request) - 1);
}

static void
expect_answer(int fd)
{
	static char got[BODY + 1024];
	const char *body = NULL;
	size_t n = 0;
	ssize_t r;

	memset(got, 0, sizeof(got));
	for (int i = 0; i < 1000 && (body == NULL || strlen(body) < BODY);
	    i++) {
		(void)loop_turn(loop, 10);
		r = recv(fd, got + n, sizeof(got) - 1 - n, 0);
		n += r > 0 ? (size_t)r : 0;
		body = strstr(got, "\r\n\r\nx");
		body = body == NULL ? NULL : body + 4;
	}
	assert_non_null(body);
	assert_int_equal(strspn(body, "x"), BODY);
}

static void
the_loop_serves_who_was_added(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(mhd_init(&mhd, loop, &opts), 0);
	fd = connected();
	mhd_kick(&mhd);
	ask(fd);
	expect_answer(fd);
	(void)close(fd);
}

static void
what_takes_long_goes_on_at_the_end_of_the_turn(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(mhd_init(&mhd, loop, &opts), 0);
	fd = connected();
	ask(fd);
	mhd_run(&mhd);
	assert_true(mhd.again.pending);
	expect_answer(fd);
	(void)close(fd);
}

static void
the_end_closes_who_is_left_and_forgets_his_kicks(void **state)
{
	char c;
	int fd;

	(void)state;
	assert_int_equal(mhd_init(&mhd, loop, &opts), 0);
	fd = connected();
	mhd_kick(&mhd);
	mhd_fini(&mhd);
	assert_int_equal(closed, 1);
	assert_false(mhd.again.pending);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	mhd_fini(&mhd);
	(void)close(fd);
}

static void
without_descriptors_there_is_none(void **state)
{
	struct rlimit all, few;
	unsigned before = fds_open();

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(mhd_init(&mhd, loop, &opts), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_null(mhd.daemon);
	assert_int_equal(fds_open(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_loop_serves_who_was_added),
		T(what_takes_long_goes_on_at_the_end_of_the_turn),
		T(the_end_closes_who_is_left_and_forgets_his_kicks),
		T(without_descriptors_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
