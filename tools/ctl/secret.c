/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl secret encrypt: from standard input, never from the command line.
 * It asks no daemon; the key is a file (tls/secret.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl.h"
#include "tls/secret.h"
#include "tls/snapshot.h"

#define KEY_FILE "/var/lib/cleat/secret.key"

/* Until the end, or on a terminal until the end of the line.  -EFBIG. */
static int
read_up_to(char *p, size_t cap, bool line, size_t *ret_n)
{
	size_t n = 0;
	ssize_t k;

	while (n < cap) {
		k = read(STDIN_FILENO, p + n, cap - n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		n += (size_t)k;
		if (k == 0 || (line && p[n - 1] == '\n'))
			break;
	}
	if (n == cap)
		return -EFBIG;
	*ret_n = n;
	return 0;
}

static int
read_terminal(char *p, size_t cap, size_t *ret_n)
{
	struct termios was, quiet;
	int r;

	if (tcgetattr(STDIN_FILENO, &was) != 0)
		return -errno;
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)fputs("Secret: ", stderr);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
		return -errno;
	r = read_up_to(p, cap, true, ret_n);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);	/* as far as it can */
	(void)fputc('\n', stderr);
	return r;
}

static int
encrypt(struct ctl *x, const char *p, size_t n)
{
	const char *path = x->option[O_KEY_FILE];
	char why[TLS_WHY_SIZE] = "", *text = NULL;
	int r = secret_encrypt(p, n, path != NULL ? path : KEY_FILE, why,
	    &text);

	if (r < 0) {
		say("secret encrypt: %s", why);
		return r == -ENOMEM ? EXIT_BROKEN : r == -EACCES ||
		    r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_REFUSED;
	}
	(void)puts(text);
	mem_free(text);
	return EXIT_OK;
}

int
secret_encrypt_run(struct ctl *x)
{
	const size_t cap = SECRET_MAX + 3;	/* and CR LF, and one more */
	char *p = mem_alloc(cap);
	size_t n = 0;
	int r;

	if (p == NULL)
		return say_memory();
	r = isatty(STDIN_FILENO) == 1 ? read_terminal(p, cap, &n) :
	    read_up_to(p, cap, false, &n);
	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (r < 0) {
		say("secret encrypt: standard input: %s", r == -EFBIG ?
		    "longer than 4096 bytes" : strerror(-r));
		r = EXIT_REFUSED;
	} else {
		r = encrypt(x, p, n);
	}
	mem_free_wiped(p, cap);
	return r;
}
