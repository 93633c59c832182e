/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every figure of the daemon under a name of its own, for status plugins.
 * Names follow Prometheus: base units, _total for what only rises, and the
 * reason of a refusal as a label.
 */
#include "config.h"

#include "daemon/daemon_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cleat/status.h>

#include "base/mem.h"
#include "channel/command.h"
#include "channel/telemetry.h"
#include "daemon/metrics.h"
#include "daemon/version.h"
#include "tls/snapshot.h"

#define LABELS_SIZE 640

/* ---- one value --------------------------------------------------------- */

static void
tell(const struct metrics *m, bool total, const char *name, const char *help,
    const char *labels, double value)
{
	struct cleat_metric v = {
		.size = sizeof(v), .is_counter = total, .name = name,
		.help = help, .labels = labels, .value = value
	};

	m->fn(m->arg, &v);
}

void
metrics_total(const struct metrics *m, const char *name, const char *help,
    const char *labels, double value)
{
	tell(m, true, name, help, labels, value);
}

void
metrics_now(const struct metrics *m, const char *name, const char *help,
    const char *labels, double value)
{
	tell(m, false, name, help, labels, value);
}

size_t
metrics_label(char *labels, size_t size, size_t n, const char *name,
    const char *value)
{
	size_t need = strlen(name) + sizeof(",=\"\"");

	if (n + need > size)
		return n;
	if (n > 0)
		labels[n++] = ',';
	memcpy(labels + n, name, strlen(name));
	n += strlen(name);
	labels[n++] = '=';
	labels[n++] = '"';
	for (; *value != '\0' && n + 4 <= size; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			labels[n++] = '\\';
		labels[n++] = *value == '\n' ? 'n' : *value;
	}
	/* What was cut inside a character would not be UTF-8. */
	while ((*value & 0xc0) == 0x80) {
		value--;
		n--;
	}
	labels[n++] = '"';
	labels[n] = '\0';
	return n;
}

/* ---- tables of counters ------------------------------------------------ */

/* A counter at an offset of its struct. */
struct row {
	const char *name, *help, *labels;
	size_t at;
	bool now;			/* a gauge */
};

#define NET(member) offsetof(struct net_counters, member)
#define REFUSED "cleat_refused_total", "Connections refused at a limit."
#define TLS_FAILED "cleat_tls_handshake_failures_total", \
	"TLS handshakes that failed."
#define HTTP_FAILED "cleat_http_failures_total", \
	"Requests that were refused or did not come in time."

static const struct row net_rows[] = {
	{ "cleat_connections", "Connections, channels included.", "",
	    NET(connections), true },
	{ "cleat_handshakes", "TLS handshakes that are under way.", "",
	    NET(handshakes_now), true },
	{ "cleat_accepted_total", "Connections accepted.", "",
	    NET(accepted), false },
	{ "cleat_accept_failures_total", "Failures of accept().", "",
	    NET(accept_failed), false },
	{ "cleat_accept_gated_total",
	    "Times that accepting paused for handshakes under way.", "",
	    NET(gated), false },
	{ "cleat_waiting", "Connections accepted that wait for a handshake.",
	    "", NET(waiting), true },
	{ "cleat_waited_total",
	    "Connections that had to wait before their handshake.", "",
	    NET(waited), false },
	{ "cleat_waiting_shed_total",
	    "Waiting connections closed, the oldest first.", "",
	    NET(shed), false },
	{ "cleat_accept_paced_total",
	    "Connections that had to wait for their listener's rate.", "",
	    NET(paced), false },
	{ REFUSED, "limit=\"rate\"", NET(refused_rate), false },
	{ REFUSED, "limit=\"connections\"", NET(refused_limit), false },
	{ REFUSED, "limit=\"address\"", NET(refused_address), false },
	{ REFUSED, "limit=\"proxy\"", NET(refused_proxy), false },
	{ "cleat_tls_handshakes_total", "TLS handshakes completed.", "",
	    NET(handshakes), false },
	{ "cleat_tls_resumed_total",
	    "TLS handshakes completed that resumed a session.", "",
	    NET(resumed), false },
	{ TLS_FAILED, "reason=\"failed\"", NET(handshakes_failed), false },
	{ TLS_FAILED, "reason=\"timeout\"", NET(handshake_timeouts), false },
	{ "cleat_http_requests_total", "HTTP requests.", "",
	    NET(http_requests), false },
	{ HTTP_FAILED, "reason=\"failed\"", NET(http_failed), false },
	{ HTTP_FAILED, "reason=\"timeout\"", NET(http_timeouts), false },
	{ "cleat_upgrades_total", "Connections that became channels.", "",
	    NET(upgrades), false },
	{ "cleat_upgrades_refused_total", "Upgrades refused.", "",
	    NET(upgrade_refused), false },
};

#define CHANNEL(member) offsetof(struct channel_counters, member)
#define AUTH "cleat_authentications_total", "What hello led to."
#define ENDED "cleat_channel_limits_total", \
	"Channels that ended at a limit or for a fault of the device."
#define MESSAGES "cleat_messages_total", "Messages on channels."
#define BYTES "cleat_message_bytes_total", "Bytes of messages on channels."

static const struct row channel_rows[] = {
	{ "cleat_channels_opened_total", "Channels opened.", "",
	    CHANNEL(opened), false },
	{ "cleat_channels_closed_total", "Channels that ended.", "",
	    CHANNEL(closed), false },
	{ "cleat_channels_received_total",
	    "Channels that came from the process before, by an upgrade.", "",
	    CHANNEL(received), false },
	{ "cleat_channels_moved_total", "Channels moved between workers.", "",
	    CHANNEL(moved), false },
	{ "cleat_channels_replaced_total",
	    "Channels that another one of the same endpoint took over.", "",
	    CHANNEL(replaced), false },
	{ AUTH, "result=\"accepted\"", CHANNEL(authenticated), false },
	{ AUTH, "result=\"refused\"", CHANNEL(auth_failed), false },
	{ AUTH, "result=\"timeout\"", CHANNEL(auth_timeouts), false },
	{ AUTH, "result=\"busy\"", CHANNEL(refused_busy), false },
	{ ENDED, "limit=\"silence\"", CHANNEL(timeouts), false },
	{ ENDED, "limit=\"protocol\"", CHANNEL(protocol_errors), false },
	{ ENDED, "limit=\"send_queue\"", CHANNEL(queue_overflows), false },
	{ ENDED, "limit=\"message_size\"", CHANNEL(too_big), false },
	{ MESSAGES, "direction=\"in\"", CHANNEL(messages_in), false },
	{ MESSAGES, "direction=\"out\"", CHANNEL(messages_out), false },
	{ BYTES, "direction=\"in\"", CHANNEL(bytes_in), false },
	{ BYTES, "direction=\"out\"", CHANNEL(bytes_out), false },
};

static uint64_t
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
put_rows(struct metrics *m, const void *counters, const struct row *row,
    size_t n)
{
	const char *base = counters;

	for (; n > 0; n--, row++)
		tell(m, !row->now, row->name, row->help, row->labels,
		    (double)get((const _Atomic uint64_t *)(const void *)
		    (base + row->at)));
}

/* ---- what is not a counter --------------------------------------------- */

static void
put_build(struct metrics *m, const struct daemon *d)
{
	char labels[LABELS_SIZE];

	(void)metrics_label(labels, sizeof(labels), 0, "version",
	    daemon_version());
	metrics_now(m, "cleat_build_info", "The daemon; always 1.", labels, 1);
	metrics_now(m, "cleat_epoch", "Number of the daemon's start.", "",
	    (double)d->epoch);
	metrics_now(m, "cleat_ready",
	    "Whether new devices are taken, as /readyz says.", "",
	    atomic_load(&d->ready) && !atomic_load(&d->draining) ? 1 : 0);
}

static void
put_endpoints(struct metrics *m, struct endpoint_table *t)
{
	struct endpoint_figures f;
	char labels[LABELS_SIZE];

	endpoint_table_figures(t, &f);
	for (int i = 0; i < PRESENCE_STATES; i++) {
		(void)metrics_label(labels, sizeof(labels), 0, "state",
		    presence_state_name((enum presence_state)i));
		metrics_now(m, "cleat_endpoints", "Endpoints by their state.",
		    labels, (double)f.state[i]);
	}
	for (int i = 0; i <= SECURITY_WSS_SAFE; i++) {
		(void)metrics_label(labels, sizeof(labels), 0, "security",
		    channel_security_name((enum channel_security)i));
		metrics_now(m, "cleat_endpoints_connected",
		    "Endpoints with a channel, by what it is worth.", labels,
		    (double)f.live[i]);
	}
}

static void
put_identity(struct metrics *m, struct identity *in)
{
	struct identity_figures f;
	char labels[LABELS_SIZE];

	identity_figures(in, &f);
	metrics_now(m, "cleat_endpoints_pending",
	    "Endpoints that wait for an operator's approval.", "",
	    (double)f.pending);
	metrics_now(m, "cleat_endpoints_denied",
	    "Endpoints that must not connect.", "", (double)f.denied);
	metrics_now(m, "cleat_credentials", "Credentials of endpoints.", "",
	    (double)f.credentials);
	metrics_total(m, "cleat_identity_refused_total",
	    "Proofs of identity that were refused.", "", (double)f.refused);
	metrics_total(m, "cleat_identity_throttled_total",
	    "Proofs that were not looked at, because there were too many.",
	    "limit=\"address\"", (double)f.throttled_address);
	metrics_total(m, "cleat_identity_throttled_total",
	    "Proofs that were not looked at, because there were too many.",
	    "limit=\"identity\"", (double)f.throttled_identity);
	for (int i = 0; i < ENROL_RESULTS; i++) {
		(void)metrics_label(labels, sizeof(labels), 0, "result",
		    enrol_result_name((enum enrol_result)i));
		metrics_total(m, "cleat_enrolments_total",
		    "Attempts to enrol, by what came of them.", labels,
		    (double)f.enrolments[i]);
	}
}

static void
put_commands(struct metrics *m, struct command_table *t)
{
	char labels[LABELS_SIZE];

	metrics_now(m, "cleat_commands_open",
	    "Commands that have no outcome yet.", "",
	    (double)command_table_open(t));
	for (int i = 0; i < COMMAND_REFUSALS; i++) {
		(void)metrics_label(labels, sizeof(labels), 0, "reason",
		    command_refusal_name((enum command_refusal)i));
		metrics_total(m, "cleat_commands_refused_total",
		    "Commands that were not taken.", labels,
		    (double)command_table_refused(t,
		    (enum command_refusal)i));
	}
}

static void
put_reports(struct metrics *m, const struct telemetry_table *t)
{
	char labels[LABELS_SIZE];
	size_t n;

	for (int k = 0; k < REPORT_KINDS; k++) {
		for (int i = 0; i < REPORT_REFUSALS; i++) {
			n = metrics_label(labels, sizeof(labels), 0, "kind",
			    report_kind_name((enum report_kind)k));
			(void)metrics_label(labels, sizeof(labels), n,
			    "reason", report_refusal_name(
			    (enum report_refusal)i));
			metrics_total(m, "cleat_reports_refused_total",
			    "Reports of devices that were not stored.",
			    labels, (double)telemetry_refused(t,
			    (enum report_kind)k, (enum report_refusal)i));
		}
	}
}

#define CONTROL(member) offsetof(struct control_counters, member)

static const struct row control_rows[] = {
	{ "cleat_control_connections", "Connections of operators.", "",
	    CONTROL(connections), true },
	{ "cleat_control_streams", "Streams of events to operators.", "",
	    CONTROL(streams), true },
	{ "cleat_control_connections_refused_total",
	    "Connections of operators refused at a limit.", "",
	    CONTROL(connections_refused), false },
	{ "cleat_control_requests_total", "Requests of operators.", "",
	    CONTROL(requests), false },
	{ "cleat_control_requests_refused_total",
	    "Requests of operators that were answered with a problem.", "",
	    CONTROL(requests_refused), false },
	{ "cleat_control_stream_gaps_total",
	    "Times that a reader of events lost some.", "",
	    CONTROL(stream_gaps), false },
	{ "cleat_control_timeouts_total",
	    "Connections of operators that ended for being too slow.", "",
	    CONTROL(timeouts), false },
};

static void
put_channels(struct metrics *m, const struct channel_counters *c)
{
	metrics_now(m, "cleat_channels", "Open channels.", "",
	    (double)channel_count_open(c));
	put_rows(m, c, channel_rows,
	    sizeof(channel_rows) / sizeof(channel_rows[0]));
}

static double
seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);	/* cannot fail */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Asks each worker, which also shows how long one waits for an answer. */
static int
put_workers(struct metrics *m, struct daemon *d)
{
	struct { uint64_t n; double waited; } *w =
	    mem_calloc(d->workers_n, sizeof(*w));
	char (*labels)[32] = mem_calloc(d->workers_n, sizeof(*labels));
	char number[16];
	double t;

	if (w == NULL || labels == NULL) {
		mem_free(w);
		mem_free(labels);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < d->workers_n; i++) {
		t = seconds();
		w[i].n = daemon_worker_channels(&d->workers[i]);
		w[i].waited = seconds() - t;
		(void)snprintf(number, sizeof(number), "%u", i);
		(void)metrics_label(labels[i], sizeof(labels[i]), 0, "worker",
		    number);
	}
	for (unsigned i = 0; i < d->workers_n; i++)
		metrics_now(m, "cleat_worker_channels",
		    "Channels of a worker.", labels[i], (double)w[i].n);
	for (unsigned i = 0; i < d->workers_n; i++)
		metrics_now(m, "cleat_worker_lag_seconds",
		    "How long a worker took to answer a question just now.",
		    labels[i], w[i].waited);
	mem_free(w);
	mem_free(labels);
	return 0;
}

static void
put_bus(struct metrics *m, struct event_bus *bus)
{
	struct event_bus_stats s;

	event_bus_stats(bus, &s);
	metrics_total(m, "cleat_events_total",
	    "Events that were given a number.", "", (double)s.seq);
	metrics_total(m, "cleat_events_published_total",
	    "Events that were published.", "", (double)s.published);
	metrics_total(m, "cleat_events_dropped_total",
	    "Events lost because the ring was full or memory short.", "",
	    (double)s.dropped);
	metrics_now(m, "cleat_events_waiting",
	    "Events that wait to be published.", "", (double)s.waiting);
	metrics_total(m, "cleat_bus_relistened_total",
	    "Times that the bus had to listen anew.", "",
	    (double)s.relistened);
	metrics_total(m, "cleat_snapshot_requests_total",
	    "Questions about the present state that were answered.", "",
	    (double)s.snapshots);
	metrics_now(m, "cleat_snapshot_endpoints",
	    "Endpoints that the snapshot knows.", "", (double)s.endpoints);
}

static void
put_store(struct metrics *m, struct store *store)
{
	struct store_stats s;

	store_stats(store, &s);
	metrics_total(m, "cleat_store_jobs_total", "Jobs that were run.", "",
	    (double)s.jobs);
	metrics_total(m, "cleat_store_refused_total",
	    "Jobs refused because the queue was full.", "",
	    (double)s.refused);
	metrics_now(m, "cleat_store_waiting", "Jobs that wait.", "",
	    (double)s.waiting);
	metrics_total(m, "cleat_telemetry_pruned_total",
	    "Messages of telemetry forgotten, at a limit or for their age.",
	    "", (double)s.pruned);
	metrics_total(m, "cleat_store_commits_total", "Commits.", "",
	    (double)s.commits);
	metrics_total(m, "cleat_store_commit_failures_total",
	    "Commits that failed.", "", (double)s.failed);
	metrics_now(m, "cleat_store_commit_seconds",
	    "How long the last commit took.", "", (double)s.commit_us / 1e6);
	metrics_now(m, "cleat_store_failing", "Whether the last commit failed.",
	    "", s.failing ? 1 : 0);
}

/* ---- certificates ------------------------------------------------------ */

static void
put_expiry(void *arg, const struct credentials_entry *e)
{
	struct tls_cred_info info;
	char labels[LABELS_SIZE];
	size_t n;

	if (e->cred == NULL)
		return;
	tls_cred_info(e->cred, &info);
	n = metrics_label(labels, sizeof(labels), 0, "slot", e->slot);
	(void)metrics_label(labels, sizeof(labels), n, "key", info.key);
	metrics_now(arg, "cleat_certificate_expiry_timestamp_seconds",
	    "When a certificate in service ends, seconds since 1970-01-01 "
	    "UTC.", labels, (double)info.not_after);
}

/* At most two of a slot, and those come together: the second says nothing
 * new. */
struct slots {
	struct metrics *m;
	char last[256];
};

static void
put_slot(void *arg, const struct credentials_entry *e)
{
	struct slots *s = arg;
	char labels[LABELS_SIZE];

	if (strcmp(e->slot, s->last) == 0)
		return;
	(void)snprintf(s->last, sizeof(s->last), "%s", e->slot);
	(void)metrics_label(labels, sizeof(labels), 0, "slot", e->slot);
	metrics_now(s->m, "cleat_slot_up",
	    "Whether a slot has a certificate in service.", labels,
	    e->cred != NULL ? 1 : 0);
}

/* ---- plugins ----------------------------------------------------------- */

enum plug_figure { UP, SLOW, LOST, SIGNS, SIGN_FAILURES, FIGURES };

static const struct {
	const char *name, *help;
} plug_row[FIGURES] = {
	[UP] = { "cleat_plugin_up", "Whether an instance runs." },
	[SLOW] = { "cleat_plugin_slow_calls_total",
	    "Calls of a protocol's instance, or rows of messages, that took "
	    "over 50 ms." },
	[LOST] = { "cleat_plugin_events_lost_total",
	    "Events that a status instance was too slow for." },
	[SIGNS] = { "cleat_plugin_signatures_total",
	    "Signatures that a certificate source was asked for." },
	[SIGN_FAILURES] = { "cleat_plugin_signature_failures_total",
	    "Signatures that it refused or did not give in time." },
};

static double
plug_value(const struct plug_info *info, enum plug_figure f)
{
	switch (f) {
	case UP:
		return info->up ? 1 : 0;
	case SLOW:
		return (double)info->slow;
	case LOST:
		return (double)info->lost;
	case SIGNS:
		return (double)info->signs;
	default:
		return (double)info->sign_failures;
	}
}

static void
put_plugs(struct metrics *m, const struct plugs *plugs)
{
	char labels[LABELS_SIZE];
	struct plug_info info;
	size_t n;

	for (enum plug_figure f = UP; f < FIGURES; f++)
		for (unsigned i = 0; plugs_info(plugs, i, &info); i++) {
			n = metrics_label(labels, sizeof(labels), 0,
			    "instance", info.instance);
			(void)metrics_label(labels, sizeof(labels), n,
			    "module", info.module);
			tell(m, f != UP, plug_row[f].name, plug_row[f].help,
			    labels, plug_value(&info, f));
		}
}

int
daemon_metrics(void *ctx, void (*fn)(void *, const struct cleat_metric *),
    void *arg)
{
	struct metrics m = { .fn = fn, .arg = arg };
	struct slots slots = { .m = &m };
	struct daemon *d = ctx;
	const struct control *control = atomic_load(&d->control);
	int r = put_workers(&m, d);

	if (r != 0)
		return r;
	put_build(&m, d);
	put_endpoints(&m, d->endpoints);
	put_identity(&m, d->identity);
	put_commands(&m, d->commands);
	put_reports(&m, d->telemetry);
	if (control != NULL)
		put_rows(&m, control_counters(control), control_rows,
		    sizeof(control_rows) / sizeof(control_rows[0]));
	put_channels(&m, &d->channel_counters);
	put_rows(&m, net_counters(d->net), net_rows,
	    sizeof(net_rows) / sizeof(net_rows[0]));
	put_bus(&m, d->bus);
	put_store(&m, d->store);
	credentials_each(d->credentials, put_slot, &slots);
	credentials_each(d->credentials, put_expiry, &m);
	put_plugs(&m, atomic_load(&d->plugs));
	metrics_process(&m);
	return 0;
}
