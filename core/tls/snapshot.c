/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds snapshots.  Everything that can be wrong with one is found here, on
 * the thread that loads; a handshake only reads.  GnuTLS keeps bare pointers to
 * credentials, so a snapshot lives as long as the last session made with it.
 */
#include "tls/snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "base/mem.h"
#include "tls/digest.h"
#include "tls/tls_priv.h"
#include "tls/policy.h"
#include "tls/vendor.h"

#define LIFETIME_DEFAULT_S 21600
#define LIFETIME_MAX_S 604800		/* RFC 8446 4.6.1 */

/* Lower case, without a dot at the end; refuses what is no host name. */
static int
copy_name(const char *name, char *why, char **ret)
{
	size_t i, n = strlen(name);
	char *s;

	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n == 0 || n > TLS_SERVER_NAME_MAX)
		return tls_why(why, -EINVAL, "server name \"%.64s\" is %s",
		    name, n == 0 ? "empty" : "too long");
	for (i = 0; i < n; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f ||
		    (name[i] == '*' && (i > 0 || n < 3 || name[1] != '.')))
			return tls_why(why, -EINVAL,
			    "server name \"%.64s\" is not a host name", name);
	s = mem_dup(name, n + 1);
	if (s == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (i = 0; i < n; i++)
		s[i] = (char)tolower((unsigned char)s[i]);
	s[n] = '\0';
	*ret = s;
	return 0;
}

static int
build_slot(struct tls_slot *slot, const struct tls_slot_spec *spec, char *why)
{
	size_t i, n = 0;
	int r;

	slot->name = mem_strdup(spec->name);
	while (spec->names != NULL && spec->names[n] != NULL)
		n++;
	slot->names = mem_calloc(n, sizeof(*slot->names));
	if (slot->name == NULL || slot->names == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		r = copy_name(spec->names[i], why, &slot->names[i]);
		if (r < 0)
			return r;
		slot->names_n++;
	}
	for (i = 0; i < TLS_SLOT_CREDS; i++)
		if (spec->cred[i] != NULL) {
			slot->cred[i] = tls_cred_ref(spec->cred[i]);
			slot->number[i] = spec->number[i];
		}
	return 0;
}

/* Two slots with the same name: nobody could tell which is meant. */
static int
check_name(const struct tls_snapshot *s, size_t slot, size_t name, char *why)
{
	const char *text = s->slots[slot].names[name];
	size_t i, k;

	for (i = 0; i <= slot; i++)
		for (k = 0; k < (i == slot ? name : s->slots[i].names_n); k++)
			if (strcmp(s->slots[i].names[k], text) == 0)
				return tls_why(why, -EINVAL,
				    "server name %.64s is in slot %.64s and "
				    "in slot %.64s", text, s->slots[i].name,
				    s->slots[slot].name);
	return 0;
}

static int
build_slots(struct tls_snapshot *s, const struct tls_snapshot_spec *spec,
    char *why)
{
	size_t i, k;
	int r;

	s->slots = mem_calloc(spec->slots_n, sizeof(*s->slots));
	if (s->slots == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (i = 0; i < spec->slots_n; i++) {
		s->slots_n++;
		r = build_slot(&s->slots[i], &spec->slots[i], why);
		for (k = 0; r == 0 && k < s->slots[i].names_n; k++)
			r = check_name(s, i, k, why);
		if (r < 0)
			return r;
		if (!spec->slots[i].is_default)
			continue;
		if (s->fallback != NULL)
			return tls_why(why, -EINVAL,
			    "slots %.64s and %.64s are both the default",
			    s->fallback->name, s->slots[i].name);
		s->fallback = &s->slots[i];
	}
	for (i = 0; i < s->slots_n; i++)
		for (k = 0; k < TLS_SLOT_CREDS; k++)
			if (s->slots[i].cred[k] != NULL)
				s->has_external |=
				    s->slots[i].cred[k]->info.external;
	return 0;
}

/* HMAC with the master over what a ticket has no other way to prove. */
static int
derive_ticket_key(struct tls_listener *l, const char *priority,
    const struct tls_snapshot_spec *spec)
{
	static const char label[] = "cleat ticket key 2";
	const char *policy = priority != NULL && *priority != '\0' ?
	    priority : tls_policy_default();
	uint8_t text[sizeof(label) + 1 + 32];

	memcpy(text, label, sizeof(label));
	text[sizeof(label)] = (uint8_t)l->client_auth;
	if (digest_sha256(policy, strlen(policy),
	    text + sizeof(label) + 1) < 0)
		return -EIO;
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA512, spec->ticket_master,
	    TLS_TICKET_MASTER_SIZE, text, sizeof(text), l->ticket_key) < 0)
		return -EIO;
	return 0;
}

static int
build_listener(struct tls_listener *l, const struct tls_listener_spec *ls,
    const struct tls_snapshot_spec *spec, char *why)
{
	bool own = ls->priority != NULL && *ls->priority != '\0';
	int r;

	l->client_auth = ls->client_auth;
	if (gnutls_certificate_allocate_credentials(&l->xcred) < 0) {
		l->xcred = NULL;
		return tls_why(why, -ENOMEM, "out of memory");
	}
	gnutls_certificate_set_retrieve_function3(l->xcred, tls_select_cred);
	r = own ? tls_policy_resolve(ls->priority, why, &l->priority) : 0;
	if (r < 0)
		return r;
	if (spec->ticket_master != NULL && derive_ticket_key(l, own ?
	    ls->priority : spec->priority, spec) < 0)
		return tls_why(why, -EIO, "ticket key cannot be derived");
	if (ls->client_auth == TLS_CLIENT_OFF)
		return 0;
	if (ls->trust == NULL)
		return tls_why(why, -EINVAL,
		    "client certificates are asked for without a CA list");
	l->trust = tls_trust_ref(ls->trust);
	gnutls_certificate_set_verify_function(l->xcred, tls_peer_verify);
	return tls_trust_apply(l->trust, l->xcred, why);
}

static int
build_listeners(struct tls_snapshot *s, const struct tls_snapshot_spec *spec,
    char *why)
{
	size_t i;
	int r;

	s->listeners = mem_calloc(spec->listeners_n, sizeof(*s->listeners));
	if (s->listeners == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (i = 0; i < spec->listeners_n; i++) {
		s->listeners_n++;
		r = build_listener(&s->listeners[i], &spec->listeners[i], spec,
		    why);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
build_challenges(struct tls_snapshot *s, const struct tls_snapshot_spec *spec,
    char *why)
{
	size_t i;
	int r;

	if (spec->challenges_n > TLS_CHALLENGES_MAX)
		return tls_why(why, -EINVAL, "more than %d ACME challenges",
		    TLS_CHALLENGES_MAX);
	s->challenges = mem_calloc(spec->challenges_n, sizeof(*s->challenges));
	if (s->challenges == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (i = 0; i < spec->challenges_n; i++) {
		r = copy_name(spec->challenges[i].name, why,
		    &s->challenges[i].name);
		if (r < 0)
			return r;
		s->challenges_n++;
		s->challenges[i].cred = tls_cred_ref(spec->challenges[i].cred);
		s->has_external |= spec->challenges[i].cred->info.external;
	}
	return 0;
}

int
tls_snapshot_new(const struct tls_snapshot_spec *spec, char *why,
    struct tls_snapshot **ret)
{
	struct tls_snapshot *s;
	int r;

	if (spec->ticket_lifetime_s > LIFETIME_MAX_S)
		return tls_why(why, -EINVAL,
		    "tickets may live for 7 days at most");
	s = mem_calloc(1, sizeof(*s));
	if (s == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	atomic_init(&s->refs, 1);
	s->has_tickets = spec->ticket_master != NULL;
	s->ticket_lifetime_s = spec->ticket_lifetime_s != 0 ?
	    spec->ticket_lifetime_s : LIFETIME_DEFAULT_S;
	r = tls_policy_resolve(spec->priority, why, &s->priority);
	if (r == 0)
		r = build_slots(s, spec, why);
	if (r == 0)
		r = build_listeners(s, spec, why);
	if (r == 0)
		r = build_challenges(s, spec, why);
	if (r < 0)
		tls_snapshot_unref(&s);
	else
		*ret = s;
	return r;
}

struct tls_snapshot *
tls_snapshot_ref(struct tls_snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

bool
tls_snapshot_holds(const struct tls_snapshot *s, unsigned listener,
    const struct tls_proof *p, const char **ret_why)
{
	return listener >= s->listeners_n ||
	    s->listeners[listener].trust == NULL ||
	    tls_trust_holds(s->listeners[listener].trust, p, ret_why);
}

bool
tls_snapshot_same_trust(const struct tls_snapshot *a,
    const struct tls_snapshot *b)
{
	if (a->listeners_n != b->listeners_n)
		return false;
	for (size_t i = 0; i < a->listeners_n; i++)
		if (a->listeners[i].trust != b->listeners[i].trust)
			return false;
	return true;
}

static void
slot_fini(struct tls_slot *slot)
{
	size_t i;

	for (i = 0; i < TLS_SLOT_CREDS; i++)
		tls_cred_unref(&slot->cred[i]);
	for (i = 0; i < slot->names_n; i++)
		mem_free(slot->names[i]);
	mem_free(slot->names);
	mem_free(slot->name);
}

void
tls_snapshot_unref(struct tls_snapshot **sp)
{
	struct tls_snapshot *s = *sp;
	size_t i;

	*sp = NULL;
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1,
	    memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < s->slots_n; i++)
		slot_fini(&s->slots[i]);
	mem_free(s->slots);
	for (i = 0; i < s->listeners_n; i++) {
		if (s->listeners[i].xcred != NULL)
			gnutls_certificate_free_credentials(
			    s->listeners[i].xcred);
		if (s->listeners[i].priority != NULL)
			gnutls_priority_deinit(s->listeners[i].priority);
		tls_trust_unref(&s->listeners[i].trust);
	}
	mem_free_wiped(s->listeners, s->listeners_n * sizeof(*s->listeners));
	for (i = 0; i < s->challenges_n; i++) {
		tls_cred_unref(&s->challenges[i].cred);
		mem_free(s->challenges[i].name);
	}
	mem_free(s->challenges);
	if (s->priority != NULL)
		gnutls_priority_deinit(s->priority);
	mem_free(s);
}
