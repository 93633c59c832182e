/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keys say about each other.  Runs when each is right by itself.
 */
#include "conf/conf.h"

#include <errno.h>
#include <string.h>

#include "base/nearest.h"
#include "conf/conf_priv.h"

#define TEXT(n) #n
#define AT_MOST(n) "at most " TEXT(n)
#define SOURCES_MAX 2			/* a credential of each kind of key */

static int
wrong(const struct conf *c, struct conf_errors *errs, const char *section,
    const char *key, const char *what)
{
	const char *text = conf_values_find(conf_find(c, section), key)->text;

	conf_error(errs, "%s: [%s] %s = %.80s: %s",
	    conf_where(c, section, key), section, key,
	    text == NULL ? "" : text, what);
	return -EINVAL;
}

static bool
is(const struct conf *c, const char *section, const char *key,
    const char *word)
{
	return strcmp(conf_str(c, section, key), word) == 0;
}

/* A key says `name`, the instance of a plugin, or nothing. */
static int
names_plugin(const struct conf *c, struct conf_errors *errs,
    const char *section, const char *key, const char *name)
{
	struct nearest near = { .word = name };
	const char *plugin;

	if (name == NULL)
		return 0;
	for (unsigned i = 0; (plugin = conf_section(c, "plugin", i)) != NULL;
	    i++) {
		if (strcmp(conf_instance(plugin), name) == 0)
			return 0;
		nearest_try(&near, conf_instance(plugin));
	}
	if (near.best == NULL)
		return wrong(c, errs, section, key,
		    "there is no such [plugin.NAME]");
	conf_error(errs, "%s: [%s] %s = %s: there is no [plugin.%s] (did you"
	    " mean \"%s\"?)", conf_where(c, section, key), section, key, name,
	    name, near.best);
	return -EINVAL;
}

/* Whether two listeners with this same address get in each other's way: not
 * when the system chooses a port for each. */
static bool
taken_once(const char *address)
{
	const char *colon = strrchr(address, ':');

	return strncmp(address, "unix:", 5) == 0 || colon == NULL ||
	    strcmp(colon, ":0") != 0;
}

/* Whoever writes these thinks that certificates are asked for. */
static int
check_unasked(const struct conf *c, const char *s, struct conf_errors *errs)
{
	static const char *const keys[] = {
		"crl_file", "subject_cn", "subject_o", "subject_ou",
		"issuer_cn", "issuer_o", "issuer_ou", "fingerprint_file"
	};
	static const char *const lists[] = {
		"sans", "fingerprint_allowlist", "pins"
	};
	const char *text;
	int err = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		text = conf_str(c, s, keys[i]);
		if (text != NULL && *text != '\0')
			err = wrong(c, errs, s, keys[i],
			    "has no effect with client_auth = off");
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (conf_item(c, s, lists[i], 0) != NULL)
			err = wrong(c, errs, s, lists[i],
			    "has no effect with client_auth = off");
	return err;
}

static int
check_listener(const struct conf *c, const char *s, unsigned at,
    struct conf_errors *errs)
{
	const char *address = conf_str(c, s, "address"), *other;
	int err = names_plugin(c, errs, s, "default_protocol",
	    conf_str(c, s, "default_protocol"));
	unsigned n;

	for (unsigned i = 0; i < at; i++) {
		other = conf_section(c, "listener", i);
		if (strcmp(conf_str(c, other, "address"), address) == 0 &&
		    taken_once(address))
			err = wrong(c, errs, s, "address",
			    "another listener has it already");
	}
	(void)conf_ranges(c, s, "trusted_proxies", &n);
	if (is(c, s, "proxy", "required") && n == 0)
		err = wrong(c, errs, s, "proxy",
		    "trusted_proxies must say who may send the header");
	if (is(c, s, "proxy", "off") && n > 0)
		err = wrong(c, errs, s, "trusted_proxies",
		    "has no effect without proxy = required");
	if (conf_item(c, s, "origins", CONF_ORIGINS_MAX) != NULL)
		err = wrong(c, errs, s, "origins", AT_MOST(CONF_ORIGINS_MAX));
	if (is(c, s, "client_auth", "off"))
		return check_unasked(c, s, errs) < 0 ? -EINVAL : err;
	if (!conf_bool(c, s, "tls"))
		err = wrong(c, errs, s, "client_auth", "needs tls = yes");
	if (conf_str(c, s, "crl_file") != NULL &&
	    conf_str(c, s, "ca_file") == NULL)
		err = wrong(c, errs, s, "crl_file",
		    "ca_file must say who signed the lists");
	if (conf_str(c, s, "ca_file") == NULL && conf_bool(c, s, "validate") &&
	    !conf_bool(c, s, "allow_self_signed"))
		err = wrong(c, errs, s, "client_auth",
		    "ca_file must say who issues the certificates");
	return err;
}

/* One for each kind of key. */
static int
check_sources(const struct conf *c, const char *s, struct conf_errors *errs)
{
	const char *name;
	unsigned i;
	int err = 0;

	for (i = 0; (name = conf_item(c, s, "source", i)) != NULL; i++) {
		if (names_plugin(c, errs, s, "source", name) < 0)
			err = -EINVAL;
	}
	if (i > SOURCES_MAX)
		err = wrong(c, errs, s, "source",
		    "one plugin, or two for an RSA and another key");
	return err;
}

static int
check_slots(const struct conf *c, struct conf_errors *errs)
{
	const char *s, *first = NULL;
	int err = 0;

	for (unsigned i = 0; (s = conf_section(c, "slot", i)) != NULL; i++) {
		if (check_sources(c, s, errs) < 0)
			err = -EINVAL;
		if (conf_item(c, s, "names", CONF_SLOT_NAMES_MAX) != NULL)
			err = wrong(c, errs, s, "names",
			    AT_MOST(CONF_SLOT_NAMES_MAX));
		if (!conf_bool(c, s, "default")) {
			if (conf_item(c, s, "names", 0) == NULL)
				err = wrong(c, errs, s, "names",
				    "a slot needs names or default = yes");
			continue;
		}
		if (first != NULL)
			err = wrong(c, errs, s, "default",
			    "another slot is the default already");
		first = s;
	}
	return err;
}

int
conf_cross(const struct conf *c, struct conf_errors *errs)
{
	const char *s;
	uint64_t ring;
	int err = 0;

	if (conf_ms(c, "presence", "dead") <= conf_ms(c, "presence", "ping") +
	    conf_ms(c, "presence", "suspect"))
		err = wrong(c, errs, "presence", "dead",
		    "must be more than ping and suspect together");
	if (conf_ms(c, "presence", "retry_max") <
	    conf_ms(c, "presence", "retry_min"))
		err = wrong(c, errs, "presence", "retry_max",
		    "must not be less than retry_min");
	ring = conf_uint(c, "bus", "ring");
	if ((ring & (ring - 1)) != 0)
		err = wrong(c, errs, "bus", "ring",
		    "must be a power of two, such as 16384");
	if (strcmp(conf_str(c, "bus", "events"),
	    conf_str(c, "bus", "snapshot")) == 0)
		err = wrong(c, errs, "bus", "snapshot",
		    "must not be the address of events");
	for (unsigned i = 0; (s = conf_section(c, "listener", i)) != NULL;
	    i++) {
		if (check_listener(c, s, i, errs) < 0)
			err = -EINVAL;
	}
	if (check_slots(c, errs) < 0)
		err = -EINVAL;
	return err;
}
