/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its magic number is not ours. */
#include "bad.h"

BAD_PLUGIN("bad_magic", .magic = 1);
