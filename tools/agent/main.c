/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat-agent: the reference device.  Keeps the channel of one endpoint open,
 * obeys commands, reports telemetry, and says what happens on standard error.
 * cleat-agent(1).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "agent.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tls/secret.h"
#include "tls/snapshot.h"

#define SECRET_FILE_MAX 4096

/* ---- what the library tells -------------------------------------------- */

static void
on_log(void *ctx, enum cleat_client_level level, const char *text)
{
	(void)ctx;
	if (level == CLEAT_CLIENT_WARNING)
		log_warning("%s", text);
	else if (level == CLEAT_CLIENT_NOTICE)
		log_notice("%s", text);
	else
		log_info("%s", text);
}

static void
inventory_answered(void *arg, const struct cleat_client_answer *answer)
{
	(void)arg;
	if (answer->error != 0 && answer->error != -ENOTCONN)
		log_warning("inventory: %d %s", answer->code, answer->text);
}

static void
went_online(struct agent *a)
{
	char *inventory = agent_inventory(a->opts->inventory);
	int r = 0;

	if (a->opts->event != NULL && cleat_client_notify(a->client, "event",
	    a->opts->event) != 0)
		log_warning("the event could not be sent");
	if (inventory != NULL)
		r = cleat_client_inventory(a->client, inventory,
		    inventory_answered, a);
	if (r != 0)
		log_warning("the inventory could not be sent: %s",
		    strerror(-r));
	mem_free(inventory);
	agent_commands_online(a);
}

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	struct agent *a = ctx;

	switch (state) {
	case CLEAT_CLIENT_WAITING:
		log_notice("offline: %s", why);
		break;
	case CLEAT_CLIENT_CONNECTING:
		log_info("connecting host=%s", why);
		break;
	case CLEAT_CLIENT_ONLINE:
		log_notice("online: %s", why);
		went_online(a);
		break;
	case CLEAT_CLIENT_STOPPED:
		log_notice("stopped");
		break;
	}
}

static void
on_hello(void *ctx, const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	agent_telemetry_hello(ctx, (uint64_t)json_integer_value(
	    json_object_get(o, "telemetry_seq")));
	json_decref(o);
}

static void
on_notification(void *ctx, const char *method, const char *params)
{
	char quoted[256];

	(void)ctx;
	log_info("notification method=%s params=%s", method,
	    log_quote(quoted, sizeof(quoted), params, strlen(params)));
}

static int
on_request(void *ctx, const char *method, const char *params)
{
	return agent_request(ctx, method, params);
}

static void
on_approval(void *ctx, const char *fingerprint)
{
	(void)ctx;
	log_notice("waiting for approval fingerprint=%s", fingerprint);
}

/* ---- the loop ---------------------------------------------------------- */

static int
open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
take_signals(struct agent *a)
{
	struct signalfd_siginfo si;

	while (read(a->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo != SIGCHLD)
			cleat_client_stop(a->client, "the agent is stopped");
}

static int
time_left(const struct agent *a)
{
	uint64_t now = clock_mono_ms(), at = agent_commands_due(a);
	uint64_t telemetry = agent_telemetry_due(a);
	int client = cleat_client_timeout_ms(a->client), mine;

	if (telemetry < at)
		at = telemetry;
	if (at == UINT64_MAX)
		return client;
	mine = at <= now ? 0 : at - now > 3600000 ? 3600000 : (int)(at - now);
	return client < 0 || mine < client ? mine : client;
}

static int
run(struct agent *a)
{
	struct pollfd p[5];
	uint64_t now;

	while (cleat_client_get_state(a->client) != CLEAT_CLIENT_STOPPED) {
		p[0] = (struct pollfd){ .fd = a->signals, .events = POLLIN };
		p[1] = (struct pollfd){
			.fd = cleat_client_fd(a->client),
			.events = cleat_client_poll_events(a->client)
		};
		p[2] = (struct pollfd){ .fd = a->input, .events = POLLIN };
		p[3] = (struct pollfd){ .fd = a->job.out, .events = POLLIN };
		p[4] = (struct pollfd){ .fd = a->job.progress,
			.events = POLLIN };
		if (poll(p, 5, time_left(a)) < 0 && errno != EINTR) {
			log_error("cannot wait any longer: %s",
			    strerror(errno));
			return -errno;
		}
		take_signals(a);
		if (p[2].revents != 0)
			agent_telemetry_read(a);
		cleat_client_process(a->client);
		now = clock_mono_ms();
		agent_commands_tick(a, now);
		agent_telemetry_tick(a, now);
	}
	return 0;
}

/* ---- start ------------------------------------------------------------- */

/* A path, whose first line it is, or a secret that is elsewhere. */
static int
read_secret(const struct agent_opts *o, const char *path, const char **ret)
{
	char why[TLS_WHY_SIZE] = "", key[4096], *secret = NULL;
	uint8_t *text;
	size_t n;
	int r;

	if (path == NULL)
		return 0;
	if (secret_is_elsewhere(path) || strncmp(path, "plain:", 6) == 0) {
		(void)snprintf(key, sizeof(key), "%s/secret.key",
		    o->state_dir == NULL ? "" : o->state_dir);
		r = secret_open(path, o->state_dir == NULL ? NULL : key, why,
		    &secret);
		if (r != 0)
			log_error("%s", why);
		*ret = secret;
		return r;
	}
	r = file_read(path, SECRET_FILE_MAX, &text, &n);
	if (r != 0) {
		log_error("%s: %s", path, strerror(-r));
		return r;
	}
	text[strcspn((char *)text, "\r\n")] = '\0';
	*ret = (char *)text;
	return 0;
}

static void
wipe(const char **text)
{
	if (*text != NULL)
		mem_free_wiped((void *)(uintptr_t)*text, strlen(*text));
	*text = NULL;
}

void
agent_wipe_secrets(struct agent_opts *o)
{
	wipe(&o->client.token);
	wipe(&o->client.enrol_token);
	wipe(&o->client.proxy_password);
	wipe(&o->client.key_passphrase);
}

void
agent_default_identity(struct agent_opts *o, char *path)
{
	if (o->state_dir == NULL || o->client.identity_file != NULL ||
	    o->token_file != NULL || o->client.cert_file != NULL)
		return;
	(void)snprintf(path, 4096, "%s/identity", o->state_dir);
	o->client.identity_file = path;
}

/* One agent alone may write there.  The lock lives as long as the process. */
static int
take_state_dir(struct agent_opts *o, char *identity, char *servers)
{
	char path[4096];
	int fd;

	if (o->state_dir == NULL)
		return 0;
	if (mkdir(o->state_dir, 0700) != 0 && errno != EEXIST) {
		log_error("%s: %s", o->state_dir, strerror(errno));
		return -errno;
	}
	(void)snprintf(path, sizeof(path), "%s/lock", o->state_dir);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		log_error("%s: %s", path, errno == EWOULDBLOCK ?
		    "another cleat-agent runs here" : strerror(errno));
		return -EBUSY;
	}
	agent_default_identity(o, identity);
	(void)snprintf(servers, 4096, "%s/servers", o->state_dir);
	o->client.servers_file = servers;
	return 0;
}

/* A one-time token may be gone when it was used. */
int
agent_read_secrets(struct agent_opts *o, bool token_wanted)
{
	struct cleat_client_opts *c = &o->client;
	int r = token_wanted ? read_secret(o, o->token_file, &c->token) : 0;

	if (r == 0)
		r = read_secret(o, o->key_passphrase_file,
		    &c->key_passphrase);
	if (r == 0)
		r = read_secret(o, o->proxy_password_file, &c->proxy_password);
	if (r == 0 && c->key_passphrase == NULL && o->key_passphrase != NULL &&
	    (c->key_passphrase = mem_strdup(o->key_passphrase)) == NULL) {
		log_error("%s", strerror(ENOMEM));
		r = -ENOMEM;
	}
	if (r == 0 && o->enrol_token_file != NULL &&
	    (secret_is_elsewhere(o->enrol_token_file) ||
	    strncmp(o->enrol_token_file, "plain:", 6) == 0 ||
	    access(o->enrol_token_file, F_OK) == 0))
		r = read_secret(o, o->enrol_token_file, &c->enrol_token);
	return r;
}

static void
wire(struct agent *a, struct cleat_client_opts *c)
{
	c->size = sizeof(*c);
	c->agent = "cleat-agent " PACKAGE_VERSION;
	c->ctx = a;
	c->state = on_state;
	c->log = on_log;
	c->hello = on_hello;
	c->notification = on_notification;
	c->request = on_request;
	c->approval = on_approval;
}

static int
start(struct agent_opts *o)
{
	char identity[4096], servers[4096], why[CLEAT_CLIENT_WHY_SIZE] = "";
	struct agent a = { .opts = o, .input = -1 };
	int r = 0;

	job_init(&a.job);
	a.signals = open_signals();
	if (a.signals < 0) {
		log_error("cannot start: %s", strerror(errno));
		return -1;
	}
	r = take_state_dir(o, identity, servers);
	if (r == 0)
		r = agent_read_secrets(o, true);
	if (r == 0)
		r = agent_commands_init(&a);
	if (r == 0)
		r = agent_telemetry_init(&a);
	wire(&a, &o->client);
	if (r == 0) {
		r = cleat_client_new(&o->client, why, &a.client);
		if (r != 0)
			log_error("cannot start: %s%s", why, r == -EINVAL ?
			    " (cleat-agent --help names the options)" : "");
	}
	agent_wipe_secrets(o);
	if (r == 0)
		r = run(&a);
	agent_commands_fini(&a);
	cleat_client_free(&a.client);
	agent_telemetry_fini(&a);
	(void)close(a.signals);
	return r;
}

/* The options alone: nothing is made, and of the files that they name only the
 * authorities are read, if they are there: without them it would be the
 * system's, which a small device does not have.  Who has a file that proves who
 * it is gets a token in its place. */
static int
check_options(struct agent_opts *o)
{
	struct cleat_client_opts *c = &o->client;
	struct cleat_client *client = NULL;
	struct agent a = { .opts = o };
	char why[CLEAT_CLIENT_WHY_SIZE] = "";
	int r;

	if ((c->cert_file != NULL && c->key_file != NULL) ||
	    o->token_file != NULL || o->state_dir != NULL ||
	    c->identity_file != NULL)
		c->token = "0123456789abcdef";
	if (c->token != NULL && (c->cert_file != NULL) ==
	    (c->key_file != NULL))
		c->cert_file = c->key_file = NULL;
	c->identity_file = NULL;
	c->enrol = false;
	c->crl_file = NULL;
	if (c->ca_file != NULL && access(c->ca_file, F_OK) != 0)
		c->ca_file = NULL;
	wire(&a, c);
	r = cleat_client_new(c, why, &client);
	if (r != 0)
		log_error("%s", why);
	cleat_client_free(&client);
	return r;
}

int
main(int argc, char **argv)
{
	static struct agent_opts o = {
		.log_level = LOG_LVL_INFO, .inventory = "facts",
		.telemetry_max = 16 * 1024 * 1024
	};
	int r = agent_options(argc, argv, &o);

	if (r != AGENT_GO_ON) {
		agent_options_free(&o);
		return r;
	}
	log_set_level(o.log_level);
	/* No core dump with keys in it.  What it executes has its own. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("core dumps cannot be switched off: %s",
		    strerror(errno));
	if (o.test) {
		r = agent_test(&o);
		agent_options_free(&o);
		return r;
	}
	r = o.check ? check_options(&o) : start(&o);
	agent_options_free(&o);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
