/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the files that this process runs from (the program, libraries,
 * plugins) are no longer those on the disk, because an update has replaced or
 * removed them: what is fixed in them is not in force before a live upgrade or
 * a restart.
 */
#ifndef CT_DAEMON_REPLACED_H
#define CT_DAEMON_REPLACED_H

#define REPLACED_MAPS "/proc/self/maps"

/* Calls fn with the path of each, as the kernel lists them in `maps` (proc(5)).
 * -errno: the list cannot be read to its end.  Any thread. */
int replaced_each(const char *maps, void (*fn)(void *arg, const char *path),
    void *arg);

#endif
