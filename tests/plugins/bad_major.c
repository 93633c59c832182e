/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it was built for another ABI. */
#include "bad.h"

BAD_PLUGIN("bad_major", .abi_major = CLEAT_ABI_MAJOR + 1);
