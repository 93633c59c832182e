/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/event/publisher.c and socket.c: the bus as its subscribers see it,
 * including those that stall.
 */
#include "bus_try.h"

static void
events_arrive_in_order_with_their_topic(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus = start(&o);
	int fd = subscribe(bus, events_path, SOON), i, last = 0;
	struct stat st;
	char text[4096];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stat(events_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(stat(snapshots_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	for (i = 1; i <= 100; i++)
		emit(bus, "dev-1", (uint64_t)i);
	event_kick(bus);
	while (last < 100) {
		assert_true(sp_recv(fd, SP_SUB, text, sizeof(text), SOON) > 0);
		if (strncmp(text, "daemon.", 7) == 0)
			continue;
		assert_int_equal(strncmp(text,
		    "endpoint.online/dev-1 {\"seq\":", 28), 0);
		assert_int_equal(number(text, "\"revision\":"), ++last);
	}
	assert_int_equal(stats(bus).endpoints, 1);
	assert_int_equal(stats(bus).dropped, 0);
	(void)close(fd);
	event_bus_free(&bus);
	assert_null(bus);
	assert_int_equal(access(events_path, F_OK), -1);
}

static void
no_bus_is_no_trouble(void **state)
{
	struct event_bus *bus = NULL;

	(void)state;
	emit(NULL, "a", 1);
	event_kick(NULL);
	event_bus_free(&bus);
}

static void
bad_options_say_why(void **state)
{
	struct event_bus_opts o;
	struct event_bus *bus = NULL;
	char why[256];

	(void)state;
	o = options();
	o.ring = 3;
	assert_int_equal(event_bus_new(&o, why, &bus), -EINVAL);
	assert_non_null(strstr(why, "ring"));
	o = options();
	o.queue = 8193;
	assert_int_equal(event_bus_new(&o, why, &bus), -EINVAL);
	assert_non_null(strstr(why, "queue"));
	o = options();
	o.events_url = "tcp://127.0.0.1:0";
	assert_int_equal(event_bus_new(&o, why, &bus), -EINVAL);
	o = options();
	o.events_url = "ipc:///nonexistent-directory/x";
	why[0] = '\0';
	assert_true(event_bus_new(&o, why, &bus) < 0);
	assert_non_null(strstr(why, "/nonexistent-directory/x"));
	assert_null(bus);
}

static void
a_short_memory_makes_no_bus(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus = NULL;
	char why[256];
	unsigned long n;
	int r;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		r = event_bus_new(&o, why, &bus);
		mem_fail_nth(0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(bus);
		assert_int_equal(access(events_path, F_OK), -1);
	}
	assert_true(n > 4);
	event_bus_free(&bus);
}

/* A tap that the test can hold, and what it saw. */
struct tapped {
	sem_t hold;
	_Atomic bool held;
	uint64_t seq[64];
	unsigned n;
	_Atomic unsigned resyncs;
};

static void
tap(void *ctx, uint64_t seq, const struct event *ev, const char *json,
    size_t json_n)
{
	struct tapped *t = ctx;

	assert_true(json[0] == '{' && json[json_n - 1] == '}');
	if (ev->revision == 1)
		while (t->held)
			(void)sem_wait(&t->hold);
	if (t->n < 64)
		t->seq[t->n++] = seq;
}

static void
count_resync(void *ctx)
{
	struct tapped *t = ctx;

	t->resyncs++;
}

static void
an_overflow_leaves_a_gap_in_the_numbers(void **state)
{
	struct tapped t = { .held = true };
	struct event_bus_opts o = options();
	struct event_bus *bus;
	uint64_t end;
	unsigned i;

	(void)state;
	(void)sem_init(&t.hold, 0, 0);
	o.events_url = o.snapshot_url = NULL;
	o.ring = 16;
	o.tap = tap;
	o.tap_ctx = &t;
	o.resync = count_resync;
	o.resync_ctx = &t;
	bus = start(&o);
	emit(bus, "a", 1);
	event_kick(bus);
	wait_for_seq(bus, 0);
	/* The publisher hangs in the tap with the first, or will. */
	for (i = 2; i <= 100; i++)
		emit(bus, "a", i);
	t.held = false;
	(void)sem_post(&t.hold);
	wait_for_seq(bus, 100);
	emit(bus, "a", 101);
	event_kick(bus);
	wait_for_seq(bus, 101);
	end = clock_mono_ms() + SOON;
	while ((stats(bus).published + stats(bus).dropped < 101 ||
	    t.resyncs == 0) && clock_mono_ms() < end)
		(void)poll(NULL, 0, 1);
	assert_int_equal(t.resyncs, 1);
	assert_in_range(stats(bus).dropped, 83, 84);
	assert_int_equal(stats(bus).published + stats(bus).dropped, 101);
	event_bus_free(&bus);
	for (i = 0; i < 16; i++)
		assert_int_equal(t.seq[i], i + 1);
	assert_int_equal(t.seq[t.n - 1], 101);
	(void)sem_destroy(&t.hold);
}

static void
large_records_have_a_limit_of_their_own(void **state)
{
	struct tapped t = { .held = true };
	struct event_bus_opts o = options();
	char *detail = malloc(20000);
	struct event ev = {
		.type = EVENT_ENDPOINT_MESSAGE, .endpoint = "a",
		.detail = detail, .detail_n = 20000, .revision = 2,
	};
	struct event_bus *bus;
	int i;

	(void)state;
	memset(detail, ' ', 20000);
	detail[0] = '{';
	detail[19999] = '}';
	(void)sem_init(&t.hold, 0, 0);
	o.events_url = o.snapshot_url = NULL;
	o.ring = 64;			/* 64 KiB of large ones: three */
	o.tap = tap;
	o.tap_ctx = &t;
	bus = start(&o);
	emit(bus, "a", 1);
	event_kick(bus);
	for (i = 0; i < 10; i++)
		event_emit(bus, &ev);
	t.held = false;
	(void)sem_post(&t.hold);
	wait_for_seq(bus, 11);
	assert_in_range(stats(bus).dropped, 1, 7);
	event_emit(bus, &ev);
	event_kick(bus);
	wait_for_seq(bus, 12);
	event_bus_free(&bus);
	assert_int_equal(t.seq[t.n - 1], 12);
	(void)sem_destroy(&t.hold);
	free(detail);
}

static void
ending_publishes_what_is_in_the_ring(void **state)
{
	struct tapped t = { .held = false };
	struct event_bus_opts o = options();
	struct event_bus *bus;
	int i;

	(void)state;
	o.events_url = o.snapshot_url = NULL;
	o.tap = tap;
	o.tap_ctx = &t;
	bus = start(&o);
	for (i = 2; i <= 41; i++)
		emit(bus, "a", (uint64_t)i);
	event_bus_free(&bus);		/* without a kick */
	assert_int_equal(t.n, 40);
}

static void
the_last_event_reaches_a_subscriber(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus = start(&o);
	int fd = subscribe(bus, events_path, SOON);
	char text[4096] = "";

	(void)state;
	assert_true(fd >= 0);
	event_emit(bus, &(struct event){ .type = EVENT_DAEMON_STOPPING });
	event_bus_free(&bus);
	while (strncmp(text, "daemon.stopping ", 16) != 0)
		assert_true(sp_recv(fd, SP_SUB, text, sizeof(text), SOON) > 0);
	(void)close(fd);
}

static void
subscribers_hear_the_last_number(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus;
	char text[4096] = "";
	const char *topic = "bus.alive {\"seq\":";
	int fd;

	(void)state;
	o.alive_ms = 3600000;		/* only the one for who comes */
	bus = start(&o);
	emit(bus, "a", 2);
	event_kick(bus);
	fd = sp_connect(events_path, SP_SUB, SOON);
	assert_true(fd >= 0);
	while (strncmp(text, topic, strlen(topic)) != 0)
		assert_true(sp_recv(fd, SP_SUB, text, sizeof(text), SOON) > 0);
	assert_int_equal(text[strlen(topic)], '1');
	emit(bus, "a", 3);		/* its number is the next */
	event_kick(bus);
	assert_true(sp_recv(fd, SP_SUB, text, sizeof(text), SOON) > 0);
	assert_non_null(strstr(text, "\"seq\":2,"));
	(void)close(fd);
	event_bus_free(&bus);

	o.alive_ms = 100;		/* and again and again */
	bus = start(&o);
	fd = sp_connect(events_path, SP_SUB, SOON);
	for (int i = 0; i < 5; i++) {
		assert_true(sp_recv(fd, SP_SUB, text, sizeof(text), SOON) > 0);
		assert_memory_equal(text, "bus.alive {\"seq\":0,", 19);
	}
	(void)close(fd);
	event_bus_free(&bus);
}

struct reader {
	pthread_t thread;
	int fd;
	_Atomic uint64_t last;		/* number of the last event read */
	uint64_t gaps;
	uint64_t until;			/* number of the last to expect */
};

static void *
read_events(void *arg)
{
	struct reader *me = arg;
	char text[4096];
	uint64_t seq;

	while (me->last < me->until) {
		if (sp_recv(me->fd, SP_SUB, text, sizeof(text), SOON) <= 0)
			break;
		seq = number(text, "\"seq\":");
		if (me->last != 0 && seq != me->last + 1)
			me->gaps++;
		me->last = seq;
	}
	return NULL;
}

/* Waits until a reader has come to `seq`. */
static void
wait_for_reader(struct reader *r, uint64_t seq)
{
	uint64_t end = clock_mono_ms() + SOON;

	while (r->last < seq && clock_mono_ms() < end)
		(void)poll(NULL, 0, 1);
	assert_true(r->last >= seq);
}

/* Bursts of half a queue, as soon as the last was read, to two subscribers.
 * (tests/bench/bench_event.c does the same by the clock.) */
static void
a_burst_of_half_a_queue_reaches_every_subscriber(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus = start(&o);
	struct reader r[2] = { { .fd = -1 }, { .fd = -1 } };
	const unsigned bursts = 12, burst = 2048;
	uint64_t base;
	unsigned i, k;
	char id[32];

	(void)state;
	for (i = 0; i < 2; i++) {
		r[i].fd = subscribe(bus, events_path, SOON);
		assert_true(r[i].fd >= 0);
	}
	base = stats(bus).seq;
	for (i = 0; i < 2; i++) {
		r[i].until = base + bursts * burst;
		assert_int_equal(pthread_create(&r[i].thread, NULL,
		    read_events, &r[i]), 0);
	}
	for (i = 1; i <= bursts; i++) {
		for (k = 0; k < burst; k++) {
			(void)snprintf(id, sizeof(id), "dev-%u", k);
			emit(bus, id, i + 1);
		}
		event_kick(bus);
		for (k = 0; k < 2; k++)
			wait_for_reader(&r[k], base + i * burst);
	}
	for (i = 0; i < 2; i++) {
		(void)pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].gaps, 0);
		(void)close(r[i].fd);
	}
	assert_int_equal(stats(bus).dropped, 0);
	event_bus_free(&bus);
}

static void
a_stalled_subscriber_costs_its_queue_and_nobody_else(void **state)
{
	struct event_bus_opts o = options();
	struct event_bus *bus;
	struct reader r = { .fd = -1 };
	uint64_t base;
	size_t before;
	int stalled;
	unsigned i;

	(void)state;
	o.queue = 256;
	bus = start(&o);
	stalled = subscribe(bus, events_path, SOON);
	r.fd = subscribe(bus, events_path, SOON);
	assert_true(stalled >= 0 && r.fd >= 0);
	base = stats(bus).seq;
	r.until = base + 30000;
	before = resident();
	assert_int_equal(pthread_create(&r.thread, NULL, read_events, &r), 0);
	for (i = 0; i < 30000; i++) {
		emit(bus, "dev", i + 1);
		/* As fast as the one that reads can follow. */
		if (i % 100 == 99) {
			event_kick(bus);
			wait_for_reader(&r, base + i + 1);
		}
	}
	(void)pthread_join(r.thread, NULL);
	assert_int_equal(r.gaps, 0);
	assert_int_equal(r.last, base + 30000);
	assert_int_equal(stats(bus).dropped, 0);
	/* 30,000 would be over 8 MB. */
	print_message("# grew by %zd KiB\n",
	    ((ssize_t)resident() - (ssize_t)before) / 1024);
	if (memory_is_ours())
		assert_true(resident() < before + 4 * 1024 * 1024);
	(void)close(stalled);
	(void)close(r.fd);
	event_bus_free(&bus);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_arrive_in_order_with_their_topic),
		cmocka_unit_test(no_bus_is_no_trouble),
		cmocka_unit_test(bad_options_say_why),
		cmocka_unit_test(a_short_memory_makes_no_bus),
		cmocka_unit_test(an_overflow_leaves_a_gap_in_the_numbers),
		cmocka_unit_test(large_records_have_a_limit_of_their_own),
		cmocka_unit_test(ending_publishes_what_is_in_the_ring),
		cmocka_unit_test(the_last_event_reaches_a_subscriber),
		cmocka_unit_test(subscribers_hear_the_last_number),
		cmocka_unit_test(
		    a_burst_of_half_a_queue_reaches_every_subscriber),
		cmocka_unit_test(
		    a_stalled_subscriber_costs_its_queue_and_nobody_else),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
