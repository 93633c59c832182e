/* SPDX-License-Identifier: Apache-2.0 */
/* What keys say about each other (core/conf/cross.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_dir.h"

#define PLUGIN "[plugin.cert]\nmodule = cert-file\n"
#define LISTENER PLUGIN "[listener.a]\naddress = *:1\n"

static void
listeners(void **state)
{
	(void)state;
	conf_fails(LISTENER "default_protocol = crt\n", "cleat.conf:5:"
	    " [listener.a] default_protocol = crt: there is no [plugin.crt]"
	    " (did you mean \"cert\"?)");
	conf_fails(LISTENER "proxy = required\n", "cleat.conf:5: [listener.a]"
	    " proxy = required: trusted_proxies must say who may send the"
	    " header");
	conf_fails(LISTENER "trusted_proxies = unix\n", "cleat.conf:5:"
	    " [listener.a] trusted_proxies = unix: has no effect without proxy"
	    " = required");
	conf_fails(LISTENER "client_auth = optional\n", "cleat.conf:5:"
	    " [listener.a] client_auth = optional: ca_file must say who issues"
	    " the certificates");
	conf_fails(LISTENER "client_auth = required\nca_file = /x\ntls = no\n",
	    "cleat.conf:5: [listener.a] client_auth = required: needs tls ="
	    " yes");
	conf_fails(LISTENER "[listener.b]\naddress = *:1\n", "cleat.conf:6:"
	    " [listener.b] address = *:1: another listener has it already");
	conf_unref(&(struct conf *){ conf_of("[listener.a]\naddress = *:0\n"
	    "[listener.b]\naddress = *:0\n") });
	conf_unref(&(struct conf *){ conf_of(LISTENER "client_auth = required\n"
	    "ca_file = /x\ndefault_protocol = cert\n") });
}

static void
slots(void **state)
{
	(void)state;
	conf_fails(PLUGIN "[slot.a]\nsource = zzzz\ndefault = yes\n",
	    "cleat.conf:4: [slot.a] source = zzzz: there is no such"
	    " [plugin.NAME]");
	conf_fails(PLUGIN "[slot.a]\nsource = cert, cert, cert\n"
	    "default = yes\n", "cleat.conf:4: [slot.a] source = cert, cert,"
	    " cert: one plugin, or two for an RSA and another key");
	conf_fails(PLUGIN "[slot.a]\nsource = cert\ndefault = yes\n"
	    "[slot.b]\nsource = cert\ndefault = yes\n", "cleat.conf:8: [slot.b]"
	    " default = yes: another slot is the default already");
	conf_unref(&(struct conf *){ conf_of(PLUGIN "[slot.a]\nsource = cert\n"
	    "default = yes\n[slot.b]\nsource = cert\nnames = *.x\n") });
}

static void
a_slot_serves_somebody(void **state)
{
	struct conf *c = NULL;

	(void)state;
	conf_dir_put("cleat.conf", PLUGIN "[slot.a]\nsource = cert\n");
	assert_true(conf_dir_load(&c) < 0);
	assert_string_equal(errs.line[0], "default: [slot.a] names = : a slot"
	    " needs names or default = yes");
}

static void
presence_and_bus(void **state)
{
	(void)state;
	conf_fails("[presence]\ndead = 25s\n", "cleat.conf:2: [presence] dead ="
	    " 25s: must be more than ping and suspect together");
	conf_fails("[presence]\nretry_min = 5s\nretry_max = 1s\n",
	    "cleat.conf:3: [presence] retry_max = 1s: must not be less than"
	    " retry_min");
	conf_fails("[bus]\nring = 1000\n", "cleat.conf:2: [bus] ring = 1000:"
	    " must be a power of two, such as 16384");
	conf_fails("[bus]\nevents = ipc:///x\nsnapshot = ipc:///x\n",
	    "cleat.conf:3: [bus] snapshot = ipc:///x: must not be the address"
	    " of events");
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(listeners),
		T(slots),
		T(a_slot_serves_somebody),
		T(presence_and_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
