/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The word that was probably meant: least number of letters inserted, dropped,
 * changed, or swapped with their neighbour (optimal string alignment).
 */
#include "base/nearest.h"

#include <string.h>

#define LONGEST 48

static size_t
min3(size_t a, size_t b, size_t c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

static size_t
distance(const char *a, size_t an, const char *b, size_t bn)
{
	size_t d[LONGEST + 1][LONGEST + 1];

	for (size_t i = 0; i <= an; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= bn; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= an; i++) {
		for (size_t j = 1; j <= bn; j++) {
			size_t same = a[i - 1] == b[j - 1] ? 0 : 1;

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
			    d[i - 1][j - 1] + same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 <
			    d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[an][bn];
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	size_t wn = strlen(n->word), cn = strlen(candidate), d, most;

	if (wn > LONGEST || cn > LONGEST)
		return;
	d = distance(n->word, wn, candidate, cn);
	most = (wn > cn ? wn : cn) / 3;
	if (most < 1)
		most = 1;
	if (d > most || (n->best != NULL && d >= n->distance))
		return;
	n->best = candidate;
	n->distance = d;
}
