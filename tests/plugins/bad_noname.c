/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it has no name. */
#include "bad.h"

BAD_PLUGIN(NULL);
