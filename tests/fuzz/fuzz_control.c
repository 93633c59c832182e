/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that a control client sends, through libmicrohttpd, to the handlers:
 * the first byte says who it is and in which pieces, the others are sent,
 * then the sender's end.  The store has ended, so that each request ends
 * where it would be asked.  Whatever comes, the connection ends and nothing
 * is left; what is answered is JSON, a problem says its status, and who may
 * nothing gets nothing.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "../lib/control_rig.h"
#include "../lib/tmpdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MUST(c) ((c) ? (void)0 : abort())
#define QUIET 4				/* turns without an answer: it waits */

static struct control_rig rig;
static char got[1 << 20];
static size_t got_n;

static void
start(void)
{
	control_rig_init(&rig);
	rig.rules.request_max = 2048;
	control_rig_start(&rig);
	store_stop(rig.store);
	(void)atexit(tmpdir_remove);
}

/* Whether something has come, or the end. */
static bool
turn(int fd)
{
	ssize_t n;

	MUST(loop_turn(atomic_load(&rig.control)->worker.loop, 0) == 0);
	n = recv(fd, got + got_n, sizeof(got) - 1 - got_n, MSG_DONTWAIT);
	if (n > 0)
		got_n += (size_t)n;
	return n > 0;
}

static void
rest(int fd)
{
	for (unsigned i = 0; i < QUIET; i++)
		if (turn(fd))
			i = 0;
}

/* The first answer. */
static void
check_answer(enum control_role role, bool head_only)
{
	const char *body, *length;
	unsigned status = 0;
	json_t *o;
	size_t n;

	got[got_n] = '\0';
	if (got_n == 0)
		return;
	MUST(strlen(got) == got_n);
	MUST(sscanf(got, "HTTP/1.%*1[01] %3u ", &status) == 1);
	body = strstr(got, "\r\n\r\n");
	MUST(status >= 100 && status <= 599 && body != NULL);
	if (status == 100)
		return;
	/* libmicrohttpd 1.0 itself sends who has a space in the target there
	 * without it. */
	if (role == CONTROL_NOBODY)
		MUST(status >= 400 || (status == 301 &&
		    strstr(got, "json\r\n") == NULL));
	body += 4;
	length = strstr(got, "Content-Length: ");
	if (strstr(got, "json\r\n") == NULL || strstr(got, "json\r\n") >
	    body || length == NULL || length > body || head_only)
		return;
	n = strtoul(length + 16, NULL, 10);
	MUST(n <= got_n - (size_t)(body - got));
	o = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
	MUST(json_is_object(o));
	MUST(status < 400 || json_integer_value(json_object_get(o,
	    "status")) == (json_int_t)status);
	json_decref(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum control_role roles[] = {
		CONTROL_OPERATOR, CONTROL_OPERATOR, CONTROL_VIEWER,
		CONTROL_NOBODY
	};
	enum control_role role;
	struct control *c;
	size_t piece, at, part;
	bool head_only;
	int fd;

	if (n == 0 || n > 40000)
		return 0;
	if (rig.bus == NULL)
		start();
	log_set_level(LOG_LVL_ERROR);
	c = atomic_load(&rig.control);
	role = roles[p[0] % 4];
	piece = p[0] < 4 ? SIZE_MAX : (size_t)p[0] * p[0] / 16;
	p++;
	n--;
	head_only = n > 4 && memcmp(p, "HEAD", 4) == 0;
	got_n = 0;
	fd = control_rig_dial(&rig);
	control_rig_role(&rig, role);
	/* Small pieces cost a turn each: only at first. */
	for (at = 0; at < n; at += part) {
		part = n - at < piece || at > 100 * piece ? n - at : piece;
		if (send(fd, p + at, part, MSG_NOSIGNAL | MSG_DONTWAIT) !=
		    (ssize_t)part)
			break;
		(void)turn(fd);
	}
	rest(fd);
	(void)shutdown(fd, SHUT_WR);
	rest(fd);
	(void)close(fd);
	for (unsigned i = 0; atomic_load(&c->counters.connections) > 0; i++) {
		MUST(i < 5000);
		control_rig_turn(&rig);
	}
	MUST(list_empty(&c->exchanges) && list_empty(&c->streams) &&
	    list_empty(&c->waiting) && c->out == 0);
	check_answer(role, head_only);
	return 0;
}
