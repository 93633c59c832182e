/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON (RFC 8259) into a fixed area: no allocation, no tree.  Commas are
 * put in by themselves.  Strings that are not UTF-8 have their bad bytes
 * replaced by U+FFFD.  Running out of room is remembered: look at
 * jout_ok() once at the end.  Any thread; one writer belongs to one.
 */
#ifndef CT_JSON_OUT_H
#define CT_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json_out {
	struct outbuf *out;
	bool comma, failed;
};

void jout_init(struct json_out *, struct outbuf *out);
/* `key` NULL inside an array or at the top. */
void jout_object(struct json_out *, const char *key);
void jout_object_end(struct json_out *);
void jout_array(struct json_out *, const char *key);
void jout_array_end(struct json_out *);
void jout_string(struct json_out *, const char *key, const char *s);
void jout_string_n(struct json_out *, const char *key, const char *s, size_t n);
void jout_uint(struct json_out *, const char *key, uint64_t v);
/* "2026-11-20T23:17:40.123Z" (clock_text()). */
void jout_time(struct json_out *, const char *key, int64_t wall_ms);
/* Hexadecimal digits of n bytes, at most JOUT_HEX_MAX. */
#define JOUT_HEX_MAX 32
void jout_hex(struct json_out *, const char *key, const void *p, size_t n);
/* A JSON text that is already known to be valid. */
void jout_raw(struct json_out *, const char *key, const char *text, size_t n);
bool jout_ok(const struct json_out *);

#endif
