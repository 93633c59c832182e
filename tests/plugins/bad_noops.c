/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it has no ops table. */
#include "bad.h"

BAD_PLUGIN("bad_noops", .ops = NULL);
