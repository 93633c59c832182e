/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hexadecimal digits (RFC 4648 8), two for each.  Any thread. */
#ifndef CT_HEX_H
#define CT_HEX_H

#include <stddef.h>
#include <stdint.h>

/* What a digit stands for, of either case; -1: it is none. */
int hex_value(char c);

/* n bytes as digits of lower case and a NUL into to[2 * n + 1]. */
void hex_write(const void *p, size_t n, char *to);

/* Exactly 2 * n digits, and the text's end, into to[n].  -EINVAL; `to` may be
 * written to then. */
int hex_read(const char *text, uint8_t *to, size_t n);

/* A fingerprint as people copy it: colons and blanks between the digits do not
 * count.  How many bytes, 0: it is none, or has more than max. */
size_t hex_read_print(const char *text, uint8_t *to, size_t max);

#endif
