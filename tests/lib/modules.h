/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugin modules built at test time, as an author would: with the compiler and
 * the public headers only.  A failure ends the test program.
 */
#ifndef TEST_MODULES_H
#define TEST_MODULES_H

/* A new directory, 0700, removed with all in it by modules_remove(). */
char *modules_dir(void);
void modules_remove(char **dir);
/* Compiles SRCDIR/`source` into dir/`name`.so; `libs` may be "". */
void modules_build(const char *dir, const char *source, const char *name,
    const char *libs);
/* Runs a shell command; its exit status. */
int modules_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The built module of the tree: BUILDDIR/plugins/NAME/.libs/NAME.so, copied
 * into dir with a mode that the loader accepts. */
void modules_copy(const char *dir, const char *name);

#endif
