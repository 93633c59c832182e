/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it calls itself otherwise. */
#include "bad.h"

BAD_PLUGIN("somebody-else");
