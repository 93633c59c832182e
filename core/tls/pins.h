/* SPDX-License-Identifier: Apache-2.0 */
/* Pins as a person writes them.  Thread: any. */
#ifndef CT_TLS_PINS_H
#define CT_TLS_PINS_H

#include <stdbool.h>

/* "sha256/" and the base64 of the SHA-256 of a SubjectPublicKeyInfo. */
#define TLS_PIN_TEXT 51
struct tls_pin {
	bool ca;			/* of a CA above; else the peer's own */
	char text[TLS_PIN_TEXT + 1];
};
#define TLS_PINS_MAX 8

/* "sha256/BASE64, ca:sha256/BASE64" into to[TLS_PINS_MAX]; returns how many,
 * or -EINVAL: one is no pin, or there are more. */
int pins_parse(const char *text, struct tls_pin *to);

#endif
