/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop's mailbox: a lock-free queue with many senders and one receiver, and
 * an eventfd that is written only when the receiver may be asleep.  A mail is
 * embedded in (or allocated by) its sender and belongs to the receiver from
 * mailbox_post() until its fn is called on the receiver's thread;
 * fn may free it.  Mail of one sender arrives in order.
 */
#ifndef CT_MAILBOX_H
#define CT_MAILBOX_H

#include <stdatomic.h>

#include "base/loop.h"

struct mail {
	_Atomic(struct mail *) next;
	void (*fn)(struct mail *);
};

struct mailbox {
	_Atomic(struct mail *) tail;	/* senders swap here */
	struct mail *head;		/* receiver only */
	struct mail stub;
	_Atomic int asleep;
	struct watch watch;		/* the eventfd */
	struct loop_hook hook;
	struct loop *loop;
};

/* Receiver's thread, or before it starts.  -errno of eventfd/epoll. */
int mailbox_init(struct mailbox *, struct loop *);
/* Any thread.  Never fails, never blocks. */
void mailbox_post(struct mailbox *, struct mail *);
/* Receiver's thread (or after it ended): runs what has arrived, and what
 * arrives meanwhile.  A turn of the loop runs at most MAILBOX_TURN mails. */
#define MAILBOX_TURN 1024
void mailbox_drain(struct mailbox *);
/* After every sender has stopped; what is left is delivered first. */
void mailbox_fini(struct mailbox *);

#endif
