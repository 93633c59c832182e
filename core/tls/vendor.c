/* SPDX-License-Identifier: Apache-2.0 */
/* GnuTLS itself: its version, its error numbers, one line of text about
 * them. */
#include "tls/vendor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "tls/snapshot.h"


int
tls_why(char *why, int error, const char *fmt, ...)
{
	va_list ap;

	if (why != NULL) {
		va_start(ap, fmt);
		(void)vsnprintf(why, TLS_WHY_SIZE, fmt, ap);
		va_end(ap);
	}
	return error;
}

int
tls_vendor_errno(int gnutls_error)
{
	return gnutls_error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

int
tls_global_init(char *why)
{
	int r;

	if (gnutls_check_version(TLS_GNUTLS_NEEDED) == NULL)
		return tls_why(why, -ENOSYS,
		    "GnuTLS %s is too old, %s is needed",
		    gnutls_check_version(NULL), TLS_GNUTLS_NEEDED);
	r = gnutls_global_init();
	if (r < 0)
		return tls_why(why, -ENOSYS, "GnuTLS does not start: %s",
		    gnutls_strerror(r));
	return 0;
}
