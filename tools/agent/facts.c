/* SPDX-License-Identifier: Apache-2.0 */
/* What the device is: few facts that every Linux has, or a file of
 * the owner. */
#include "agent.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <jansson.h>

#include "../../client/json_text.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "tls/digest.h"

#define FILE_MAX_BYTES 65536

/* Of its own kind, not /etc/machine-id itself, as machine-id(5) asks for. */
static void
add_machine(json_t *facts)
{
	static const char context[] = "cleat-agent";
	uint8_t *text, sum[32], both[sizeof(context) + 64];
	char hex[65];
	size_t n;

	if (file_read("/etc/machine-id", 64, &text, &n) != 0)
		return;
	memcpy(both, context, sizeof(context));
	memcpy(both + sizeof(context), text, n);
	if (n > 0 && digest_sha256(both, sizeof(context) + n, sum) == 0) {
		hex_write(sum, 16, hex);
		(void)json_object_set_new(facts, "machine", json_string(hex));
	}
	mem_free(text);
}

static void
add_system(json_t *facts)
{
	static const char key[] = "\nPRETTY_NAME=\"";
	struct utsname u;
	uint8_t *text;
	char *name, *end;
	size_t n;

	if (uname(&u) == 0) {
		(void)json_object_set_new(facts, "hostname",
		    json_string(u.nodename));
		(void)json_object_set_new(facts, "kernel",
		    json_string(u.release));
		(void)json_object_set_new(facts, "machine_type",
		    json_string(u.machine));
	}
	if (file_read("/etc/os-release", FILE_MAX_BYTES, &text, &n) != 0)
		return;
	name = strncmp((char *)text, key + 1, sizeof(key) - 2) == 0 ?
	    (char *)text - 1 : strstr((char *)text, key);
	end = name == NULL ? NULL : strchr(name + sizeof(key) - 1, '"');
	if (end != NULL) {
		*end = '\0';
		(void)json_object_set_new(facts, "os",
		    json_string(name + sizeof(key) - 1));
	}
	mem_free(text);
}

static unsigned
prefix_of(const uint8_t *mask, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount(mask[i]);
	return bits;
}

static void
add_address(json_t *list, const struct ifaddrs *i)
{
	char text[INET6_ADDRSTRLEN + 8], address[INET6_ADDRSTRLEN];
	const void *a, *mask;
	size_t n;

	if (i->ifa_addr->sa_family == AF_INET) {
		a = &((const struct sockaddr_in *)(const void *)
		    i->ifa_addr)->sin_addr;
		mask = &((const struct sockaddr_in *)(const void *)
		    i->ifa_netmask)->sin_addr;
		n = 4;
	} else {
		a = &((const struct sockaddr_in6 *)(const void *)
		    i->ifa_addr)->sin6_addr;
		mask = &((const struct sockaddr_in6 *)(const void *)
		    i->ifa_netmask)->sin6_addr;
		n = 16;
	}
	if (i->ifa_netmask == NULL || inet_ntop(i->ifa_addr->sa_family, a,
	    address, sizeof(address)) == NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s/%u", address,
	    prefix_of(mask, n));
	(void)json_array_append_new(list, json_string(text));
}

static void
add_mac(json_t *facts, const struct ifaddrs *i)
{
	const struct sockaddr_ll *l = (const void *)i->ifa_addr;
	char text[18];

	if (l->sll_halen != 6 || json_object_get(facts, "mac") != NULL)
		return;
	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x",
	    l->sll_addr[0], l->sll_addr[1], l->sll_addr[2], l->sll_addr[3],
	    l->sll_addr[4], l->sll_addr[5]);
	(void)json_object_set_new(facts, "mac", json_string(text));
}

static void
add_network(json_t *facts)
{
	json_t *list = json_array();
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) != 0) {
		json_decref(list);
		return;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || (i->ifa_flags & IFF_LOOPBACK) != 0 ||
		    (i->ifa_flags & IFF_UP) == 0)
			continue;
		if (i->ifa_addr->sa_family == AF_PACKET)
			add_mac(facts, i);
		else if ((i->ifa_addr->sa_family == AF_INET ||
		    i->ifa_addr->sa_family == AF_INET6) &&
		    i->ifa_netmask != NULL)
			add_address(list, i);
	}
	freeifaddrs(all);
	(void)json_object_set_new(facts, "addresses", list);
}

char *
agent_inventory(const char *how)
{
	uint8_t *text;
	json_t *facts;
	size_t n;
	int r;

	if (strcmp(how, "none") == 0)
		return NULL;
	if (strcmp(how, "facts") != 0) {
		r = file_read(how, FILE_MAX_BYTES, &text, &n);
		if (r == 0)
			return (char *)text;
		log_warning("inventory file %s: %s", how, strerror(-r));
		return NULL;
	}
	facts = json_object();
	if (facts == NULL)
		return NULL;
	add_system(facts);
	add_machine(facts);
	add_network(facts);
	return json_text(facts);
}
