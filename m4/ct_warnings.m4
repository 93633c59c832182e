# SPDX-License-Identifier: Apache-2.0
#
# CT_CHECK_CFLAG(VARIABLE, FLAG): appends FLAG to VARIABLE if the compiler
# takes it without a warning.
AC_DEFUN([CT_CHECK_CFLAG], [
    AS_VAR_PUSHDEF([ct_cache], [ct_cv_cflag_$2])
    AC_CACHE_CHECK([whether $CC takes $2], [ct_cache], [
	ct_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
	    [AS_VAR_SET([ct_cache], [yes])], [AS_VAR_SET([ct_cache], [no])])
	CFLAGS=$ct_save_CFLAGS
    ])
    AS_VAR_IF([ct_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([ct_cache])
])

# CT_WARNINGS: CT_WARN_CFLAGS, which --enable-developer makes fatal.
AC_DEFUN([CT_WARNINGS], [
    AC_ARG_ENABLE([developer],
	[AS_HELP_STRING([--enable-developer], [warnings are errors])],
	[ct_developer=$enableval], [ct_developer=no])
    CT_WARN_CFLAGS=
    m4_foreach_w([ct_flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes
	-Wmissing-prototypes -Wwrite-strings -Wcast-qual -Wvla -Wformat=2],
	[CT_CHECK_CFLAG([CT_WARN_CFLAGS], ct_flag)])
    AS_IF([test "x$ct_developer" != xno],
	[AS_VAR_APPEND([CT_WARN_CFLAGS], [" -Werror"])])
    AC_SUBST([CT_WARN_CFLAGS])
])
