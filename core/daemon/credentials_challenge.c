/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACME challenges: answers for http-01, certificates for tls-alpn-01.  Each is
 * done when every worker serves it.
 */
#include "daemon/credentials_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static void
challenge_free(struct challenge *ch)
{
	if (ch == NULL)
		return;
	tls_cred_unref(&ch->cred);
	mem_free(ch->key);
	mem_free(ch->body);
	mem_free(ch);
}

void
challenges_free(struct challenge **list)
{
	struct challenge *ch;

	while ((ch = *list) != NULL) {
		*list = ch->next;
		challenge_free(ch);
	}
}

static size_t
count_challenges(const struct challenge *ch)
{
	size_t n = 0;

	for (; ch != NULL; ch = ch->next)
		n++;
	return n;
}

static struct challenge *
challenge_new(const struct plug_challenge *from)
{
	struct challenge *ch = mem_calloc(1, sizeof(*ch));

	if (ch == NULL)
		return NULL;
	ch->key = mem_strdup(from->key);
	if (from->body != NULL)
		ch->body = mem_strdup(from->body);
	if (from->cred != NULL)
		ch->cred = tls_cred_ref(from->cred);
	if (ch->key == NULL || (from->body != NULL && ch->body == NULL)) {
		challenge_free(ch);
		return NULL;
	}
	return ch;
}

static struct challenge *
take_out(struct challenge **list, const char *key)
{
	struct challenge *ch;

	for (; (ch = *list) != NULL; list = &ch->next)
		if (strcmp(ch->key, key) == 0) {
			*list = ch->next;
			return ch;
		}
	return NULL;
}

/* Under the lock: sends what a changed list of one kind means. */
static int
send_kind(struct credentials *c, bool http, const struct plug_challenge *ch)
{
	char why[CREDENTIALS_WHY_SIZE];

	return http ? credentials_send_answers(c, ch) :
	    credentials_swap(c, c->policy, ch, why);
}

int
credentials_challenge(void *ctx, const struct plug_challenge *from)
{
	struct credentials *c = ctx;
	bool http = from->kind == PLUG_CHALLENGE_HTTP;
	struct challenge *ch = challenge_new(from), *old, **list;
	size_t max = http ? CREDENTIALS_HTTP_MAX : TLS_CHALLENGES_MAX;
	int r;

	if (ch == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&c->lock);
	if (!c->open) {			/* nobody would call it done */
		pthread_mutex_unlock(&c->lock);
		challenge_free(ch);
		return -EAGAIN;
	}
	list = http ? &c->http : &c->alpn;
	old = take_out(list, from->key);
	if (count_challenges(*list) >= max) {
		r = -ENOSPC;
	} else {
		ch->next = *list;
		*list = ch;
		r = send_kind(c, http, from);
		if (r != 0)
			*list = ch->next;
	}
	if (r != 0) {
		challenge_free(ch);
		if (old != NULL) {
			old->next = *list;
			*list = old;
			old = NULL;
		}
	}
	pthread_mutex_unlock(&c->lock);
	challenge_free(old);
	return r;
}

void
credentials_challenge_remove(void *ctx, const char *key)
{
	struct credentials *c = ctx;
	struct challenge *http, *alpn;

	pthread_mutex_lock(&c->lock);
	http = take_out(&c->http, key);
	alpn = take_out(&c->alpn, key);
	/* Out of memory: it is served until the next change; harmless. */
	if (http != NULL)
		(void)send_kind(c, true, NULL);
	if (alpn != NULL)
		(void)send_kind(c, false, NULL);
	pthread_mutex_unlock(&c->lock);
	challenge_free(http);
	challenge_free(alpn);
}
