/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a certificate source without refresh. */
#include "bad.h"

static const struct cleat_cert_source_ops ops = {
	.size = sizeof(ops)
};

BAD_PLUGIN("bad_refresh", .kind = CLEAT_CERT_SOURCE, .ops = &ops);
