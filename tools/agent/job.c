/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, reading and ending executables. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

void
job_init(struct job *j)
{
	*j = (struct job){ .out = -1, .progress = -1 };
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* A file in memory: a pipe would fill up when nobody reads it. */
static int
make_input(const char *text, int *ret)
{
	size_t n = strlen(text), at = 0;
	int fd = memfd_create("arguments", MFD_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	while (at < n && r == 0) {
		ssize_t k = write(fd, text + at, n - at);

		if (k < 0 && errno != EINTR)
			r = -errno;
		else if (k > 0)
			at += (size_t)k;
	}
	if (r == 0 && lseek(fd, 0, SEEK_SET) != 0)
		r = -errno;
	if (r != 0)
		(void)close(fd);
	else
		*ret = fd;
	return r;
}

/* ---- the child, between fork() and exec -------------------------------- */

struct child {
	const char *path;
	char *environment[8];
	int in, out, progress, failed;	/* its ends; failed: errno goes there */
};

/* Descriptors first out of the way of 0 to 3. */
static int
place(const struct child *c)
{
	int in = fcntl(c->in, F_DUPFD_CLOEXEC, 10);
	int out = fcntl(c->out, F_DUPFD_CLOEXEC, 10);
	int progress = fcntl(c->progress, F_DUPFD_CLOEXEC, 10);

	return in < 0 || out < 0 || progress < 0 || dup2(in, 0) < 0 ||
	    dup2(out, 1) < 0 || dup2(progress, 3) < 0 ? -1 : 0;
}

static void __attribute__((noreturn))
be_child(const struct child *c, int failed)
{
	char *argv[] = { (char *)(uintptr_t)c->path, NULL };
	sigset_t none;
	int e;

	(void)setpgid(0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (place(c) == 0 && chdir("/") == 0)
		(void)execve(c->path, argv, c->environment);
	e = errno;
	(void)!write(failed, &e, sizeof(e));
	_exit(127);
}

static int
run_child(struct job *j, struct child *c)
{
	int failed[2], high, e = 0;
	ssize_t k;

	if (pipe2(failed, O_CLOEXEC) != 0)
		return -errno;
	high = fcntl(failed[1], F_DUPFD_CLOEXEC, 20);
	j->pid = high < 0 ? -1 : fork();
	if (j->pid == 0)
		be_child(c, high);
	if (j->pid < 0)
		e = errno;
	else
		(void)setpgid(j->pid, j->pid);	/* whoever is first */
	close_fd(&failed[1]);
	close_fd(&high);
	if (e == 0) {
		/* Ends with exec, or with why there was none. */
		do
			k = read(failed[0], &e, sizeof(e));
		while (k < 0 && errno == EINTR);
		if (k <= 0)
			e = 0;
		else
			(void)waitpid(j->pid, NULL, 0);
	}
	if (e != 0)
		j->pid = 0;
	close_fd(&failed[0]);
	return -e;
}

static char *
variable(const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 2;
	char *text = mem_alloc(n);

	if (text != NULL)
		(void)snprintf(text, n, "%s=%s", name, value);
	return text;
}

static int
make_environment(struct child *c, const struct job_spec *spec)
{
	const char *const pairs[][2] = {
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		    "/sbin:/bin" },
		{ "LANG", "C.UTF-8" },
		{ "CLEAT_COMMAND_ID", spec->id },
		{ "CLEAT_VERB", spec->verb },
		{ "CLEAT_ENDPOINT", spec->endpoint }
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		c->environment[i] = variable(pairs[i][0], pairs[i][1]);
		if (c->environment[i] == NULL)
			return -ENOMEM;
	}
	return r;
}

int
job_start(struct job *j, const struct job_spec *spec)
{
	struct child c = { .path = spec->path, .in = -1 };
	int out[2] = { -1, -1 }, progress[2] = { -1, -1 };
	int r = make_environment(&c, spec);

	job_init(j);
	if (r == 0)
		r = make_input(spec->input, &c.in);
	if (r == 0 && (pipe2(out, O_CLOEXEC) != 0 ||
	    pipe2(progress, O_CLOEXEC) != 0))
		r = -errno;
	c.out = out[1];
	c.progress = progress[1];
	if (r == 0 && (fcntl(out[0], F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(progress[0], F_SETFL, O_NONBLOCK) != 0))
		r = -errno;
	if (r == 0)
		r = run_child(j, &c);
	close_fd(&c.in);
	close_fd(&out[1]);
	close_fd(&progress[1]);
	if (r == 0) {
		j->out = out[0];
		j->progress = progress[0];
	} else {
		close_fd(&out[0]);
		close_fd(&progress[0]);
	}
	for (size_t i = 0; c.environment[i] != NULL; i++)
		mem_free(c.environment[i]);
	return r;
}

/* ---- what it says ------------------------------------------------------ */

static void
keep_output(struct job *j, const char *p, size_t n)
{
	if (j->text == NULL && (j->text = mem_alloc(JOB_OUTPUT_MAX + 1)) ==
	    NULL) {
		j->cut = true;
		return;
	}
	if (n > JOB_OUTPUT_MAX - j->text_n) {
		n = JOB_OUTPUT_MAX - j->text_n;
		j->cut = true;
	}
	memcpy(j->text + j->text_n, p, n);
	j->text_n += n;
	j->text[j->text_n] = '\0';
}

/* "progress 40 text", "progress 40", "progress text" */
static void
tell_line(struct job *j, void (*progress)(void *ctx, int percent,
    const char *text), void *ctx)
{
	static const char word[] = "progress ";
	char *p = j->line, *end;
	long percent = -1;

	j->line[j->line_n] = '\0';
	j->line_n = 0;
	if (strncmp(p, word, sizeof(word) - 1) != 0)
		return;
	p += sizeof(word) - 1;
	if (*p >= '0' && *p <= '9') {
		percent = strtol(p, &end, 10);
		if (percent > 100 || (*end != ' ' && *end != '\0'))
			return;
		p = end + (*end == ' ');
	}
	if (percent >= 0 || *p != '\0')
		progress(ctx, (int)percent, *p == '\0' ? NULL : p);
}

static void
take_lines(struct job *j, const char *p, size_t n, void (*progress)(void *ctx,
    int percent, const char *text), void *ctx)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			tell_line(j, progress, ctx);
		else if (j->line_n < sizeof(j->line) - 1)
			j->line[j->line_n++] = p[i];
	}
}

void
job_read(struct job *j, void (*progress)(void *ctx, int percent,
    const char *text), void *ctx)
{
	char area[4096];
	ssize_t k = 0;

	/* A bounded turn: who writes without end must not hold us. */
	for (int i = 0; i < 16 && j->progress >= 0; i++) {
		k = read(j->progress, area, sizeof(area));
		if (k > 0)
			take_lines(j, area, (size_t)k, progress, ctx);
		else if (k == 0 || (errno != EAGAIN && errno != EINTR))
			close_fd(&j->progress);
		if (k <= 0)
			break;
	}
	for (int i = 0; i < 16 && j->out >= 0; i++) {
		k = read(j->out, area, sizeof(area));
		if (k > 0)
			keep_output(j, area, (size_t)k);
		else if (k == 0 || (errno != EAGAIN && errno != EINTR))
			close_fd(&j->out);
		if (k <= 0)
			break;
	}
}

/* ---- its end ----------------------------------------------------------- */

bool
job_reap(struct job *j)
{
	if (j->pid > 0 && !j->ended && waitpid(j->pid, &j->status, WNOHANG) ==
	    j->pid) {
		j->ended = true;
		/* What it left behind in its group. */
		(void)kill(-j->pid, SIGKILL);
	}
	return j->ended;
}

void
job_terminate(struct job *j, uint64_t now_ms)
{
	if (j->pid <= 0 || j->ended || j->kill_ms != 0)
		return;
	(void)kill(-j->pid, SIGTERM);
	j->kill_ms = now_ms + JOB_KILL_MS;
}

void
job_tick(struct job *j, uint64_t now_ms)
{
	if (j->pid > 0 && !j->ended && j->kill_ms != 0 && now_ms >= j->kill_ms)
		(void)kill(-j->pid, SIGKILL);
}

void
job_fini(struct job *j)
{
	if (j->pid > 0 && !j->ended) {
		(void)kill(-j->pid, SIGKILL);
		(void)waitpid(j->pid, NULL, 0);
	}
	close_fd(&j->out);
	close_fd(&j->progress);
	mem_free(j->text);
	job_init(j);
}
