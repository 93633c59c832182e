/* SPDX-License-Identifier: Apache-2.0 */
/* What GnuTLS says of itself: its version, its policies, FIPS 140. */
#include "tls/library.h"

#include <errno.h>

#include <gnutls/gnutls.h>

#include "tls/vendor.h"

const char *
tls_fips_name(unsigned mode)
{
	switch (mode) {
	case GNUTLS_FIPS140_DISABLED:
		return "off";
	case GNUTLS_FIPS140_STRICT:
		return "on";
	case GNUTLS_FIPS140_SELFTESTS:
		return "self-tests only";
	case GNUTLS_FIPS140_LAX:
		return "lax";
	case GNUTLS_FIPS140_LOG:
		return "only logged";
	default:
		return "unknown";
	}
}

int
tls_fips_judge(unsigned mode, char *why)
{
	if (mode == GNUTLS_FIPS140_STRICT)
		return 0;
	return tls_why(why, -ENOTSUP, "fips = require: GnuTLS %s says that "
	    "FIPS 140 mode is %s; it needs a build with FIPS support and "
	    "fips=1 of the kernel (or GNUTLS_FORCE_FIPS_MODE=1)",
	    gnutls_check_version(NULL), tls_fips_name(mode));
}

int
tls_fips_require(char *why)
{
	return tls_fips_judge(gnutls_fips140_mode_enabled(), why);
}

void
tls_library_info(struct tls_library *ret)
{
	*ret = (struct tls_library){
		.version = gnutls_check_version(NULL),
		.floor = TLS_GNUTLS_NEEDED,
		.policy_file = gnutls_get_system_config_file(),
		.fips = gnutls_fips140_mode_enabled()
	};
}
