/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: the only folder that knows everybody.  It builds all parts in
 * order, wires what flows upwards, runs until a signal, and takes them down in
 * reverse.  Main thread.
 */
#ifndef CT_DAEMON_H
#define CT_DAEMON_H

/* Runs until SIGTERM or SIGINT, or until the next process of an upgrade has
 * taken everything over.  `former`: the socket of the process that we take over
 * from, or -1.  0, or negative errno when it could not start, or could not be
 * followed; the reason has been logged. */
int daemon_run(const char *conf_path, int former);

/* --check-config: prints every error to standard error.  0, or -EINVAL. */
int daemon_check(const char *conf_path);

#endif
