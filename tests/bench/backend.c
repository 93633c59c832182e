/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nginx stands in front of: a plain WebSocket echo on 127.0.0.1, one recv
 * and one send a wake-up, so that nginx is not slowed by it.  Its CPU is not
 * counted.  Frames only, no control frames: the load generator sends none here.
 *
 *	backend PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AREA (256 * 1024)
#define OUT_MAX (4 * AREA)

struct peer {
	int fd;
	bool open;			/* upgraded */
	bool writing;			/* epoll tells when there is room */
	uint8_t *in, *out;		/* kept from wake-up to wake-up */
	size_t in_n, out_n;
};

static uint8_t in[2 * AREA], out[2 * AREA];

static void
drop(struct peer *p)
{
	(void)close(p->fd);
	free(p->in);
	free(p->out);
	free(p);
}

/* Copies what is left behind into an area of its own. */
static void
keep(uint8_t **area, size_t *area_n, const uint8_t *p, size_t n)
{
	uint8_t *copy = NULL;

	if (n > 0) {
		copy = malloc(n);
		if (copy == NULL)
			abort();
		memcpy(copy, p, n);
	}
	free(*area);
	*area = copy;
	*area_n = n;
}

/* The request; bytes used, 0 not whole, -1 not one. */
static ssize_t
upgrade(struct peer *p, uint8_t *from, size_t n, size_t *ret_out)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t *end = memmem(from, n, "\r\n\r\n", 4), sha1[SHA_DIGEST_LENGTH];
	char text[128], answer[64];
	const char *key;

	if (end == NULL)
		return n > 4096 ? -1 : 0;
	*end = '\0';
	key = strcasestr((char *)from, "Sec-WebSocket-Key: ");
	if (key == NULL || sscanf(key + 19, "%32[^\r]", text) != 1)
		return -1;
	(void)memcpy(text + strlen(text), guid, sizeof(guid));
	(void)SHA1((uint8_t *)text, strlen(text), sha1);
	(void)EVP_EncodeBlock((uint8_t *)answer, sha1, sizeof(sha1));
	*ret_out = (size_t)snprintf((char *)out, sizeof(out),
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n\r\n", answer);
	p->open = true;
	return end + 4 - from;
}

/* One frame is echoed; bytes used, 0 not whole, -1 an end. */
static ssize_t
echo(const uint8_t *from, size_t n, size_t *ret_out)
{
	size_t head = 2, len, extra;
	uint8_t *to = out + *ret_out;

	if (n < 2)
		return 0;
	len = from[1] & 0x7f;
	extra = len == 126 ? 2 : len == 127 ? 8 : 0;
	if ((from[0] & 0xf) > 2 || extra == 8)
		return -1;
	head += extra;
	if (n < head + 4)
		return 0;
	if (extra == 2)
		len = (size_t)from[2] << 8 | from[3];
	if (n < head + 4 + len)
		return 0;
	to[0] = from[0];
	to[1] = from[1] & 0x7f;
	memcpy(to + 2, from + 2, extra);
	for (size_t i = 0; i < len; i++)
		to[head + i] = from[head + 4 + i] ^ from[head + (i & 3)];
	*ret_out += head + len;
	return (ssize_t)(head + 4 + len);
}

/* false: the end. */
static bool
serve(struct peer *p)
{
	size_t n = p->in_n, used = 0, out_n = 0;
	ssize_t r;

	if (n > 0)
		memcpy(in, p->in, n);
	r = recv(p->fd, in + n, AREA, 0);
	if (r < 0)
		return errno == EAGAIN;
	if (r == 0)
		return false;
	n += (size_t)r;
	do {
		r = p->open ? echo(in + used, n - used, &out_n) :
		    upgrade(p, in + used, n - used, &out_n);
		used += r > 0 ? (size_t)r : 0;
	} while (r > 0 && used < n);
	if (r < 0 || n - used > AREA)
		return false;
	keep(&p->in, &p->in_n, in + used, n - used);
	if (out_n == 0)
		return true;
	r = p->out_n > 0 ? 0 : send(p->fd, out, out_n, MSG_NOSIGNAL);
	if (r < 0)
		r = 0;
	if ((size_t)r < out_n) {
		p->out = realloc(p->out, p->out_n + out_n - (size_t)r);
		if (p->out == NULL || p->out_n > OUT_MAX)
			return false;
		memcpy(p->out + p->out_n, out + r, out_n - (size_t)r);
		p->out_n += out_n - (size_t)r;
	}
	return true;
}

static bool
flush(struct peer *p)
{
	ssize_t r = p->out_n == 0 ? 0 : send(p->fd, p->out, p->out_n,
	    MSG_NOSIGNAL);

	if (r < 0)
		return errno == EAGAIN;
	p->out_n -= (size_t)r;
	if (p->out_n > 0)
		memmove(p->out, p->out + r, p->out_n);
	return true;
}

static bool
watch(int epoll, struct peer *p)
{
	struct epoll_event ev = { .data.ptr = p };
	bool wanted = p->out_n > 0;

	if (wanted == p->writing)
		return true;
	p->writing = wanted;
	ev.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
	return epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &ev) == 0;
}

static void
accept_all(int listener, int epoll)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct peer *p;
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		p = calloc(1, sizeof(*p));
		if (p == NULL)
			abort();
		p->fd = fd;
		ev.data.ptr = p;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
			drop(p);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int epoll = epoll_create1(0), one = 1;
	struct epoll_event ev = { .events = EPOLLIN }, got[256];

	if (argc != 2)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	at.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, 4096) != 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev) != 0) {
		perror("backend");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(epoll, got, 256, -1);

		for (int i = 0; i < n; i++) {
			struct peer *p = got[i].data.ptr;
			bool ok = true;

			if (p == NULL) {
				accept_all(listener, epoll);
				continue;
			}
			if ((got[i].events & EPOLLOUT) != 0)
				ok = flush(p);
			if (ok && (got[i].events & ~(uint32_t)EPOLLOUT) != 0)
				ok = serve(p);
			if (ok)
				ok = watch(epoll, p);
			if (!ok)
				drop(p);
		}
	}
}
