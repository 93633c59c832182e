/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-on-LAN for a neighbour (doc/protocol.md, verb `wake`). */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

#define WAKE_PORT 9

int
agent_wake(const char *mac, const char *address)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(WAKE_PORT)
	};
	uint8_t packet[6 + 16 * 6];
	int one = 1, fd, r = 0;

	memset(packet, 0xff, 6);
	if (mac == NULL || !addr_mac_parse(mac, packet + 6) ||
	    inet_pton(AF_INET, address == NULL ? "255.255.255.255" : address,
	    &to.sin_addr) != 1)
		return -EINVAL;
	for (size_t i = 1; i < 16; i++)
		memcpy(packet + 6 + 6 * i, packet + 6, 6);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) != 0 ||
	    sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to,
	    sizeof(to)) != (ssize_t)sizeof(packet))
		r = -errno;
	(void)close(fd);
	return r;
}
