/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificates may be served at all: the option `choose`. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include <stdbool.h>

#include "cert/chain.h"

/* NULL, or why the option cannot be understood. */
const char *choose_fault(const char *choose);
/* Whether a chain may be chosen at all. */
bool choose_allows(const char *choose, const struct cert_chain *);

#endif
