/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: nobody knows its kind. */
#include "bad.h"

BAD_PLUGIN("bad_kind", .kind = 99);
