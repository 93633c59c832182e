/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer, as control.c and libmicrohttpd see it. */
#ifndef CT_CONTROL_EXCHANGE_H
#define CT_CONTROL_EXCHANGE_H

#include "control/control_priv.h"

/* libmicrohttpd's callbacks. */
void *exchange_on_target(void *cls, const char *target,
    struct MHD_Connection *);
enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *,
    const char *url, const char *method, const char *version, const char *body,
    size_t *body_n, void **con_cls);
void exchange_on_completed(void *cls, struct MHD_Connection *, void **con_cls,
    enum MHD_RequestTerminationCode);

/* Its peer has gone while it waited. */
void exchange_hung_up(struct exchange *);

/* control.c */
void client_watch(struct client *);
void client_unwatch(struct client *);
void client_deadline(struct client *, bool on);
void control_is_idle(struct control *);

#endif
