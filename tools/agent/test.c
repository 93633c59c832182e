/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat-agent test: one attempt, step by step, for a person or as JSON.  What
 * is found is the library's (client/probe.h); this chooses what is tried, and
 * writes.  It changes nothing on this device, and does not disturb an agent
 * that runs.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../client/probe.h"
#include "agent.h"
#include "base/json_out.h"
#include "cert/describe.h"
#include "wire/utf8.h"

#define LINE_MAX_BYTES 65536
#define TEST_TIMEOUT_S 20		/* as of an attempt */
#define SEPARATORS ", \t\r\n"

struct test {
	const struct agent_opts *o;
	char server[1024];		/* the present one */
	bool broken;			/* the output */
};

static const char *const levels[] = { "ok", "skip", "warning", "fail" };

/* ---- writing ------------------------------------------------------------- */

static void
put_certificate(struct json_out *j, const struct cert_facts *f)
{
	jout_object(j, "certificate");
	jout_string(j, "subject", f->subject.dn);
	jout_string(j, "issuer", f->issuer.dn);
	jout_string(j, "names", f->names);
	jout_time(j, "not_before", f->not_before * 1000);
	jout_time(j, "not_after", f->not_after * 1000);
	jout_string(j, "key", f->key);
	jout_string(j, "signature", f->signature);
	jout_string(j, "serial", f->serial);
	jout_hex(j, "sha256", f->sha256, sizeof(f->sha256));
	jout_hex(j, "spki_sha256", f->spki_sha256, sizeof(f->spki_sha256));
	jout_object_end(j);
}

static void
put_json(struct test *t, const struct probe_line *line)
{
	static uint8_t area[LINE_MAX_BYTES];
	struct outbuf out = { .p = area, .cap = sizeof(area) };
	struct json_out j;

	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_string(&j, "server", t->server);
	jout_string(&j, "check", line->check);
	jout_string(&j, "level", levels[line->level]);
	jout_string(&j, "text", line->text);
	if (line->took_ms >= 0)
		jout_uint(&j, "took_ms", (uint64_t)line->took_ms);
	if (line->cert != NULL)
		put_certificate(&j, line->cert);
	jout_object_end(&j);
	if (!jout_ok(&j) || fwrite(out.p, 1, out.n, stdout) != out.n)
		t->broken = true;
	(void)putchar('\n');
}

/* What a peer wrote shall not write on the terminal. */
static void
put_tame(const char *text)
{
	bool utf8 = utf8_valid((const uint8_t *)text, strlen(text));

	for (const char *p = text; *p != '\0'; p++) {
		uint8_t c = (uint8_t)*p;

		if (utf8 && c == 0xc2 && (uint8_t)p[1] < 0xa0) {
			p++;			/* C1 controls */
			c = 0;
		}
		(void)putchar(c < ' ' || c == 0x7f || (c >= 0x80 && !utf8) ?
		    '?' : c);
	}
}

static void
put_text(const struct probe_line *line)
{
	(void)printf("%-8s %-12s ", levels[line->level], line->check);
	put_tame(line->text);
	if (line->took_ms >= 0)
		(void)printf(" (%lld ms)", (long long)line->took_ms);
	(void)putchar('\n');
}

static void
on_line(void *ctx, const struct probe_line *line)
{
	struct test *t = ctx;

	if (t->o->json)
		put_json(t, line);
	else
		put_text(line);
	if (fflush(stdout) != 0)
		t->broken = true;
}

static void
say(struct test *t, const char *check, enum probe_level level,
    const char *text)
{
	const struct probe_line line = {
		.check = check, .level = level, .text = text, .took_ms = -1
	};

	on_line(t, &line);
}

/* ---- what is tried ------------------------------------------------------- */

static const char *
verdict(enum probe_result r)
{
	switch (r) {
	case PROBE_GOOD:
		return "a device can open its channel to this server";
	case PROBE_SETTINGS:
		return "the settings of this device cannot be used";
	case PROBE_UNREACHED:
		return "the server cannot be reached";
	case PROBE_UNTRUSTED:
		return "no TLS connection that both sides trust";
	case PROBE_OTHER:
		return "there is no cleat server behind this address";
	case PROBE_REFUSED:
		break;
	}
	return "the server does not let this device in";
}

/* Returns the exit status. */
static int
say_result(struct test *t, enum probe_result r)
{
	static const int statuses[] = {
		[PROBE_GOOD] = 0, [PROBE_SETTINGS] = 1, [PROBE_UNREACHED] = 3,
		[PROBE_UNTRUSTED] = 4, [PROBE_OTHER] = 5, [PROBE_REFUSED] = 6
	};

	say(t, "result", r == PROBE_GOOD ? PROBE_OK : PROBE_FAIL, verdict(r));
	return statuses[r];
}

static int
try_one(struct test *t)
{
	struct cleat_client_opts opts = t->o->client;
	const struct probe_spec spec = {
		.opts = &opts, .hello = t->o->hello,
		.timeout_ms = (t->o->timeout_s != 0 ? t->o->timeout_s :
		    TEST_TIMEOUT_S) * 1000,
		.cert_is_all = t->o->token_file == NULL &&
		    opts.identity_file == NULL,
		.line = on_line, .ctx = t
	};

	opts.server = t->server;
	opts.agent = "cleat-agent " PACKAGE_VERSION;
	return say_result(t, probe_run(&spec));
}

/* The target, or every server of the settings; the first failure counts. */
static int
try_all(struct test *t)
{
	const char *p = t->o->target != NULL ? t->o->target :
	    t->o->client.server;
	int r = 0, one;
	size_t n;

	for (; p += strspn(p, SEPARATORS), *p != '\0'; p += n) {
		n = strcspn(p, SEPARATORS);
		(void)snprintf(t->server, sizeof(t->server), "%.*s", (int)n,
		    p);
		one = try_one(t);
		r = r == 0 ? one : r;
	}
	return r;
}

/* ---- hello --------------------------------------------------------------- */

/* NULL: nobody's channel is ended by our hello, as far as can be seen here.
 * The lock is held until the end of the process. */
static const char *
may_say_hello(const struct agent_opts *o)
{
	char path[4096];
	int fd;

	if (o->client.endpoint == NULL)
		return "--hello needs the name of the device (--endpoint)";
	if (o->token_file == NULL && o->client.cert_file == NULL &&
	    o->client.identity_file == NULL)
		return "--hello needs a token, a certificate or a key";
	if (o->state_dir == NULL)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/lock", o->state_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return "whether cleat-agent runs cannot be seen, as the lock "
		    "in the state directory cannot be opened";
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0)
		return "cleat-agent runs with this state directory, and hello "
		    "would end its channel: stop it before";
	return NULL;
}

int
agent_test(struct agent_opts *o)
{
	struct test t = { .o = o };
	char identity[4096];
	const char *why;
	int r;

	agent_default_identity(o, identity);
	o->enrol_token_file = NULL;	/* a test does not enrol */
	why = o->hello ? may_say_hello(o) : NULL;
	if (why == NULL && agent_read_secrets(o, o->hello) != 0)
		why = "a secret cannot be read";
	if (why != NULL)
		say(&t, "settings", PROBE_FAIL, why);
	r = why == NULL ? try_all(&t) : say_result(&t, PROBE_SETTINGS);
	agent_wipe_secrets(o);
	if (t.broken || ferror(stdout) != 0) {
		(void)fprintf(stderr, "cleat-agent: the output cannot be "
		    "written\n");
		r = r == 0 ? 1 : r;
	}
	return r;
}
