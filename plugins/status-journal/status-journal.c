/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line in the log for each event.  When the journal is there, with fields
 * to search by: journalctl CLEAT_ENDPOINT=till-17.  Its native protocol is one
 * datagram of "FIELD=value" lines (systemd.io/JOURNAL_NATIVE_PROTOCOL); without
 * it, or when it does not listen, the daemon's own log gets the line.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cleat/host.h>

#define NAME "status-journal"
#define JOURNAL "/run/systemd/journal/socket"
#define VALUE_MAX 1024			/* of a field; longer ones are cut */
#define HEAD_MAX 32
#define FIELDS 9

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	int fd;				/* -1: the daemon's log */
	struct sockaddr_un to;
};

/* What is sent: each field in one piece of room. */
struct fields {
	struct iovec iov[FIELDS];
	unsigned n;
	char room[FIELDS][HEAD_MAX + VALUE_MAX + 2];
};

static const struct cleat_opt opts[] = {
	{ "socket", CLEAT_OPT_PATH, CLEAT_OPT_RESTART, JOURNAL, 0, 0,
	    "socket of the journal" },
	{ "log", CLEAT_OPT_BOOL, CLEAT_OPT_RESTART, "no", 0, 0,
	    "write to the daemon's log even if there is a journal" },
	{ .name = NULL }
};

/* What would end a field or hide in a terminal becomes a space. */
static void
add(struct fields *f, const char *field, const char *value)
{
	char *to = f->room[f->n];
	int n;

	if (value[0] == '\0')
		return;
	n = snprintf(to, HEAD_MAX + VALUE_MAX, "%s=%.*s", field, VALUE_MAX - 1,
	    value);
	if (n < 0)
		return;
	if (n >= HEAD_MAX + VALUE_MAX)
		n = HEAD_MAX + VALUE_MAX - 1;
	for (int i = 0; i < n; i++) {
		if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f)
			to[i] = ' ';
	}
	to[n] = '\n';
	f->iov[f->n].iov_base = to;
	f->iov[f->n].iov_len = (size_t)n + 1;
	f->n++;
}

static int
priority(const char *type)
{
	const char *dot = strrchr(type, '.');

	if (dot == NULL)
		return CLEAT_LOG_INFO;
	if (strcmp(dot, ".failed") == 0 || strcmp(dot, ".expired") == 0 ||
	    strcmp(dot, ".expiring") == 0)
		return CLEAT_LOG_WARNING;
	return CLEAT_LOG_INFO;
}

static void
line_of(const struct cleat_event *ev, char *to, size_t cap)
{
	(void)snprintf(to, cap, "%s%s%s%s%s%s%s", ev->type,
	    ev->endpoint[0] != '\0' ? " endpoint=" : "", ev->endpoint,
	    ev->state[0] != '\0' ? " state=" : "", ev->state,
	    ev->text[0] != '\0' ? ": " : "", ev->text);
}

/* false: the journal did not take it. */
static bool
send_fields(struct inst *in, const struct cleat_event *ev, const char *line)
{
	struct fields f = { .n = 0 };
	struct msghdr m = {
		.msg_name = &in->to,
		.msg_namelen = sizeof(in->to),
		.msg_iov = f.iov,
	};
	char number[24];

	add(&f, "MESSAGE", line);
	(void)snprintf(number, sizeof(number), "%d", priority(ev->type));
	add(&f, "PRIORITY", number);
	add(&f, "SYSLOG_IDENTIFIER", "cleatd");
	add(&f, "CLEAT_EVENT", ev->type);
	add(&f, "CLEAT_ENDPOINT", ev->endpoint);
	add(&f, "CLEAT_STATE", ev->state);
	(void)snprintf(number, sizeof(number), "%" PRIu64, ev->seq);
	add(&f, "CLEAT_SEQ", number);
	(void)snprintf(number, sizeof(number), "%" PRIu64, ev->epoch);
	add(&f, "CLEAT_EPOCH", number);
	if (ev->json_n < VALUE_MAX)
		add(&f, "CLEAT_JSON", ev->json);
	m.msg_iovlen = f.n;
	return sendmsg(in->fd, &m, MSG_NOSIGNAL) >= 0;
}

static void
on_event(void *inst, const struct cleat_event *ev)
{
	struct inst *in = inst;
	char line[VALUE_MAX];

	line_of(ev, line, sizeof(line));
	if (in->fd >= 0 && send_fields(in, ev, line))
		return;
	in->host->log(in->self, priority(ev->type), "%s seq=%" PRIu64, line,
	    ev->seq);
}

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));
	const char *path;

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	in->fd = -1;
	path = host->opt_text(self, NULL, "socket");
	if (path == NULL || strlen(path) >= sizeof(in->to.sun_path)) {
		host->log(self, CLEAT_LOG_ERROR, "socket: a path of at most "
		    "%zu characters is expected", sizeof(in->to.sun_path) - 1);
		free(in);
		return -EINVAL;
	}
	in->to.sun_family = AF_UNIX;
	memcpy(in->to.sun_path, path, strlen(path));
	if (host->opt_number(self, NULL, "log") == 0 && access(path, F_OK) == 0)
		in->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*ret = in;
	return 0;
}

static void
life_close(void *inst)
{
	struct inst *in = inst;

	if (in->fd >= 0)
		(void)close(in->fd);
	free(in);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.close = life_close,
};

static const struct cleat_status_ops ops = {
	.size = sizeof(ops),
	.event = on_event,
};

CLEAT_PLUGIN(CLEAT_STATUS, NAME, "1.0", opts, &life, &ops);
