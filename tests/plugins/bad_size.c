/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its descriptor is too small. */
#include "bad.h"

BAD_PLUGIN("bad_size", .size = 8);
