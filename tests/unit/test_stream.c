/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams over a socketpair (core/net/stream.c, stream_export.c), with a
 * transport whose records are a length byte and that many bytes, each XORed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/stream.h"

static struct stage stage;
static struct loop *loop;
static int far;				/* the other end */
static unsigned woken;
static uint32_t woken_by;

static ssize_t
xor_read(struct transport *t, struct stage *st, const uint8_t *in, size_t n)
{
	(void)t;
	if (n == 0 || n < (size_t)in[0] + 1)
		return 0;
	if (in[0] == 0)
		return -EPIPE;
	if (in[0] == 255) {
		st->tx.p[st->tx.n++] = 255;
		return -EPROTO;
	}
	for (size_t i = 1; i <= in[0]; i++)
		st->rx.p[st->rx.n++] = in[i] ^ 0x55;
	return in[0] + 1;
}

static ssize_t
xor_write(struct transport *t, struct stage *st, const uint8_t *p, size_t n)
{
	size_t done = 0;

	(void)t;
	while (done < n) {
		size_t part = n - done > 100 ? 100 : n - done;

		if (outbuf_room(&st->tx) < part + 1)
			break;
		st->tx.p[st->tx.n++] = (uint8_t)part;
		for (size_t i = 0; i < part; i++)
			st->tx.p[st->tx.n++] = p[done + i] ^ 0x55;
		done += part;
	}
	return (ssize_t)done;
}

static int
xor_shutdown(struct transport *t, struct stage *st)
{
	(void)t;
	st->tx.p[st->tx.n++] = 0;
	return 0;
}

static int
xor_eof(const struct transport *t)
{
	(void)t;
	return -ECONNRESET;
}

static void
xor_free(struct transport **t)
{
	mem_free(*t);
	*t = NULL;
}

static const struct transport_ops xor_ops = {
	.name = "xor", .tag = 'x', .read = xor_read, .write = xor_write,
	.shutdown = xor_shutdown, .eof = xor_eof, .free = xor_free
};

static void
on_wake(struct watch *w, uint32_t events)
{
	(void)w;
	woken++;
	woken_by = events;
}

static int
set_up(void **state)
{
	(void)state;
	woken = 0;
	assert_int_equal(stage_init(&stage), 0);
	return loop_new(&loop);
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(&loop);
	stage_fini(&stage);
	return 0;
}

static void
open_xor(struct stream *s)
{
	struct transport *t = mem_calloc(1, sizeof(*t));
	int fd[2], small = 1;

	assert_non_null(t);
	t->ops = &xor_ops;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small)), 0);
	far = fd[1];
	stream_init(s, fd[0], t);
	assert_int_equal(stream_start(s, loop, true, on_wake), 0);
}

static void
done(struct stream *s)
{
	stream_close(s, loop);
	assert_int_equal(s->watch.fd, -1);
	stream_close(s, NULL);
	(void)close(far);
}

static void
a_stream_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct stream) <= 56);
}

static void
a_partial_record_waits_for_its_rest(void **state)
{
	static const uint8_t one[] = { 3, 'a' ^ 0x55, 'b' ^ 0x55, 'c' ^ 0x55,
	    2, 'd' ^ 0x55 };
	struct stream s;

	(void)state;
	open_xor(&s);
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_int_equal(stage.rx.n, 0);
	assert_int_equal(write(far, one, sizeof(one)), sizeof(one));
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_int_equal(stage.rx.n, 3);
	assert_memory_equal(stage.rx.p, "abc", 3);
	assert_int_equal(buf_len(s.carry), 2);
	assert_int_equal(stage.in.n, 0);
	assert_int_equal(write(far, "\x30", 1), 1);
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_int_equal(stage.rx.n, 2);
	assert_memory_equal(stage.rx.p, "de", 2);
	assert_null(s.carry);
	done(&s);
}

static void
what_is_in_the_stage_is_opened_without_a_recv(void **state)
{
	static const uint8_t one[] = { 1, 'a' ^ 0x55, 1 };
	struct stream s;

	(void)state;
	open_xor(&s);
	assert_int_equal(write(far, one, sizeof(one)), sizeof(one));
	assert_int_equal(stream_fill(&s, &stage), 3);
	assert_int_equal(write(far, "\x37", 1), 1);
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_memory_equal(stage.rx.p, "a", 1);
	assert_int_equal(buf_len(s.carry), 1);
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_int_equal(stage.rx.n, 1);
	assert_memory_equal(stage.rx.p, "b", 1);
	done(&s);
}

static void
ends_are_told_apart(void **state)
{
	static const uint8_t closing[] = { 1, 'z' ^ 0x55, 0 };
	static const uint8_t bad[256] = { 255 };
	struct stream s;
	char c;

	(void)state;
	open_xor(&s);
	assert_int_equal(write(far, closing, 3), 3);
	assert_int_equal(stream_read(&s, &stage), -EPIPE);
	assert_int_equal(stage.rx.n, 1);
	done(&s);
	open_xor(&s);
	assert_int_equal(write(far, "\x09", 1), 1);
	assert_int_equal(stream_read(&s, &stage), 0);
	assert_int_equal(shutdown(far, SHUT_WR), 0);
	assert_int_equal(stream_read(&s, &stage), -ECONNRESET);
	done(&s);
	/* The transport's last word goes out, nothing is sealed any more. */
	open_xor(&s);
	assert_int_equal(write(far, bad, sizeof(bad)), sizeof(bad));
	assert_int_equal(stream_read(&s, &stage), -EPROTO);
	assert_int_equal(stream_write(&s, &stage, "late", 4, 1000), 0);
	assert_int_equal(stream_flush(&s, &stage, 1000), 0);
	assert_int_equal(read(far, &c, 1), 1);
	assert_int_equal((uint8_t)c, 255);
	assert_int_equal(recv(far, &c, 1, MSG_DONTWAIT), -1);
	done(&s);
}

/* Reads everything at the far end and undoes the records. */
static size_t
far_plain(uint8_t *to)
{
	static uint8_t wire[1024 * 1024];
	static size_t have;
	size_t n = 0, at = 0;
	ssize_t got;

	while ((got = recv(far, wire + have, sizeof(wire) - have,
	    MSG_DONTWAIT)) > 0)
		have += (size_t)got;
	while (at < have && at + wire[at] + 1 <= have && wire[at] != 0) {
		for (size_t i = 1; i <= wire[at]; i++)
			to[n++] = wire[at + i] ^ 0x55;
		at += (size_t)wire[at] + 1;
	}
	memmove(wire, wire + at, have - at);
	have -= at;
	return n;
}

static void
what_the_socket_does_not_take_is_kept_in_order(void **state)
{
	enum { N = 300000 };
	uint8_t *out = malloc(N), *in = malloc(2 * N);
	struct stream s;
	size_t n;

	(void)state;
	assert_true(out != NULL && in != NULL);
	for (size_t i = 0; i < N; i++)
		out[i] = (uint8_t)(i ^ i >> 8);
	open_xor(&s);
	assert_int_equal(stream_write(&s, &stage, out, N, 400000), 0);
	assert_int_equal(stream_flush(&s, &stage, 400000), 0);
	assert_true(stream_backlog(&s) > 0);
	assert_int_equal(stream_write(&s, &stage, "xyz", 3, 400000), 0);
	assert_int_equal(stream_flush(&s, &stage, 400000), 0);
	assert_int_equal(stream_update(&s, loop, true), 0);
	assert_true(s.writing);
	n = far_plain(in);
	while (stream_backlog(&s) > 0) {
		assert_int_equal(loop_turn(loop, 1000), 0);
		assert_true((woken_by & EPOLLOUT) != 0);
		assert_int_equal(stream_drain(&s), 0);
		n += far_plain(in + n);
	}
	assert_int_equal(n, N + 3);
	assert_memory_equal(in, out, N);
	assert_memory_equal(in + N, "xyz", 3);
	assert_int_equal(stream_update(&s, loop, true), 0);
	assert_false(s.writing);
	done(&s);
	free(out);
	free(in);
}

static void
a_backlog_over_its_limit_is_refused(void **state)
{
	static uint8_t big[60000];
	struct stream s;
	int error = 0;

	(void)state;
	open_xor(&s);
	for (int i = 0; i < 20 && error == 0; i++) {
		error = stream_write(&s, &stage, big, sizeof(big), 100000);
		if (error == 0)
			error = stream_flush(&s, &stage, 100000);
	}
	assert_int_equal(error, -ENOBUFS);
	assert_true(stream_backlog(&s) <= 100000);
	assert_int_equal(stage.tx.n, 0);
	assert_int_equal(stage.plain.n, 0);
	done(&s);
	open_xor(&s);
	(void)close(far);
	assert_int_equal(stream_write(&s, &stage, "a", 1, 1000), 0);
	assert_int_equal(stream_flush(&s, &stage, 1000), -EPIPE);
	stream_close(&s, loop);
}

static void
our_end_is_put_out_behind_the_backlog(void **state)
{
	static uint8_t big[60000], in[70000];
	struct stream s;
	size_t n = 0;
	char c;

	(void)state;
	open_xor(&s);
	assert_int_equal(stream_write(&s, &stage, big, sizeof(big),
	    SIZE_MAX), 0);
	assert_int_equal(stream_shutdown(&s, &stage), 0);
	assert_true(stream_backlog(&s) > 0);
	assert_true(s.shut);
	assert_int_equal(stream_shutdown(&s, &stage), 0);
	while (n < sizeof(big)) {
		n += far_plain(in + n);
		assert_int_equal(stream_drain(&s), 0);
	}
	assert_int_equal(n, sizeof(big));
	/* close_notify is still in the far end's hands; then the end. */
	while (recv(far, &c, 1, MSG_DONTWAIT) > 0)
		continue;
	assert_int_equal(recv(far, &c, 1, MSG_DONTWAIT), 0);
	done(&s);
}

static void
a_moved_stream_goes_on_under_its_new_owner(void **state)
{
	struct stream s, to;

	(void)state;
	open_xor(&s);
	assert_int_equal(write(far, "\x02\x34", 2), 2);
	assert_int_equal(stream_read(&s, &stage), 0);
	s.watch.fn = on_wake;
	assert_int_equal(stream_move(&to, &s, loop, on_wake), 0);
	assert_int_equal(s.watch.fd, -1);
	assert_null(s.transport);
	assert_null(s.carry);
	stream_close(&s, loop);		/* harmless */
	assert_int_equal(write(far, "\x37", 1), 1);
	assert_int_equal(loop_turn(loop, 1000), 0);
	assert_int_equal(woken, 1);
	assert_int_equal(stream_read(&to, &stage), 0);
	assert_memory_equal(stage.rx.p, "ab", 2);
	done(&to);
}

static void
a_moved_stream_that_is_in_no_loop_stays_so(void **state)
{
	struct stream s, to;

	(void)state;
	open_xor(&s);
	stream_leave(&s, loop);
	stream_leave(&s, loop);
	assert_int_equal(stream_move(&to, &s, loop, on_wake), 0);
	assert_null(to.watch.fn);
	done(&to);
}

/* A plain stream with a carry and a backlog. */
static void
open_plain(struct stream *s)
{
	struct transport *t;

	open_xor(s);
	s->transport->ops->free(&s->transport);
	assert_int_equal(transport_plain_new(&t), 0);
	s->transport = t;
}

static void
export_and_import_keep_everything(void **state)
{
	static uint8_t big[50000], space[200000], in[60000];
	struct outbuf out = { .p = space, .cap = sizeof(space) };
	struct stream s, to;
	size_t n = 0, whole;
	ssize_t got;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i ^ i >> 8);
	open_plain(&s);
	assert_int_equal(stream_write(&s, &stage, big, sizeof(big),
	    SIZE_MAX), 0);
	assert_int_equal(stream_flush(&s, &stage, SIZE_MAX), 0);
	assert_true(stream_backlog(&s) > 0);
	assert_int_equal(buf_append(&s.carry, "carry", 5, 100), 0);
	stream_leave(&s, loop);
	assert_int_equal(stream_export(&s, &out), 0);
	whole = out.n;
	fd = s.watch.fd;
	stream_forget(&s);
	assert_int_equal(s.watch.fd, -1);
	assert_int_equal(stream_import(&to, fd, space, whole), 0);
	assert_int_equal(stream_start(&to, loop, true, on_wake), 0);
	assert_true(to.writing);
	assert_int_equal(buf_len(to.carry), 5);
	assert_int_equal(write(far, "+new", 4), 4);
	assert_int_equal(stream_read(&to, &stage), 0);
	assert_int_equal(stage.rx.n, 9);
	assert_memory_equal(stage.rx.p, "carry+new", 9);
	do {
		assert_int_equal(stream_drain(&to), 0);
		got = recv(far, in + n, sizeof(in) - n, MSG_DONTWAIT);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	assert_int_equal(n, sizeof(big));
	assert_memory_equal(in, big, n);
	done(&to);
}

static void
a_cut_or_changed_export_is_refused(void **state)
{
	uint8_t space[300], changed[300];
	struct outbuf out = { .p = space, .cap = sizeof(space) };
	struct stream s, to;
	size_t whole;

	(void)state;
	open_plain(&s);
	assert_int_equal(buf_append(&s.carry, "carry", 5, 100), 0);
	assert_int_equal(buf_append(&s.backlog, "backlog", 7, 100), 0);
	stream_leave(&s, loop);
	for (size_t cap = 0;; cap++) {
		out = (struct outbuf){ .p = space, .cap = cap };
		if (stream_export(&s, &out) == 0)
			break;
		assert_int_equal(out.n, 0);
	}
	whole = out.n;
	for (size_t n = 0; n < whole; n++)
		assert_int_equal(stream_import(&to, 9, space, n), -EINVAL);
	assert_int_equal(stream_import(&to, 9, space, whole + 1), -EINVAL);
	for (size_t i = 0; i < 17; i++) {
		memcpy(changed, space, whole);
		changed[i] ^= 0x84;
		assert_int_equal(stream_import(&to, 9, changed, whole),
		    -EINVAL);
	}
	for (unsigned long n = 1;; n++) {
		int error;

		(void)mem_fail_nth(n);
		error = stream_import(&to, 9, space, whole);
		if (error == 0)
			break;
		assert_int_equal(error, -ENOMEM);
	}
	(void)mem_fail_nth(0);
	stream_forget(&to);
	done(&s);
}

static void
a_read_without_memory_for_the_rest_says_so(void **state)
{
	struct stream s;

	(void)state;
	open_xor(&s);
	assert_int_equal(write(far, "\x02\x34", 2), 2);
	(void)mem_fail_nth(1);
	assert_int_equal(stream_read(&s, &stage), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(stage.in.n, 0);
	done(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stream_is_small),
		T(a_partial_record_waits_for_its_rest),
		T(what_is_in_the_stage_is_opened_without_a_recv),
		T(ends_are_told_apart),
		T(what_the_socket_does_not_take_is_kept_in_order),
		T(a_backlog_over_its_limit_is_refused),
		T(our_end_is_put_out_behind_the_backlog),
		T(a_moved_stream_goes_on_under_its_new_owner),
		T(a_moved_stream_that_is_in_no_loop_stays_so),
		T(export_and_import_keep_everything),
		T(a_cut_or_changed_export_is_refused),
		T(a_read_without_memory_for_the_rest_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
