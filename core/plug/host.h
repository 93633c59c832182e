/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host table that every plugin gets, and its parts by kind.  What is
 * declared here is for the files of plug/ alone.
 */
#ifndef CT_PLUG_HOST_H
#define CT_PLUG_HOST_H

#include <cleat/host.h>

struct cleat_self;

/* The one table; constant.  A function that is not for the caller's kind
 * returns -ENOTSUP, NULL or does nothing. */
const struct cleat_host *plug_host(void);

/* Frees what the plugin has left behind, with a warning.  Self's thread. */
void host_drop_left(struct cleat_self *);

/* cert_host.c */
const char *cert_slot(struct cleat_self *, unsigned i);
const char *cert_slot_name(struct cleat_self *, const char *slot, unsigned i);
int cert_publish(struct cleat_self *, const char *slot,
    const struct cleat_cred *);
void cert_failed(struct cleat_self *, const char *slot, const char *why);
int cert_sign_done(struct cleat_self *, uint64_t request, int error,
    struct cleat_bytes signature);
int cert_challenge_http(struct cleat_self *, uint64_t request,
    const char *token, const char *body);
int cert_challenge_alpn(struct cleat_self *, uint64_t request,
    const char *name, const struct cleat_cred *);
void cert_challenge_remove(struct cleat_self *, const char *key);

/* proto_host.c */
uint64_t proto_chan_id(const struct cleat_chan *);
struct cleat_chan *proto_chan_find(struct cleat_self *, uint64_t id);
void proto_set_session(struct cleat_chan *, void *session);
int proto_send(struct cleat_chan *, const struct cleat_msg *);
void proto_close(struct cleat_chan *, uint16_t code, const char *why);
const char *proto_endpoint(const struct cleat_chan *);
int proto_challenge(struct cleat_chan *, unsigned char ret[32]);
int proto_hello(struct cleat_chan *, const struct cleat_hello *);
int proto_power(struct cleat_chan *, enum cleat_power);
int proto_sleep(struct cleat_chan *, int64_t until_wall_ms);
int proto_bye(struct cleat_chan *);
int proto_publish(struct cleat_chan *, const char *json, size_t n);

/* proto_product.c */
int proto_settle(struct cleat_chan *, uint64_t request);
int proto_telemetry(struct cleat_chan *, uint64_t request, uint64_t seq,
    const char *json, size_t n);
int proto_inventory(struct cleat_chan *, uint64_t request, const char *json,
    size_t n);
int proto_outcome(struct cleat_chan *, uint64_t request,
    const struct cleat_command_result *);
int proto_accepted(struct cleat_chan *, const char *id);
int proto_later(struct cleat_chan *, const char *id);
int proto_progress(struct cleat_chan *, const char *id, int percent,
    const char *text);

/* status_host.c */
int status_metrics(struct cleat_self *, void (*fn)(void *,
    const struct cleat_metric *), void *ctx);

#endif
