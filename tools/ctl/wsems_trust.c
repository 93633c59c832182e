/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the EMS believed, is whom cleat-agent believes. */
#include "wsems_priv.h"

#include <errno.h>

#include "base/mem.h"
#include "tls/snapshot.h"
#include "tls/suites.h"

static const struct wsems_setting criteria[] = {
	{ "Cert_Common_Name", W_TEXT, "nothing", NULL },
	{ "Cert_Organization", W_TEXT, "nothing", NULL },
	{ "Cert_Organizational_Name", W_TEXT, "nothing", NULL },
	{ "CA_Cert_Common_Name", W_TEXT, "nothing", NULL },
	{ "CA_Cert_Organization", W_TEXT, "nothing", NULL },
	{ "CA_Cert_Organizational_Name", W_TEXT, "nothing", NULL },
	{ .name = NULL }
};

static void
put_criteria(struct importer *m)
{
	static const char *const ours[] = { "subject-cn", "subject-o",
		"subject-ou", "issuer-cn", "issuer-o", "issuer-ou" };
	static const char group[] = "validation_criteria";
	json_t *o = wsems_group(m, group,
	    json_object_get(m->certificates, group), criteria);

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		char *v = wsems_value(m, group, o, criteria[i].name, "nothing",
		    0);

		wsems_put(&m->out->agent, ours[i], v);
		mem_free(v);
	}
	json_decref(o);
}

/* What the library makes of it, is what the agent will. */
static void
put_suites(struct importer *m)
{
	static const char name[] = "cipher_suite";
	char why[TLS_WHY_SIZE] = "";
	char *list = wsems_value(m, "certificates", m->certificates, name,
	    "what cleat speaks", 0);
	struct tls_suites_spec spec = { .cipher_suite = list };
	struct tls_suites *s = list == NULL ? NULL : mem_alloc(sizeof(*s));
	int r = s == NULL ? -ENOMEM : tls_suites_resolve(&spec, why, s);

	if (list != NULL && r == -ENOMEM)
		wsems_fail(m, r);
	else if (list != NULL && r < 0)
		wsems_report(m, WSEMS_WRONG, "certificates", name, "%s; kept: "
		    "what cleat speaks", why);
	else if (list != NULL)
		wsems_put(&m->out->agent, "cipher-suite", list);
	if (r == 0 && s->dropped[0] != '\0')
		wsems_report(m, WSEMS_LOST, "certificates", name, "what of it "
		    "is too weak, or nobody has: %s", s->dropped);
	mem_free(s);
	mem_free(list);
}

void
wsems_trust(struct importer *m)
{
	static const char group[] = "certificates";
	const json_t *c = m->certificates;
	struct text *to = &m->out->agent;
	char *ca = wsems_value(m, group, c, "cert_chain",
	    "the authorities of the system", WSEMS_PATH);

	wsems_put(to, "ca", ca);
	if (ca == NULL && wsems_bool(c, "validate", true))
		wsems_report(m, WSEMS_WEAKENED, group, "cert_chain", "none: "
		    "every authority that the system knows is believed");
	mem_free(ca);
	if (!wsems_bool(c, "validate", true)) {
		wsems_put(to, "no-verify-chain", "yes");
		wsems_report(m, WSEMS_WEAKENED, group, "validate", "a server "
		    "with a certificate of anybody and of any date is "
		    "believed");
	}
	if (wsems_bool(c, "allow_self_signed", false)) {
		wsems_put(to, "allow-self-signed", "yes");
		wsems_report(m, WSEMS_WEAKENED, group, "allow_self_signed",
		    "a server that signed its own certificate is believed; "
		    "name that certificate in cert_chain instead");
	}
	if (wsems_bool(c, "disable_hostname_validation", false)) {
		wsems_put(to, "no-verify-host", "yes");
		wsems_report(m, WSEMS_WEAKENED, group,
		    "disable_hostname_validation", "a certificate for any "
		    "other host is believed, too");
	}
	put_criteria(m);
	put_suites(m);
}
