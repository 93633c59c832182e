/* SPDX-License-Identifier: Apache-2.0 */
/* How many descriptors the test has: before and after, it is as many. */
#ifndef TEST_FDS_H
#define TEST_FDS_H

unsigned fds_open(void);

#endif
