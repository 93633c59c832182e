# SPDX-License-Identifier: Apache-2.0
#
# Libraries of which one Debian release differs from another (doc/debian.md),
# or which come without a pkg-config file in Debian 12.

# CT_LIB_MHD: MHD_CFLAGS and MHD_LIBS.  1.0 lets MHD_add_connection() put off
# what 0.9.75 did inside it, unless it is told that there is one thread; 0.9.75
# has no flag for that and needs none.
AC_DEFUN([CT_LIB_MHD], [
    PKG_CHECK_MODULES([MHD], [libmicrohttpd >= 0.9.75])
    ct_save_CPPFLAGS=$CPPFLAGS
    CPPFLAGS="$CPPFLAGS $MHD_CFLAGS"
    AC_CHECK_DECL([MHD_USE_NO_THREAD_SAFETY], [],
	[AC_DEFINE([MHD_USE_NO_THREAD_SAFETY], [0],
	    [Nothing, where microhttpd.h does not have it.])],
	[[#include <microhttpd.h>]])
    CPPFLAGS=$ct_save_CPPFLAGS
])

# CT_LIB_NNG: NNG_LIBS.  1.5.2 is the oldest that was tested.
AC_DEFUN([CT_LIB_NNG], [
    AC_CHECK_HEADER([nng/nng.h], [],
	[AC_MSG_ERROR([nng/nng.h is missing (Debian: libnng-dev)])])
    AC_MSG_CHECKING([for nng >= 1.5.2])
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
#include <nng/nng.h>
#if NNG_MAJOR_VERSION * 10000 + NNG_MINOR_VERSION * 100 + \
    NNG_PATCH_VERSION < 10502
#error too old
#endif
]])], [AC_MSG_RESULT([yes])], [
	AC_MSG_RESULT([no])
	AC_MSG_ERROR([nng is too old])])
    AC_CHECK_LIB([nng], [nng_pub0_open], [NNG_LIBS=-lnng],
	[AC_MSG_ERROR([libnng is missing (Debian: libnng-dev)])])
    AC_SUBST([NNG_LIBS])
])

# CT_LIB_INIPARSER: INIPARSER_CFLAGS and INIPARSER_LIBS.  4.1 has no
# pkg-config file and 4.2 may have one; the header is in a folder of its own
# or not.  HAVE_INIPARSER_INIPARSER_H says which include line works.
AC_DEFUN([CT_LIB_INIPARSER], [
    PKG_CHECK_MODULES([INIPARSER], [iniparser >= 4.1], [],
	[INIPARSER_CFLAGS= INIPARSER_LIBS=-liniparser])
    ct_save_CPPFLAGS=$CPPFLAGS
    ct_save_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $INIPARSER_CFLAGS"
    LIBS="$INIPARSER_LIBS $LIBS"
    AC_CHECK_HEADERS([iniparser/iniparser.h iniparser.h], [break])
    AS_IF([test "x$ac_cv_header_iniparser_iniparser_h" != xyes &&
	test "x$ac_cv_header_iniparser_h" != xyes],
	[AC_MSG_ERROR([iniparser.h is missing (Debian: libiniparser-dev)])])
    AC_MSG_CHECKING([for iniparser_getsecnkeys])
    # Declared by hand: this asks about the library, not about the header.
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[char iniparser_getsecnkeys(void);]],
	[[return iniparser_getsecnkeys();]])], [AC_MSG_RESULT([yes])], [
	AC_MSG_RESULT([no])
	AC_MSG_ERROR(m4_normalize([libiniparser >= 4.1 is missing
	    (Debian: libiniparser-dev)]))])
    CPPFLAGS=$ct_save_CPPFLAGS
    LIBS=$ct_save_LIBS
    AC_SUBST([INIPARSER_CFLAGS])
    AC_SUBST([INIPARSER_LIBS])
])
