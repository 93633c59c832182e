/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands: parsing, usage, help and completion all come from
 * here, and tests/lint/ctl.py holds cleatctl(1) against it.
 */
#include <stdio.h>
#include <string.h>

#include "ctl.h"

const struct option_info ctl_options[O_COUNT] = {
	[O_SOCKET] = { "socket", "PATH", "the daemon's control socket",
	    K_NONE },
	[O_HELP] = { "help", NULL, "say how it is used", K_NONE },
	[O_VERSION] = { "version", NULL, "say which version this is", K_NONE },
	[O_COMPLETE] = { "complete", "LINE", "what could end LINE", K_NONE },
	[O_JSON] = { "json", NULL, "the daemon's JSON, one object a line",
	    K_NONE },
	[O_WATCH] = { "watch", NULL, "go on and show what changes", K_NONE },
	[O_FOLLOW] = { "follow", NULL, "go on and wait for more", K_NONE },
	[O_OPEN] = { "open", NULL, "only commands without an outcome", K_NONE },
	[O_NO_WAIT] = { "no-wait", NULL, "do not wait for the outcome",
	    K_NONE },
	[O_STATE] = { "state", "STATE", "only endpoints in this state",
	    K_STATE },
	[O_STATUS] = { "status", "STATUS", "only active, pending or denied "
	    "endpoints", K_STATUS },
	[O_GROUP] = { "group", "GROUP", "the group of endpoints", K_GROUP },
	[O_PREFIX] = { "prefix", "TEXT", "only ids that begin so",
	    K_ENDPOINT },
	[O_COLUMNS] = { "columns", "LIST", "what to show, with commas between",
	    K_COLUMNS },
	[O_ENDPOINT] = { "endpoint", "ENDPOINT", "the endpoint that is meant",
	    K_ENDPOINT },
	[O_NAME] = { "name", "NAME", "what people call it", K_TEXT },
	[O_LABEL] = { "label", "TEXT", "what the credential is for", K_TEXT },
	[O_KEY] = { "key", "HEX", "an Ed25519 public key", K_TEXT },
	[O_CERTIFICATE] = { "certificate", "HEX", "SHA-256 of a client "
	    "certificate", K_TEXT },
	[O_EXPIRES] = { "expires", "WHEN", "a time (RFC 3339, UTC), or a span "
	    "from now on", K_TEXT },
	[O_USES] = { "uses", "N", "how often the token can be used", K_TEXT },
	[O_OUTPUT] = { "output", "FILE", "write into this file", K_TEXT },
	[O_LISTENER] = { "listener", "FILE", "write the part for cleatd into "
	    "this file", K_TEXT },
	[O_STATE_DIR] = { "state-dir", "DIR", "the agent's; encrypts its "
	    "secrets", K_TEXT },
	[O_KEY_FILE] = { "key-file", "PATH", "the key of this host", K_TEXT },
	[O_CONFIG] = { "config", "FILE", "the configuration of the daemon",
	    K_TEXT },
	[O_DEADLINE] = { "deadline", "SPAN", "until the command expires "
	    "(5m)", K_TEXT },
	[O_ARGS] = { "args", "JSON", "the arguments as an object; - is "
	    "standard input", K_TEXT },
	[O_ID] = { "id", "ID", "the id of the command", K_TEXT },
	[O_AFTER] = { "after", "CURSOR", "only what is behind this cursor",
	    K_TEXT },
	[O_WINDOW] = { "window", "SPAN", "within which devices come again",
	    K_TEXT },
	[O_SERVERS] = { "servers", "LIST", "URLs to go to, best first, with "
	    "commas between", K_TEXT },
	[O_TO] = { "to", "SERVER", "the URL to go to", K_TEXT },
	[O_WAIT] = { "wait", NULL, "show how far it is until it is "
	    "over",
	    K_NONE },
	[O_ABORT] = { "abort", NULL, "give it up, and be ready again",
	    K_NONE },
	[O_BINARY] = { "binary", "PATH", "the cleatd to start, instead of the "
	    "one that runs", K_TEXT },
	[O_WHY] = { "why", "REASON", "what devices are told", K_WHY },
};

const struct command ctl_commands[] = {
	{ "status", "", "how the daemon is", 0, 0, { K_NONE }, status_run,
	    { O_JSON } },
	{ "cert", "[SLOT]", "which certificates are served", 0, 1, { K_TEXT },
	    cert_run, { O_JSON } },
	{ "endpoints", "", "devices, and how they are", 0, 0, { K_NONE },
	    endpoints_run, { O_STATE, O_STATUS, O_GROUP, O_PREFIX, O_COLUMNS,
	    O_WATCH, O_JSON } },
	{ "endpoint show", "ENDPOINT", "all that is known of a device", 1, 1,
	    { K_ENDPOINT }, endpoint_show_run, { O_JSON } },
	{ "endpoint add", "ENDPOINT", "make a device known beforehand", 1, 1,
	    { K_TEXT }, endpoint_add_run, { O_NAME, O_GROUP, O_JSON } },
	{ "endpoint approve", "ENDPOINT", "let a device in", 1, 1,
	    { K_ENDPOINT }, endpoint_approve_run, { O_JSON } },
	{ "endpoint deny", "ENDPOINT", "keep a device out", 1, 1,
	    { K_ENDPOINT }, endpoint_deny_run, { O_JSON } },
	{ "endpoint forget", "ENDPOINT", "forget a device and all it had", 1,
	    1, { K_ENDPOINT }, endpoint_forget_run, { O_NONE } },
	{ "endpoint rename", "ENDPOINT NAME", "give a device a name for "
	    "people", 2, 2, { K_ENDPOINT, K_TEXT }, endpoint_rename_run,
	    { O_JSON } },
	{ "endpoint group", "ENDPOINT GROUP", "put a device into a group", 2,
	    2, { K_ENDPOINT, K_GROUP }, endpoint_group_run, { O_JSON } },
	{ "credential add", "ENDPOINT", "give a device another credential", 1,
	    1, { K_ENDPOINT }, credential_add_run, { O_KEY, O_CERTIFICATE,
	    O_LABEL, O_EXPIRES, O_JSON } },
	{ "credential list", "ENDPOINT", "what a device may prove itself "
	    "with", 1, 1, { K_ENDPOINT }, credential_list_run, { O_JSON } },
	{ "credential revoke", "NUMBER", "take a credential away for ever", 1,
	    1, { K_CREDENTIAL }, credential_revoke_run, { O_NONE } },
	{ "enrol token", "", "make a one-time token for new devices", 0, 0,
	    { K_NONE }, enrol_token_run, { O_ENDPOINT, O_GROUP, O_EXPIRES,
	    O_USES, O_JSON } },
	{ "enrol list", "", "one-time tokens that can still be used", 0, 0,
	    { K_NONE }, enrol_list_run, { O_JSON } },
	{ "enrol remove", "NUMBER", "take a one-time token back", 1, 1,
	    { K_ENROL_TOKEN }, enrol_remove_run, { O_NONE } },
	{ "command send", "ENDPOINT VERB [KEY=VALUE | KEY:=JSON]...",
	    "tell a device to do something", 2, 1000,
	    { K_ENDPOINT, K_VERB, K_TEXT }, command_send_run,
	    { O_ARGS, O_DEADLINE, O_ID, O_NO_WAIT, O_JSON } },
	{ "command list", "", "commands, and what became of them", 0, 0,
	    { K_NONE }, command_list_run, { O_ENDPOINT, O_OPEN, O_JSON } },
	{ "command show", "ID", "one command", 1, 1, { K_COMMAND },
	    command_show_run, { O_JSON } },
	{ "command cancel", "ID", "give a command up", 1, 1,
	    { K_OPEN_COMMAND }, command_cancel_run, { O_JSON } },
	{ "telemetry read", "[ENDPOINT]", "what devices reported", 0, 1,
	    { K_ENDPOINT }, telemetry_read_run, { O_AFTER, O_FOLLOW,
	    O_JSON } },
	{ "inventory show", "ENDPOINT", "what a device says it is", 1, 1,
	    { K_ENDPOINT }, inventory_show_run, { O_JSON } },
	{ "kick", "ENDPOINT", "close the channel of a device", 1, 1,
	    { K_ENDPOINT }, kick_run, { O_NONE } },
	{ "drain", "", "ask all devices to connect again", 0, 0, { K_NONE },
	    drain_run, { O_WINDOW, O_TO, O_SERVERS, O_WHY, O_WAIT, O_ABORT,
	    O_JSON } },
	{ "reload", "", "read the configuration again", 0, 0, { K_NONE },
	    reload_run, { O_JSON } },
	{ "upgrade", "", "put another cleatd in the place of this one", 0, 0,
	    { K_NONE }, upgrade_run, { O_BINARY, O_WAIT, O_JSON } },
	{ "log-level", "[LEVEL]", "show or change what is logged", 0, 1,
	    { K_LEVEL }, log_level_run, { O_JSON } },
	{ "events", "[PREFIX]", "events as they happen", 0, 1, { K_TEXT },
	    events_run, { O_JSON } },
	{ "secret encrypt", "", "make a secret fit for a configuration", 0, 0,
	    { K_NONE }, secret_encrypt_run, { O_KEY_FILE } },
	{ "import wsems", "FILE", "take over the configuration of a WS EMS", 1,
	    1, { K_TEXT }, import_wsems_run, { O_OUTPUT, O_LISTENER,
	    O_ENDPOINT, O_STATE_DIR, O_KEY_FILE } },
	{ "doctor", "", "what may be wrong on this host", 0, 0, { K_NONE },
	    doctor_run, { O_CONFIG, O_JSON } },
	{ "help", "[COMMAND]", "say how a command is used", 0, 2,
	    { K_NONE }, help_run, { O_NONE } },
	{ .name = NULL }
};

const struct command *
ctl_command_of(char *const *words, size_t n, size_t *ret_n)
{
	char two[64] = "";

	if (n >= 2)
		(void)snprintf(two, sizeof(two), "%.30s %.30s", words[0],
		    words[1]);
	for (const struct command *c = ctl_commands; c->name != NULL; c++) {
		if (n >= 1 && strcmp(words[0], c->name) == 0) {
			*ret_n = 1;
			return c;
		}
		if (n >= 2 && strcmp(two, c->name) == 0) {
			*ret_n = 2;
			return c;
		}
	}
	return NULL;
}

bool
ctl_has_option(const struct command *c, enum opt o)
{
	const size_t n = sizeof(c->options) / sizeof(c->options[0]);

	if (o == O_SOCKET || o == O_HELP)
		return true;
	for (size_t i = 0; i < n && c->options[i] != O_NONE; i++)
		if (c->options[i] == o)
			return true;
	return false;
}

const char *const *
ctl_words_of(enum kind kind)
{
	static const char *const verbs[] = { "get-log", "message", "power-off",
		"reboot", "set-server", "update", "wake", NULL };
	static const char *const states[] = { "asleep", "disconnected",
		"offline", "online", "suspect", "unknown", "unlinked", NULL };
	static const char *const statuses[] = { "active", "denied", "pending",
		NULL };
	static const char *const levels[] = { "debug", "error", "info",
		"notice", "warning", NULL };
	static const char *const reasons[] = { "moved", "rebalance",
		"restart", NULL };

	switch (kind) {
	case K_VERB:
		return verbs;
	case K_STATE:
		return states;
	case K_STATUS:
		return statuses;
	case K_LEVEL:
		return levels;
	case K_WHY:
		return reasons;
	case K_COLUMNS:
		return endpoint_column_names();
	default:
		return NULL;
	}
}
