/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits until the daemon serves a certificate: its status (GET /v1/status on
 * the control socket) is asked again and again, for what the listeners will
 * send and for what has failed since.
 */
#include "certmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "base/hex.h"
#include "../ctl/http.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cert/describe.h"

#define SOCKET_DEFAULT "/run/cleat/control.sock"
#define CALL_MS 10000
#define STEP_MS 200
/* A failure has to last: files that were just replaced may be read in the midst
 * of it, and then once more. */
#define GRACE_MS 3000

struct watch {
	const struct asked *a;
	const char *socket;
	char sha256[CHAINS_MAX][65];
	size_t n;
	int64_t since_ms;
	char slots[256];		/* what they serve, for people */
	char why[CERT_WHY_SIZE];	/* what failed; "": nothing */
};

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

static bool
about(const struct watch *w, const json_t *c)
{
	return w->a->slot == NULL || strcmp(text(c, "slot"),
	    w->a->slot) == 0;
}

/* Whether one slot has all of them. */
static bool
serves(const struct watch *w, const json_t *list, const char *slot)
{
	const json_t *c;
	size_t i, k, have = 0;

	for (k = 0; k < w->n; k++) {
		json_array_foreach(list, i, c) {
			if (strcmp(text(c, "slot"), slot) == 0 &&
			    strcmp(text(c, "sha256"), w->sha256[k]) == 0) {
				have++;
				break;
			}
		}
	}
	return have == w->n;
}

/* Times are RFC 3339 in UTC: they compare as text. */
static bool
look(struct watch *w, const json_t *list)
{
	char since[CLOCK_TEXT_SIZE];
	const json_t *c;
	size_t i;

	clock_text(w->since_ms, since);
	w->why[0] = w->slots[0] = '\0';
	json_array_foreach(list, i, c) {
		size_t n = strlen(w->slots);

		if (!about(w, c))
			continue;
		if (serves(w, list, text(c, "slot")))
			return true;
		(void)snprintf(w->slots + n, sizeof(w->slots) - n,
		    "%sslot %.60s serves %.16s", n == 0 ? "" : ", ",
		    text(c, "slot"), text(c, "sha256")[0] == '\0' ?
		    "nothing" : text(c, "sha256"));
		if (w->why[0] == '\0' && text(c, "error")[0] != '\0' &&
		    strcmp(text(c, "error_time"), since) >= 0)
			(void)cert_why(w->why, 0, "slot %s: %s",
			    text(c, "slot"), text(c, "error"));
	}
	return false;
}

/* Negative errno; else whether it is live. */
static int
ask(struct watch *w, struct http *http)
{
	const struct http_request q = { .method = "GET",
	    .path = "/v1/status", .timeout_ms = CALL_MS };
	struct http_answer answer;
	const json_t *list;
	json_t *o;
	bool live;
	int r;

	r = http_call(http, &q, &answer);
	if (r < 0)
		return r;
	o = answer.status == 200 ? json_loadb(answer.body, answer.n, 0,
	    NULL) : NULL;
	r = answer.status == 403 ? -EACCES : -EBADMSG;
	mem_free(answer.body);
	list = json_object_get(o, "certificates");
	if (!json_is_array(list)) {
		json_decref(o);
		return r;
	}
	live = look(w, list);
	json_decref(o);
	return live;
}

static enum status
unreachable(const struct watch *w, int error)
{
	char why[CERT_WHY_SIZE];

	(void)cert_why(why, error, "%s: the daemon cannot be asked: %s: %s",
	    w->socket, strerror(-error), error == -EACCES || error == -EPERM ?
	    "only its operators may, see [control] in cleat.conf(5)" :
	    "start it, or name its socket with --socket or CLEAT_CONTROL");
	return say_error(w->a, STATUS_UNREACHABLE, "%s", why);
}

static enum status
late(const struct watch *w)
{
	char why[CERT_WHY_SIZE];

	if (w->why[0] != '\0')
		return say_error(w->a, STATUS_NOT_LIVE, "%s", w->why);
	(void)cert_why(why, 0, "%s/current: not in service within %llu s "
	    "(%s): point chain and key of cert-file at %.100s/current/, see "
	    "cleat-certificates(7)", w->a->directory,
	    (unsigned long long)w->a->timeout_ms / 1000, w->slots[0] == '\0' ?
	    "there is no such slot" : w->slots, w->a->directory);
	return say_error(w->a, STATUS_NOT_LIVE, "%s", why);
}

static enum status
watch(struct watch *w, struct http *http)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	uint64_t start = clock_mono_ms(), failed = 0, now;
	int r;

	for (;;) {
		r = ask(w, http);
		now = clock_mono_ms();
		if (r == 1)
			return STATUS_OK;
		if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
			return unreachable(w, r);
		if (w->why[0] == '\0')
			failed = 0;
		else if (failed == 0)
			failed = now;
		if ((failed != 0 && now - failed >= GRACE_MS) ||
		    now - start >= w->a->timeout_ms)
			return late(w);
		(void)nanosleep(&step, NULL);
	}
}

/* When the link was turned. */
static int64_t
installed_ms(const struct asked *a)
{
	char path[4096];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/current", a->directory);
	return lstat(path, &st) < 0 ? 0 : (int64_t)st.st_mtim.tv_sec * 1000 +
	    st.st_mtim.tv_nsec / 1000000;
}

enum status
live_wait(const struct asked *a, const struct material *m)
{
	struct watch w = { .a = a, .since_ms = installed_ms(a), .n = m->n };
	struct http *http = NULL;
	enum status s;
	int r;

	w.socket = a->socket != NULL ? a->socket : getenv("CLEAT_CONTROL");
	if (w.socket == NULL || w.socket[0] == '\0')
		w.socket = SOCKET_DEFAULT;
	for (size_t i = 0; i < m->n; i++)
		hex_write(m->chain[i].crt[0]->sha256, 32, w.sha256[i]);
	r = http_new(w.socket, NULL, &http);
	if (r < 0)
		return unreachable(&w, r);
	s = watch(&w, http);
	http_free(&http);
	return s;
}
