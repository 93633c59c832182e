/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key that cleatd knows, with its default: the one place where they are
 * said.  etc/cleat.conf repeats them for people, and a test compares the two.
 */
#include "conf/conf.h"

#include <string.h>

#include "conf/conf_priv.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SEC UINT64_C(1000)
#define HOUR (3600 * SEC)
#define DAY (24 * HOUR)

#define KEY(section_, name_, type_, value_, ...) \
	{ .section = (section_), .name = (name_), .type = (type_), \
	  .value = (value_), __VA_ARGS__ }

const struct conf_key conf_schema[] = {
	KEY("daemon", "workers", CONF_UINT, "auto", .min = 1,
	    .max = CONF_WORKERS_MAX, .words = "auto", .flags = CONF_RESTART,
	    .help = "network threads; auto: one for each CPU"),
	KEY("daemon", "state_dir", CONF_PATH, "/var/lib/cleat",
	    .flags = CONF_RESTART,
	    .help = "where state is kept; one daemon at a time"),
	KEY("daemon", "runtime_dir", CONF_PATH, "/run/cleat",
	    .flags = CONF_RESTART, .help = "where sockets are made"),
	KEY("daemon", "plugin_dir", CONF_PATH, "", .flags = CONF_RESTART,
	    .help = "where modules are; empty: as installed"),
	KEY("daemon", "secret_key", CONF_PATH, "",
	    .help = "key of encrypted secrets; empty: STATE_DIR/secret.key"),
	KEY("daemon", "core_dumps", CONF_BOOL, "no", .flags = CONF_RESTART,
	    .help = "yes: a crash may leave a file with every key in it"),
	KEY("daemon", "log_level", CONF_ENUM, "info",
	    .words = "error|warning|notice|info|debug",
	    .help = "the least important messages that are written"),

	KEY("tls", "profile", CONF_ENUM, "",
	    .words = "modern|intermediate|custom",
	    .help = "what is spoken; empty: intermediate, or custom"),
	KEY("tls", "priority", CONF_STRING, "",
	    .help = "profile = custom: a GnuTLS priority string"),
	KEY("tls", "cipher_suite", CONF_STRING, "",
	    .help = "OpenSSL cipher list that narrows the profile"),
	KEY("tls", "fips", CONF_ENUM, "off", .words = "off|require",
	    .help = "require: start only if the library is in FIPS mode"),
	KEY("tls", "ticket_lifetime", CONF_DURATION, "6h", .min = 10 * SEC,
	    .max = 7 * DAY, .help = "how long a session can be resumed"),
	KEY("tls", "ticket_master_rotate", CONF_DURATION, "1d", .min = 0,
	    .max = 365 * DAY,
	    .help = "replace the ticket master this often; 0: never"),
	KEY("tls", "ticket_master_file", CONF_STRING, "",
	    .help = "a ticket master that several nodes share"),
	KEY("tls", "psk_ke", CONF_BOOL, "no",
	    .help = "cheap resumption, no forward secrecy: cleat.conf(5)"),
	KEY("tls", "watch", CONF_DURATION, "5s", .min = SEC, .max = 3600 * SEC,
	    .help = "look this often at the files of client certificates"),
	KEY("tls", "expiry_days", CONF_STRING, "30, 14, 7, 1",
	    .flags = CONF_LIST,
	    .help = "warn so many days before a certificate ends"),

	KEY("limits", "handshakes", CONF_UINT, "512", .min = 1, .max = 1000000,
	    .help = "connections before their upgrade, all workers together"),
	KEY("limits", "connections", CONF_UINT, "0", .min = 0, .max = 16777216,
	    .help = "connections; 0: as many as descriptors"),
	KEY("limits", "connections_per_address", CONF_UINT, "20000", .min = 0,
	    .max = 16777216,
	    .help = "connections of one client address; 0: no limit"),
	KEY("limits", "handshake_timeout", CONF_DURATION, "10s", .min = SEC,
	    .max = 300 * SEC, .help = "from the accept to the end of TLS"),
	KEY("limits", "http_timeout", CONF_DURATION, "10s", .min = SEC,
	    .max = 300 * SEC, .help = "from the end of TLS to the upgrade"),
	KEY("limits", "http_header", CONF_SIZE, "8KiB", .min = KIB,
	    .max = 64 * KIB, .flags = CONF_RESTART,
	    .help = "request line and header fields"),
	KEY("limits", "auth_timeout", CONF_DURATION, "10s", .min = SEC,
	    .max = 300 * SEC, .help = "from the upgrade to the end of hello"),
	KEY("limits", "auth_bytes", CONF_SIZE, "16KiB", .min = KIB,
	    .max = MIB, .help = "received before a device is known"),
	KEY("limits", "send_queue", CONF_SIZE, "256KiB", .min = 4 * KIB,
	    .max = GIB, .help = "waiting for a slow device"),
	KEY("limits", "accept_quota", CONF_UINT, "16", .min = 1, .max = 1024,
	    .help = "connections accepted in one turn of a worker"),
	KEY("limits", "waiting", CONF_UINT, "16384", .min = 0, .max = 1000000,
	    .help = "accepted while handshakes are all taken; 0: not accepted"),
	KEY("limits", "listener_rate", CONF_UINT, "0", .min = 0,
	    .max = 1000000,
	    .help = "handshakes begun in a second, each listener; 0: no limit"),
	KEY("limits", "listener_burst", CONF_UINT, "1000", .min = 1,
	    .max = 16777216, .help = "so many may begin at once"),
	KEY("limits", "address_rate", CONF_UINT, "1000", .min = 0,
	    .max = 1000000,
	    .help = "connections of one address in a second; 0: no limit"),
	KEY("limits", "address_burst", CONF_UINT, "20000", .min = 1,
	    .max = 16777216, .help = "so many of it may come at once"),

	KEY("presence", "ping", CONF_DURATION, "20s", .min = SEC, .max = DAY,
	    .help = "a quiet channel is pinged this often"),
	KEY("presence", "suspect", CONF_DURATION, "5s", .min = 100, .max = DAY,
	    .help = "an unanswered ping makes a device suspect"),
	KEY("presence", "dead", CONF_DURATION, "35s", .min = SEC, .max = DAY,
	    .help = "without a byte for so long a channel is closed"),
	KEY("presence", "retry_min", CONF_DURATION, "1s", .min = 1, .max = DAY,
	    .help = "told to devices: first window of their reconnects"),
	KEY("presence", "retry_max", CONF_DURATION, "2m", .min = 1, .max = DAY,
	    .help = "told to devices: largest window"),
	KEY("presence", "recovery", CONF_DURATION, "0", .min = 0, .max = DAY,
	    .flags = CONF_RESTART,
	    .help = "unknown for so long after a start; 0: 3 x retry_max"),
	KEY("presence", "takeover", CONF_ENUM, "last-in-wins",
	    .words = "last-in-wins|first-in-wins",
	    .help = "of two channels of one device"),
	KEY("presence", "clone_replacements", CONF_UINT, "3", .min = 0,
	    .max = 1000, .help = "that tell of two devices with one identity"),
	KEY("presence", "clone_window", CONF_DURATION, "1m", .min = SEC,
	    .max = DAY, .help = "within which they are counted"),

	KEY("auth", "token_file", CONF_PATH, NULL,
	    .help = "tokens of devices; empty: no tokens"),
	KEY("auth", "certificate_identity", CONF_ENUM, "cn",
	    .words = "cn|fingerprint|san-uri",
	    .help = "what of a client certificate names the device"),
	KEY("auth", "certificate_admits", CONF_BOOL, "yes",
	    .help = "a device not seen before may come with a certificate"),
	KEY("auth", "enrol", CONF_ENUM, "closed",
	    .words = "closed|approve|open",
	    .help = "devices that nobody knows and that have no token for it"),
	KEY("auth", "pending_max", CONF_UINT, "100", .min = 1, .max = 100000,
	    .help = "devices that may wait for approval"),
	KEY("auth", "pending_age", CONF_DURATION, "7d", .min = SEC,
	    .max = 365 * DAY, .help = "how long they may"),
	KEY("auth", "open_max", CONF_UINT, "1000", .min = 1, .max = 1000000,
	    .help = "enrol = open lets in until so many are known"),
	KEY("auth", "enrol_rate", CONF_UINT, "60", .min = 1, .max = 1000000,
	    .help = "enrolments of one address in a minute"),
	KEY("auth", "failures_per_address", CONF_UINT, "60", .min = 1,
	    .max = 1000000,
	    .help = "failed attempts of one address in a minute"),
	KEY("auth", "failures_per_identity", CONF_UINT, "30", .min = 1,
	    .max = 1000000,
	    .help = "wrong tokens for one device in a minute"),

	KEY("bus", "events", CONF_IPC, "", .flags = CONF_RESTART,
	    .help = "PUB; empty: ipc://RUNTIME_DIR/events.ipc"),
	KEY("bus", "snapshot", CONF_IPC, "", .flags = CONF_RESTART,
	    .help = "REP; empty: ipc://RUNTIME_DIR/snapshot.ipc"),
	KEY("bus", "ring", CONF_UINT, "16384", .min = 64, .max = 16777216,
	    .flags = CONF_RESTART,
	    .help = "events that may wait for the publisher; a power of two"),
	KEY("bus", "queue", CONF_UINT, "4096", .min = 1, .max = 8192,
	    .flags = CONF_RESTART,
	    .help = "messages that may wait for a subscriber"),
	KEY("bus", "canary", CONF_DURATION, "5s", .min = 100, .max = HOUR,
	    .flags = CONF_RESTART, .help = "how often the bus is checked"),
	KEY("bus", "alive", CONF_DURATION, "10s", .min = 100, .max = HOUR,
	    .flags = CONF_RESTART,
	    .help = "how often subscribers are told the last number"),

	KEY("store", "queue_jobs", CONF_UINT, "4096", .min = 16,
	    .max = 1000000, .flags = CONF_RESTART,
	    .help = "changes that may wait for the disk"),
	KEY("store", "queue_size", CONF_SIZE, "16MiB", .min = 65536,
	    .max = GIB, .flags = CONF_RESTART, .help = "what they may hold"),
	KEY("store", "flush", CONF_DURATION, "100ms", .min = 1, .max = 60000,
	    .flags = CONF_RESTART,
	    .help = "how late a change of presence may be stored"),
	KEY("store", "telemetry_rows", CONF_UINT, "1000000", .min = 1,
	    .max = 4294967295, .flags = CONF_RESTART,
	    .help = "messages of telemetry that are kept"),
	KEY("store", "telemetry_size", CONF_SIZE, "1GiB", .min = 65536,
	    .max = 1024 * GIB, .flags = CONF_RESTART,
	    .help = "their size in all"),
	KEY("store", "telemetry_share", CONF_UINT, "10", .min = 1, .max = 100,
	    .flags = CONF_RESTART,
	    .help = "percent of both that one endpoint may have"),
	KEY("store", "telemetry_age", CONF_DURATION, "30d", .min = 1000,
	    .max = 3650 * DAY, .flags = CONF_RESTART,
	    .help = "and how long they are kept"),
	KEY("store", "commands_age", CONF_DURATION, "30d", .min = 1000,
	    .max = 3650 * DAY, .flags = CONF_RESTART,
	    .help = "how long finished commands are kept"),

	KEY("commands", "queue", CONF_UINT, "64", .min = 1, .max = 10000,
	    .help = "commands of one endpoint that may be open"),
	KEY("commands", "open", CONF_UINT, "100000", .min = 1,
	    .max = 10000000, .help = "commands that may be open in all"),
	KEY("commands", "args", CONF_SIZE, "16KiB", .min = 64,
	    .max = MIB, .help = "longest arguments of a command"),
	KEY("commands", "deadline_max", CONF_DURATION, "30d", .min = SEC,
	    .max = 3650 * DAY, .help = "how far ahead a deadline may be"),

	KEY("control", "socket", CONF_PATH, "", .flags = CONF_RESTART,
	    .help = "where operators connect; empty: RUNTIME_DIR/control.sock"),
	KEY("control", "operators", CONF_STRING, "", .flags = CONF_LIST,
	    .help = "users and @groups besides root and the daemon's own"),
	KEY("control", "viewers", CONF_STRING, "", .flags = CONF_LIST,
	    .help = "users and @groups; empty: who can connect"),
	KEY("control", "connections", CONF_UINT, "64", .min = 4, .max = 1024,
	    .help = "at a time; a quarter is for operators"),
	KEY("control", "streams", CONF_UINT, "16", .min = 1, .max = 1024,
	    .help = "readers of events at a time"),
	KEY("control", "stream_queue", CONF_SIZE, "256KiB", .min = 8 * KIB,
	    .max = 64 * MIB, .help = "waiting for a slow reader of events"),
	KEY("control", "request_size", CONF_SIZE, "64KiB", .min = KIB,
	    .max = MIB, .help = "body of a request"),
	KEY("control", "timeout", CONF_DURATION, "30s", .min = SEC,
	    .max = 600 * SEC,
	    .help = "to send a request, and to take an answer"),

	KEY("listener.*", "address", CONF_ADDRESS, NULL,
	    .flags = CONF_REQUIRED | CONF_RESTART,
	    .help = "IP:PORT, [IPv6]:PORT, *:PORT, unix:/PATH, systemd:NAME"),
	KEY("listener.*", "tls", CONF_BOOL, "yes", .flags = CONF_RESTART,
	    .help = "no: only behind something that does TLS"),
	KEY("listener.*", "tls_profile", CONF_ENUM, "",
	    .words = "modern|intermediate|custom",
	    .help = "as profile in [tls], for this address"),
	KEY("listener.*", "tls_priority", CONF_STRING, "",
	    .help = "as priority in [tls], for this address"),
	KEY("listener.*", "cipher_suite", CONF_STRING, "",
	    .help = "as in [tls], for this address"),
	KEY("listener.*", "proxy", CONF_ENUM, "off", .words = "off|required",
	    .flags = CONF_RESTART, .help = "a PROXY header must come first"),
	KEY("listener.*", "trusted_proxies", CONF_RANGE, "",
	    .flags = CONF_LIST | CONF_RESTART,
	    .help = "who may send a PROXY header; unix: local peers"),
	KEY("listener.*", "client_auth", CONF_ENUM, "off",
	    .words = "off|optional|required", .help = "client certificates"),
	KEY("listener.*", "ca_file", CONF_PATH, NULL,
	    .help = "who issues client certificates: file or directory"),
	KEY("listener.*", "crl_file", CONF_PATH, NULL,
	    .help = "revocation lists: file or directory"),
	KEY("listener.*", "validate", CONF_BOOL, "yes",
	    .help = "no: certificates of anybody, at any date"),
	KEY("listener.*", "allow_self_signed", CONF_BOOL, "no",
	    .help = "yes: also certificates signed by themselves"),
	KEY("listener.*", "match", CONF_ENUM, "all", .words = "all|any",
	    .help = "how many of the criteria below must be met"),
	KEY("listener.*", "subject_cn", CONF_STRING, "",
	    .help = "common name of the certificate"),
	KEY("listener.*", "subject_o", CONF_STRING, "",
	    .help = "its organization"),
	KEY("listener.*", "subject_ou", CONF_STRING, "",
	    .help = "its organizational unit"),
	KEY("listener.*", "issuer_cn", CONF_STRING, "",
	    .help = "common name of who issued it"),
	KEY("listener.*", "issuer_o", CONF_STRING, "",
	    .help = "the issuer's organization"),
	KEY("listener.*", "issuer_ou", CONF_STRING, "",
	    .help = "the issuer's organizational unit"),
	KEY("listener.*", "sans", CONF_STRING, "", .flags = CONF_LIST,
	    .help = "one of dns:NAME, uri:URI, ip:ADDRESS that it must have"),
	KEY("listener.*", "fingerprint_allowlist", CONF_STRING, "",
	    .flags = CONF_LIST, .help = "SHA-256 of certificates"),
	KEY("listener.*", "fingerprint_file", CONF_PATH, NULL,
	    .help = "more of them, a file"),
	KEY("listener.*", "pins", CONF_STRING, "", .flags = CONF_LIST,
	    .help = "[ca:]sha256/BASE64 of keys"),
	KEY("listener.*", "default_protocol", CONF_NAME, NULL,
	    .flags = CONF_RESTART,
	    .help = "plugin for clients that ask for none"),
	KEY("listener.*", "origins", CONF_STRING, "",
	    .flags = CONF_LIST | CONF_RESTART,
	    .help = "web pages that may connect; empty: none"),
	KEY("listener.*", "backlog", CONF_UINT, "4096", .min = 1, .max = 65535,
	    .flags = CONF_RESTART,
	    .help = "connections the kernel may hold for us"),

	KEY("slot.*", "source", CONF_NAME, NULL,
	    .flags = CONF_REQUIRED | CONF_LIST,
	    .help = "plugin that provides the certificate"),
	KEY("slot.*", "names", CONF_HOST, "", .flags = CONF_LIST,
	    .help = "host names it is for; *.example.org is allowed"),
	KEY("slot.*", "default", CONF_BOOL, "no",
	    .help = "for clients that name no host, or another"),

	KEY("plugin.*", "module", CONF_STRING, NULL,
	    .flags = CONF_REQUIRED | CONF_RESTART,
	    .help = "name in plugin_dir without .so, or absolute path"),
	KEY("plugin.*", "required", CONF_BOOL, "yes", .flags = CONF_RESTART,
	    .help = "without it the daemon does not start"),
	KEY("plugin.*", "paths", CONF_STRING, "", .flags = CONF_LIST,
	    .help = "request paths of a protocol; empty: its own"),
	KEY("plugin.*", "max_message", CONF_SIZE, "64KiB", .min = 125,
	    .max = GIB, .help = "longest message of a device"),
	KEY("plugin.*", "compression", CONF_BOOL, "yes",
	    .help = "offer permessage-deflate"),

	{ .section = NULL },
};

bool
conf_schema_is(const char *pattern, const char *section)
{
	size_t n = strlen(pattern);

	if (n > 2 && strcmp(pattern + n - 2, ".*") == 0)
		return strncmp(pattern, section, n - 1) == 0 &&
		    conf_is_name(section + n - 1);
	return strcmp(pattern, section) == 0;
}

const struct conf_key *
conf_schema_of(const char *section, unsigned *ret_n)
{
	const struct conf_key *first = NULL;
	unsigned n = 0;

	for (const struct conf_key *k = conf_schema; k->section != NULL; k++) {
		if (!conf_schema_is(k->section, section))
			continue;
		if (first == NULL)
			first = k;
		n++;
	}
	*ret_n = n;
	return first;
}
