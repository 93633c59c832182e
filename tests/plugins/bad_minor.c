/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it needs a newer daemon. */
#include "bad.h"

BAD_PLUGIN("bad_minor", .abi_minor = CLEAT_ABI_MINOR + 1);
