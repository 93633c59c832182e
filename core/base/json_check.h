/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a JSON text (RFC 8259) without building anything: for text of plugins
 * and devices that is passed on as it is.  Thread: any.
 */
#ifndef CT_JSON_CHECK_H
#define CT_JSON_CHECK_H

#include <stddef.h>

#define JSON_CHECK_DEPTH 64

/* Exactly one object, well-formed, valid UTF-8 without control characters, no
 * "\u0000" and no lone surrogate, nested at most JSON_CHECK_DEPTH deep; white
 * space around it is fine.  0 or -EINVAL. */
int json_check_object(const char *p, size_t n);
/* The same for exactly one array, and for one value of any kind. */
int json_check_array(const char *p, size_t n);
int json_check_value(const char *p, size_t n);

/* How deep objects and arrays are nested in a valid JSON text:
 * 0 for a number. */
unsigned json_depth(const char *text);

#endif
