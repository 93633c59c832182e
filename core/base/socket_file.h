/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a unix socket.  Any thread. */
#ifndef CT_SOCKET_FILE_H
#define CT_SOCKET_FILE_H

/* Removes what a process that was killed left at `path`, so that it is free to
 * be bound; nothing there is as good.  -EEXIST it is no socket; -EADDRINUSE
 * somebody listens, be he busy; -ENAMETOOLONG; -errno. */
int socket_file_clear(const char *path);

#endif
