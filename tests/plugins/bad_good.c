/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: none of them, so that the others are bad for their own
 * reason. */
#include "bad.h"

BAD_PLUGIN("bad_good");
