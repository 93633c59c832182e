/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-on-LAN, by the daemon or by a neighbour. */
#include "channel/wake.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/json_find.h"
#include "channel/command_priv.h"

/* ---- packets ----------------------------------------------------------- */

void
wake_packet(const uint8_t mac[6], uint8_t ret[WAKE_PACKET_SIZE])
{
	memset(ret, 0xff, 6);
	for (size_t i = 0; i < 16; i++)
		memcpy(ret + 6 + 6 * i, mac, 6);
}

static uint32_t
host_order(const struct sockaddr *sa)
{
	struct sockaddr_in in;

	memcpy(&in, sa, sizeof(in));
	return ntohl(in.sin_addr.s_addr);
}

static int
real_links(void *ctx, struct wake_link *ret)
{
	const unsigned need = IFF_UP | IFF_BROADCAST;
	struct ifaddrs *all;
	int n = 0;

	(void)ctx;
	if (getifaddrs(&all) != 0)
		return -errno;
	for (const struct ifaddrs *i = all; i != NULL && n < WAKE_LINKS;
	    i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
		    i->ifa_addr->sa_family != AF_INET ||
		    (i->ifa_flags & need) != need)
			continue;
		ret[n++] = (struct wake_link){
			.index = if_nametoindex(i->ifa_name),
			.address = host_order(i->ifa_addr),
			.mask = host_order(i->ifa_netmask)
		};
	}
	freeifaddrs(all);
	return n;
}

/* The link is named to the kernel (ip(7), IP_PKTINFO): 255.255.255.255 has no
 * route of its own. */
static int
real_send(void *ctx, const struct wake_link *link, uint32_t to,
    const uint8_t packet[WAKE_PACKET_SIZE])
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(WAKE_PORT),
		.sin_addr.s_addr = htonl(to)
	};
	struct in_pktinfo info = {
		.ipi_ifindex = (int)link->index,
		.ipi_spec_dst.s_addr = htonl(link->address)
	};
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(info))];
	} control = { .bytes = { 0 } };
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)packet,
		.iov_len = WAKE_PACKET_SIZE
	};
	struct msghdr m = {
		.msg_name = &sin, .msg_namelen = sizeof(sin), .msg_iov = &iov,
		.msg_iovlen = 1, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int on = 1, fd, r = 0;

	(void)ctx;
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) != 0 ||
	    sendmsg(fd, &m, 0) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

const struct wake_net wake_real = {
	.links = real_links, .send = real_send
};

static bool
in_one_of(const struct wake_link *l, const struct telemetry_facts *f)
{
	for (unsigned i = 0; i < f->networks; i++)
		if (((l->address ^ f->network[i].address) & l->mask) == 0)
			return true;
	return false;
}

int
wake_send(const struct wake_net *net, const uint8_t mac[6],
    const struct telemetry_facts *f)
{
	struct wake_link link[WAKE_LINKS];
	uint8_t packet[WAKE_PACKET_SIZE];
	int n = net->links(net->ctx, link), sent = 0, err = -ENETUNREACH, r;

	if (n < 0)
		return n;
	wake_packet(mac, packet);
	for (int i = 0; i < n; i++) {
		if (f->networks > 0 && !in_one_of(&link[i], f))
			continue;
		r = net->send(net->ctx, &link[i], f->networks == 0 ?
		    INADDR_BROADCAST : link[i].address | ~link[i].mask, packet);
		if (r == 0)
			sent++;
		else
			err = r;
	}
	return sent > 0 ? sent : err;
}

/* ---- the command ------------------------------------------------------- */

struct sleeper {
	struct telemetry_facts facts;
	int64_t deadline_ms;
	char id[COMMAND_ID_MAX + 1];
	char endpoint[ENDPOINT_ID_MAX + 1];
};

/* One at a time: this may be the store's thread while the sweep is at it too.
 * false: there is nothing to do for it just now. */
static bool
take_sleeper(struct command_table *t, const char *id, struct sleeper *s)
{
	struct json_span mac;
	struct command *c;
	char text[32] = "";
	bool ok;

	pthread_mutex_lock(&t->lock);
	c = command_find(t, id);
	ok = c != NULL && c->kind == COMMAND_WAKE && !c->ending &&
	    !c->storing && !c->waking;
	if (ok) {
		struct json_span args = { c->args, strlen(c->args) };

		c->waking = true;
		s->deadline_ms = c->deadline_ms;
		(void)snprintf(s->id, sizeof(s->id), "%s", id);
		(void)snprintf(s->endpoint, sizeof(s->endpoint), "%s",
		    c->queue->endpoint);
		if (json_member(args, "mac", &mac))
			(void)json_plain(mac, text, sizeof(text));
	}
	pthread_mutex_unlock(&t->lock);
	if (!ok)
		return false;
	(void)telemetry_facts(t->deps.telemetry, s->endpoint, &s->facts);
	if (text[0] != '\0' && addr_mac_parse(text, s->facts.mac))
		s->facts.has_mac = true;
	return true;
}

static bool
is_online(void *ctx, const char *endpoint)
{
	struct command_table *t = ctx;
	struct endpoint_facts facts;

	return endpoint_get(t->deps.endpoints, endpoint, &facts) == 0 &&
	    facts.place.channel_id != 0;
}

/* The sweep begins anew. */
static void
let_go(struct command_table *t, const char *id)
{
	struct command *c;

	pthread_mutex_lock(&t->lock);
	c = command_find(t, id);
	if (c != NULL)
		c->waking = false;
	pthread_mutex_unlock(&t->lock);
}

/* -ENOENT nobody is there who could; -EAGAIN not now. */
static int
relay(struct command_table *t, const struct sleeper *s)
{
	char neighbour[ENDPOINT_ID_MAX + 1], args[96], by[80], why[256] = "";
	const uint8_t *m = s->facts.mac;
	struct telemetry_network net;
	struct command_request r = {
		.endpoint = neighbour, .verb = "wake", .args = args, .id = "",
		.by = by, .deadline_ms = s->deadline_ms
	};
	uint32_t to;
	int err = telemetry_neighbour(t->deps.telemetry, s->endpoint,
	    &s->facts, is_online, t, neighbour, &net);

	if (err != 0)
		return err;
	to = net.address | ~net.mask;
	(void)snprintf(args, sizeof(args), "{\"mac\":\"%02x:%02x:%02x:%02x:"
	    "%02x:%02x\",\"address\":\"%u.%u.%u.%u\"}", m[0], m[1], m[2], m[3],
	    m[4], m[5], to >> 24, to >> 16 & 255, to >> 8 & 255, to & 255);
	(void)snprintf(by, sizeof(by), COMMAND_RELAY_OF "%s", s->id);
	err = command_put(t, &r, COMMAND_RELAYED, why, NULL);
	return err == -EDQUOT || err == -ENOMEM ? -EAGAIN : err;
}

/* Ends it, or leaves it to the sweep. */
static void
end(struct command_table *t, const char *id, bool ok, const char *text)
{
	if (command_end_with(t, id, ok ? COMMAND_OK : COMMAND_ERROR,
	    text) == -EAGAIN)
		let_go(t, id);
}

void
wake_try(struct command_table *t, const char *id)
{
	const struct wake_net *net = t->deps.net == NULL ? &wake_real :
	    t->deps.net;
	char text[160] = "sent by the server";
	struct sleeper s;
	int r;

	if (!take_sleeper(t, id, &s))
		return;
	if (!s.facts.has_mac) {
		end(t, id, false, "its MAC address is not known: its inventory "
		    "has no \"mac\"");
		return;
	}
	r = wake_send(net, s.facts.mac, &s.facts);
	if (r == -ENETUNREACH && s.facts.networks > 0) {
		r = relay(t, &s);
		if (r == -EAGAIN)
			let_go(t, id);
		if (r == 0 || r == -EAGAIN)
			return;
		(void)snprintf(text, sizeof(text), "the server is in none of "
		    "its networks, and no device in them is online");
	} else if (r < 0) {
		(void)snprintf(text, sizeof(text), "the packet could not be "
		    "sent: %s", strerror(-r));
	}
	end(t, id, r >= 0, text);
}

void
wake_relay_ended(struct command_table *t, const char *by,
    enum store_command_state outcome, const char *endpoint)
{
	const char *id = by + strlen(COMMAND_RELAY_OF);
	char text[ENDPOINT_ID_MAX + 80];

	(void)snprintf(text, sizeof(text), outcome == COMMAND_OK ?
	    "sent by its neighbour %s" : "its neighbour %s could not send it",
	    endpoint);
	end(t, id, outcome == COMMAND_OK, text);
}
