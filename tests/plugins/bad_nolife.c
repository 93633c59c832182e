/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it has no life table. */
#include "bad.h"

BAD_PLUGIN("bad_nolife", .life = NULL);
