/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static char dir[] = "/tmp/cleat-ticket-XXXXXX", path[64];
static char why[TLS_WHY_SIZE];

static void
write_file(const char *p, size_t n, mode_t mode)
{
	int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC, mode);
	size_t i;

	assert_true(fd >= 0);
	for (i = 0; i < n; i++)
		assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void
set_age(const char *p, long seconds)
{
	struct timespec t[2];

	t[0].tv_sec = t[1].tv_sec = time(NULL) - seconds;
	t[0].tv_nsec = t[1].tv_nsec = 0;
	assert_int_equal(utimensat(AT_FDCWD, p, t, 0), 0);
}

static void
test_made_once_private_and_kept(void **state)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE] = {0}, b[TLS_TICKET_MASTER_SIZE];
	static const uint8_t zero[TLS_TICKET_MASTER_SIZE];
	struct stat st;

	(void)state;
	assert_int_equal(tls_ticket_master_load(path, 0, why, a), 0);
	assert_memory_not_equal(a, zero, sizeof(a));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, TLS_TICKET_MASTER_SIZE);
	assert_int_equal(tls_ticket_master_load(path, 86400, why, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	set_age(path, 1000000);
	assert_int_equal(tls_ticket_master_load(path, 0, why, b), 0);
	assert_memory_equal(a, b, sizeof(a));
}

static void
test_replaced_when_old(void **state)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE], b[TLS_TICKET_MASTER_SIZE];

	(void)state;
	assert_int_equal(tls_ticket_master_load(path, 0, why, a), 0);
	set_age(path, 3590);
	assert_int_equal(tls_ticket_master_load(path, 3600, why, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	set_age(path, 3700);
	assert_int_equal(tls_ticket_master_load(path, 3600, why, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(tls_ticket_master_load(path, 3600, why, a), 0);
	assert_memory_equal(a, b, sizeof(a));
	set_age(path, -100000);		/* the clock had been wrong */
	assert_int_equal(tls_ticket_master_load(path, 3600, why, a), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void
expect_refused(const char *p, int error, const char *text)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE] = {7}, b[TLS_TICKET_MASTER_SIZE];

	memcpy(b, a, sizeof(b));
	why[0] = '\0';
	assert_int_equal(tls_ticket_master_load(p, 1, why, a), error);
	if (strstr(why, text) == NULL)
		fail_msg("%s", why);
	assert_memory_equal(a, b, sizeof(a));
}

static void
test_what_is_refused_and_left_alone(void **state)
{
	char other[80];
	struct stat st;

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	write_file(other, TLS_TICKET_MASTER_SIZE, 0640);
	expect_refused(other, -EPERM, "0640");
	assert_int_equal(chmod(other, 0604), 0);
	expect_refused(other, -EPERM, "0604");
	write_file(other, TLS_TICKET_MASTER_SIZE - 1, 0600);
	set_age(other, 100);
	expect_refused(other, -EINVAL, "64 bytes");
	write_file(other, TLS_TICKET_MASTER_SIZE + 1, 0600);
	set_age(other, 100);
	expect_refused(other, -EINVAL, "64 bytes");
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, TLS_TICKET_MASTER_SIZE + 1);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(mkfifo(other, 0600), 0);
	expect_refused(other, -ENOTSUP, "regular");
	assert_int_equal(unlink(other), 0);
	assert_int_equal(symlink(path, other), 0);
	expect_refused(other, -ELOOP, "opened");
	assert_int_equal(unlink(other), 0);
	expect_refused(dir, -ENOTSUP, "regular");
	(void)snprintf(other, sizeof(other), "%s/no/where", dir);
	expect_refused(other, -ENOENT, "written");
}

static void
expect_not_shared(const char *where, int error, const char *text)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE] = {7}, b[TLS_TICKET_MASTER_SIZE];

	memcpy(b, a, sizeof(b));
	why[0] = '\0';
	assert_int_equal(tls_ticket_master_share(where, why, a), error);
	if (strstr(why, text) == NULL || strchr(why, '\n') != NULL)
		fail_msg("%s", why);
	assert_memory_equal(a, b, sizeof(a));
}

static void
test_a_shared_master_is_read_and_never_written(void **state)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE], b[TLS_TICKET_MASTER_SIZE];
	char other[80], where[120];
	struct stat before, after;

	(void)state;
	assert_int_equal(tls_ticket_master_load(path, 0, why, a), 0);
	set_age(path, 1000000);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(tls_ticket_master_share(path, why, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);

	(void)snprintf(other, sizeof(other), "%s/shared", dir);
	expect_not_shared(other, -ENOENT, "opened");
	write_file(other, TLS_TICKET_MASTER_SIZE, 0600);
	expect_not_shared(other, -EINVAL, "not random");
	write_file(other, TLS_TICKET_MASTER_SIZE - 1, 0600);
	expect_not_shared(other, -EINVAL, "64 bytes");
	write_file(other, TLS_TICKET_MASTER_SIZE, 0640);
	expect_not_shared(other, -EPERM, "0640");
	assert_int_equal(unlink(other), 0);
	expect_not_shared(dir, -ENOTSUP, "regular");
	expect_not_shared("relative", -EINVAL, "ticket_master_file");

	(void)unsetenv("CREDENTIALS_DIRECTORY");
	expect_not_shared("credential:master", -ENOENT, "LoadCredential");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	expect_not_shared("credential:../x", -EINVAL, "name");
	(void)snprintf(where, sizeof(where), "credential:%s",
	    strrchr(path, '/') + 1);
	assert_int_equal(chmod(path, 0440), 0);	/* as systemd may show it */
	memset(b, 0, sizeof(b));
	assert_int_equal(tls_ticket_master_share(where, why, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(chmod(path, 0444), 0);
	expect_not_shared(where, -EPERM, "0444");
	assert_int_equal(chmod(path, 0600), 0);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void
test_allocation_failures(void **state)
{
	uint8_t a[TLS_TICKET_MASTER_SIZE];
	unsigned long n;
	int r;

	(void)state;
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		(void)unlink(path);
		mem_fail_nth(n);
		r = tls_ticket_master_load(path, 0, why, a);
		mem_fail_nth(0);
	}
	assert_int_equal(r, 0);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/master", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_once_private_and_kept),
		cmocka_unit_test(test_replaced_when_old),
		cmocka_unit_test(test_what_is_refused_and_left_alone),
		cmocka_unit_test(
		    test_a_shared_master_is_read_and_never_written),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("ticket", tests, setup, teardown);
}
