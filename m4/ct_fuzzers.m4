# SPDX-License-Identifier: Apache-2.0
#
# CT_FUZZERS: --enable-fuzzers (clang) instruments everything for libFuzzer
# and links the targets in tests/fuzz with it.  Without it the same targets
# are plain programs that replay their seeds.
AC_DEFUN([CT_FUZZERS], [
    AC_ARG_ENABLE([fuzzers],
	[AS_HELP_STRING([--enable-fuzzers],
	    [link the fuzz targets with libFuzzer (clang only)])],
	[ct_fuzzers=$enableval], [ct_fuzzers=no])
    CT_FUZZ_CFLAGS=
    CT_FUZZ_LDFLAGS=
    AS_IF([test "x$ct_fuzzers" != xno], [
	CT_FUZZ_CFLAGS=-fsanitize=fuzzer-no-link
	CT_FUZZ_LDFLAGS=-fsanitize=fuzzer
	ct_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS $CT_FUZZ_LDFLAGS"
	AC_MSG_CHECKING([whether $CC has libFuzzer])
	AC_LINK_IFELSE([AC_LANG_SOURCE([[
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return n > 99 && p[0] == 1 ? -1 : 0;
}
]])], [AC_MSG_RESULT([yes])], [
	    AC_MSG_RESULT([no])
	    AC_MSG_ERROR([--enable-fuzzers needs clang with libFuzzer])])
	CFLAGS=$ct_save_CFLAGS
    ])
    AC_SUBST([CT_FUZZ_CFLAGS])
    AC_SUBST([CT_FUZZ_LDFLAGS])
    AM_CONDITIONAL([ENABLE_FUZZERS], [test "x$ct_fuzzers" != xno])
])
