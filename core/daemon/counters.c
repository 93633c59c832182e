/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was counted, as log lines: on SIGUSR1 and at the end.  Limits that were
 * hit and connections that were refused show here when single lines about them
 * were held back (decision 0010).
 */
#include "daemon/daemon_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "channel/command.h"
#include "channel/telemetry.h"

static unsigned long long
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
log_net(const struct net_counters *c)
{
	log_notice("counters of=accept connections=%llu handshaking=%llu "
	    "accepted=%llu accept_failed=%llu gated=%llu refused_limit=%llu "
	    "refused_address=%llu refused_proxy=%llu refused_rate=%llu "
	    "waiting=%llu waited=%llu shed=%llu paced=%llu",
	    get(&c->connections), get(&c->handshakes_now), get(&c->accepted),
	    get(&c->accept_failed), get(&c->gated), get(&c->refused_limit),
	    get(&c->refused_address), get(&c->refused_proxy),
	    get(&c->refused_rate), get(&c->waiting), get(&c->waited),
	    get(&c->shed), get(&c->paced));
	log_notice("counters of=upgrade handshakes=%llu resumed=%llu "
	    "handshakes_failed=%llu handshake_timeouts=%llu "
	    "http_requests=%llu http_failed=%llu http_timeouts=%llu "
	    "upgrades=%llu upgrade_refused=%llu", get(&c->handshakes),
	    get(&c->resumed), get(&c->handshakes_failed),
	    get(&c->handshake_timeouts), get(&c->http_requests),
	    get(&c->http_failed), get(&c->http_timeouts), get(&c->upgrades),
	    get(&c->upgrade_refused));
}

static void
log_channels(const struct channel_counters *c)
{
	log_notice("counters of=channel opened=%llu closed=%llu "
	    "authenticated=%llu auth_failed=%llu auth_timeouts=%llu "
	    "timeouts=%llu protocol_errors=%llu queue_overflows=%llu "
	    "too_big=%llu moved=%llu received=%llu handed_over=%llu "
	    "replaced=%llu refused_busy=%llu "
	    "messages_in=%llu messages_out=%llu "
	    "bytes_in=%llu bytes_out=%llu", get(&c->opened), get(&c->closed),
	    get(&c->authenticated), get(&c->auth_failed),
	    get(&c->auth_timeouts), get(&c->timeouts),
	    get(&c->protocol_errors), get(&c->queue_overflows),
	    get(&c->too_big), get(&c->moved), get(&c->received),
	    get(&c->handed_over), get(&c->replaced),
	    get(&c->refused_busy), get(&c->messages_in),
	    get(&c->messages_out), get(&c->bytes_in), get(&c->bytes_out));
}

static void
log_plugs(const struct plugs *plugs)
{
	struct plug_info info;

	for (unsigned i = 0; plugs_info(plugs, i, &info); i++)
		log_notice("counters of=plugin instance=%s module=%s up=%s "
		    "slow=%llu lost=%llu signs=%llu sign_failures=%llu",
		    info.instance, info.module, info.up ? "yes" : "no",
		    (unsigned long long)info.slow,
		    (unsigned long long)info.lost,
		    (unsigned long long)info.signs,
		    (unsigned long long)info.sign_failures);
}

static void
log_store(struct store *store)
{
	struct store_stats st;

	store_stats(store, &st);
	log_notice("counters of=store jobs=%llu commits=%llu failed=%llu "
	    "refused=%llu waiting=%llu commit_us=%llu",
	    (unsigned long long)st.jobs, (unsigned long long)st.commits,
	    (unsigned long long)st.failed, (unsigned long long)st.refused,
	    (unsigned long long)st.waiting,
	    (unsigned long long)st.commit_us);
}

static void
log_identity(struct identity *in)
{
	struct identity_figures f;
	const uint64_t *n = f.enrolments;

	identity_figures(in, &f);
	log_notice("counters of=identity refused=%llu throttled_address=%llu "
	    "throttled_identity=%llu enrolled=%llu enrol_pending=%llu "
	    "enrol_refused=%llu enrol_full=%llu enrol_throttled=%llu "
	    "enrol_busy=%llu", (unsigned long long)f.refused,
	    (unsigned long long)f.throttled_address,
	    (unsigned long long)f.throttled_identity,
	    (unsigned long long)n[ENROL_ENROLLED],
	    (unsigned long long)n[ENROL_PENDING],
	    (unsigned long long)n[ENROL_REFUSED],
	    (unsigned long long)n[ENROL_FULL],
	    (unsigned long long)n[ENROL_THROTTLED],
	    (unsigned long long)n[ENROL_BUSY]);
}

/* "name=value …" of what is not 0. */
static void
append(char *to, size_t cap, const char *name, uint64_t value)
{
	size_t n = strlen(to);

	if (value != 0)
		(void)snprintf(to + n, cap - n, " %s=%llu", name,
		    (unsigned long long)value);
}

static void
log_refused(struct daemon *d)
{
	char text[400] = "";

	for (int i = 0; i < COMMAND_REFUSALS; i++)
		append(text, sizeof(text),
		    command_refusal_name((enum command_refusal)i),
		    command_table_refused(d->commands,
		    (enum command_refusal)i));
	log_notice("counters of=commands-refused%s", text);
	for (int k = 0; k < REPORT_KINDS; k++) {
		text[0] = '\0';
		for (int i = 0; i < REPORT_REFUSALS; i++)
			append(text, sizeof(text),
			    report_refusal_name((enum report_refusal)i),
			    telemetry_refused(d->telemetry,
			    (enum report_kind)k, (enum report_refusal)i));
		log_notice("counters of=%s-refused%s",
		    report_kind_name((enum report_kind)k), text);
	}
}

void
daemon_log_counters(struct daemon *d)
{
	if (d->net == NULL)
		return;
	log_plugs(d->plugs);
	log_store(d->store);
	if (d->identity != NULL)
		log_identity(d->identity);
	if (d->commands != NULL)
		log_refused(d);
	log_net(net_counters(d->net));
	log_channels(&d->channel_counters);
}
