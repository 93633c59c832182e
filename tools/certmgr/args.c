/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: options with one dash or two, "-name value" and
 * "-name=value", never cut short.
 */
#include "config.h"

#include "certmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/nearest.h"

#define TIMEOUT_S 60
#define TIMEOUT_MAX_S 86400

enum kind { SWITCH, TEXT, LIST, SECRET };

static const struct opt {
	const char *name;
	enum kind kind;
	size_t at;			/* in struct asked */
	size_t max;			/* LIST */
} opts[] = {
#define AT(field) offsetof(struct asked, field)
	{ "cert", LIST, AT(cert), FILES_MAX - 1 },
	{ "key", TEXT, AT(key), 0 },
	{ "pass", SECRET, AT(pass), 0 },
	{ "pkcs12", TEXT, AT(pkcs12), 0 },
	{ "self", SWITCH, AT(self), 0 },
	{ "show", SWITCH, AT(show), 0 },
	{ "help", SWITCH, AT(help), 0 },
	{ "version", SWITCH, AT(version), 0 },
	{ "json", SWITCH, AT(json), 0 },
	{ "check", SWITCH, AT(check), 0 },
	{ "rollback", SWITCH, AT(rollback), 0 },
	{ "wait-live", SWITCH, AT(wait_live), 0 },
	{ "pass-file", TEXT, AT(pass_file), 0 },
	{ "pass-stdin", SWITCH, AT(pass_stdin), 0 },
	{ "pass-credential", TEXT, AT(pass_credential), 0 },
	{ "name", LIST, AT(name), NAMES_MAX },
	{ "anchors", TEXT, AT(anchors), 0 },
	{ "ocsp", LIST, AT(ocsp), CHAINS_MAX },
	{ "directory", TEXT, AT(directory), 0 },
	{ "owner", TEXT, AT(owner), 0 },
	{ "socket", TEXT, AT(socket), 0 },
	{ "slot", TEXT, AT(slot), 0 },
	{ "timeout", TEXT, AT(timeout), 0 },
	{ "cn", TEXT, AT(cn), 0 },
	{ "o", TEXT, AT(o), 0 },
	{ "ou", TEXT, AT(ou), 0 },
	{ "days", TEXT, AT(days), 0 },
	{ "out", TEXT, AT(out), 0 },
	{ "out-pass-file", TEXT, AT(out_pass_file), 0 },
	{ "reason", TEXT, AT(reason), 0 },
	{ NULL, SWITCH, 0, 0 }
#undef AT
};

/* The first lines are those of certmgr.bat, in its order. */
void
args_help(void)
{
	(void)fputs("Usage: cleat-certmgr [options]\n"
	    "  Options:\n"
	    "    -cert   certificate chain file to install\n"
	    "    -help   show command help\n"
	    "    -key    server key file to install (bound to the certificate "
	    "chain)\n"
	    "    -pass   password to access server key\n"
	    "    -pkcs12 key store file in PKCS12 format to install\n"
	    "    -self   restore self signed default certificate (default: "
	    "false)\n"
	    "    -show   show current installed certificate (default: "
	    "false)\n"
	    "  Better than -pass, which others can see:\n"
	    "    --pass-file FILE, --pass-stdin, --pass-credential NAME\n"
	    "  More:\n"
	    "    --check          make all checks, of the files or of what is "
	    "installed\n"
	    "    --rollback       back to the certificate before\n"
	    "    --wait-live      wait until cleatd serves it, or say why "
	    "not\n"
	    "    --json           answer in JSON\n"
	    "    --name NAME      that it has to cover (again for more)\n"
	    "    --anchors FILE   authorities that it has to lead to\n"
	    "    --ocsp FILE      OCSP response to staple (DER)\n"
	    "    --directory DIR  where it is installed, below current/\n"
	    "    --owner USER[:GROUP], --socket PATH, --slot NAME,\n"
	    "    --timeout SECONDS, --version\n"
	    "  A small authority for devices:\n"
	    "    cleat-certmgr ca init --cn NAME [--o ORG] [--days N]\n"
	    "    cleat-certmgr ca issue server|client NAME [--name NAME] "
	    "[--days N]\n"
	    "        [--out PREFIX | --pkcs12 FILE --out-pass-file "
	    "FILE]\n"
	    "    cleat-certmgr ca revoke SERIAL|FILE [--reason TEXT]\n"
	    "    cleat-certmgr ca crl [--days N] [--out FILE]\n"
	    "Everything else is in cleat-certmgr(1).\n", stdout);
}

static enum status
refuse(const struct asked *a, const char *text)
{
	return say_error(a, STATUS_USAGE, "%s", text);
}

static enum status
unknown(const struct asked *a, const char *given, size_t n)
{
	char name[64];
	struct nearest near = { .word = name };

	(void)snprintf(name, sizeof(name), "%.*s", n > 60 ? 60 : (int)n,
	    given);
	for (const struct opt *o = opts; o->name != NULL; o++)
		nearest_try(&near, o->name);
	if (near.best != NULL)
		return say_error(a, STATUS_USAGE, "there is no option -%s "
		    "(did you mean -%s?)", name, near.best);
	return say_error(a, STATUS_USAGE, "there is no option -%s: "
	    "cleat-certmgr -help lists them", name);
}

static enum status
take_text(const struct opt *o, char *value, struct asked *a)
{
	const char **to = (const char **)((char *)a + o->at);

	if (o->kind == SECRET) {
		size_t n = strlen(value);

		if (n >= sizeof(a->password))
			return refuse(a, "-pass: the password is too long");
		memcpy(a->password, value, n + 1);
		a->has_password = true;
		*to = "";
		/* So that the list of processes shows it no longer. */
		mem_wipe(value, n);
		say("warning: a password on the command line can be seen by "
		    "others and stays in the shell's history: use "
		    "--pass-file, --pass-stdin or --pass-credential");
		return STATUS_OK;
	}
	if (o->kind == LIST) {
		size_t n = 0;

		while (to[n] != NULL)
			n++;
		if (n == o->max)
			return say_error(a, STATUS_USAGE, "-%s: at most %zu "
			    "of them", o->name, o->max);
		to[n] = value;
		return STATUS_OK;
	}
	if (*to != NULL)
		return say_error(a, STATUS_USAGE, "-%s: once is enough",
		    o->name);
	*to = value;
	return STATUS_OK;
}

/* argv[*at] begins with a dash. */
static enum status
take_option(int argc, char **argv, int *at, struct asked *a)
{
	char *given = argv[*at] + 1, *value;
	const struct opt *o;
	size_t n;

	given += *given == '-';
	n = strcspn(given, "=");
	value = given[n] == '=' ? given + n + 1 : NULL;
	for (o = opts; o->name != NULL; o++)
		if (strlen(o->name) == n && strncmp(o->name, given, n) == 0)
			break;
	if (o->name == NULL)
		return unknown(a, given, n);
	if (o->kind == SWITCH) {
		if (value != NULL)
			return say_error(a, STATUS_USAGE, "-%s: takes no "
			    "value", o->name);
		*(bool *)((char *)a + o->at) = true;
		return STATUS_OK;
	}
	if (value == NULL) {
		if (*at + 1 == argc)
			return say_error(a, STATUS_USAGE, "-%s: its value is "
			    "missing", o->name);
		value = argv[++*at];
	}
	if (value[0] == '\0' && o->kind != SECRET)
		return say_error(a, STATUS_USAGE, "-%s: its value is empty",
		    o->name);
	return take_text(o, value, a);
}

/* What does not go together. */
static enum status
judge(struct asked *a)
{
	bool given = a->cert[0] != NULL || a->pkcs12 != NULL ||
	    a->key != NULL;
	bool ca = a->words > 0;

	if (a->help || a->version)
		return STATUS_OK;
	if (!!a->pass + !!a->pass_file + !!a->pass_credential +
	    a->pass_stdin > 1)
		return refuse(a, "one password is enough");
	if (ca && strcmp(a->word[0], "ca") != 0)
		return say_error(a, STATUS_USAGE, "%s: is no option "
		    "(cleat-certmgr -help lists them)", a->word[0]);
	if (ca)
		return a->cert[0] != NULL || a->key != NULL || a->self ||
		    a->show || a->check || a->rollback || a->wait_live ||
		    a->ocsp[0] != NULL ?
		    refuse(a, "ca does not go together with -cert, -key, "
		    "-self, -show, --check, --ocsp, --rollback, --wait-live") :
		    STATUS_OK;
	if (a->cn != NULL || a->o != NULL || a->ou != NULL ||
	    a->days != NULL || a->out != NULL || a->reason != NULL ||
	    a->out_pass_file != NULL)
		return refuse(a, "--cn, --o, --ou, --days, --out, "
		    "--out-pass-file and --reason are for \"cleat-certmgr "
		    "ca\"");
	if (a->pkcs12 != NULL && (a->cert[0] != NULL || a->key != NULL))
		return refuse(a, "-pkcs12 holds certificate and key: leave "
		    "-cert and -key out");
	if (a->key != NULL && a->cert[0] == NULL)
		return refuse(a, "-key needs the certificate that belongs to "
		    "it: add -cert");
	if (given + a->self + a->show + a->rollback > 1)
		return refuse(a, "only one of -cert (with -key), -pkcs12, "
		    "-self, -show and --rollback at a time");
	if (a->ocsp[0] != NULL && !given)
		return refuse(a, "--ocsp needs the certificate that it is for: "
		    "add -cert or -pkcs12");
	if (a->check && (a->self || a->rollback || a->show || a->wait_live))
		return refuse(a, "--check changes nothing: it goes together "
		    "with -cert, -key and -pkcs12 only");
	if (!given && !a->self && !a->show && !a->rollback && !a->check &&
	    !a->wait_live)
		return refuse(a, "nothing to do: cleat-certmgr -help lists "
		    "what it does");
	if (a->show && a->wait_live)
		return refuse(a, "-show does not wait: leave --wait-live out");
	return STATUS_OK;
}

static enum status
read_timeout(struct asked *a)
{
	unsigned long v;
	char *end;

	a->timeout_ms = TIMEOUT_S * 1000;
	if (a->timeout == NULL)
		return STATUS_OK;
	errno = 0;
	v = strtoul(a->timeout, &end, 10);
	if (errno != 0 || *end != '\0' || a->timeout[0] < '0' ||
	    a->timeout[0] > '9' || v == 0 || v > TIMEOUT_MAX_S)
		return refuse(a, "--timeout: seconds from 1 to 86400 are "
		    "expected");
	a->timeout_ms = v * 1000;
	return STATUS_OK;
}

/* Beside cleat.conf. */
static void
default_directory(struct asked *a)
{
	size_t n = (size_t)(strrchr(CONFFILE, '/') - CONFFILE);

	(void)snprintf(a->default_dir, sizeof(a->default_dir), "%.*s/%s",
	    (int)n, CONFFILE, a->words > 0 ? "ca" : "tls");
	if (a->directory == NULL)
		a->directory = a->default_dir;
}

enum status
args_read(int argc, char **argv, struct asked *a)
{
	enum status s = STATUS_OK;

	memset(a, 0, sizeof(*a));
	a->now_s = clock_wall_ms() / 1000;
	/* Also what is wrong with words before it is answered in JSON. */
	for (int i = 1; i < argc; i++)
		a->json = a->json || strcmp(argv[i], "-json") == 0 ||
		    strcmp(argv[i], "--json") == 0;
	for (int i = 1; s == STATUS_OK && i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			s = take_option(argc, argv, &i, a);
		} else if (a->words < WORDS_MAX) {
			a->word[a->words++] = argv[i];
		} else {
			s = say_error(a, STATUS_USAGE, "%s: is one word too "
			    "many", argv[i]);
		}
	}
	if (s == STATUS_OK)
		s = judge(a);
	if (s == STATUS_OK)
		s = read_timeout(a);
	if (s == STATUS_OK)
		default_directory(a);
	return s;
}
