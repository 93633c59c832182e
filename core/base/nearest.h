/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The word that was probably meant, among those that there are: for keys of the
 * configuration and commands of a program.  No allocation.  Thread: any.
 */
#ifndef CT_NEAREST_H
#define CT_NEAREST_H

#include <stddef.h>

/* The candidate nearest to `word`, if near enough to be meant; else NULL.
 * Candidates come one by one: start with best = NULL. */
struct nearest {
	const char *word, *best;
	size_t distance;
};
void nearest_try(struct nearest *, const char *candidate);

#endif
