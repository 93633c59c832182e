# SPDX-License-Identifier: Apache-2.0
#
# CT_COVERAGE: --enable-coverage (gcc) counts for gcov; `make coverage` runs the
# tests and says what they reached.
AC_DEFUN([CT_COVERAGE], [
    AC_ARG_ENABLE([coverage],
	[AS_HELP_STRING([--enable-coverage],
	    [count which lines and branches are run (gcc, gcovr)])],
	[ct_coverage=$enableval], [ct_coverage=no])
    CT_COV_CFLAGS=
    AS_IF([test "x$ct_coverage" != xno],
	[CT_COV_CFLAGS="--coverage -fprofile-update=atomic"])
    AC_SUBST([CT_COV_CFLAGS])
    AC_SUBST([CT_COVERAGE], [$ct_coverage])
])
