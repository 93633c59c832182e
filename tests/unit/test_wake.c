/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-on-LAN by the daemon and by neighbours (core/channel/wake.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "../lib/product_rig.h"
#include "base/clock.h"

static struct product p;

/* Two links: 10.1.0.5/16 and 192.168.7.1/24. */
static struct {
	int error;			/* of send */
	unsigned sent;
	uint32_t to[8];
	unsigned link[8];
	uint8_t packet[WAKE_PACKET_SIZE];
} net;

static int
links(void *ctx, struct wake_link *ret)
{
	(void)ctx;
	ret[0] = (struct wake_link){ 2, 0x0a010005, 0xffff0000 };
	ret[1] = (struct wake_link){ 3, 0xc0a80701, 0xffffff00 };
	return 2;
}

static int
send_to(void *ctx, const struct wake_link *link, uint32_t to,
    const uint8_t packet[WAKE_PACKET_SIZE])
{
	(void)ctx;
	if (net.error != 0)
		return net.error;
	assert_true(net.sent < 8);
	net.to[net.sent] = to;
	net.link[net.sent++] = link->index;
	memcpy(net.packet, packet, WAKE_PACKET_SIZE);
	return 0;
}

static const struct wake_net fake = { .links = links, .send = send_to };

static int
set_up(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	p.net = &fake;
	product_start(&p);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	product_stop(&p);
	return 0;
}

static void
inventory(const char *json)
{
	assert_int_equal(channel_inventory(product_channel(&p), 6, json,
	    strlen(json)), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, 0);
}

/* dev-1 has reported this, and sleeps. */
static void
sleeper(const char *json)
{
	inventory(json);
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
}

static void
wake(const char *id)
{
	assert_int_equal(product_add_verb(&p, "dev-1", id, "wake", "{}"), 0);
	product_settle(&p);
}

#define MAC "\"mac\":\"00:11:22:33:44:55\""

static void
a_packet_is_six_ff_and_sixteen_times_the_address(void **state)
{
	static const uint8_t mac[6] = { 0, 0x11, 0x22, 0x33, 0x44, 0x55 };
	uint8_t packet[WAKE_PACKET_SIZE];

	(void)state;
	wake_packet(mac, packet);
	assert_memory_equal(packet, "\xff\xff\xff\xff\xff\xff", 6);
	for (int i = 0; i < 16; i++)
		assert_memory_equal(packet + 6 + 6 * i, mac, 6);
}

static void
a_sleeper_in_a_network_of_ours_is_woken_there(void **state)
{
	(void)state;
	sleeper("{" MAC ",\"addresses\":[\"192.168.7.20/24\"]}");
	wake("w-1");
	assert_int_equal(net.sent, 1);
	assert_int_equal(net.to[0], 0xc0a807ff);
	assert_int_equal(net.link[0], 3);
	assert_memory_equal(net.packet + 6, "\x00\x11\x22\x33\x44\x55", 6);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_OK);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 1);
	/* It is not for the device. */
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 0);
}

static void
without_a_network_all_of_ours_are_tried(void **state)
{
	(void)state;
	sleeper("{" MAC "}");
	wake("w-1");
	assert_int_equal(net.sent, 2);
	assert_int_equal(net.to[0], UINT32_MAX);
	assert_int_equal(net.to[1], UINT32_MAX);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_OK);
}

static void
without_an_address_it_is_an_error_unless_one_is_given(void **state)
{
	(void)state;
	sleeper("{\"addresses\":[\"192.168.7.20/24\"]}");
	wake("w-1");
	assert_int_equal(net.sent, 0);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_ERROR);
	assert_non_null(strstr(product_message(&p, "w-1"), "MAC address"));
	assert_int_equal(product_add_verb(&p, "dev-1", "w-2", "wake",
	    "{\"mac\":\"aa:bb:cc:dd:ee:ff\"}"), 0);
	product_settle(&p);
	assert_int_equal(net.sent, 1);
	assert_memory_equal(net.packet + 6, "\xaa\xbb\xcc\xdd\xee\xff", 6);
}

static void
a_packet_that_cannot_be_sent_is_an_error(void **state)
{
	(void)state;
	sleeper("{" MAC "}");
	net.error = -EACCES;
	wake("w-1");
	assert_int_equal(product_state(&p, "w-1"), COMMAND_ERROR);
	assert_non_null(strstr(product_message(&p, "w-1"), "sent: "));
}

/* dev-1 sleeps in a network that the daemon is not in, dev-2 is there. */
static void
far_away(void)
{
	sleeper("{" MAC ",\"addresses\":[\"172.20.1.9/24\"]}");
	product_connect(&p, &p.other, "dev-2");
	inventory("{\"addresses\":[\"10.1.0.9/16\",\"172.20.1.33/24\"]}");
}

static void
elsewhere_a_neighbour_is_asked(void **state)
{
	char child[80];

	(void)state;
	far_away();
	wake("w-1");
	assert_int_equal(net.sent, 0);
	assert_int_equal(p.asked_n, 1);
	assert_string_equal(p.verb, "wake");
	assert_string_equal(p.args, "{\"mac\":\"00:11:22:33:44:55\","
	    "\"address\":\"172.20.1.255\"}");
	assert_int_equal(product_state(&p, "w-1"), COMMAND_QUEUED);
	(void)memcpy(child, p.asked[0], sizeof(child));
	/* The sweep does not ask twice. */
	command_table_sweep(p.commands, clock_wall_ms());
	product_settle(&p);
	assert_int_equal(p.asked_n, 1);
	assert_int_equal(product_outcome(&p, child, COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_OK);
	assert_string_equal(product_message(&p, "w-1"),
	    "sent by its neighbour dev-2");
	assert_int_equal(command_table_open(p.commands), 0);
}

static void
a_neighbour_that_cannot_makes_it_an_error(void **state)
{
	(void)state;
	far_away();
	wake("w-1");
	assert_int_equal(product_outcome(&p, p.asked[0], COMMAND_ERROR), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_ERROR);
	assert_non_null(strstr(product_message(&p, "w-1"), "dev-2"));
}

static void
with_nobody_there_it_is_an_error(void **state)
{
	(void)state;
	far_away();
	rig_hang_up(&p.other);
	rig_settle(&p.rig);
	wake("w-1");
	assert_int_equal(product_state(&p, "w-1"), COMMAND_ERROR);
	assert_non_null(strstr(product_message(&p, "w-1"), "no device"));
}

static void
a_relay_survives_a_kill(void **state)
{
	char child[100];

	(void)state;
	far_away();
	wake("w-1");
	(void)memcpy(child, p.asked[0], sizeof(child));
	product_restart(&p);
	assert_int_equal(command_table_open(p.commands), 2);
	product_connect(&p, &p.other, "dev-2");
	command_table_sweep(p.commands, clock_wall_ms());
	product_settle(&p);
	assert_int_equal(p.asked_n, 1);
	assert_memory_equal(p.asked[0], child, strlen(child));
	assert_int_equal(product_outcome(&p, child, COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_OK);
}

static void
one_that_was_stored_before_a_kill_is_done_after_it(void **state)
{
	(void)state;
	sleeper("{" MAC "}");
	/* The end of it is lost: only that it was asked for is on the disk. */
	assert_int_equal(product_add_verb(&p, "dev-1", "w-1", "wake", "{}"),
	    0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_OK);
	product_hold(&p);
	assert_int_equal(product_add_verb(&p, "dev-1", "w-2", "wake", "{}"),
	    0);
	net.sent = 0;
	product_release(&p, false);
	assert_int_equal(net.sent, 2);
	product_restart(&p);
	command_table_sweep(p.commands, clock_wall_ms());
	product_settle(&p);
	assert_int_equal(command_table_open(p.commands), 0);
	assert_int_equal(product_state(&p, "w-2"), COMMAND_OK);
}

static void
a_wake_that_waits_for_its_relay_is_cancelled_at_once(void **state)
{
	(void)state;
	far_away();
	wake("w-1");
	assert_int_equal(product_cancel(&p, "w-1"), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_CANCELLED);
	assert_int_equal(product_outcome(&p, p.asked[0], COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "w-1"), COMMAND_CANCELLED);
}

static void
this_machine_is_asked_for_its_links(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct wake_link link[WAKE_LINKS];
	struct telemetry_facts far = { .networks = 1,
	    .network = { { 0xc6336401, 0xffffff00 } } };	/* RFC 5737 */
	int n;

	(void)state;
	n = wake_real.links(wake_real.ctx, link);
	assert_true(n >= 0 && n <= WAKE_LINKS);
	for (int i = 0; i < n; i++)
		assert_true(link[i].index > 0);
	assert_int_equal(wake_send(&wake_real, mac, &far), -ENETUNREACH);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_packet_is_six_ff_and_sixteen_times_the_address),
		TEST(a_sleeper_in_a_network_of_ours_is_woken_there),
		TEST(without_a_network_all_of_ours_are_tried),
		TEST(without_an_address_it_is_an_error_unless_one_is_given),
		TEST(a_packet_that_cannot_be_sent_is_an_error),
		TEST(elsewhere_a_neighbour_is_asked),
		TEST(a_neighbour_that_cannot_makes_it_an_error),
		TEST(with_nobody_there_it_is_an_error),
		TEST(a_relay_survives_a_kill),
		TEST(one_that_was_stored_before_a_kill_is_done_after_it),
		TEST(a_wake_that_waits_for_its_relay_is_cancelled_at_once),
		cmocka_unit_test(this_machine_is_asked_for_its_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
