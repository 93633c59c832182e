/* SPDX-License-Identifier: Apache-2.0 */
/* From keys to structs. */
#include "daemon/options.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "tls/library.h"
#include "tls/snapshot.h"
#include "tls/suites.h"
#include "wire/ws_origin.h"

#define EXPIRY_DAYS_MAX 3650
#define CONNECTIONS_MAX 16777216	/* as the key's own */

static uint32_t
ms(const struct conf *conf, const char *section, const char *key)
{
	return (uint32_t)conf_ms(conf, section, key);
}

int
options_net_limits(const struct conf *conf, uint64_t files_max, char *why,
    struct net_limits *ret)
{
	uint64_t connections = conf_uint(conf, "limits", "connections");
	uint64_t each = conf_uint(conf, "limits", "connections_per_address");
	/* A connection has up to three descriptors while it speaks HTTP. */
	uint64_t most = files_max > OPTIONS_FILES_RESERVED * 2 ?
	    files_max - OPTIONS_FILES_RESERVED : 0;

	if (connections == 0)
		connections = most < CONNECTIONS_MAX ? most : CONNECTIONS_MAX;
	if (connections == 0 || connections > most) {
		(void)snprintf(why, OPTIONS_WHY_SIZE, "[limits] connections = "
		    "%llu needs %llu open files, but the limit is %llu: raise "
		    "LimitNOFILE= of the service (ulimit -n)",
		    (unsigned long long)connections,
		    (unsigned long long)connections + OPTIONS_FILES_RESERVED,
		    (unsigned long long)files_max);
		return -EINVAL;
	}
	*ret = (struct net_limits){
		.handshakes = (uint32_t)conf_uint(conf, "limits",
		    "handshakes"),
		.connections = (uint32_t)connections,
		/* 0 says that there is no limit; net/ takes it at its word. */
		.connections_per_address = each == 0 ? UINT32_MAX :
		    (uint32_t)each,
		.handshake_ms = ms(conf, "limits", "handshake_timeout"),
		.http_ms = ms(conf, "limits", "http_timeout"),
		.http_header = (uint32_t)conf_size(conf, "limits",
		    "http_header"),
		.accept_quota = (uint32_t)conf_uint(conf, "limits",
		    "accept_quota"),
		.waiting = (uint32_t)conf_uint(conf, "limits", "waiting"),
		.listener_rate = (uint32_t)conf_uint(conf, "limits",
		    "listener_rate"),
		.listener_burst = (uint32_t)conf_uint(conf, "limits",
		    "listener_burst"),
		.address_rate = (uint32_t)conf_uint(conf, "limits",
		    "address_rate"),
		.address_burst = (uint32_t)conf_uint(conf, "limits",
		    "address_burst"),
		.backlog_bytes = (uint32_t)conf_size(conf, "limits",
		    "send_queue")
	};
	return 0;
}

/* Measured with margin: the process itself, a worker's areas, a
 * handshake at its peak (83 KB; decision 0010), one that waits, a device
 * with its channel. */
#define MEMORY_PROCESS (UINT64_C(24) << 20)
#define MEMORY_WORKER (UINT64_C(2) << 20)
#define MEMORY_HANDSHAKE (UINT64_C(96) << 10)
#define MEMORY_WAITING UINT64_C(512)
#define MEMORY_DEVICE UINT64_C(2048)

void
options_memory(const struct conf *conf, const struct net_limits *l,
    uint64_t *ret_base, uint64_t *ret_device)
{
	*ret_base = MEMORY_PROCESS + options_workers(conf) * MEMORY_WORKER +
	    l->handshakes * MEMORY_HANDSHAKE + l->waiting * MEMORY_WAITING;
	*ret_device = MEMORY_DEVICE;
}

static enum channel_cert_id
certificate_id(const struct conf *conf)
{
	const char *what = conf_str(conf, "auth", "certificate_identity");

	if (strcmp(what, "fingerprint") == 0)
		return CERT_ID_FINGERPRINT;
	return strcmp(what, "san-uri") == 0 ? CERT_ID_SAN_URI : CERT_ID_CN;
}

void
options_channel_limits(const struct conf *conf, struct channel_limits *ret)
{
	*ret = (struct channel_limits){
		.ping_ms = ms(conf, "presence", "ping"),
		.suspect_ms = ms(conf, "presence", "suspect"),
		.dead_ms = ms(conf, "presence", "dead"),
		.auth_ms = ms(conf, "limits", "auth_timeout"),
		.auth_bytes = (uint32_t)conf_size(conf, "limits",
		    "auth_bytes"),
		.send_queue = (uint32_t)conf_size(conf, "limits",
		    "send_queue"),
		.retry_min_ms = ms(conf, "presence", "retry_min"),
		.retry_max_ms = ms(conf, "presence", "retry_max"),
		.first_in_wins = strcmp(conf_str(conf, "presence",
		    "takeover"), "first-in-wins") == 0,
		.clone = {
			.replacements = (uint32_t)conf_uint(conf, "presence",
			    "clone_replacements"),
			.window_ms = ms(conf, "presence", "clone_window")
		},
		.cert_id = certificate_id(conf)
	};
}

void
options_identity(const struct conf *conf, struct identity_rules *ret)
{
	const char *enrol = conf_str(conf, "auth", "enrol");

	*ret = (struct identity_rules){
		.enrol = strcmp(enrol, "open") == 0 ? ENROL_OPEN :
		    strcmp(enrol, "approve") == 0 ? ENROL_APPROVE :
		    ENROL_CLOSED,
		.pending_max = (uint32_t)conf_uint(conf, "auth",
		    "pending_max"),
		.pending_ms = conf_ms(conf, "auth", "pending_age"),
		.open_max = (uint32_t)conf_uint(conf, "auth", "open_max"),
		.enrol_per_minute = (uint32_t)conf_uint(conf, "auth",
		    "enrol_rate"),
		.failures_address = (uint32_t)conf_uint(conf, "auth",
		    "failures_per_address"),
		.failures_identity = (uint32_t)conf_uint(conf, "auth",
		    "failures_per_identity"),
		.cert_admits = conf_bool(conf, "auth", "certificate_admits")
	};
}

void
options_commands(const struct conf *conf, struct command_rules *ret)
{
	*ret = (struct command_rules){
		.queue_max = (uint32_t)conf_uint(conf, "commands", "queue"),
		.open_max = (uint32_t)conf_uint(conf, "commands", "open"),
		.args_max = (uint32_t)conf_size(conf, "commands", "args"),
		.deadline_max_ms = conf_ms(conf, "commands", "deadline_max")
	};
}

static int
fill_origins(const struct conf *conf, const char *section, char *why,
    struct net_listener_opts *l)
{
	const char **origins = mem_calloc(CONF_ORIGINS_MAX + 1,
	    sizeof(*origins));
	const char *origin;
	unsigned n = 0;

	if (origins == NULL)
		return -ENOMEM;
	l->origins = origins;
	while (n < CONF_ORIGINS_MAX &&
	    (origin = conf_item(conf, section, "origins", n)) != NULL) {
		origins[n++] = origin;
		if (ws_origin_valid(origin))
			continue;
		(void)snprintf(why, OPTIONS_WHY_SIZE, "%s: [%s] origins: "
		    "\"%.80s\" is not scheme://host or scheme://host:port, "
		    "without a path, nor null: no page can match it",
		    conf_where(conf, section, "origins"), section, origin);
		return -EINVAL;
	}
	return 0;
}

static int
fill_listener(const struct conf *conf, const char *section, char *why,
    struct net_listener_opts *l)
{
	unsigned trusted_n = 0;

	l->name = conf_instance(section);
	l->address = conf_str(conf, section, "address");
	l->tls = conf_bool(conf, section, "tls");
	l->proxy = strcmp(conf_str(conf, section, "proxy"), "required") == 0;
	l->trusted = conf_ranges(conf, section, "trusted_proxies",
	    &trusted_n);
	l->trusted_n = trusted_n;
	l->default_protocol = conf_str(conf, section, "default_protocol");
	l->backlog = (int)conf_uint(conf, section, "backlog");
	return fill_origins(conf, section, why, l);
}

int
options_listeners(const struct conf *conf, char *why,
    struct net_listener_opts **ret, size_t *ret_n)
{
	struct net_listener_opts *l;
	size_t n = 0;
	int r = 0;

	while (conf_section(conf, "listener", (unsigned)n) != NULL)
		n++;
	l = mem_calloc(n + 1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = fill_listener(conf, conf_section(conf, "listener",
		    (unsigned)i), why, &l[i]);
	if (r != 0) {
		options_listeners_free(&l, n);
		return r;
	}
	*ret = l;
	*ret_n = n;
	return 0;
}

void
options_listeners_free(struct net_listener_opts **pl, size_t n)
{
	if (*pl == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		mem_free((void *)(uintptr_t)(*pl)[i].origins);
	mem_free(*pl);
	*pl = NULL;
}

static int
suites_of(const struct conf *conf, const struct tls_suites_spec *spec,
    const char *section, char *why, struct tls_suites *ret)
{
	char text[TLS_WHY_SIZE] = "";
	int r = tls_suites_resolve(spec, text, ret);

	if (r == 0)
		r = tls_suites_psk_ke(ret, conf_bool(conf, "tls", "psk_ke"),
		    text);
	if (r != 0)
		(void)snprintf(why, OPTIONS_WHY_SIZE, "[%.80s] %s", section,
		    text);
	return r;
}

int
options_tls(const struct conf *conf, char *why, struct tls_suites *ret)
{
	const struct tls_suites_spec spec = {
		.profile = conf_str(conf, "tls", "profile"),
		.priority = conf_str(conf, "tls", "priority"),
		.cipher_suite = conf_str(conf, "tls", "cipher_suite")
	};
	char text[TLS_WHY_SIZE] = "";
	int r;

	if (strcmp(conf_str(conf, "tls", "fips"), "require") == 0 &&
	    (r = tls_fips_require(text)) != 0) {
		(void)snprintf(why, OPTIONS_WHY_SIZE, "[tls] %s", text);
		return r;
	}
	return suites_of(conf, &spec, "tls", why, ret);
}

int
options_listener_tls(const struct conf *conf, const char *section, char *why,
    struct tls_suites *ret)
{
	const struct tls_suites_spec spec = {
		.profile = conf_str(conf, section, "tls_profile"),
		.priority = conf_str(conf, section, "tls_priority"),
		.cipher_suite = conf_str(conf, section, "cipher_suite")
	};

	if (spec.profile == NULL && spec.priority == NULL &&
	    spec.cipher_suite == NULL)
		return 1;
	return suites_of(conf, &spec, section, why, ret);
}

unsigned
options_workers(const struct conf *conf)
{
	unsigned n = (unsigned)conf_uint(conf, "daemon", "workers");
	cpu_set_t set;

	if (n == 0)
		n = sched_getaffinity(0, sizeof(set), &set) == 0 ?
		    (unsigned)CPU_COUNT(&set) : 1;
	return n > CONF_WORKERS_MAX ? CONF_WORKERS_MAX : n;
}

void
options_store(const struct conf *conf, struct store_opts *ret)
{
	*ret = (struct store_opts){
		.queue_jobs = conf_uint(conf, "store", "queue_jobs"),
		.queue_bytes = conf_size(conf, "store", "queue_size"),
		.flush_ms = ms(conf, "store", "flush"),
		.telemetry_rows = conf_uint(conf, "store", "telemetry_rows"),
		.telemetry_bytes = conf_size(conf, "store",
		    "telemetry_size"),
		.telemetry_share = (unsigned)conf_uint(conf, "store",
		    "telemetry_share"),
		.telemetry_age_ms = conf_ms(conf, "store", "telemetry_age"),
		.commands_age_ms = conf_ms(conf, "store", "commands_age")
	};
}

void
options_bus(const struct conf *conf, struct event_bus_opts *ret)
{
	*ret = (struct event_bus_opts){
		.events_url = conf_str(conf, "bus", "events"),
		.snapshot_url = conf_str(conf, "bus", "snapshot"),
		.ring = (uint32_t)conf_uint(conf, "bus", "ring"),
		.queue = (uint32_t)conf_uint(conf, "bus", "queue"),
		.canary_ms = ms(conf, "bus", "canary"),
		.alive_ms = ms(conf, "bus", "alive")
	};
}

int
options_expiry(const struct conf *conf, char *why,
    int64_t ret[EXPIRY_STEPS], size_t *ret_n)
{
	const char *item;
	unsigned long v;
	char *end;
	size_t n = 0;

	for (; (item = conf_item(conf, "tls", "expiry_days", (unsigned)n)) !=
	    NULL; n++) {
		v = strtoul(item, &end, 10);
		if (n == EXPIRY_STEPS || *item < '0' || *item > '9' ||
		    *end != '\0' || v < 1 || v > EXPIRY_DAYS_MAX) {
			(void)snprintf(why, OPTIONS_WHY_SIZE, "[tls] "
			    "expiry_days: up to %d whole numbers from 1 to %d "
			    "are expected, not \"%.64s\"", EXPIRY_STEPS,
			    EXPIRY_DAYS_MAX, item);
			return -EINVAL;
		}
		ret[n] = (int64_t)v * 86400;
	}
	*ret_n = n;
	return 0;
}
