/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: by the credentials of a unix socket's peer. */
#ifndef CT_CONTROL_ROLES_H
#define CT_CONTROL_ROLES_H

#include <stddef.h>
#include <stdint.h>

#include "control/control.h"

/* Pure.  self: the daemon's own uid. */
enum control_role roles_of(const struct control_rules *, uint32_t self,
    uint32_t uid, const uint32_t *groups, size_t groups_n);
/* Of who has connected to fd. */
enum control_role roles_of_peer(const struct control_rules *, int fd,
    uint32_t *ret_uid);

#endif
