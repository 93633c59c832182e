/* SPDX-License-Identifier: Apache-2.0 */
/* What certificate sources get of the fake host. */
#include "fakehost_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *
f_slot(struct cleat_self *s, unsigned i)
{
	struct fakehost *h = host_of(s);

	return i < h->slot_n ? h->slot[i] : NULL;
}

static const char *
f_slot_name(struct cleat_self *s, const char *slot, unsigned i)
{
	struct fakehost *h = host_of(s);

	for (unsigned k = 0; k < h->slot_n; k++) {
		if (strcmp(h->slot[k], slot) == 0)
			return i < h->name_n[k] ? h->name[k][i] : NULL;
	}
	return NULL;
}

static int
f_cred_publish(struct cleat_self *s, const char *slot,
    const struct cleat_cred *c)
{
	struct fakehost *h = host_of(s);

	if (c->size != sizeof(*c) || slot == NULL)
		fake_die("a credential of the wrong size");
	fake_keep(&h->chain, c->chain_pem.p, c->chain_pem.n, true);
	fake_keep(&h->key, c->key_pem.p, c->key_pem.n, true);
	h->flags = c->flags;
	if (h->publish_error == 0)
		h->published++;
	return h->publish_error;
}

static void
f_cred_failed(struct cleat_self *s, const char *slot, const char *why)
{
	struct fakehost *h = host_of(s);

	(void)slot;
	h->failed++;
	fake_copy(h->why, sizeof(h->why), why);
}

static int
f_sign_done(struct cleat_self *s, uint64_t request, int error,
    struct cleat_bytes signature)
{
	(void)s;
	(void)request;
	(void)error;
	(void)signature;
	return -ENOENT;
}

static int
f_challenge_http(struct cleat_self *s, uint64_t request, const char *token,
    const char *body)
{
	(void)s;
	(void)request;
	(void)token;
	(void)body;
	return 0;
}

static int
f_challenge_alpn(struct cleat_self *s, uint64_t request, const char *name,
    const struct cleat_cred *c)
{
	(void)s;
	(void)request;
	(void)name;
	(void)c;
	return 0;
}

static void
f_challenge_remove(struct cleat_self *s, const char *key)
{
	(void)s;
	(void)key;
}

void
fake_cert_calls(struct cleat_host *h)
{
	h->slot = f_slot;
	h->slot_name = f_slot_name;
	h->cred_publish = f_cred_publish;
	h->cred_failed = f_cred_failed;
	h->sign_done = f_sign_done;
	h->challenge_http = f_challenge_http;
	h->challenge_alpn = f_challenge_alpn;
	h->challenge_remove = f_challenge_remove;
}

void
fakehost_slot(struct fakehost *h, const char *slot, const char *names)
{
	unsigned k = h->slot_n++;
	size_t n;

	if (k >= SLOTS)
		fake_die("too many slots");
	fake_copy(h->slot[k], sizeof(h->slot[k]), slot);
	while (names[0] != '\0' && h->name_n[k] < NAMES) {
		n = strcspn(names, ",");
		(void)snprintf(h->name[k][h->name_n[k]++], 128, "%.*s",
		    (int)n, names);
		names += n + (names[n] == ',');
	}
}

void
fakehost_publish_error(struct fakehost *h, int error)
{
	h->publish_error = error;
}

unsigned
fakehost_flags(const struct fakehost *h)
{
	return h->flags;
}

unsigned
fakehost_published(const struct fakehost *h)
{
	return h->published;
}

const struct fake_text *
fakehost_chain(const struct fakehost *h)
{
	return &h->chain;
}

const struct fake_text *
fakehost_key(const struct fakehost *h)
{
	return &h->key;
}

unsigned
fakehost_failed(const struct fakehost *h)
{
	return h->failed;
}

const char *
fakehost_why(const struct fakehost *h)
{
	return h->why;
}
