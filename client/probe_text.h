/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, into to[n]; return `to`. */
#ifndef CT_CLIENT_PROBE_TEXT_H
#define CT_CLIENT_PROBE_TEXT_H

#include <stddef.h>

struct link;

/* Of the names that were resolved: "HOST is ADDRESS, ADDRESS". */
const char *probe_addresses(const struct link *, char *to, size_t n);
/* Of its connected socket: "ADDRESS port PORT",
 * and how many addresses were tried before in vain. */
const char *probe_peer(const struct link *, char *to, size_t n);

#endif
