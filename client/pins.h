/* SPDX-License-Identifier: Apache-2.0 */
/* Pins as a person writes them.  Thread: any. */
#ifndef CT_CLIENT_PINS_H
#define CT_CLIENT_PINS_H

#include "tls/client.h"

/* "sha256/BASE64, ca:sha256/BASE64" into to[TLS_PINS_MAX]; returns how many,
 * or -EINVAL: one is no pin, or there are more. */
int pins_parse(const char *text, struct tls_pin *to);

#endif
