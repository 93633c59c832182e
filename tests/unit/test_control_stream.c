/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/stream.c: events as they happen, and whom they wake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/control_rig.h"
#include "base/log.h"
#include "base/mem.h"

static struct control_rig rig;
static char text[600000];
static uint64_t last;

static int
set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LVL_ERROR);
	control_rig_init(&rig);
	control_rig_start(&rig);
	text[0] = '\0';
	last = 0;
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

/* What the bus' tap is told; the bus itself is silent. */
static void
happens(enum event_type type, const char *endpoint, const char *json)
{
	struct event ev = { .type = type, .endpoint = endpoint };

	control_event(the_control(), ++last, &ev, json, strlen(json));
}

static int
listen_to(const char *query, const char *header)
{
	char request[300];
	int fd = control_rig_dial(&rig);

	(void)snprintf(request, sizeof(request), "GET /v1/events%s HTTP/1.1"
	    "\r\nHost: x\r\n%s\r\n", query, header);
	control_rig_send(&rig, fd, request);
	return fd;
}

static void
see(int fd, const char *part)
{
	if (!control_rig_text(&rig, fd, text, sizeof(text), part))
		fail_msg("the stream has ended");
}

static void
a_stream_says_where_it_begins(void **state)
{
	int fd;

	(void)state;
	happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	fd = listen_to("", "");
	see(fd, "event: open\ndata: {\"epoch\":7,\"seq\":1}\n\n");
	assert_non_null(strstr(text, "Content-Type: text/event-stream"));
	(void)close(fd);
}

static void
events_come_with_name_number_and_data(void **state)
{
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	happens(EVENT_ENDPOINT_ONLINE, "a", "{\"x\":1}");
	see(fd, "id: 7-1\nevent: endpoint.online\ndata: {\"x\":1}\n\n");
	(void)close(fd);
}

/* A device's text may have new lines between its tokens. */
static void
data_is_one_line(void **state)
{
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	happens(EVENT_ENDPOINT_MESSAGE, "a", "{\r\n\"x\":\n1}");
	see(fd, "data: {  \"x\": 1}\n\n");
	(void)close(fd);
}

static void
a_prefix_selects_by_topic(void **state)
{
	int fd = listen_to("?prefix=endpoint.online/b", "");

	(void)state;
	see(fd, "event: open");
	happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	happens(EVENT_DAEMON_READY, NULL, "{}");
	happens(EVENT_ENDPOINT_OFFLINE, "b", "{}");
	happens(EVENT_ENDPOINT_ONLINE, "bc", "{}");
	see(fd, "id: 7-4\n");
	assert_null(strstr(text, "id: 7-1"));
	assert_null(strstr(text, "id: 7-2"));
	assert_null(strstr(text, "id: 7-3"));
	(void)close(fd);
}

static void
what_was_missed_is_a_gap(void **state)
{
	static const struct {
		const char *id, *gap;
	} rows[] = {
		{ "7-5", NULL }, { "7-2", "\"lost\":3}" },
		{ "7-0", "\"lost\":5}" }, { "7-6", "\"lost\":null}" },
		{ "6-5", "\"lost\":null}" }, { "8-1", "\"lost\":null}" },
		{ "7-18446744073709551615", "\"lost\":null}" },
	};
	char header[100];
	int fd;

	(void)state;
	for (int i = 0; i < 5; i++)
		happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text[0] = '\0';
		(void)snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n",
		    rows[i].id);
		fd = listen_to("", header);
		see(fd, "event: open");
		happens(EVENT_DAEMON_READY, NULL, "{}");
		see(fd, "event: daemon.ready");
		last--;
		atomic_store(&the_control()->seen, last);
		if (rows[i].gap == NULL)
			assert_null(strstr(text, "event: gap"));
		else
			assert_non_null(strstr(text, rows[i].gap));
		(void)close(fd);
		while (atomic_load(&the_control()->counters.streams) > 0)
			control_rig_turn(&rig);
	}
}

static void
wrong_requests_for_streams_are_refused(void **state)
{
	static const char *const bad[] = {
		"7", "-", "7-", "-7", "a-1", "7-1-1", "7-18446744073709551616",
		"111111111111111111111111111111-1"
	};
	struct control_answer a;
	char query[400], header[100];
	int fd;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n",
		    bad[i]);
		fd = listen_to("", header);
		control_rig_answer(&rig, fd, &a);
		assert_int_equal(a.status, 400);
		control_answer_free(&a);
		(void)close(fd);
	}
	(void)snprintf(query, sizeof(query), "/v1/events?prefix=%0256d", 1);
	assert_int_equal(control_rig_status(&rig, "GET", query, NULL, NULL),
	    400);
	assert_int_equal(atomic_load(&the_control()->counters.streams), 0);
	assert_int_equal(atomic_load(&the_control()->listeners), 0);
}

static void
streams_are_limited(void **state)
{
	int fd[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		text[0] = '\0';
		fd[i] = listen_to("", "");
		see(fd[i], "event: open");
	}
	assert_int_equal(control_rig_status(&rig, "GET", "/v1/events", NULL,
	    NULL), 503);
	for (int i = 0; i < 4; i++)
		(void)close(fd[i]);
	while (atomic_load(&the_control()->counters.streams) > 0)
		control_rig_turn(&rig);
	text[0] = '\0';
	fd[0] = listen_to("", "");
	see(fd[0], "event: open");
	(void)close(fd[0]);
}

/* Events that came, and those that a gap says were lost. */
static uint64_t
told(void)
{
	uint64_t n = 0;
	const char *at;

	for (at = text; (at = strstr(at, "\nid: 7-")) != NULL; at++)
		n++;
	for (at = text; (at = strstr(at, "\"lost\":")) != NULL; at++)
		n += strtoull(at + 7, NULL, 10);
	return n;
}

static void
who_does_not_read_hears_how_much_it_lost(void **state)
{
	char json[1100];
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	memset(json, 'x', sizeof(json));
	memcpy(json, "{\"x\":\"", 6);
	(void)snprintf(json + 1000, sizeof(json) - 1000, "\"}");
	for (int i = 0; i < 2000; i++) {
		happens(EVENT_ENDPOINT_MESSAGE, "a", json);
		control_rig_turn(&rig);
	}
	see(fd, "event: gap");
	happens(EVENT_DAEMON_READY, NULL, "{}");
	see(fd, "event: daemon.ready");
	see(fd, "daemon.ready\ndata: {}\n\n");
	assert_int_equal(told(), 2001);
	assert_true(atomic_load(&the_control()->counters.stream_gaps) >= 1);
	(void)close(fd);
}

static void
what_the_tap_has_no_room_for_is_lost_visibly(void **state)
{
	int fd = listen_to("?prefix=endpoint.", "");

	(void)state;
	see(fd, "event: open");
	/* The loop does not turn meanwhile. */
	for (int i = 0; i < 5000; i++)
		happens(EVENT_DAEMON_READY, NULL, "{}");
	assert_int_equal(the_control()->notes_n, 4096);
	see(fd, "\"lost\":904}");
	happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	see(fd, "id: 7-5001\n");
	(void)close(fd);
}

static void
the_tap_without_memory_loses_visibly(void **state)
{
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	mem_fail_nth(1);
	happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	assert_int_equal(mem_fail_nth(0), 1);
	see(fd, "\"lost\":1}");
	(void)close(fd);
}

static int
set_up_hasty(void **state)
{
	(void)state;
	log_set_level(LOG_LVL_ERROR);
	control_rig_init(&rig);
	rig.rules.timeout_ms = 100;
	control_rig_start(&rig);
	text[0] = '\0';
	last = 0;
	return 0;
}

static void
a_silent_stream_lives(void **state)
{
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	see(fd, "\n:\n\n");
	happens(EVENT_DAEMON_READY, NULL, "{}");
	see(fd, "event: daemon.ready");
	assert_int_equal(atomic_load(&the_control()->counters.timeouts), 0);
	(void)close(fd);
}

static void
a_stream_that_nobody_reads_is_let_go(void **state)
{
	char json[1100];
	int fd = listen_to("", "");

	(void)state;
	see(fd, "event: open");
	memset(json, 'x', sizeof(json));
	memcpy(json, "{\"x\":\"", 6);
	(void)snprintf(json + 1000, sizeof(json) - 1000, "\"}");
	while (atomic_load(&the_control()->counters.streams) > 0) {
		happens(EVENT_ENDPOINT_MESSAGE, "a", json);
		control_rig_turn(&rig);
	}
	assert_int_equal(atomic_load(&the_control()->counters.timeouts), 1);
	(void)close(fd);
}

static void
nothing_is_kept_when_nobody_listens(void **state)
{
	(void)state;
	happens(EVENT_ENDPOINT_ONLINE, "a", "{}");
	assert_int_equal(the_control()->notes_n, 0);
	assert_int_equal(atomic_load(&the_control()->seen), 1);
	happens(EVENT_COMMAND_PROGRESS, "a", "{\"detail\":{\"id\":\"c\","
	    "\"percent\":3}}");
	assert_int_equal(the_control()->notes_n, 1);
}

static void
short_memory_while_a_stream_opens_is_told(void **state)
{
	struct control_answer a;
	unsigned long n;
	int fd;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		fd = listen_to("", "Last-Event-ID: 7-0\r\n");
		text[0] = '\0';
		(void)control_rig_text(&rig, fd, text, sizeof(text), "\r\n");
		if (mem_fail_nth(0) < n)
			break;
		assert_true(text[0] == '\0' || strstr(text, " 500 ") ||
		    strstr(text, " 503 "));
		(void)close(fd);
		while (atomic_load(&the_control()->counters.connections) > 0)
			control_rig_turn(&rig);
		assert_int_equal(atomic_load(&the_control()->counters.streams),
		    0);
		assert_true(n < 50);
	}
	see(fd, "event: open");
	(void)close(fd);
	control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
}

/* Half an event would spoil the next: the stream ends. */
static void
short_memory_in_an_event_loses_it_or_ends_the_stream(void **state)
{
	unsigned long n, count;
	int fd;

	(void)state;
	for (n = count = 1; count + 1 >= n; n++) {
		text[0] = '\0';
		last = 0;
		atomic_store(&the_control()->seen, 0);
		fd = listen_to("", "");
		see(fd, "event: open");
		see(fd, "\n\n\r\n");
		mem_fail_nth(n);
		happens(EVENT_ENDPOINT_ONLINE, "a", "{\"x\":1}");
		for (int i = 0; i < 10; i++)
			control_rig_turn(&rig);
		count = mem_fail_nth(0);
		happens(EVENT_DAEMON_READY, NULL, "{}");
		if (control_rig_text(&rig, fd, text, sizeof(text),
		    "event: daemon.ready"))
			assert_int_equal(told(), 2);
		(void)close(fd);
		while (atomic_load(&the_control()->counters.connections) > 0)
			control_rig_turn(&rig);
		assert_true(n < 50);
	}
	assert_true(n > 2);
}

/* ---- long polls --------------------------------------------------------- */

static int
wait_for(const char *target)
{
	char request[200];
	int fd = control_rig_dial(&rig);

	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n"
	    "Host: x\r\n\r\n", target);
	control_rig_send(&rig, fd, request);
	while (list_empty(&the_control()->waiting))
		control_rig_turn(&rig);
	control_rig_settle(&rig);
	return fd;
}

static void
progress_of_a_command_answers_who_waits(void **state)
{
	struct control_answer a;
	json_t *progress;
	int fd;

	(void)state;
	assert_int_equal(control_rig_status(&rig, "POST", "/v1/endpoints",
	    "{\"id\":\"e\"}", NULL), 201);
	assert_int_equal(control_rig_status(&rig, "POST", "/v1/commands",
	    "{\"endpoint\":\"e\",\"verb\":\"x-a\",\"id\":\"c\","
	    "\"deadline_ms\":60000}", NULL), 201);
	control_rig_settle(&rig);
	fd = wait_for("/v1/commands/c?wait_ms=60000");
	/* Not about it, or nothing that can be read. */
	happens(EVENT_COMMAND_PROGRESS, "e", "{\"detail\":{\"id\":\"d\"}}");
	happens(EVENT_COMMAND_PROGRESS, "e", "{\"detail\":{\"id\":5}}");
	happens(EVENT_COMMAND_PROGRESS, "e", "{\"detail\":[]}");
	happens(EVENT_COMMAND_PROGRESS, "e", "{");
	happens(EVENT_COMMAND_PROGRESS, "e", "{\"detail\":{\"id\":\"c\","
	    "\"percent\":40.25,\"message\":\"so \\\"far\\\"\"}}");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	progress = json_object_get(a.json, "progress");
	assert_string_equal(json_string_value(json_object_get(progress,
	    "text")), "so \"far\"");
	assert_true(json_real_value(json_object_get(progress, "percent")) >
	    40);
	control_answer_free(&a);
	(void)close(fd);
	happens(EVENT_COMMAND_DONE, "e", "{\"detail\":{\"id\":\"c\"}}");
	control_rig_ask(&rig, "GET", "/v1/commands/c", NULL, &a);
	assert_null(json_object_get(a.json, "progress"));
	control_answer_free(&a);
}

static void
a_command_that_changed_since_is_answered_at_once(void **state)
{
	struct control_answer a;

	(void)state;
	assert_int_equal(control_rig_status(&rig, "POST", "/v1/endpoints",
	    "{\"id\":\"e\"}", NULL), 201);
	assert_int_equal(control_rig_status(&rig, "POST", "/v1/commands",
	    "{\"endpoint\":\"e\",\"verb\":\"x-a\",\"id\":\"c\","
	    "\"deadline_ms\":60000}", NULL), 201);
	control_rig_ask(&rig, "GET", "/v1/commands/c?wait_ms=60000&seen=x",
	    NULL, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_says_where_it_begins),
		TEST(events_come_with_name_number_and_data),
		TEST(data_is_one_line),
		TEST(a_prefix_selects_by_topic),
		TEST(what_was_missed_is_a_gap),
		TEST(wrong_requests_for_streams_are_refused),
		TEST(streams_are_limited),
		TEST(who_does_not_read_hears_how_much_it_lost),
		TEST(what_the_tap_has_no_room_for_is_lost_visibly),
		TEST(the_tap_without_memory_loses_visibly),
		cmocka_unit_test_setup_teardown(a_silent_stream_lives,
		    set_up_hasty, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_stream_that_nobody_reads_is_let_go, set_up_hasty,
		    tear_down),
		TEST(nothing_is_kept_when_nobody_listens),
		TEST(short_memory_while_a_stream_opens_is_told),
		TEST(short_memory_in_an_event_loses_it_or_ends_the_stream),
		TEST(progress_of_a_command_answers_who_waits),
		TEST(a_command_that_changed_since_is_answered_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
