/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat-certmgr: installs, shows and checks the certificate of the TLS
 * listeners, and runs a small authority.  cleat-certmgr(1).  It changes nothing
 * but its directory; the daemon sees that by itself.
 */
#include "config.h"

#include "certmgr.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"

static enum status
show_current(struct asked *a)
{
	struct material m = { .bundle = NULL };
	char why[CERT_WHY_SIZE];
	enum status s = material_installed(a, why, &m);

	/* The daemon makes one of its own then, as certmgr.bat's did. */
	if (s == STATUS_NOTHING) {
		say("note: %s", why);
		m.self_signed = true;
		s = STATUS_OK;
	}
	s = s == STATUS_OK ? show(a, &m) : say_error(a, s, "%s", why);
	material_free(&m);
	return s;
}

/* Of what is given, or of what is installed.  Changes nothing. */
static enum status
check(struct asked *a)
{
	struct material m = { .bundle = NULL };
	bool given = a->cert[0] != NULL || a->pkcs12 != NULL;
	enum status s;

	s = given ? material_given(a, &m) : material_current(a, &m);
	if (s != STATUS_OK)
		return s;
	s = material_check(a, NULL, &m);
	if (s == STATUS_OK && m.refused)
		s = report(a, &m, STATUS_REFUSED, NULL);
	else if (s == STATUS_OK)
		s = report(a, &m, s, m.chain[0].key != NULL ?
		    "All checks are passed." : "The checks that need no "
		    "private key are passed.");
	material_free(&m);
	return s;
}

static enum status
wait_live(struct asked *a)
{
	struct material m = { .bundle = NULL };
	enum status s = material_current(a, &m);

	if (s == STATUS_OK)
		s = live_wait(a, &m);
	if (s == STATUS_OK)
		s = report(a, &m, s, "The daemon serves the installed "
		    "certificate.");
	material_free(&m);
	return s;
}

static enum status
run(struct asked *a)
{
	enum status s = password_read(a);

	if (s != STATUS_OK)
		return s;
	if (a->words > 0)
		return ca_run(a);
	if (a->check)
		return check(a);
	if (a->cert[0] != NULL || a->pkcs12 != NULL)
		return put_given(a);
	if (a->self)
		return put_self(a);
	if (a->rollback)
		return put_back(a);
	return a->show ? show_current(a) : wait_live(a);
}

int
main(int argc, char **argv)
{
	static struct asked a;
	enum status s;

	(void)umask(077);
	s = args_read(argc, argv, &a);
	if (s == STATUS_OK && a.help) {
		args_help();
		s = put_out("", 0);
	} else if (s == STATUS_OK && a.version) {
		(void)puts("cleat-certmgr " PACKAGE_VERSION);
		s = put_out("", 0);
	} else if (s == STATUS_OK) {
		s = run(&a);
	}
	mem_wipe(a.password, sizeof(a.password));
	return (int)s;
}
