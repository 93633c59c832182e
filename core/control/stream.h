/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control thread learns from the bus' tap: events for streams, news
 * for who waits, progress of commands.
 */
#ifndef CT_CONTROL_STREAM_H
#define CT_CONTROL_STREAM_H

#include "control/control_priv.h"

void sse_init(struct control *);
/* Ends all streams, and all waiting with what there is. */
void sse_stop(struct control *);
void sse_fini(struct control *);
void sse_drop_notes(struct control *);
/* The peer has gone. */
void sse_hung_up(struct exchange *);
/* The exchange ends: its stream must not refer to it any more. */
void sse_forget(struct exchange *);

/*
 * wait.c: a handler that finds nothing new may wait for an event about x->id
 * ("": any of the kind).  wait_begin() comes before it looks, so that nothing
 * is missed in between: when wait_more() is called after a look, the next look
 * is at once if something has happened meanwhile, else on the event; look() is
 * called then.  False: the time is over, or the peer gone; answer with what
 * there is.
 */
void wait_begin(struct exchange *, uint64_t ms,
    void (*look)(struct exchange *));
bool wait_more(struct exchange *);
void wait_over(struct exchange *);
/* Something has happened; id "": perhaps anything. */
void wait_wake(struct control *, const char *endpoint_or_command);

/* progress.c: the last that devices said about open commands. */
#define PROGRESS_MAX 4096
#define PROGRESS_TEXT_MAX 256
struct progress {
	struct list link;		/* control->progress */
	double percent;			/* < 0: none */
	uint64_t count;			/* rises with each */
	char id[COMMAND_ID_MAX + 1];
	char text[PROGRESS_TEXT_MAX + 1];
};
void progress_put(struct control *, const char *id, double percent,
    const char *text);
const struct progress *progress_of(struct control *, const char *id);
void progress_drop(struct control *, const char *id);
void progress_fini(struct control *);

#endif
