/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for a test that needs paths. */
#ifndef TEST_TMPDIR_H
#define TEST_TMPDIR_H

/* Makes one below $TMPDIR; its path is in a static area. */
const char *tmpdir_make(void);
/* Removes the files in it, and it. */
void tmpdir_remove(void);

#endif
