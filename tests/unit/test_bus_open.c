/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/event/bus_open.c: the addresses of a bus, which two processes may have
 * one after the other.
 */
#include "bus_try.h"

/* ---- listening ---------------------------------------------------------- */

/* It takes one that is gone before nng sends it a header; after one that went a
 * little later nng accepts nobody for 100 ms, and the next try counts. */
static void
come_and_go(void)
{
	unsigned i;

	for (i = 0; i < 12; i++) {
		(void)close(sp_connect_raw(events_path, SOON));
		(void)close(sp_connect_raw(snapshots_path, SOON));
		(void)poll(NULL, 0, 120);
	}
}

/* nng 1.5.2 (issue 1518): one such peer, and no new one ever gets through. */
static void
connect_and_close_does_not_end_the_bus(void **state)
{
	struct event_bus_opts o = options();
	static char text[300000];
	struct event_bus *bus;
	uint64_t began;
	int i, fd = -1;

	(void)state;
	o.canary_ms = 200;
	bus = start(&o);
	come_and_go();
	began = clock_mono_ms();
	fd = subscribe(bus, events_path, SOON);
	assert_true(fd >= 0);
	print_message("# events after %llu ms, listened again %llu times\n",
	    (unsigned long long)(clock_mono_ms() - began),
	    (unsigned long long)stats(bus).relistened);
	(void)close(fd);
	for (i = 0; i < 100; i++) {
		fd = sp_connect(snapshots_path, SP_REQ, 1000);
		if (fd >= 0 && sp_send(fd, SP_REQ, "{\"get\":\"summary\"}",
		    17) == 0 && sp_recv(fd, SP_REQ, text, sizeof(text),
		    100) > 0)
			break;
		(void)close(fd);
	}
	assert_true(i < 100);
	(void)close(fd);
	event_bus_free(&bus);
}

static void
a_removed_path_comes_back(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus;
	int fd;

	(void)state;
	o.canary_ms = 100;
	bus = start(&o);
	assert_int_equal(unlink(events_path), 0);
	fd = subscribe(bus, events_path, SOON);
	assert_true(fd >= 0);
	assert_true(stats(bus).relistened >= 1);
	(void)close(fd);
	event_bus_free(&bus);
}

static void
a_second_bus_is_refused_and_does_no_harm(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus = start(&o), *second = NULL;
	char why[256];
	int fd;

	(void)state;
	assert_int_equal(event_bus_new(&o, why, &second), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(why, events));
	/* No canary here: the first listener must not have been hurt. */
	fd = subscribe(bus, events_path, SOON);
	assert_true(fd >= 0);
	(void)close(fd);
	event_bus_free(&bus);
}

static void
a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct event_bus_opts o = options();
	struct event_bus *bus = NULL;
	char why[256];
	int fd;

	(void)state;
	/* As after a crash: the name is there, nobody behind it. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(sa.sun_path, events_path, strlen(events_path) + 1);
	assert_int_equal(bind(fd, (const void *)&sa, sizeof(sa)), 0);
	(void)close(fd);
	assert_int_equal(access(events_path, F_OK), 0);
	bus = start(&o);
	event_bus_free(&bus);
	fd = open(events_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(event_bus_new(&o, why, &bus), -EADDRINUSE);
	assert_null(bus);
	assert_int_equal(access(events_path, F_OK), 0);
	(void)unlink(events_path);
}

/* ---- two processes have one address by turns ---------------------------- */

/* The next event but bus.alive, as text. */
static bool
next_event(int fd, char *text, size_t cap, int within_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)within_ms;

	while (clock_mono_ms() < end)
		if (sp_recv(fd, SP_SUB, text, cap, within_ms) > 0 &&
		    strncmp(text, "bus.alive ", 10) != 0)
			return true;
	return false;
}

static bool
at_its_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[4096];

	while (poll(&p, 1, SOON) == 1)
		if (recv(fd, text, sizeof(text), 0) <= 0)
			return true;
	return false;
}

static struct event
upgraded(void)
{
	static const char detail[] = "{\"epoch\":7,\"version\":\"t\"}";

	return (struct event){
		.type = EVENT_DAEMON_UPGRADED, .text = "2.0",
		.detail = detail, .detail_n = sizeof(detail) - 1
	};
}

static void
summary_of(const char *path, char *text, size_t cap)
{
	static const char request[] = "{\"get\":\"summary\"}";
	int fd = sp_connect(path, SP_REQ, SOON);

	assert_true(fd >= 0);
	assert_int_equal(sp_send(fd, SP_REQ, request, sizeof(request) - 1),
	    0);
	assert_true(sp_recv(fd, SP_REQ, text, cap, SOON) > 0);
	(void)close(fd);
}

/* What the next process knows already. */
static void
known(void *ctx, void (*know)(void *arg, const struct event *), void *arg)
{
	struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .endpoint = "known",
		.channel = 3, .revision = 4, .state = PRESENCE_ONLINE,
		.wall_ms = 1
	};
	unsigned *calls = ctx;

	++*calls;
	know(arg, &ev);
}

static void
the_next_process_goes_on_at_the_same_address(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *former = start(&o), *next;
	struct event first = upgraded();
	char text[8192], why[256];
	unsigned calls = 0;
	int fd = subscribe(former, events_path, SOON);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stats(former).subscribers, 1);
	o.epoch = 8;
	o.closed = true;
	next = start(&o);
	event_emit(next, &first);
	emit(next, "early", 1);
	event_kick(next);
	/* The former has the address yet. */
	assert_int_equal(event_bus_open(next, NULL, NULL, 1, why),
	    -EADDRINUSE);
	assert_non_null(strstr(why, "in use by another process"));
	emit(former, "last", 1);
	event_bus_free(&former);
	assert_true(next_event(fd, text, sizeof(text), SOON));
	while (strncmp(text, "endpoint.online/last ", 21) != 0)
		assert_true(next_event(fd, text, sizeof(text), SOON));
	assert_true(at_its_end(fd));
	(void)close(fd);
	assert_int_equal(access(events_path, F_OK), -1);
	assert_int_equal(event_bus_open(next, known, &calls, 1, why), 0);
	assert_int_equal(calls, 1);
	emit(next, "after", 1);
	event_kick(next);
	/* It comes back when all were emitted long since. */
	fd = sp_connect(events_path, SP_SUB, SOON);
	assert_true(fd >= 0);
	assert_true(next_event(fd, text, sizeof(text), SOON));
	assert_int_equal(strncmp(text, "daemon.upgraded {", 17), 0);
	assert_int_equal(number(text, "\"epoch\":"), 8);
	assert_int_equal(number(text, "\"seq\":"), 1);
	assert_non_null(strstr(text, "\"text\":\"2.0\""));
	assert_non_null(strstr(text, "\"detail\":{\"epoch\":7,"));
	assert_true(next_event(fd, text, sizeof(text), SOON));
	assert_int_equal(strncmp(text, "endpoint.online/early ", 22), 0);
	assert_int_equal(number(text, "\"seq\":"), 2);
	assert_true(next_event(fd, text, sizeof(text), SOON));
	assert_int_equal(strncmp(text, "endpoint.online/after ", 22), 0);
	assert_int_equal(number(text, "\"seq\":"), 3);
	summary_of(snapshots_path, text, sizeof(text));
	assert_non_null(strstr(text, "\"upgraded\":{\"time\":\""));
	assert_non_null(strstr(text, "\"detail\":{\"epoch\":7,"));
	assert_int_equal(stats(next).endpoints, 3);
	assert_int_equal(event_bus_open(next, NULL, NULL, 1, why), -EALREADY);
	(void)close(fd);
	event_bus_free(&next);
	assert_int_equal(access(events_path, F_OK), -1);
}

static void
who_does_not_come_back_holds_nobody_up_for_long(void **state)
{
	struct event_bus_opts o = options();
	struct event first = upgraded();
	struct event_bus *bus;
	char text[8192], why[256];
	int fd;

	(void)state;
	o.closed = true;
	bus = start(&o);
	event_emit(bus, &first);
	assert_int_equal(event_bus_open(bus, NULL, NULL, 2, why), 0);
	fd = sp_connect(events_path, SP_SUB, SOON);
	assert_true(fd >= 0);
	assert_true(next_event(fd, text, sizeof(text), SOON));
	assert_int_equal(strncmp(text, "daemon.upgraded ", 16), 0);
	(void)close(fd);
	event_bus_free(&bus);
	/* Nor does it fill the ring, before it is opened and after. */
	bus = start(&o);
	for (unsigned i = 0; i < o.ring; i++)
		emit(bus, "many", i + 1);
	event_kick(bus);
	wait_for_seq(bus, o.ring / 8);
	assert_int_equal(event_bus_open(bus, NULL, NULL, 100, why), 0);
	wait_for_seq(bus, o.ring);
	/* The end does not wait for them either. */
	event_bus_free(&bus);
}

static void
an_address_that_cannot_be_had_leaves_it_closed(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus;
	char why[256];
	int fd;

	(void)state;
	o.closed = true;
	bus = start(&o);
	assert_int_equal(access(events_path, F_OK), -1);
	fd = open(snapshots_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(event_bus_open(bus, NULL, NULL, 5, why),
		    -EADDRINUSE);
		assert_non_null(strstr(why, snapshots_path));
		/* The one that could be had was given back. */
		assert_int_equal(access(events_path, F_OK), -1);
		assert_int_equal(access(snapshots_path, F_OK), 0);
	}
	(void)unlink(snapshots_path);
	assert_int_equal(event_bus_open(bus, NULL, NULL, 0, why), 0);
	emit(bus, "a", 1);
	event_kick(bus);
	wait_for_seq(bus, 1);
	event_bus_free(&bus);
	/* Nor does it have to be opened at all. */
	bus = start(&o);
	emit(bus, "a", 1);
	event_bus_free(&bus);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_and_close_does_not_end_the_bus),
		cmocka_unit_test(a_removed_path_comes_back),
		cmocka_unit_test(a_second_bus_is_refused_and_does_no_harm),
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_file_is_not),
		cmocka_unit_test(the_next_process_goes_on_at_the_same_address),
		cmocka_unit_test(
		    who_does_not_come_back_holds_nobody_up_for_long),
		cmocka_unit_test(
		    an_address_that_cannot_be_had_leaves_it_closed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
