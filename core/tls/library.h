/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GnuTLS is here: version, policy file, FIPS 140.  Shared by server and
 * client.  Any thread.
 */
#ifndef CT_TLS_LIBRARY_H
#define CT_TLS_LIBRARY_H

/* fips = require: 0 if the library reports that it enforces FIPS 140; else
 * -ENOTSUP with why[TLS_WHY_SIZE], which says what was found. */
int tls_fips_require(char *why);
/* The same for a mode as gnutls_fips140_mode_enabled() tells it. */
int tls_fips_judge(unsigned mode, char *why);
const char *tls_fips_name(unsigned mode);

/* For reports: the library's version, its file of policies and whether that is
 * there, its mode of FIPS. */
struct tls_library {
	const char *version, *floor;
	const char *policy_file;	/* NULL: it has none */
	unsigned fips;
};
void tls_library_info(struct tls_library *ret);

#endif
