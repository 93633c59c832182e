/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalability Protocols over ipc: eight bytes of header each way, then messages
 * of one byte 1, a 64-bit length in network order, and the body.
 */
#include "sp.h"

#include <endian.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static int
connect_once(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (fd < 0)
		return -1;
	if (connect(fd, (const void *)&sa, sizeof(sa)) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
sp_connect_raw(const char *path, int within_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)within_ms;
	int fd;

	while ((fd = connect_once(path)) < 0 && clock_mono_ms() < end)
		(void)poll(NULL, 0, 5);
	return fd;
}

static int
read_all(int fd, void *p, size_t n, uint64_t end)
{
	uint8_t *at = p;
	ssize_t got;

	while (n > 0) {
		struct pollfd w = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ms();

		if (now >= end || poll(&w, 1, (int)(end - now)) <= 0)
			return -1;
		got = recv(fd, at, n, MSG_DONTWAIT);
		if (got <= 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

int
sp_connect(const char *path, uint8_t protocol, int within_ms)
{
	uint8_t h[8] = { 0, 'S', 'P', 0, 0, protocol, 0, 0 };
	uint64_t end = clock_mono_ms() + (uint64_t)within_ms;
	int fd = sp_connect_raw(path, within_ms);

	if (fd < 0)
		return -1;
	if (send(fd, h, sizeof(h), MSG_NOSIGNAL) != (ssize_t)sizeof(h) ||
	    read_all(fd, h, sizeof(h), end) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
sp_send(int fd, uint8_t protocol, const void *p, size_t n)
{
	size_t id_n = protocol == SP_REQ ? 4 : 0;
	uint64_t len = htobe64(n + id_n);
	uint8_t head[13] = { 1 };

	memcpy(head + 1, &len, 8);
	head[9] = 0x80;			/* the last of a request's ids */
	if (send(fd, head, 9 + id_n, MSG_NOSIGNAL) != (ssize_t)(9 + id_n))
		return -1;
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

long
sp_recv(int fd, uint8_t protocol, char *p, size_t cap, int within_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)within_ms, len;
	size_t id_n = protocol == SP_REQ ? 4 : 0;
	uint8_t head[9], id[4];

	if (read_all(fd, head, sizeof(head), end) != 0)
		return -1;
	memcpy(&len, head + 1, 8);
	len = be64toh(len) - id_n;
	if (len >= cap || read_all(fd, id, id_n, end) != 0 ||
	    read_all(fd, p, len, end) != 0)
		return -1;
	p[len] = '\0';
	return (long)len;
}
