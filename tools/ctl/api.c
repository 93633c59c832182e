/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the daemon (doc/openapi.json): what went wrong becomes an exit
 * status and a line with cause and remedy, pages become one list.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "ctl.h"

/* ---- what went wrong ---------------------------------------------------- */

/* The group that is let in: of the socket, or of what keeps us from
 * seeing it. */
static void
say_group(const char *socket)
{
	char path[4096];
	struct stat st;
	const struct group *g;
	char *slash;

	(void)snprintf(path, sizeof(path), "%s", socket);
	while (stat(path, &st) != 0) {
		slash = strrchr(path, '/');
		if (slash == NULL || slash == path)
			return;
		*slash = '\0';
	}
	g = getgrgid(st.st_gid);
	if (g == NULL)
		say("group %u may; join it, or use sudo",
		    (unsigned)st.st_gid);
	else if (st.st_gid == 0)
		say("only root may: use sudo");
	else
		say("group \"%s\" may: \"sudo usermod -aG %s USER\" and log "
		    "in again, or use sudo", g->gr_name, g->gr_name);
}

int
api_failed(struct ctl *x, int error)
{
	switch (error) {
	case -ENOMEM:
		return say_memory();
	case -ENOENT:
	case -ECONNREFUSED:
		say("%s: %s: cleatd is not running, or its socket is "
		    "elsewhere", x->socket, strerror(-error));
		say("start it (systemctl start cleatd), or name the socket "
		    "with --socket or CLEAT_CONTROL");
		return EXIT_UNREACHABLE;
	case -EACCES:
	case -EPERM:
		say("%s: %s", x->socket, strerror(-error));
		say_group(x->socket);
		return EXIT_NOT_ALLOWED;
	case -EINTR:
		return EXIT_INTERRUPTED;
	case -ETIMEDOUT:
		say("%s: the daemon does not answer", x->socket);
		return EXIT_UNREACHABLE;
	case -EMSGSIZE:
		say("%s: the answer is too long", x->socket);
		return EXIT_BROKEN;
	case -EBADMSG:
		say("%s: that is not an answer of cleatd", x->socket);
		return EXIT_BROKEN;
	case -EPIPE:
	case -EAGAIN:
		say("%s: the connection broke: %s", x->socket,
		    error == -EAGAIN ? "the daemon has no room for it now" :
		    http_why(x->http));
		return EXIT_UNREACHABLE;
	default:
		say("%s: %s", x->socket, strerror(-error));
		return EXIT_UNREACHABLE;
	}
}

int
api_problem(long status, const json_t *problem)
{
	const char *type = strrchr(member(problem, "type"), ':');
	const char *detail = member(problem, "detail");
	const char *remedy = member(problem, "remedy");

	if (*detail == '\0')
		say("the daemon refused it (HTTP %ld)", status);
	else
		say("%s: %s", member(problem, "title"), detail);
	if (*remedy != '\0')
		say("%s", remedy);
	if (status == 403)
		return EXIT_NOT_ALLOWED;
	if (status == 404 && type != NULL && strcmp(type, ":not-found") == 0)
		return EXIT_NOT_FOUND;
	return EXIT_REFUSED;
}

/* ---- one call ----------------------------------------------------------- */

int
api_quietly(struct ctl *x, const struct http_request *q, long *ret_status,
    json_t **ret)
{
	struct http_answer a = { 0 };
	json_t *v;
	int r = http_call(x->http, q, &a);

	*ret_status = 0;
	if (r != 0)
		return r;
	v = a.n == 0 ? json_object() :
	    json_loadb(a.body, a.n, JSON_ALLOW_NUL, NULL);
	mem_wipe(a.body, a.n);		/* a token may be in it */
	mem_free(a.body);
	if (!json_is_object(v)) {
		json_decref(v);
		return -EBADMSG;
	}
	*ret_status = a.status;
	*ret = v;
	return 0;
}

int
api(struct ctl *x, const char *method, const struct text *path,
    json_t *body, json_t **ret)
{
	struct text text = { 0 };
	struct http_request q = { .method = method, .path = text_str(path),
		.timeout_ms = CALL_MS };
	json_t *v = NULL;
	long status;
	int r;

	if (body != NULL) {
		text_json(&text, body);
		json_decref(body);
		q.body = text_str(&text);
	}
	r = path->failed || text.failed ? -ENOMEM :
	    api_quietly(x, &q, &status, &v);
	mem_wipe(text.p, text.n);
	text_free(&text);
	if (r != 0)
		return api_failed(x, r);
	if (status < 200 || status > 299)
		r = api_problem(status, v);
	else if (ret != NULL)
		*ret = json_incref(v);
	json_decref(v);
	return r;
}

int
api_show(struct ctl *x, const char *method, const struct text *path,
    json_t *body, void (*show)(struct ctl *, const json_t *))
{
	json_t *v = NULL;
	int r = api(x, method, path, body, &v);

	if (r == EXIT_OK && x->option[O_JSON] != NULL)
		r = put_json(x, v);
	else if (r == EXIT_OK && show != NULL)
		show(x, v);
	json_decref(v);
	return r;
}

void
path_of(struct text *t, const char *before, const char *id,
    const char *after)
{
	text_puts(t, before);
	text_url(t, id);
	text_puts(t, after);
}

void
path_query(struct text *t, const char *name, const char *value)
{
	if (value == NULL)
		return;
	text_puts(t, strchr(text_str(t), '?') == NULL ? "?" : "&");
	text_puts(t, name);
	text_puts(t, "=");
	text_url(t, value);
}

void
path_limit(struct text *t, size_t page)
{
	char number[24];

	(void)snprintf(number, sizeof(number), "%zu", page);
	path_query(t, "limit", number);
}

/* ---- pages -------------------------------------------------------------- */

static int
read_page(const json_t *page, const char *list, api_each_fn *each, void *arg)
{
	const json_t *rows = json_object_get(page, list), *row;
	size_t i;
	int r = 0;

	json_array_foreach(rows, i, row) {
		r = each(arg, row);
		if (r != 0)
			break;
	}
	return r;
}

int
api_pages(struct ctl *x, const struct text *path, const char *list,
    api_each_fn *each, void *arg)
{
	char *after = NULL;
	int r = EXIT_OK;

	do {
		struct text t = { .failed = path->failed };
		json_t *page = NULL;
		int end;

		text_puts(&t, text_str(path));
		path_query(&t, "after", after);
		r = api(x, "GET", &t, NULL, &page);
		text_free(&t);
		mem_free(after);
		after = NULL;
		end = r == EXIT_OK ? read_page(page, list, each, arg) : 1;
		if (end == 0 && json_object_get(page, "next") != NULL) {
			after = member_text(page, "next");
			if (after == NULL)
				r = say_memory();
		}
		json_decref(page);
	} while (after != NULL);
	return r;
}
