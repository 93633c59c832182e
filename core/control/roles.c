/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles.  root and the daemon's own user are always operators: they could
 * change the daemon's files anyway.  Names are looked up when the configuration
 * is read, never by the control thread: a directory service may be slow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* struct ucred */
#endif
#include "control/roles.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/conf.h"

#define GROUPS_MAX 1024
#define LOOKUP_SIZE 16384

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59		/* Linux 4.13 */
#endif

static bool
is_one_of(const struct control_who *who, unsigned n, uint32_t uid,
    const uint32_t *groups, size_t groups_n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!who[i].group && who[i].id == uid)
			return true;
		for (size_t g = 0; who[i].group && g < groups_n; g++)
			if (who[i].id == groups[g])
				return true;
	}
	return false;
}

enum control_role
roles_of(const struct control_rules *r, uint32_t self, uint32_t uid,
    const uint32_t *groups, size_t n)
{
	if (uid == 0 || uid == self ||
	    is_one_of(r->operators, r->operators_n, uid, groups, n))
		return CONTROL_OPERATOR;
	return r->anyone_views ||
	    is_one_of(r->viewers, r->viewers_n, uid, groups, n) ?
	    CONTROL_VIEWER : CONTROL_NOBODY;
}

enum control_role
roles_of_peer(const struct control_rules *r, int fd, uint32_t *ret_uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	uint32_t groups[GROUPS_MAX + 1];
	size_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return CONTROL_NOBODY;
	len = GROUPS_MAX * sizeof(groups[0]);
	/* Without them (too many: ERANGE) the first group is what counts. */
	n = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0 ?
	    len / sizeof(groups[0]) : 0;
	groups[n++] = peer.gid;
	*ret_uid = peer.uid;
	return roles_of(r, getuid(), peer.uid, groups, n);
}

/* ---- names ------------------------------------------------------------- */

static bool
find_user(const char *name, uint32_t *ret)
{
	char buf[LOOKUP_SIZE];
	struct passwd pw, *got = NULL;

	if (getpwnam_r(name, &pw, buf, sizeof(buf), &got) != 0 || got == NULL)
		return false;
	*ret = pw.pw_uid;
	return true;
}

static bool
find_group(const char *name, uint32_t *ret)
{
	char buf[LOOKUP_SIZE];
	struct group gr, *got = NULL;

	if (getgrnam_r(name, &gr, buf, sizeof(buf), &got) != 0 || got == NULL)
		return false;
	*ret = gr.gr_gid;
	return true;
}

static bool
find_number(const char *name, uint32_t *ret)
{
	size_t n = strspn(name, "0123456789");

	if (n == 0 || n > 9 || name[n] != '\0')
		return false;
	*ret = (uint32_t)strtoul(name, NULL, 10);
	return true;
}

static int
read_list(const struct conf *conf, const char *key, char *why,
    struct control_who *to, unsigned *ret_n)
{
	const char *item, *name;
	unsigned n = 0;

	for (; (item = conf_item(conf, "control", key, n)) != NULL; n++) {
		if (n == CONTROL_WHO_MAX) {
			(void)snprintf(why, CONTROL_WHY_SIZE, "%s: [control] "
			    "%s: at most %u", conf_where(conf, "control",
			    key), key, CONTROL_WHO_MAX);
			return -EINVAL;
		}
		to[n].group = item[0] == '@';
		name = item + (to[n].group ? 1 : 0);
		if (find_number(name, &to[n].id) || (to[n].group ?
		    find_group(name, &to[n].id) : find_user(name, &to[n].id)))
			continue;
		(void)snprintf(why, CONTROL_WHY_SIZE, "%s: [control] %s: "
		    "there is no %s \"%.80s\"", conf_where(conf, "control",
		    key), key, to[n].group ? "group" : "user (a group is "
		    "written @NAME)", name);
		return -EINVAL;
	}
	*ret_n = n;
	return 0;
}

int
control_rules_read(const struct conf *conf, char *why,
    struct control_rules *ret)
{
	struct control_rules *r = mem_calloc(1, sizeof(*r));
	int error;

	if (r == NULL)
		return -ENOMEM;
	error = read_list(conf, "operators", why, r->operators,
	    &r->operators_n);
	if (error == 0)
		error = read_list(conf, "viewers", why, r->viewers,
		    &r->viewers_n);
	r->anyone_views = r->viewers_n == 0;
	r->connections = (uint32_t)conf_uint(conf, "control", "connections");
	r->streams = (uint32_t)conf_uint(conf, "control", "streams");
	r->request_max = (uint32_t)conf_size(conf, "control", "request_size");
	r->stream_max = (uint32_t)conf_size(conf, "control", "stream_queue");
	r->timeout_ms = (uint32_t)conf_ms(conf, "control", "timeout");
	if (error == 0)
		*ret = *r;
	mem_free(r);
	return error;
}
