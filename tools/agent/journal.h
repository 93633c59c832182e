/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device was told and what came of it, so that no command is done
 * twice or forgotten, whatever dies (doc/protocol.md, "command").  Each change
 * is on disk before the function returns.  Blocking; one owner.
 */
#ifndef CT_AGENT_JOURNAL_H
#define CT_AGENT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"

#define JOURNAL_ID_SIZE (ID_WORD_MAX + 1)
#define JOURNAL_OPEN_MAX 2048		/* without an outcome that counts */
#define JOURNAL_OUTCOMES_BYTES (8 * 1024 * 1024)	/* of theirs */
#define JOURNAL_OUTCOME_SMALL 256	/* bytes that are always taken */
#define JOURNAL_FINAL_MAX 1024		/* remembered after that */

struct journal;

enum journal_state { JOURNAL_RECORDED, JOURNAL_DONE, JOURNAL_FINAL };

struct journal_entry {
	char id[JOURNAL_ID_SIZE];
	enum journal_state state;
	char *outcome;			/* JSON object; NULL: none yet */
	bool sent;			/* the caller's: on this channel */
};

/* What was recorded without outcome has the outcome `interrupted` now.
 * -errno, -ENOMEM. */
int journal_open(const char *path, struct journal **ret);
void journal_close(struct journal **);

/* -EEXIST it is there already; -EINVAL no such id; -EBUSY too many are open;
 * -errno, -ENOMEM: not recorded. */
int journal_record(struct journal *, const char *id);
/* `outcome`: one line of JSON.  -ENOENT; -EALREADY it has one; -EFBIG all that
 * are not told yet are too long together: a small one is taken. */
int journal_outcome(struct journal *, const char *id, const char *outcome);
/* The server has it. */
int journal_final(struct journal *, const char *id);

struct journal_entry *journal_find(struct journal *, const char *id);
/* The i-th, oldest first; NULL behind the last. */
struct journal_entry *journal_at(struct journal *, size_t i);

#endif
