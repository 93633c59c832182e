/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to ACME http-01 challenges (RFC 8555 8.3), immutable and shared. */
#include "net/net_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct net_answers {
	_Atomic unsigned refs;
	size_t n;
	struct {
		char *token, *body;
	} at[];
};

int
net_answers_new(const struct net_answer_spec *spec, size_t n,
    struct net_answers **ret)
{
	struct net_answers *a;

	if (n > (SIZE_MAX - sizeof(*a)) / sizeof(a->at[0]))
		return -ENOMEM;
	a = mem_calloc(1, sizeof(*a) + n * sizeof(a->at[0]));
	if (a == NULL)
		return -ENOMEM;
	atomic_store(&a->refs, 1);
	a->n = n;
	for (size_t i = 0; i < n; i++) {
		a->at[i].token = mem_strdup(spec[i].token);
		a->at[i].body = mem_strdup(spec[i].body);
		if (a->at[i].token == NULL || a->at[i].body == NULL) {
			net_answers_unref(&a);
			return -ENOMEM;
		}
	}
	*ret = a;
	return 0;
}

struct net_answers *
net_answers_ref(struct net_answers *a)
{
	if (a != NULL)
		atomic_fetch_add(&a->refs, 1);
	return a;
}

void
net_answers_unref(struct net_answers **pa)
{
	struct net_answers *a = *pa;

	*pa = NULL;
	if (a == NULL || atomic_fetch_sub(&a->refs, 1) > 1)
		return;
	for (size_t i = 0; i < a->n; i++) {
		mem_free(a->at[i].token);
		mem_free(a->at[i].body);
	}
	mem_free(a);
}

const char *
answers_find(const struct net_answers *a, const char *token)
{
	for (size_t i = 0; a != NULL && i < a->n; i++) {
		if (strcmp(a->at[i].token, token) == 0)
			return a->at[i].body;
	}
	return NULL;
}
