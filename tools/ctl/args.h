/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments of a command for a device, from the command line to JSON: KEY=VALUE
 * for texts, KEY:=JSON for all else, --args for a whole object.
 * Thread: main only.
 */
#ifndef CT_CTL_ARGS_H
#define CT_CTL_ARGS_H

#include <stddef.h>

struct json_t;

#define ARGS_WHY_SIZE 256

/*
 * `object` (text, or NULL) is what words[0..n) add to.  VALUE is a number,
 * true, false or null if it reads as one exactly, else a string.  The result is
 * the caller's.  -EINVAL with `why`; -ENOMEM.
 */
int args_json(const char *object, char *const *words, size_t n,
    char why[ARGS_WHY_SIZE], struct json_t **ret);

#endif
