/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a configured executable: arguments as JSON on standard input,
 * never a shell, a clean environment, a process group of its own, its standard
 * output bounded, lines "progress PERCENT TEXT" on descriptor 3.
 */
#ifndef CT_AGENT_JOB_H
#define CT_AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_OUTPUT_MAX (32 * 1024)
#define JOB_LINE_MAX 512
#define JOB_KILL_MS 5000		/* from SIGTERM to SIGKILL */

struct job_spec {
	const char *path;		/* of the executable */
	const char *input;		/* its standard input */
	const char *id, *verb, *endpoint;	/* CLEAT_* of its environment */
};

struct job {
	pid_t pid;			/* 0: none */
	int out, progress;		/* -1: closed */
	char *text;			/* what it wrote */
	size_t text_n;
	bool cut;			/* it wrote more */
	char line[JOB_LINE_MAX];
	size_t line_n;
	uint64_t kill_ms;		/* when SIGKILL is due; 0: not */
	bool ended;
	int status;			/* of waitpid(), when ended */
};

void job_init(struct job *);
/* -errno: also when the file cannot be executed. */
int job_start(struct job *, const struct job_spec *);
/* Reads what there is; each line of progress is told (percent -1: none). */
void job_read(struct job *, void (*progress)(void *ctx, int percent,
    const char *text), void *ctx);
/* After SIGCHLD: returns whether it has ended.  Its whole group has then. */
bool job_reap(struct job *);
/* SIGTERM to the group now, SIGKILL at job.kill_ms by job_tick(). */
void job_terminate(struct job *, uint64_t now_ms);
void job_tick(struct job *, uint64_t now_ms);
/* Kills what still runs. */
void job_fini(struct job *);

#endif
