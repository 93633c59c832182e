/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon needs of the system: its directories, the lock that makes it
 * the only one on them, the number of its start, descriptor limit, and the
 * service manager.  Main thread.
 */
#ifndef CT_DAEMON_SYS_H
#define CT_DAEMON_SYS_H

#include <stdbool.h>
#include <stdint.h>

#define SYS_WHY_SIZE 256

/* Makes a directory that is missing (not its parents) with `mode`; one that is
 * there must be a directory. -errno with why. */
int sys_dir(const char *path, unsigned mode, char *why);

/* Takes dir/lock for as long as *ret_fd, or a descriptor made from it, is open
 * anywhere, and signs it.  -EBUSY: another daemon has it; why names its pid. */
int sys_lock(const char *dir, char *why, int *ret_fd);
/* The descriptor that another process got from sys_lock() and passed on: checks
 * that it is that file and holds the lock; makes it close-on-exec.  Does not
 * sign.  It stays the caller's.  -ESTALE another file, -ENOLCK nobody holds it,
 * -EBUSY somebody else does, -errno; with why. */
int sys_lock_adopt(const char *dir, int fd, char *why);
/* From now on the refusal of sys_lock() names this process. */
void sys_lock_sign(int fd);

/* Reads dir/epoch, writes it raised by one, durably, before it returns it.
 * -EINVAL with why and the remedy: the file is damaged. */
int sys_epoch(const char *dir, char *why, uint64_t *ret);

/* Raises the soft limit of open files to the hard one; returns it. */
uint64_t sys_files_max(void);

/* false: no core dumps, and no looking into the process by others than root
 * (prctl(2), PR_SET_DUMPABLE).  Before there is a secret. */
void sys_core_dumps(bool allowed);

/* Sends to the service manager's socket (sd_notify(3)), if there is one; the
 * text is "READY=1", "STATUS=…", lines divided by newline. */
void sys_notify(const char *text);
/* From now on that process is the service; returns when the manager knows it
 * (sd_notify_barrier(3)), or after 5 s. */
void sys_notify_main(int pid);
/* How often the service manager wants WATCHDOG=1, in ms; 0 never. */
uint32_t sys_watchdog_ms(void);

#endif
