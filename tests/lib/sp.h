/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw peer of nng's ipc transport, for tests that must misbehave or must not
 * start nng's threads.  Every wait has a deadline.
 */
#ifndef TEST_SP_H
#define TEST_SP_H

#include <stddef.h>
#include <stdint.h>

#define SP_SUB 0x21
#define SP_REQ 0x30

/* Connects; tries until the deadline.  Fails the test otherwise. */
int sp_connect_raw(const char *path, int within_ms);
/* Connects and negotiates.  -1 when there is no answer in time. */
int sp_connect(const char *path, uint8_t protocol, int within_ms);
/* Sends one message (for REQ: with its request id in front). */
int sp_send(int fd, uint8_t protocol, const void *p, size_t n);
/* Receives one message into p (NUL behind it), without a REP's id.  Its length,
 * or -1 at the deadline or end. */
long sp_recv(int fd, uint8_t protocol, char *p, size_t cap, int within_ms);

#endif
