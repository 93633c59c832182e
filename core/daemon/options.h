/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as the structs that net/, channel/ and event/ want.  What
 * keys say about each other and about the machine is checked here.
 */
#ifndef CT_DAEMON_OPTIONS_H
#define CT_DAEMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "event/bus.h"
#include "store/store.h"
#include "net/net.h"
#include "endpoint/identity.h"
#include "channel/channel.h"
#include "channel/command.h"

struct conf;

#define OPTIONS_WHY_SIZE 512

/* Descriptors that are not connections: sockets, logs, epolls, plugins. */
#define OPTIONS_FILES_RESERVED 256

/* [limits], for a process that may open files_max files.  -EINVAL with why when
 * `connections` cannot be had. */
int options_net_limits(const struct conf *, uint64_t files_max, char *why,
    struct net_limits *ret);
/* Bytes of the daemon's own memory that these limits allow: at most base, and
 * device for each device, its channel included; what sends wait (send_queue),
 * the store's queue and TLS inside of plugins come on top. */
void options_memory(const struct conf *, const struct net_limits *,
    uint64_t *ret_base, uint64_t *ret_device);
void options_channel_limits(const struct conf *, struct channel_limits *ret);

/* [listener.*]; the array refers to the configuration; free with
 * options_listeners_free().  -ENOMEM; -EINVAL with why. */
int options_listeners(const struct conf *, char *why,
    struct net_listener_opts **ret, size_t *ret_n);
void options_listeners_free(struct net_listener_opts **, size_t n);

/* Number of workers: as configured, or one for each CPU we may use. */
unsigned options_workers(const struct conf *);

/* What [tls] comes to, for server and reports.  -EINVAL, -ENOTSUP (fips), with
 * why; -ENOMEM. */
struct tls_suites;
int options_tls(const struct conf *, char *why, struct tls_suites *ret);
/* The same for a section "listener.NAME"; 1: it speaks what [tls] says. */
int options_listener_tls(const struct conf *, const char *section, char *why,
    struct tls_suites *ret);

/* [commands]. */
void options_commands(const struct conf *, struct command_rules *ret);
/* [auth], but for the token file. */
void options_identity(const struct conf *, struct identity_rules *ret);
/* [store]; path, epoch and bus are not set. */
void options_store(const struct conf *, struct store_opts *ret);
/* [bus]; it refers to the configuration. */
void options_bus(const struct conf *, struct event_bus_opts *ret);

#define EXPIRY_STEPS 8
/* [tls] expiry_days in seconds.  -EINVAL with why. */
int options_expiry(const struct conf *, char *why, int64_t ret[EXPIRY_STEPS],
    size_t *ret_n);

#endif
