/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of certificates, told in time: in steps, each once for a certificate,
 * and what has ended as well.  Nothing is taken out of service for that:
 * clients judge for themselves, and some have the wrong time.
 */
#include "daemon/credentials_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/json_out.h"
#include "base/log.h"
#include "event/event.h"

/* How many of the steps have been reached; one more when it has ended. */
static unsigned
reached(const struct tls_cred_info *info, const int64_t *step, size_t n,
    int64_t now_s)
{
	int64_t left = info->not_after - now_s, most = 0;
	int64_t third = (info->not_after - info->not_before) / 3, at;
	unsigned count = 0;

	if (left <= 0)
		return (unsigned)n + 1;
	for (size_t i = 0; i < n; i++)
		most = step[i] > most ? step[i] : most;
	for (size_t i = 0; i < n; i++) {
		at = most > third ? step[i] * (third / most) +
		    step[i] * (third % most) / most : step[i];
		count += left <= at;
	}
	return count;
}

static void
tell(struct credentials *c, const char *slot, const struct tls_cred_info *info,
    bool ended, int64_t left)
{
	uint8_t area[1024];
	struct outbuf out = { .p = area, .cap = sizeof(area) };
	char sha256[65], not_after[CLOCK_TEXT_SIZE];
	struct json_out j;

	hex_write(info->sha256, sizeof(info->sha256), sha256);
	clock_text(info->not_after * 1000, not_after);
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_string(&j, "sha256", sha256);
	jout_string(&j, "subject", info->subject);
	jout_string(&j, "not_after", not_after);
	jout_uint(&j, "left_s", ended ? 0 : (uint64_t)left);
	jout_object_end(&j);
	if (ended)
		log_error("the certificate in service has expired slot=%s "
		    "sha256=%s not_after=%s", slot, sha256, not_after);
	else
		log_warning("the certificate in service ends soon slot=%s "
		    "sha256=%s not_after=%s", slot, sha256, not_after);
	event_emit(c->bus, &(struct event){
		.type = ended ? EVENT_CERTIFICATE_EXPIRED :
		    EVENT_CERTIFICATE_EXPIRING, .text = slot,
		.detail = (char *)area, .detail_n = jout_ok(&j) ? out.n : 0
	});
	event_kick(c->bus);
}

/* Under the lock. */
static void
look(struct credentials *c, struct published *pub, int k, int64_t now_s)
{
	const struct policy *p = c->policy;
	struct tls_cred_info info;
	unsigned count;

	tls_cred_info(pub->cred[k], &info);
	if (memcmp(pub->warned_of[k], info.sha256, sizeof(info.sha256)) != 0) {
		memcpy(pub->warned_of[k], info.sha256, sizeof(info.sha256));
		pub->warned[k] = 0;
	}
	count = reached(&info, p->expiry, p->expiry_n, now_s);
	if (count > pub->warned[k])
		tell(c, pub->slot, &info, info.not_after <= now_s,
		    info.not_after - now_s);
	pub->warned[k] = count;
}

void
credentials_expiry(struct credentials *c)
{
	int64_t now_s = clock_wall_ms() / 1000;

	pthread_mutex_lock(&c->lock);
	for (struct published *pub = c->published; pub != NULL;
	    pub = pub->next) {
		for (int k = 0; k < TLS_SLOT_CREDS; k++) {
			if (pub->cred[k] != NULL)
				look(c, pub, k, now_s);
		}
	}
	pthread_mutex_unlock(&c->lock);
}
