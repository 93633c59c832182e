# SPDX-License-Identifier: Apache-2.0
#
# CT_SANITIZER: --with-sanitizer=address,undefined (or thread, ...) sets
# CT_SAN_CFLAGS for compiling and linking.  The first finding ends a program,
# so that a test cannot pass over it.
AC_DEFUN([CT_SANITIZER], [
    AC_ARG_WITH([sanitizer],
	[AS_HELP_STRING([--with-sanitizer=LIST],
	    [compile with -fsanitize=LIST, e.g. address,undefined or thread])],
	[ct_sanitizer=$withval], [ct_sanitizer=no])
    AS_CASE([$ct_sanitizer],
	[no], [CT_SAN_CFLAGS=],
	[yes], [AC_MSG_ERROR([--with-sanitizer needs a list])], [
	CT_SAN_CFLAGS="-fsanitize=$ct_sanitizer -fno-sanitize-recover=all"
	CT_SAN_CFLAGS="$CT_SAN_CFLAGS -fno-omit-frame-pointer"
	ct_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS $CT_SAN_CFLAGS"
	AC_MSG_CHECKING([whether $CC links with -fsanitize=$ct_sanitizer])
	AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])], [
	    AC_MSG_RESULT([no])
	    AC_MSG_ERROR([this compiler has no $ct_sanitizer sanitizer])])
	CFLAGS=$ct_save_CFLAGS
    ])
    AC_SUBST([CT_SAN_CFLAGS])
    AC_SUBST([CT_SANITIZER], [$ct_sanitizer])

    # A module leaves the sanitizer's symbols to the program with clang, which
    # links no runtime into shared objects.
    CT_NO_UNDEFINED=-Wl,--no-undefined
    AS_IF([test "x$ct_sanitizer" != xno], [
	AC_MSG_CHECKING([whether a sanitized module can be fully linked])
	ct_save_CFLAGS=$CFLAGS
	ct_save_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS $CT_SAN_CFLAGS -fPIC"
	LDFLAGS="$LDFLAGS -shared -Wl,--no-undefined"
	AC_LINK_IFELSE(
	    [AC_LANG_SOURCE([[int f(int *p);
int f(int *p) { return p[1] + 1; }]])],
	    [AC_MSG_RESULT([yes])],
	    [AC_MSG_RESULT([no])
	    CT_NO_UNDEFINED=])
	CFLAGS=$ct_save_CFLAGS
	LDFLAGS=$ct_save_LDFLAGS
    ])
    AC_SUBST([CT_NO_UNDEFINED])
])
