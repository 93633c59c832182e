/* SPDX-License-Identifier: Apache-2.0 */
/* The probe without memory (client/probe.c); what it says of servers is in
 * tests/scenario/agent_test.py. */
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "../lib/certs.h"
#include "../lib/tmpdir.h"

struct told {
	unsigned lines, fails;
	char last[32];
};

static void
on_line(void *ctx, const struct probe_line *line)
{
	struct told *t = ctx;

	t->lines++;
	t->fails += line->level == PROBE_FAIL;
	(void)snprintf(t->last, sizeof(t->last), "%s", line->check);
	assert_true(line->text[0] != '\0');
}

/* A port on which nobody listens, though it is taken. */
static int
closed_port(char *to, size_t n)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	(void)snprintf(to, n, "127.0.0.1:%u", ntohs(in.sin_port));
	return fd;
}

static void
short_memory_is_told_and_nothing_is_good(void **state)
{
	const struct test_cert_spec spec = { .cn = "ca", .ca = true };
	char server[64], path[200];
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .proxy = "none", .server = server,
		.ca_file = path
	};
	struct told told;
	const struct probe_spec probe = {
		.opts = &opts, .timeout_ms = 30000, .line = on_line,
		.ctx = &told
	};
	struct test_cert ca;
	enum probe_result r;
	int fd = closed_port(server, sizeof(server));
	unsigned long calls;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/ca.pem", tmpdir_make());
	test_cert_make(&spec, &ca);
	{
		FILE *f = fopen(path, "we");

		assert_non_null(f);
		assert_int_equal(fwrite(ca.pem, 1, ca.pem_n, f), ca.pem_n);
		assert_int_equal(fclose(f), 0);
	}
	for (unsigned long k = 1; ; k++) {
		assert_true(k < 10000);
		told = (struct told){ .lines = 0 };
		(void)mem_fail_nth(k);
		r = probe_run(&probe);
		calls = mem_fail_nth(0);
		assert_true(r == PROBE_SETTINGS || r == PROBE_UNREACHED);
		assert_true(told.fails > 0);
		if (calls < k)
			break;
	}
	assert_int_equal(r, PROBE_UNREACHED);
	assert_string_equal(told.last, "tcp");
	assert_int_equal(told.fails, 1);
	test_cert_free(&ca);
	tmpdir_remove();
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_memory_is_told_and_nothing_is_good)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
