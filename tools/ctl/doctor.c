/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl doctor: what may be wrong on this host, and what to do about it.  It
 * only looks.  The configuration is judged by cleatd --check-config, which
 * tells directories and listeners; a daemon that runs is asked over its socket.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cert/bundle.h"
#include "ctl.h"
#include "tls/library.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define OUTPUT_MAX 65536
#define FILES_MIN 4096			/* for a small fleet */
#define YEAR_2026_MS (INT64_C(1767225600) * 1000)

extern char **environ;

enum level { FINE, NOTE, WARNING, WRONG };
static const char *const levels[] = { "ok", "note", "warning", "error" };
static const char *const colours[] = { "32", "36", "33", "31" };

struct doctor {
	struct ctl *ctl;
	struct text out;
	bool wrong;
	pid_t pid;			/* of the daemon; 0: it does not run */
	char state[512];		/* directory; "" not known */
	json_t *status;			/* of the daemon, or NULL */
};

/* One finding.  `remedy` may be NULL. */
static void __attribute__((format(printf, 5, 6)))
found(struct doctor *d, enum level level, const char *check,
    const char *remedy, const char *fmt, ...)
{
	char text[1200];
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->wrong = d->wrong || level == WRONG;
	if (d->ctl->option[O_JSON] != NULL) {
		o = json_pack("{s:s, s:s, s:s+, s:s*}", "check", check,
		    "level", levels[level], "text", text, "", "remedy",
		    remedy);
		if (o == NULL)		/* not UTF-8, or no memory */
			d->out.failed = true;
		else
			text_json(&d->out, o);
		text_puts(&d->out, "\n");
		json_decref(o);
		return;
	}
	if (d->ctl->colour)
		text_printf(&d->out, "\033[%sm%-8s\033[0m", colours[level],
		    levels[level]);
	else
		text_printf(&d->out, "%-8s", levels[level]);
	text_printf(&d->out, "%-14s", check);
	text_escaped(&d->out, text, strlen(text));
	text_puts(&d->out, "\n");
	if (remedy == NULL)
		return;
	text_printf(&d->out, "%22s", "-> ");
	text_escaped(&d->out, remedy, strlen(remedy));
	text_puts(&d->out, "\n");
}

/* ---- library, clock ---------------------------------------------------- */

static void
look_at_library(struct doctor *d)
{
	struct tls_library lib;
	bool old;

	tls_library_info(&lib);
	old = strverscmp(lib.version, lib.floor) < 0;
	found(d, old ? WRONG : FINE, "library", old ? "upgrade libgnutls30" :
	    NULL, "GnuTLS %s (at least %s), FIPS mode %s", lib.version,
	    lib.floor, tls_fips_name(lib.fips));
	if (lib.policy_file != NULL && access(lib.policy_file, F_OK) == 0)
		found(d, NOTE, "policy", "see with cleatd --check-config what "
		    "it leaves", "%s is in effect and may narrow what is "
		    "spoken", lib.policy_file);
	else
		found(d, FINE, "policy", NULL, "no policy file of the library "
		    "(%s)", lib.policy_file == NULL ? "none" :
		    lib.policy_file);
}

static void
look_at_clock(struct doctor *d)
{
	struct timex t = { .modes = 0 };
	char now[CLOCK_TEXT_SIZE];
	int state = adjtimex(&t);

	clock_text(clock_wall_ms(), now);
	if (clock_wall_ms() < YEAR_2026_MS)
		found(d, WRONG, "clock", "set the clock: timedatectl set-ntp "
		    "true", "%s is in the past: certificates are not valid "
		    "yet", now);
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		found(d, WARNING, "clock", "timedatectl set-ntp true, or the "
		    "time service of this host", "%s, not synchronised: "
		    "certificates and tickets depend on it", now);
	else
		found(d, FINE, "clock", NULL, "%s, synchronised", now);
}

/* ---- the daemon -------------------------------------------------------- */

/* Who listens on the socket; 0: nobody. */
static pid_t
daemon_pid(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct ucred who;
	socklen_t n = sizeof(who);
	pid_t pid = 0;
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return 0;
	memcpy(un.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0)
		pid = who.pid;
	(void)close(fd);
	return pid;
}

static void
look_at_certificates(struct doctor *d)
{
	json_t *list = json_object_get(d->status, "certificates"), *c;
	struct tm tm;
	size_t i;

	json_array_foreach(list, i, c) {
		const char *until = member(c, "not_after");
		int64_t left;

		if (!json_is_true(json_object_get(c, "present"))) {
			found(d, WRONG, "certificate", "see the log of cleatd "
			    "for the reason", "slot %s has none: its clients "
			    "are refused", member(c, "slot"));
			continue;
		}
		memset(&tm, 0, sizeof(tm));
		if (strptime(until, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
			continue;	/* a source that does not say */
		left = (int64_t)timegm(&tm) * 1000 - clock_wall_ms();
		found(d, left <= 0 ? WRONG : left < 7 * DAY_MS ? WARNING :
		    FINE, "certificate", left < 7 * DAY_MS ? "install a new "
		    "one" : NULL, "slot %s %s %s", member(c, "slot"),
		    left <= 0 ? "expired at" : "until", until);
	}
}

static void
look_inside(struct doctor *d)
{
	const json_t *store = json_object_get(d->status, "store");
	const json_t *restart = json_object_get(d->status, "restart");
	json_t *p;
	size_t i;

	if (json_is_true(json_object_get(restart, "pending")))
		found(d, WARNING, "restart", "cleatctl upgrade --wait",
		    "what the daemon runs from was replaced on the disk, such "
		    "as %s", json_string_value(json_array_get(
		    json_object_get(restart, "replaced"), 0)));
	if (!json_is_true(json_object_get(store, "healthy")))
		found(d, WRONG, "store", "see the log of cleatd; a full disk "
		    "is the usual reason", "changes cannot be stored");
	json_array_foreach(json_object_get(d->status, "plugins"), i, p) {
		if (!json_is_true(json_object_get(p, "up")))
			found(d, WRONG, "plugin", "see the log of cleatd",
			    "%s (%s) is down", member(p, "instance"),
			    member(p, "module"));
	}
}

static void
look_at_daemon(struct doctor *d)
{
	struct http_request q = { .method = "GET", .path = "/v1/status",
		.timeout_ms = CALL_MS };
	const char *version;
	long http = 0;
	int r;

	d->pid = daemon_pid(d->ctl->socket);
	r = api_quietly(d->ctl, &q, &http, &d->status);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		found(d, WARNING, "daemon", "systemctl start cleatd, or name "
		    "its socket with --socket", "nobody answers at %s",
		    d->ctl->socket);
		return;
	}
	if (r != 0 || http != 200) {
		found(d, WRONG, "daemon", "be root or one of [control] "
		    "viewers; or see the log of cleatd", "%s: %s",
		    d->ctl->socket, r != 0 ? strerror(-r) : "it does not say "
		    "how it is");
		return;
	}
	version = member(d->status, "version");
	if (strcmp(version, PACKAGE_VERSION) != 0)
		found(d, WARNING, "daemon", "cleatctl upgrade --wait",
		    "version %s runs, but %s is installed", version,
		    PACKAGE_VERSION);
	else
		found(d, FINE, "daemon", NULL, "version %s, %s, pid %ld",
		    version, member(d->status, "state"), (long)d->pid);
	look_inside(d);
	look_at_certificates(d);
}

/* ---- the configuration ------------------------------------------------- */

/* Both outputs go to one pipe; *ret_code is the exit status, -1 none. */
static int
run_check(const char *conf, char *to, size_t cap, int *ret_code)
{
	char name[] = "cleatd", check[] = "--check-config", c[] = "-c";
	char *argv[] = { name, check, c, (char *)(uintptr_t)conf, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2], status = 0, r;
	size_t n = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, fds[1],
			    2);
		if (r == 0)
			r = posix_spawnp(&pid, argv[0], &actions, NULL, argv,
			    environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	(void)close(fds[1]);
	if (r == 0)			/* what cannot be read is not there */
		(void)file_read_up_to(fds[0], to, cap - 1, &n);
	to[n] = '\0';
	(void)close(fds[0]);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return 0;
}

/* Its socket is there, or could be. */
static void
look_at_listener(struct doctor *d, char *line)
{
	char *address = strchr(line, ' ');
	struct sockaddr_storage ss;
	unsigned len;
	int fd, on = 1, r;

	if (address == NULL)
		return;
	*address++ = '\0';
	address[strcspn(address, " ")] = '\0';
	if (d->pid != 0 || addr_parse(address, &ss, &len) != 0 ||
	    ss.ss_family == AF_UNIX) {
		found(d, FINE, "listener", NULL, "%s %s", line, address);
		return;
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	r = fd < 0 || bind(fd, (struct sockaddr *)&ss, len) != 0 ? errno : 0;
	if (fd >= 0)
		(void)close(fd);
	if (r == 0)
		found(d, FINE, "listener", NULL, "%s %s, free", line, address);
	else
		found(d, r == EACCES ? WARNING : WRONG, "listener",
		    r == EADDRINUSE ? "ss -ltnp shows who has it" :
		    r == EACCES ? "ports below 1024 need "
		    "AmbientCapabilities=CAP_NET_BIND_SERVICE" : NULL,
		    "%s %s: %s", line, address, strerror(r));
}

/* Directories and files that keep secrets, or decide what runs. */
static void
look_at_path(struct doctor *d, const char *path, unsigned forbidden,
    const char *remedy)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		if (errno != ENOENT)
			found(d, NOTE, "permissions", "be root to see it",
			    "%s: %s", path, strerror(errno));
		return;
	}
	if ((st.st_mode & forbidden) != 0)
		found(d, WRONG, "permissions", remedy, "%s has mode %04o, "
		    "too much for what it is", path,
		    (unsigned)st.st_mode & 07777);
	else
		found(d, FINE, "permissions", NULL, "%s %04o", path,
		    (unsigned)st.st_mode & 07777);
}

static void
look_into_state(struct doctor *d)
{
	char path[600];

	if (d->state[0] == '\0')
		return;
	look_at_path(d, d->state, 07, "chmod o= of it, 0700 is best");
	(void)snprintf(path, sizeof(path), "%s/ticket.master", d->state);
	look_at_path(d, path, 077, "chmod 600; if somebody may have read it, "
	    "delete it and restart");
	(void)snprintf(path, sizeof(path), "%s/secret.key", d->state);
	look_at_path(d, path, 077, "chmod 600; if somebody may have read it, "
	    "change the secrets and encrypt them anew");
}

/* One that is not encrypted, whatever the format. */
static bool
holds_key(const char *path)
{
	struct cert_bundle *b = NULL;
	bool holds = false;

	if (cert_bundle_new(&b) == 0 && cert_bundle_add_file(b, path, NULL,
	    NULL, NULL, NULL) == 0) {
		for (size_t i = 0; i < b->keys_n; i++)
			holds = holds || !b->keys[i].was_encrypted;
	}
	cert_bundle_free(&b);
	return holds;
}

/* What the options of a plugin name: certificates, keys, directories. */
static void
look_at_option(struct doctor *d, const char *value)
{
	const char *path = strchr(value, ' ');

	if (path == NULL)
		return;
	path++;
	if (holds_key(path))
		look_at_path(d, path, 07, "chmod o= of it: it holds a private "
		    "key; if somebody may have read it, replace that");
	else
		look_at_path(d, path, 02, "chmod o-w of it");
}

static void
take_line(struct doctor *d, char *line)
{
	char *value = strchr(line, ' ');

	if (value == NULL)
		return;
	*value++ = '\0';
	if (strcmp(line, "state_dir") == 0)
		(void)snprintf(d->state, sizeof(d->state), "%s", value);
	else if (strcmp(line, "plugin_dir") == 0)
		look_at_path(d, value, 02, "chmod o-w: what is in there runs");
	else if (strcmp(line, "listener") == 0)
		look_at_listener(d, value);
	else if (strcmp(line, "plugin-path") == 0)
		look_at_option(d, value);
	else if (strcmp(line, "tls") == 0)
		found(d, FINE, "tls", NULL, "%s", value);
	else if (strcmp(line, "tls-dropped") == 0)
		found(d, NOTE, "tls", NULL, "asked for, not spoken: %s",
		    value);
}

static void
look_at_configuration(struct doctor *d, char *area)
{
	const char *conf = d->ctl->option[O_CONFIG];
	char *line, *rest = area;
	int code = -1, r;

	if (conf == NULL)
		conf = CONFFILE;
	r = run_check(conf, area, OUTPUT_MAX, &code);
	if (r != 0 || code < 0 || code > 1) {
		found(d, WARNING, "configuration", "run it by hand",
		    "cleatd --check-config: %s", r != 0 ? strerror(-r) :
		    "it ended oddly");
		return;
	}
	if (code == 0) {
		found(d, FINE, "configuration", NULL, "%s", conf);
		look_at_path(d, conf, 02, "chmod o-w");
	}
	while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
		char *text = strstr(line, " error ");

		if (code == 0)
			take_line(d, line);
		else if (text != NULL)
			found(d, WRONG, "configuration", NULL, "%s",
			    text + 7);
	}
	look_into_state(d);
}

/* ---- limits ------------------------------------------------------------ */

/* The soft limit from a line of /proc/PID/limits. */
static bool
limit_of(pid_t pid, const char *name, unsigned long long *ret)
{
	char path[64], line[256];
	bool there = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/limits", (long)pid);
	f = fopen(path, "re");
	while (f != NULL && !there && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		there = true;
		if (sscanf(line + strlen(name), " %llu", ret) != 1)
			*ret = ~0ULL;	/* unlimited */
	}
	if (f != NULL)
		(void)fclose(f);
	return there;
}

static void
look_at_limits(struct doctor *d)
{
	pid_t pid = d->pid != 0 ? d->pid : getpid();
	const char *whose = d->pid != 0 ? "the daemon" : "this shell";
	unsigned long long n;

	if (limit_of(pid, "Max open files", &n))
		found(d, n < FILES_MIN ? WARNING : FINE, "limits",
		    n < FILES_MIN ? "LimitNOFILE= of the service: devices and "
		    "some hundreds" : NULL, "open files of %s: %llu", whose, n);
	if (d->pid != 0 && limit_of(pid, "Max core file size", &n))
		found(d, n > 0 ? WARNING : FINE, "limits", n > 0 ?
		    "core_dumps = no, and LimitCORE=0 of the service" : NULL,
		    n > 0 ? "the daemon may leave core dumps with keys in "
		    "them" : "no core dumps of the daemon");
}

int
doctor_run(struct ctl *x)
{
	struct doctor d = { .ctl = x };
	char *area = mem_calloc(1, OUTPUT_MAX);
	const char *path = getenv("PATH");
	char paths[4096];
	int r;

	if (area == NULL)
		return say_memory();
	/* Where cleatd is, though people have no such path. */
	(void)snprintf(paths, sizeof(paths), "%s:" SBINDIR ":/usr/sbin:/sbin",
	    path == NULL ? "/usr/bin:/bin" : path);
	if (setenv("PATH", paths, 1) != 0) {
		mem_free(area);
		return say_memory();
	}
	look_at_library(&d);
	look_at_clock(&d);
	look_at_daemon(&d);
	look_at_configuration(&d, area);
	look_at_limits(&d);
	r = put_text(x, &d.out);
	text_free(&d.out);
	json_decref(d.status);
	mem_free(area);
	return r != EXIT_OK ? r : d.wrong ? EXIT_OUTCOME : EXIT_OK;
}
