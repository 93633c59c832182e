/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk for SQLite that a test can pull the plug of: what is written stays in
 * memory until it is synced.  One connection at a time, which may be on a
 * thread of its own.
 */
#ifndef CT_TEST_LOSSY_VFS_H
#define CT_TEST_LOSSY_VFS_H

#include <stdbool.h>

/* Becomes SQLite's default VFS. */
void lossy_install(void);
/* No fault from now on; the machine is on again. */
void lossy_reset(void);

/* The power fails in the n-th operation (write, sync, truncate, delete) from
 * now: nothing that was not synced is kept if seed is 0, else some of its
 * sectors, chosen by the seed. */
void lossy_die_at(unsigned long n, unsigned seed);
bool lossy_is_dead(void);

/* `count` operations from the n-th on fail with this code of SQLite. */
void lossy_fail_at(unsigned long n, unsigned long count, int code);
bool lossy_has_failed(void);

/* A sync does not return any more, until it may. */
void lossy_stall(bool);
void lossy_wait_stalled(void);		/* until one does not */

#endif
