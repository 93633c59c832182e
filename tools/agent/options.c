/* SPDX-License-Identifier: Apache-2.0 */
/* The command line and the file that says the same, one option a line. */
#include "config.h"

#include "agent.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"

#define FILE_MAX_BYTES 65536
#define TIMEOUT_S_MAX 3600

enum {
	OPT_TOKEN_FILE = 256, OPT_CA, OPT_CERT, OPT_KEY, OPT_EVENT,
	OPT_NO_VERIFY_HOST, OPT_NO_VERIFY_CHAIN, OPT_SELF_SIGNED,
	OPT_RETRY_MIN, OPT_RETRY_MAX, OPT_APPROVAL, OPT_BOOT_ID, OPT_LOG,
	OPT_VERSION, OPT_STATE_DIR, OPT_IDENTITY, OPT_ENROL, OPT_ENROL_TOKEN,
	OPT_PINS, OPT_PROXY, OPT_PROXY_USER, OPT_PROXY_PASSWORD,
	OPT_PROXY_AUTH, OPT_TELEMETRY, OPT_TELEMETRY_MAX, OPT_INVENTORY,
	OPT_WAKE, OPT_COMMAND, OPT_TLS_PROFILE, OPT_TLS_PRIORITY,
	OPT_CIPHER_SUITE, OPT_FIPS, OPT_CRL, OPT_FINGERPRINTS, OPT_SANS,
	OPT_SUBJECT_CN, OPT_SUBJECT_O, OPT_SUBJECT_OU, OPT_ISSUER_CN,
	OPT_ISSUER_O, OPT_ISSUER_OU, OPT_ANY, OPT_KEY_PASSPHRASE,
	OPT_CHECK, OPT_HELLO, OPT_JSON, OPT_TIMEOUT
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "server", required_argument, NULL, 's' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "token-file", required_argument, NULL, OPT_TOKEN_FILE },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "key-passphrase-file", required_argument, NULL,
	    OPT_KEY_PASSPHRASE },
	{ "identity", required_argument, NULL, OPT_IDENTITY },
	{ "enrol", no_argument, NULL, OPT_ENROL },
	{ "enrol-token-file", required_argument, NULL, OPT_ENROL_TOKEN },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "crl", required_argument, NULL, OPT_CRL },
	{ "pins", required_argument, NULL, OPT_PINS },
	{ "fingerprint-allowlist", required_argument, NULL,
	    OPT_FINGERPRINTS },
	{ "subject-cn", required_argument, NULL, OPT_SUBJECT_CN },
	{ "subject-o", required_argument, NULL, OPT_SUBJECT_O },
	{ "subject-ou", required_argument, NULL, OPT_SUBJECT_OU },
	{ "issuer-cn", required_argument, NULL, OPT_ISSUER_CN },
	{ "issuer-o", required_argument, NULL, OPT_ISSUER_O },
	{ "issuer-ou", required_argument, NULL, OPT_ISSUER_OU },
	{ "sans", required_argument, NULL, OPT_SANS },
	{ "match-any", no_argument, NULL, OPT_ANY },
	{ "no-verify-host", no_argument, NULL, OPT_NO_VERIFY_HOST },
	{ "no-verify-chain", no_argument, NULL, OPT_NO_VERIFY_CHAIN },
	{ "allow-self-signed", no_argument, NULL, OPT_SELF_SIGNED },
	{ "proxy", required_argument, NULL, OPT_PROXY },
	{ "proxy-user", required_argument, NULL, OPT_PROXY_USER },
	{ "proxy-password-file", required_argument, NULL,
	    OPT_PROXY_PASSWORD },
	{ "proxy-auth", required_argument, NULL, OPT_PROXY_AUTH },
	{ "tls-profile", required_argument, NULL, OPT_TLS_PROFILE },
	{ "tls-priority", required_argument, NULL, OPT_TLS_PRIORITY },
	{ "cipher-suite", required_argument, NULL, OPT_CIPHER_SUITE },
	{ "fips", no_argument, NULL, OPT_FIPS },
	{ "command", required_argument, NULL, OPT_COMMAND },
	{ "wake", no_argument, NULL, OPT_WAKE },
	{ "telemetry", required_argument, NULL, OPT_TELEMETRY },
	{ "telemetry-max", required_argument, NULL, OPT_TELEMETRY_MAX },
	{ "inventory", required_argument, NULL, OPT_INVENTORY },
	{ "event", required_argument, NULL, OPT_EVENT },
	{ "boot-id", required_argument, NULL, OPT_BOOT_ID },
	{ "retry-min-ms", required_argument, NULL, OPT_RETRY_MIN },
	{ "retry-max-ms", required_argument, NULL, OPT_RETRY_MAX },
	{ "approval-ms", required_argument, NULL, OPT_APPROVAL },
	{ "log-level", required_argument, NULL, OPT_LOG },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "hello", no_argument, NULL, OPT_HELLO },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: cleat-agent [-c FILE] -s wss://HOST[:PORT] -e ENDPOINT "
	    "[OPTIONS]\n"
	    "       cleat-agent test [HOST[:PORT]] [-c FILE] [--hello] "
	    "[--json]\n"
	    "           [--timeout SECONDS] [OPTIONS]\n"
	    "who it is, one of\n"
	    "  --token-file FILE       a token\n"
	    "  --cert FILE --key FILE  a certificate\n"
	    "  --identity FILE         a key of its own, made if it is not "
	    "there\n"
	    "    --enrol, --enrol-token-file FILE\n"
	    "                          that the server does not know yet\n"
	    "  --state-dir DIR         where it keeps what must not be lost\n"
	    "  --ca FILE               authorities of the server (default: "
	    "the system's)\n"
	    "  --pins LIST             keys that the server must have\n"
	    "  --proxy URL             of an HTTP proxy; none\n"
	    "  --command VERB=PATH     an executable for commands\n"
	    "  --telemetry FIFO        lines of JSON to be reported\n"
	    "  --inventory FILE        JSON; facts (default); none\n"
	    "  --event JSON            an object to send each time it is "
	    "online\n"
	    "  --check-config          say what is wrong with the options, "
	    "and end\n"
	    "  --log-level LEVEL       error warning notice info debug\n"
	    "It runs until SIGTERM, then says goodbye.  Everything else is in "
	    "cleat-agent(1).\n");
}

/* ---- one option: NULL, or why it cannot be taken ------------------------ */

static const char *
number(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' ||
	    v == 0 || v > UINT32_MAX)
		return "a number from 1 to 4294967295 is expected";
	*ret = (uint32_t)v;
	return NULL;
}

static const char *
seconds(const char *text, uint32_t *ret)
{
	uint32_t v;

	if (number(text, &v) != NULL || v > TIMEOUT_S_MAX)
		return "a number from 1 to 3600 is expected";
	*ret = v;
	return NULL;
}

static const char *
log_level(const char *text, enum log_level *ret)
{
	return log_level_parse(text, ret) == 0 ? NULL :
	    "error, warning, notice, info or debug is expected";
}

/* n bytes of `name`; the texts stay the caller's. */
static const char *
take_verb(const char *name, size_t n, const char *path, struct agent_opts *a)
{
	struct verb *v = &a->verbs[a->verbs_n];

	if (a->verbs_n == AGENT_VERBS_MAX)
		return "there are too many commands";
	if (n == 0 || n > ID_WORD_MAX)
		return "a verb of 1 to 64 characters is expected";
	if (*path != '/')
		return "a path that begins with / is expected";
	v->name = mem_dup(name, n + 1);
	v->path = mem_strdup(path);
	a->verbs_n++;
	if (v->name == NULL || v->path == NULL)
		return strerror(ENOMEM);
	v->name[n] = '\0';
	return NULL;
}

static const char *
take_command(const char *value, struct agent_opts *a)
{
	const char *mark = strchr(value, '=');

	return mark == NULL ? "VERB=/PATH is expected" :
	    take_verb(value, (size_t)(mark - value), mark + 1, a);
}

/* What the server's certificate has to be. */
static bool
take_criterion(int o, const char *value, struct cleat_client_opts *c)
{
	switch (o) {
	case OPT_CA: c->ca_file = value; break;
	case OPT_CRL: c->crl_file = value; break;
	case OPT_PINS: c->pins = value; break;
	case OPT_FINGERPRINTS: c->fingerprints = value; break;
	case OPT_SANS: c->sans = value; break;
	case OPT_SUBJECT_CN: c->subject_cn = value; break;
	case OPT_SUBJECT_O: c->subject_o = value; break;
	case OPT_SUBJECT_OU: c->subject_ou = value; break;
	case OPT_ISSUER_CN: c->issuer_cn = value; break;
	case OPT_ISSUER_O: c->issuer_o = value; break;
	case OPT_ISSUER_OU: c->issuer_ou = value; break;
	default: return false;
	}
	return true;
}

static const char *
take_value(int o, const char *value, struct agent_opts *a)
{
	struct cleat_client_opts *c = &a->client;

	if (take_criterion(o, value, c))
		return NULL;
	switch (o) {
	case 's': c->server = value; break;
	case 'e': c->endpoint = value; break;
	case OPT_CERT: c->cert_file = value; break;
	case OPT_KEY: c->key_file = value; break;
	case OPT_IDENTITY: c->identity_file = value; break;
	case OPT_PROXY: c->proxy = value; break;
	case OPT_PROXY_USER: c->proxy_user = value; break;
	case OPT_PROXY_AUTH: c->proxy_auth = value; break;
	case OPT_TLS_PROFILE: c->tls_profile = value; break;
	case OPT_TLS_PRIORITY: c->tls_priority = value; break;
	case OPT_CIPHER_SUITE: c->cipher_suite = value; break;
	case OPT_BOOT_ID: c->boot_id = value; break;
	case OPT_RETRY_MIN: return number(value, &c->retry_min_ms);
	case OPT_RETRY_MAX: return number(value, &c->retry_max_ms);
	case OPT_APPROVAL: return number(value, &c->approval_ms);
	case OPT_PROXY_PASSWORD: a->proxy_password_file = value; break;
	case OPT_KEY_PASSPHRASE: a->key_passphrase_file = value; break;
	case OPT_TOKEN_FILE: a->token_file = value; break;
	case OPT_ENROL_TOKEN:
		a->enrol_token_file = value;
		c->enrol = true;
		break;
	case OPT_STATE_DIR: a->state_dir = value; break;
	case OPT_TELEMETRY: a->telemetry = value; break;
	case OPT_TELEMETRY_MAX: return number(value, &a->telemetry_max);
	case OPT_INVENTORY: a->inventory = value; break;
	case OPT_EVENT: a->event = value; break;
	case OPT_LOG: return log_level(value, &a->log_level);
	case OPT_TIMEOUT: return seconds(value, &a->timeout_s);
	case OPT_COMMAND: return take_command(value, a);
	}
	return NULL;
}

static void
take_switch(int o, struct agent_opts *a)
{
	switch (o) {
	case OPT_NO_VERIFY_HOST: a->client.no_verify_host = true; break;
	case OPT_NO_VERIFY_CHAIN: a->client.no_verify_chain = true; break;
	case OPT_SELF_SIGNED: a->client.allow_self_signed = true; break;
	case OPT_ANY: a->client.any_criterion = true; break;
	case OPT_ENROL: a->client.enrol = true; break;
	case OPT_FIPS: a->client.fips_require = true; break;
	case OPT_WAKE: a->wake = true; break;
	case OPT_CHECK: a->check = true; break;
	case OPT_HELLO: a->hello = true; break;
	case OPT_JSON: a->json = true; break;
	}
}

/* ---- the file ---------------------------------------------------------- */

/* Kept until the end: options point into it. */
static const char *
keep(struct agent_opts *a, const char *text, const char **ret)
{
	char *copy;

	if (a->texts_n == sizeof(a->texts) / sizeof(a->texts[0]))
		return "there are too many options";
	copy = mem_strdup(text);
	if (copy == NULL)
		return strerror(ENOMEM);
	*ret = a->texts[a->texts_n++] = copy;
	return NULL;
}

static char *
trim(char *p)
{
	size_t n;

	p += strspn(p, " \t\r");
	n = strlen(p);
	while (n > 0 && strchr(" \t\r", p[n - 1]) != NULL)
		p[--n] = '\0';
	return p;
}

/* The names of the WS EMS's `certificates` group. */
static const struct {
	const char *name;
	const char *option;
	bool inverted;
} aliases[] = {
	{ "cert_chain", "ca", false },
	{ "client_cert", "cert", false },
	{ "key_file", "key", false },
	{ "validate", "no-verify-chain", true },
	{ "allow_self_signed", "allow-self-signed", false },
	{ "disable_hostname_validation", "no-verify-host", false },
	{ "fingerprint_allowlist", "fingerprint-allowlist", false },
	{ "cipher_suite", "cipher-suite", false },
	{ "Cert_Common_Name", "subject-cn", false },
	{ "Cert_Organization", "subject-o", false },
	{ "Cert_Organizational_Name", "subject-ou", false },
	{ "CA_Cert_Common_Name", "issuer-cn", false },
	{ "CA_Cert_Organization", "issuer-o", false },
	{ "CA_Cert_Organizational_Name", "issuer-ou", false }
};

static const char *
real_name(const char *key, bool *ret_inverted)
{
	*ret_inverted = false;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strcmp(aliases[i].name, key) == 0) {
			*ret_inverted = aliases[i].inverted;
			return aliases[i].option;
		}
	return key;
}

/* 1, 0, -EINVAL. */
static int
is_yes(const char *value)
{
	if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
		return 1;
	return strcmp(value, "no") == 0 || strcmp(value, "false") == 0 ? 0 :
	    -EINVAL;
}

/* A secret that stands there as it is. */
static bool
is_plain(int o, const char *value)
{
	return (o == OPT_TOKEN_FILE || o == OPT_ENROL_TOKEN ||
	    o == OPT_KEY_PASSPHRASE || o == OPT_PROXY_PASSWORD) &&
	    strncmp(value, "plain:", 6) == 0;
}

/* Not of this one start. */
static bool
is_lasting(int o)
{
	return o != 'c' && o != 'h' && o != OPT_VERSION && o != OPT_CHECK &&
	    o != OPT_HELLO && o != OPT_JSON && o != OPT_TIMEOUT;
}

static const char *
take_option(const struct option *o, const char *value, bool inverted,
    struct agent_opts *a)
{
	const char *text = NULL, *why;
	int yes;

	if (o->has_arg == no_argument) {
		yes = is_yes(value);
		if (yes < 0)
			return "yes or no is expected";
		if ((yes == 1) != inverted)
			take_switch(o->val, a);
		return NULL;
	}
	a->plain = a->plain || is_plain(o->val, value);
	why = keep(a, value, &text);
	return why != NULL ? why : take_value(o->val, text, a);
}

/* *ret_known: the key, if it is an option; what else it is may be a secret that
 * came to the wrong place. */
static const char *
take_key(struct agent_opts *a, const char *key, const char *value,
    const char **ret_known)
{
	const char *name;
	bool inverted;

	*ret_known = key;
	if (strncmp(key, "command.", 8) == 0)
		return take_verb(key + 8, strlen(key + 8), value, a);
	if (strcmp(key, "key_passphrase") == 0)
		return keep(a, value, &a->key_passphrase);
	name = real_name(key, &inverted);
	for (const struct option *o = options; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0 && is_lasting(o->val))
			return take_option(o, value, inverted, a);
	*ret_known = NULL;
	return "there is no such option";
}

static const char *
take_line(struct agent_opts *a, char *line, const char **ret_known)
{
	char *mark;

	*ret_known = NULL;
	line = trim(line);
	if (*line == '\0' || *line == '#')
		return NULL;
	mark = strchr(line, '=');
	if (mark == NULL)
		return "OPTION = VALUE is expected";
	*mark = '\0';
	return take_key(a, trim(line), trim(mark + 1), ret_known);
}

static void
look_at_mode(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		(void)fprintf(stderr, "cleat-agent: WARNING: %s has a "
		    "secret in it, and others may read it: chmod 600\n",
		    path);
}

static int
read_file(const char *path, struct agent_opts *a)
{
	const char *known = NULL, *why = NULL;
	uint8_t *text;
	char *line, *next;
	size_t n;
	unsigned number_of = 0;
	int r = file_read(path, FILE_MAX_BYTES, &text, &n);

	if (r != 0) {
		(void)fprintf(stderr, "cleat-agent: %s: %s\n", path,
		    strerror(-r));
		return EXIT_FAILURE;
	}
	for (line = (char *)text; why == NULL && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		number_of++;
		why = take_line(a, line, &known);
	}
	if (why != NULL)
		(void)fprintf(stderr, "cleat-agent: %s:%u: %s%s%s\n", path,
		    number_of, known == NULL ? "" : known,
		    known == NULL ? "" : ": ", why);
	mem_free_wiped(text, n);
	if (a->key_passphrase != NULL || a->plain)
		look_at_mode(path);
	return why == NULL ? AGENT_GO_ON : EXIT_FAILURE;
}

/* ---- the command line: AGENT_GO_ON or an exit status, said -------------- */

static int
take_argument(int o, const char *value, struct agent_opts *a)
{
	const struct option *p = options;
	const char *why;

	switch (o) {
	case 'c':
		return AGENT_GO_ON;	/* was read before */
	case 'h':
		usage(stdout);
		return EXIT_SUCCESS;
	case OPT_VERSION:
		(void)printf("cleat-agent %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	case '?':
		usage(stderr);
		return AGENT_USAGE;
	}
	if (value == NULL) {
		take_switch(o, a);
		return AGENT_GO_ON;
	}
	if (is_plain(o, value))
		(void)fprintf(stderr, "cleat-agent: WARNING: others can see a "
		    "secret on the command line\n");
	why = take_value(o, value, a);
	if (why == NULL)
		return AGENT_GO_ON;
	while (p->val != o)
		p++;
	(void)fprintf(stderr, "cleat-agent: --%s: %s\n", p->name, why);
	return EXIT_FAILURE;
}

/* The file first: the command line has the last word. */
static int
find_file(int argc, char **argv, struct agent_opts *a)
{
	int o, r = AGENT_GO_ON;

	opterr = 0;
	while (r == AGENT_GO_ON && (o = getopt_long(argc, argv, "c:s:e:h",
	    options, NULL)) != -1)
		if (o == 'c')
			r = read_file(optarg, a);
	opterr = 1;
	optind = 0;			/* glibc: begin again */
	return r;
}

/* "test [HOST[:PORT]]", or none. */
static int
take_words(int n, char **word, struct agent_opts *a)
{
	const char *why = NULL;

	a->test = n > 0 && strcmp(word[0], "test") == 0;
	a->target = n > 1 ? word[1] : NULL;
	if (n > (a->test ? 2 : 0)) {
		usage(stderr);
		return AGENT_USAGE;
	}
	if (!a->test && (a->hello || a->json || a->timeout_s != 0))
		why = "--hello, --json and --timeout are for cleat-agent test";
	else if (a->test && a->target == NULL && a->client.server == NULL)
		why = "test: HOST[:PORT] or --server is missing";
	else if (a->test && a->target != NULL &&
	    strpbrk(a->target, ", \t\r\n") != NULL)
		why = "test: one HOST[:PORT] is expected";
	else if (a->test && a->check)
		why = "--check-config and test: one of them is expected";
	if (why == NULL)
		return AGENT_GO_ON;
	(void)fprintf(stderr, "cleat-agent: %s\n", why);
	return AGENT_USAGE;
}

int
agent_options(int argc, char **argv, struct agent_opts *a)
{
	int o, r = find_file(argc, argv, a);

	while (r == AGENT_GO_ON && (o = getopt_long(argc, argv, "c:s:e:h",
	    options, NULL)) != -1)
		r = take_argument(o, optarg, a);
	return r != AGENT_GO_ON ? r :
	    take_words(argc - optind, argv + optind, a);
}

void
agent_options_free(struct agent_opts *a)
{
	for (size_t i = 0; i < a->verbs_n; i++) {
		mem_free(a->verbs[i].name);
		mem_free(a->verbs[i].path);
	}
	for (size_t i = 0; i < a->texts_n; i++)	/* one may be a secret */
		mem_free_wiped(a->texts[i], strlen(a->texts[i]));
}
