/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target once over each file given as an argument: the seeds and
 * former findings become a regression test that needs no fuzzer.  The name
 * is printed before the run, so that a crash shows which file it was.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The bytes are in a block of exactly their size: overreads are found. */
static int
replay(const char *path)
{
	uint8_t *p = NULL;
	FILE *f;
	long n;
	int rc = -1;

	f = fopen(path, "rb");
	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0)
		goto out;
	rewind(f);
	p = malloc(n > 0 ? (size_t)n : 1);
	if (p == NULL || fread(p, 1, (size_t)n, f) != (size_t)n)
		goto out;
	(void)LLVMFuzzerTestOneInput(p, (size_t)n);
	rc = 0;
out:
	if (rc != 0)
		perror(path);
	if (f != NULL)
		(void)fclose(f);
	free(p);
	return rc;
}

int
main(int argc, char **argv)
{
	int i, bad = 0;

	for (i = 1; i < argc; i++) {
		printf("%s\n", argv[i]);
		(void)fflush(stdout);
		if (replay(argv[i]) != 0)
			bad = 1;
	}
	return bad;
}
