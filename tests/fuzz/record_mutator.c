/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutations of fuzz_record's inputs that know what a step is: whole steps come,
 * go, change places or are copied, and the bytes of one change without moving
 * the others.  A blind mutation would turn the rest of the list into another.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "record_steps.h"

size_t LLVMFuzzerCustomMutator(uint8_t *, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *, size_t, const uint8_t *,
    size_t, uint8_t *to, size_t max, unsigned seed);
/* libFuzzer's; not there when seeds are only replayed. */
size_t LLVMFuzzerMutate(uint8_t *, size_t n, size_t max)
    __attribute__((weak));

#define LIST_MAX 512
#define STEP_SIZE_MAX (8 + 255)

struct list {
	size_t at[LIST_MAX + 1];	/* where they begin; the end */
	size_t n;
};

static uint32_t state;

/* xorshift32 (Marsaglia 2003) */
static uint32_t
below(size_t n)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return n == 0 ? 0 : (uint32_t)(state % n);
}

/* How long the step at p[0..n) is, its first byte included. */
static size_t
step_size(const uint8_t *p, size_t n)
{
	static const uint8_t fixed[STEPS] = {
		[STEP_DATA] = 2, [STEP_ZEROS] = 4, [STEP_HANDSHAKE] = 2,
		[STEP_ALERT] = 1, [STEP_UPDATE] = 2, [STEP_RAW] = 2,
		[STEP_FLIP] = 3, [STEP_SEND] = 2, [STEP_REKEY] = 1,
		[STEP_SHUTDOWN] = 1, [STEP_MOVE] = 1, [STEP_READ] = 1,
		[STEP_SHAPED] = 8, [STEP_DISORDER] = 2, [STEP_MESSAGE] = 6,
		[STEP_MANY] = 2,
	};
	/* where the byte is that counts those behind */
	static const uint8_t counter[STEPS] = {
		[STEP_DATA] = 1, [STEP_HANDSHAKE] = 1, [STEP_RAW] = 1,
		[STEP_SHAPED] = 7, [STEP_MESSAGE] = 4,
	};
	unsigned kind = p[0] % STEPS;
	size_t size = fixed[kind];

	if (kind == STEP_ALERT)
		size += p[0] / STEPS % 5;
	if (counter[kind] != 0 && counter[kind] < n)
		size += p[counter[kind]];
	return size < n ? size : n;
}

static void
parse(const uint8_t *p, size_t n, struct list *l)
{
	size_t at = STEPS_HEAD;

	l->n = 0;
	while (at < n && l->n < LIST_MAX) {
		l->at[l->n++] = at;
		at += step_size(p + at, n - at);
	}
	l->at[l->n] = at < n ? at : n;
}

/* A step made up, of a kind and with values that mean something. */
static size_t
invent(uint8_t *to)
{
	static const uint8_t types[] = { 20, 21, 22, 23, 23, 23, 0, 24 };
	static const uint8_t messages[] = { 24, 4, 1, 0, 24, 13, 20, 2 };
	unsigned kind = below(STEPS), n = below(4) != 0 ? below(6) : below(256);

	to[0] = (uint8_t)(kind + STEPS * (below(2) != 0 ? 0 : below(16)));
	for (size_t i = 1; i < 8 + n; i++)
		to[i] = (uint8_t)(below(3) != 0 ? below(3) : below(256));
	switch (kind) {
	case STEP_ZEROS:
		to[1] = types[below(sizeof(types))];
		to[2] = (uint8_t)below(66);
		break;
	case STEP_SHAPED:
		to[1] = below(4) != 0 ? 23 : types[below(sizeof(types))];
		to[2] = to[3] = 3;
		if (below(4) == 0)
			to[3] = (uint8_t)below(256);
		to[4] = types[below(sizeof(types))];
		to[5] = (uint8_t)(below(2) != 0 ? 0 : below(66));
		to[7] = (uint8_t)n;
		break;
	case STEP_MESSAGE:
		to[1] = messages[below(sizeof(messages))];
		to[2] = (uint8_t)(below(4) != 0 ? 0 : below(256));
		to[3] = to[4] = (uint8_t)n;
		if (below(4) == 0)
			to[3] = (uint8_t)below(256);
		if (to[1] == 24 && below(2) != 0)
			to[3] = to[4] = 1;
		break;
	case STEP_DATA:
	case STEP_HANDSHAKE:
	case STEP_RAW:
		to[1] = (uint8_t)n;
		break;
	default:
		break;
	}
	return step_size(to, STEP_SIZE_MAX);
}

/* p[at..at + old) becomes b[0..n).  The new length, or the old: no room. */
static size_t
replace(uint8_t *p, size_t size, size_t max, size_t at, size_t old,
    const uint8_t *b, size_t n)
{
	if (size - old + n > max)
		return size;
	memmove(p + at + n, p + at + old, size - at - old);
	memcpy(p + at, b, n);
	return size - old + n;
}

/* Another value in one byte of a step, which stays as long as it is if it can;
 * a changed counter takes bytes in or lets them go. */
static size_t
touch(uint8_t *p, size_t n, const struct list *l, size_t max)
{
	uint8_t b[STEP_SIZE_MAX];
	size_t i = below(l->n), size = l->at[i + 1] - l->at[i];

	memset(b, 0, sizeof(b));
	memcpy(b, p + l->at[i], size < sizeof(b) ? size : sizeof(b));
	if (below(3) == 0 && LLVMFuzzerMutate != NULL)
		(void)LLVMFuzzerMutate(b + 1, size - 1, sizeof(b) - 1);
	else if (below(2) != 0)
		b[below(size)] = (uint8_t)below(256);
	else
		b[below(size)] ^= (uint8_t)(1u << below(8));
	return replace(p, n, max, l->at[i], size, b,
	    step_size(b, sizeof(b)));
}

static size_t
mutate(uint8_t *p, size_t n, size_t max)
{
	uint8_t b[STEP_SIZE_MAX];
	struct list l;
	size_t i, k, size;

	parse(p, n, &l);
	i = below(l.n + 1);
	if (l.n == 0 || below(4) == 0) {
		size = invent(b);
		return replace(p, n, max, l.at[i], 0, b, size);
	}
	i = below(l.n);
	k = below(l.n);
	size = l.at[i + 1] - l.at[i];
	switch (below(6)) {
	case 0:					/* it goes */
		return replace(p, n, max, l.at[i], size, b, 0);
	case 1:					/* it comes again elsewhere */
		memcpy(b, p + l.at[i], size);
		return replace(p, n, max, l.at[k], 0, b, size);
	case 2:					/* it moves */
		memcpy(b, p + l.at[i], size);
		n = replace(p, n, max, l.at[i], size, b, 0);
		return replace(p, n, max, k > i ? l.at[k] - size : l.at[k], 0,
		    b, size);
	case 3:					/* another in its place */
		k = invent(b);
		return replace(p, n, max, l.at[i], size, b, k);
	default:
		return touch(p, n, &l, max);
	}
}

size_t
LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed)
{
	state = seed * 2654435761u + 1;
	if (n < STEPS_HEAD) {
		memset(p + n, 0, STEPS_HEAD - n);
		n = STEPS_HEAD;
	}
	if (max < STEPS_HEAD + STEP_SIZE_MAX)
		return n;
	if (below(16) == 0) {
		p[below(STEPS_HEAD)] = (uint8_t)below(256);
		return n;
	}
	if (below(16) == 0 && LLVMFuzzerMutate != NULL)
		return LLVMFuzzerMutate(p, n, max);
	for (unsigned times = 1 + below(3); times > 0; times--)
		n = mutate(p, n, max);
	return n;
}

/* The head and first steps of one, the last steps of the other. */
size_t
LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b,
    size_t b_n, uint8_t *to, size_t max, unsigned seed)
{
	struct list la, lb;
	size_t n, from;

	state = seed * 2654435761u + 1;
	if (a_n < STEPS_HEAD || b_n < STEPS_HEAD)
		return 0;
	parse(a, a_n, &la);
	parse(b, b_n, &lb);
	n = la.at[below(la.n + 1)];
	from = lb.at[below(lb.n + 1)];
	if (n > max)
		return 0;
	memcpy(to, a, n);
	if (b_n - from > max - n)
		return n;
	memcpy(to + n, b + from, b_n - from);
	return n + b_n - from;
}
