/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the next process, and ending it.  Main thread. */
#ifndef CT_DAEMON_UPGRADE_SPAWN_H
#define CT_DAEMON_UPGRADE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The path that this process was executed by.  -errno. */
int upgrade_own_binary(char *to, size_t cap);
/*
 * Executes `binary` if it is a regular file of root or of our user, which
 * nobody else can write, with our end of a socket pair in *ret_socket.  What is
 * started forks at once and ends; *ret_pid is to be reaped.  -EACCES, -ENOENT,
 * …, with why[UPGRADE_WHY_SIZE].
 */
int upgrade_spawn(const char *binary, const char *conf_path, char *why,
    pid_t *ret_pid, int *ret_socket);

int upgrade_pidfd(pid_t);		/* -ESRCH */
bool upgrade_ended(int pidfd, int wait_ms);
/* As sigqueue(3): the next process sees that it was passed on. */
void upgrade_pass_signal(int pidfd, int number);
void upgrade_kill(int pidfd);		/* and waits until it is gone */
void upgrade_kill_child(pid_t);		/* it is still to be reaped */

#endif
