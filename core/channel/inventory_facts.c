/* SPDX-License-Identifier: Apache-2.0 */
/* What of an inventory is asked for often: where the device can be woken. */
#include "channel/telemetry.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/addr.h"
#include "base/json_find.h"

/* "address/prefix" in IPv4, and one that can be shared with somebody. */
static bool
read_network(struct json_span v, struct telemetry_network *ret)
{
	char text[32], *slash, *end;
	struct in_addr in;
	unsigned long bits;
	uint32_t a;

	if (!json_plain(v, text, sizeof(text)) ||
	    (slash = strchr(text, '/')) == NULL)
		return false;
	*slash++ = '\0';
	bits = strtoul(slash, &end, 10);
	if (end == slash || *end != '\0' || *slash == '-' || *slash == '+' ||
	    bits < 1 || bits > 30 || inet_pton(AF_INET, text, &in) != 1)
		return false;
	a = ntohl(in.s_addr);
	if (a >> 24 == 127 || a >> 16 == 0xa9fe || a >> 24 == 0)
		return false;
	*ret = (struct telemetry_network){ a, UINT32_MAX << (32 - bits) };
	return true;
}

void
telemetry_read_inventory(const char *json, size_t n, struct telemetry_facts *f)
{
	struct json_span doc = { json, n }, v, item;
	char text[32];
	size_t at = 0;

	f->has_mac = json_member(doc, "mac", &v) &&
	    json_plain(v, text, sizeof(text)) &&
	    addr_mac_parse(text, f->mac);
	f->networks = 0;
	if (!json_member(doc, "addresses", &v))
		return;
	while (f->networks < TELEMETRY_NETWORKS && json_item(v, &at, &item))
		f->networks += read_network(item, &f->network[f->networks]);
}
