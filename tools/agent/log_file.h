/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only file of short records that survives a power cut at any byte:
 * each line has a checksum, what is behind the last whole line is cut off at
 * the next start.  The journal of commands and the queue of telemetry are such
 * files.  Blocking; one owner, who holds the state directory's lock.
 */
#ifndef CT_AGENT_LOG_FILE_H
#define CT_AGENT_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_file {
	char *path;
	int fd;
	off_t size;
	bool unsure;			/* its name may not be durable yet */
};

/*
 * Opens or makes it and calls `line` for each good line (without checksum and
 * line end; `at` is where its text starts).  Stops at the first bad line: that
 * and all behind is cut off.  -errno, -ENOMEM, or what `line` returned.
 */
int log_file_open(struct log_file *, const char *path,
    int (*line)(void *ctx, const char *text, size_t n, off_t at), void *ctx);
void log_file_close(struct log_file *);

/* Appends one line (no line end in it); *ret_at: where its text starts.
 * Durable only after log_file_sync().  On failure the file is as before. */
int log_file_add(struct log_file *, const char *text, size_t n,
    off_t *ret_at);
int log_file_sync(struct log_file *);

/* Lines with checksums, for a whole new file. */
struct log_text {
	char *p;
	size_t n, cap;
};
int log_text_add(struct log_text *, const char *text, size_t n,
    off_t *ret_at);
/* Puts the new text in the file's place and frees it.  On failure the old file
 * goes on. */
int log_file_replace(struct log_file *, struct log_text *);

#endif
