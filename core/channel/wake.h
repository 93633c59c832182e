/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake-on-LAN: the verb that the daemon carries out itself.  A magic packet (6
 * bytes ff, 16 times the MAC address; UDP port 9) goes to the networks of the
 * sleeper's inventory that the daemon is in, or, where it knows of none, to all
 * of its own; a sleeper in a network that the daemon is not in is woken by an
 * online neighbour, as a command of its own.
 *
 * Thread: any but a worker.  Nothing here waits.
 */
#ifndef CT_CHANNEL_WAKE_H
#define CT_CHANNEL_WAKE_H

#include <stdint.h>

#include "channel/telemetry.h"

#define WAKE_PACKET_SIZE 102
#define WAKE_PORT 9
#define WAKE_LINKS 32

/* An interface of this machine that can broadcast; IPv4, host order. */
struct wake_link {
	unsigned index;
	uint32_t address, mask;
};

/* What it touches of the outside; a test has its own. */
struct wake_net {
	/* Fills ret[WAKE_LINKS]; how many, or -errno. */
	int (*links)(void *ctx, struct wake_link *ret);
	/* 0 or -errno. */
	int (*send)(void *ctx, const struct wake_link *, uint32_t to,
	    const uint8_t packet[WAKE_PACKET_SIZE]);
	void *ctx;
};
/* The real one. */
extern const struct wake_net wake_real;

void wake_packet(const uint8_t mac[6], uint8_t ret[WAKE_PACKET_SIZE]);

/* Sends to every link that shares one of the networks; with none (networks 0)
 * to every link (255.255.255.255).  How many packets left, or -errno;
 * -ENETUNREACH: no link is in any of them. */
int wake_send(const struct wake_net *, const uint8_t mac[6],
    const struct telemetry_facts *);

#endif
