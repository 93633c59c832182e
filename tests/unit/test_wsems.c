/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration of the WS EMS taken over (tools/ctl/wsems*.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wsems.h"

#define SERVER "\"ws_servers\":[{\"host\":\"a.example\",\"port\":8443}]"
#define BOUND "\"auto_bind\":[{\"name\":\"lamp-1\"}]"

static struct wsems got;
static char why[WSEMS_WHY_SIZE];

static int
import(const char *json, const struct wsems_opts *o)
{
	static const struct wsems_opts all = { .listener = true };

	wsems_fini(&got);
	why[0] = '\0';
	return wsems_import(json, strlen(json), o == NULL ? &all : o, why,
	    &got);
}

static void
taken(const char *json)
{
	assert_int_equal(import(json, NULL), 0);
	assert_string_equal(why, "");
}

static void
agent_has(const char *line)
{
	if (strstr(text_str(&got.agent), line) == NULL)
		fail_msg("no \"%s\" in\n%s", line, text_str(&got.agent));
}

static void
agent_lacks(const char *line)
{
	if (strstr(text_str(&got.agent), line) != NULL)
		fail_msg("\"%s\" in\n%s", line, text_str(&got.agent));
}

static void
listener_has(const char *line)
{
	if (strstr(text_str(&got.listener), line) == NULL)
		fail_msg("no \"%s\" in\n%s", line, text_str(&got.listener));
}

static void
told(const char *line)
{
	if (strstr(text_str(&got.report), line) == NULL)
		fail_msg("no \"%s\" in\n%s", line, text_str(&got.report));
}

static void
not_told(const char *line)
{
	if (strstr(text_str(&got.report), line) != NULL)
		fail_msg("\"%s\" in\n%s", line, text_str(&got.report));
}

static int
done(void **state)
{
	(void)state;
	wsems_fini(&got);
	return 0;
}

static void
high_security_has_no_weakening_but_secrets(void **state)
{
	(void)state;
	taken("{" SERVER "," BOUND ",\"certificates\":{\"validate\":true,"
	    "\"allow_self_signed\":false,\"cert_chain\":\" /etc/ca.pem \","
	    "\"client_cert\":\"/etc/c.pem\",\"key_file\":\"/etc/k.pem\","
	    "\"validation_criteria\":{\"Cert_Common_Name\":\"a.example\","
	    "\"Cert_Organization\":\"O\",\"Cert_Organizational_Name\":\"U\","
	    "\"CA_Cert_Common_Name\":\"CA\",\"CA_Cert_Organization\":\"CO\","
	    "\"CA_Cert_Organizational_Name\":\"CU\"}},"
	    "\"appKey\":\"0123456789abcdef\"}");
	agent_has("\nserver = wss://a.example:8443\n");
	agent_has("\nendpoint = lamp-1\n");
	agent_has("\nca = /etc/ca.pem\n");
	agent_has("\ncert = /etc/c.pem\nkey = /etc/k.pem\n");
	agent_has("\nsubject-cn = a.example\nsubject-o = O\nsubject-ou = U\n"
	    "issuer-cn = CA\nissuer-o = CO\nissuer-ou = CU\n");
	agent_lacks("token-file");
	told("no counterpart: appKey: left out");
	assert_int_equal(got.count[WSEMS_WEAKENED], 0);
	assert_int_equal(got.count[WSEMS_WRONG], 0);
	assert_false(got.agent_plain);
}

static void
each_weakening_is_told_with_its_reason(void **state)
{
	(void)state;
	taken("{\"ws_servers\":[{\"host\":\"h\",\"port\":1}]," BOUND ","
	    "\"appKey\":\"0123456789abcdef\",\"ws_connection\":{"
	    "\"encryption\":\"none\"},\"certificates\":{\"validate\":false,"
	    "\"allow_self_signed\":true,\"disable_hostname_validation\":true},"
	    "\"http_server\":{\"host\":\"x.example\",\"ssl\":false}}");
	agent_has("server = ws://h:1\n");
	agent_has("no-verify-chain = yes\n");
	agent_has("allow-self-signed = yes\n");
	agent_has("no-verify-host = yes\n");
	agent_has("token-file = plain:0123456789abcdef\n");
	assert_true(got.agent_plain);
	told("weakened: ws_connection.encryption: ");
	told("weakened: certificates.validate: ");
	told("weakened: certificates.allow_self_signed: ");
	told("weakened: certificates.disable_hostname_validation: ");
	told("weakened: appKey: ");
	told("weakened: http_server.host: ");
	told("weakened: http_server.ssl: ");
	assert_int_equal(got.count[WSEMS_WEAKENED], 7);
	listener_has("address = *:8000\ntls = no\n");
	not_told("0123456789abcdef");
	taken("{" SERVER "," BOUND ",\"appKey\":\"0123456789abcdef\"}");
	told("weakened: certificates.cert_chain: none");
}

static void
comments_and_a_byte_order_mark_are_passed_over(void **state)
{
	(void)state;
	taken("\xef\xbb\xbf// one\n{ /* two\n */ " SERVER ", // \"x\": {\n"
	    "\"appKey\": \"http://not/*a comment*/\\\"//\" }//");
	agent_has("token-file = plain:http://not/*a comment*/\"//\n");
	assert_int_equal(import("{ /* no end", NULL), -EINVAL);
	assert_non_null(strstr(why, "has no end"));
}

static void
bad_json_is_refused_with_its_line_and_without_its_text(void **state)
{
	static const char *const bad[] = { "", "[]", "{\"appKey\":\"hush",
		"{\n\"appKey\":\"a\" \"hush\"}", "{\"a\":1,\"a\":2}", "{}}",
		"{\"appKey\": hush}", "{\"x\":\"\xff\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(import(bad[i], NULL), -EINVAL);
		assert_true(why[0] != '\0');
		assert_null(strstr(why, "hush"));
	}
	assert_int_equal(import(bad[3], NULL), -EINVAL);
	assert_non_null(strstr(why, "line 2"));
}

static void
wrong_types_keep_what_is_safe(void **state)
{
	(void)state;
	taken("{\"ws_servers\":[1,{\"host\":\"a b\"},{\"host\":\"h\","
	    "\"port\":70000}],\"auto_bind\":[\"x\",{\"name\":\"a b\"}],"
	    "\"appKey\":7,\"fips\":{\"enabled\":\"yes\"},\"logger\":[],"
	    "\"certificates\":{\"validate\":\"false\",\"allow_self_signed\":1,"
	    "\"cert_chain\":[],\"cipher_suite\":\"AES128-SHA\","
	    "\"validation_criteria\":{\"Cert_Organization\":\"a\\nb\"}},"
	    "\"http_server\":{\"port\":0,\"certificate\":\"c.pem\","
	    "\"private_key\":\"C:\\\\k.pem\"}}");
	told("wrong: ws_servers[0]: ");
	told("wrong: ws_servers[1].host: ");
	told("wrong: ws_servers[2].port: 1 to 65535 is expected; kept: 443");
	told("wrong: auto_bind[0]: ");
	told("wrong: auto_bind.name: ");
	told("wrong: appKey: a text is expected; kept: no token");
	told("wrong: fips.enabled: true or false is expected; kept: true");
	told("wrong: logger: ");
	told("wrong: certificates.validate: true or false is expected; kept: "
	    "true");
	told("wrong: certificates.allow_self_signed: true or false is "
	    "expected; kept: false");
	told("wrong: certificates.cert_chain: a text is expected; kept: the "
	    "authorities of the system");
	told("wrong: certificates.cipher_suite: ");
	told("wrong: validation_criteria.Cert_Organization: ");
	told("wrong: http_server.port: 1 to 65535 is expected; kept: 8000");
	told("wrong: http_server.certificate: the path does not begin with /; "
	    "kept: a self-signed one");
	told("wrong: http_server.private_key: it is a path of Windows");
	agent_has("server = wss://h:443\n");
	agent_has("fips = yes\n");
	agent_lacks("no-verify-chain");
	agent_lacks("allow-self-signed");
	agent_lacks("cipher-suite");
	agent_lacks("subject-o");
	agent_has("# endpoint = ");
	agent_has("# token-file = ");
	listener_has("address = [::1]:8000\n");
}

static void
unknown_names_are_told_with_what_was_meant(void **state)
{
	(void)state;
	taken("{" SERVER "," BOUND ",\"appkey\":\"0123456789abcdef\","
	    "\"APPKEY\":\"other\",\"certficates\":{},\"a\\nb\\u001b[31m\":1,"
	    "\"certificates\":{\"validat\":false}}");
	agent_has("token-file = plain:0123456789abcdef\n");
	told("wrong: APPKEY: given twice; kept: the first");
	told("unknown: certficates: not taken (did you mean certificates?)");
	told("unknown: certificates.validat: not taken (did you mean "
	    "validate?)");
	told("unknown: a\\nb\\x1b[31m: not taken");
	agent_lacks("no-verify-chain");
}

static void
what_the_ems_encrypted_is_lost_and_told(void **state)
{
	(void)state;
	taken("{" SERVER "," BOUND ",\"appKey\":\"AES:c2VjcmV0c2VjcmV0\","
	    "\"certificates\":{\"client_cert\":\"/c\",\"key_passphrase\":"
	    "\"XCHACHA20:AAAAAAAAAAAAAAAAAAAAAA==\"}}");
	told("no counterpart: certificates.key_passphrase: only the EMS");
	agent_lacks("AES:");
	agent_lacks("XCHACHA20");
	agent_has("cert = /c\nkey = /c\n");
	taken("{" SERVER "," BOUND ",\"appKey\":\"AES:c2VjcmV0c2VjcmV0\"}");
	told("no counterpart: appKey: only the EMS can decrypt it");
	agent_has("# token-file = ");
	/* With a colon and not encrypted. */
	taken("{" SERVER ",\"appKey\":\"ABC:not base 64 at all\"}");
	agent_has("token-file = plain:ABC:not base 64 at all\n");
}

static void
a_secret_that_is_no_line_is_not_written(void **state)
{
	(void)state;
	taken("{" SERVER ",\"appKey\":\"0123456789abcdef\\nca = /evil\","
	    "\"http_server\":{\"certificate\":\"/c\",\"passphrase\":"
	    "\"a\\\\b\"}}");
	told("wrong: appKey: it has a control character");
	told("wrong: http_server.passphrase: cleat.conf has no backslashes");
	agent_lacks("evil");
	taken("{" SERVER ",\"appKey\":\"0123456789abcdef \",\"http_server\":{"
	    "\"certificate\":\"/a#b\",\"passphrase\":\"x\\\"y;z\"}}");
	told("wrong: appKey: it ends in a blank");
	listener_has("chain = \"/a#b\"\n");
	listener_has("key_passphrase = 'plain:x\"y;z'\n");
	assert_true(got.listener_plain);
	taken("{" SERVER ",\"http_server\":{\"passphrase\":\"'\\\"\","
	    "\"certificate\":\"/a,b\"}}");
	told("wrong: http_server.passphrase: it has quotes of both kinds");
	told("wrong: http_server.certificate: cleat.conf has no paths with "
	    "commas");
}

static void
those_behind_the_ems_have_to_show_certificates(void **state)
{
	char json[4096];
	size_t n;

	(void)state;
	taken("{" SERVER ",\"certificates\":{\"http_client_ca_certs\":"
	    "\"/lsr.pem\",\"fingerprint_allowlist\":[\"AB:CD\",5,\"E6:EF:5D:37"
	    ":22:FC:EF:EA:4B:22:92:45:BD:49:D2:29:3D:84:19:BC: \\nC3:45:23:A1:"
	    "22:A4:01:20:9D:03:E6:47\"]},\"http_server\":{}}");
	listener_has("client_auth = required\nca_file = /lsr.pem\n"
	    "fingerprint_allowlist = e6ef5d3722fcefea4b229245bd49d2293d8419bc"
	    "c34523a122a401209d03e647\n");
	told("wrong: certificates.fingerprint_allowlist: number 1 is no");
	told("wrong: certificates.fingerprint_allowlist: number 2 is no");
	agent_lacks("fingerprint");
	/* A list of which nothing is left lets in nobody. */
	taken("{\"certificates\":{\"cert_chain\":\"/ca\","
	    "\"fingerprint_allowlist\":[\"x\"]},\"http_server\":{}}");
	listener_has("ca_file = /ca\nfingerprint_allowlist = 0000");
	taken("{\"certificates\":{\"fingerprint_allowlist\":[\"x\"]},"
	    "\"http_server\":{}}");
	listener_has("client_auth = required\nca_file = /etc/cleat/");
	told("wrong: certificates.cert_chain: not given");
	n = (size_t)snprintf(json, sizeof(json), "{\"certificates\":{"
	    "\"cert_chain\":\"/ca\",\"fingerprint_allowlist\":[");
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "%s\"%064d\"",
		    i > 0 ? "," : "", i + 1);
	(void)snprintf(json + n, sizeof(json) - n, "]},\"http_server\":{}}");
	taken(json);
	told("these are more than fit on a line; kept: the first 13");
	taken("{\"certificates\":{\"cert_chain\":\"/ca\"},\"http_server\":{}}");
	assert_null(strstr(text_str(&got.listener), "client_auth"));
}

static void
an_agent_is_the_gateway_or_the_first(void **state)
{
	const struct wsems_opts mine = { .endpoint = "mine" };

	(void)state;
	taken("{\"auto_bind\":[{\"name\":\"a\"},{\"name\":\"*b\",\"gateway\":"
	    "true},{\"name\":\"c\",\"host\":\"h\",\"password\":\"hush\"}]}");
	agent_has("endpoint = b\n");
	told("changed: auto_bind: an agent is one device: the gateway");
	told("no counterpart: auto_bind[2]: how the EMS reaches it");
	not_told("hush");
	taken("{\"auto_bind\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
	agent_has("endpoint = a\n");
	assert_int_equal(import("{" BOUND "}", &mine), 0);
	agent_has("endpoint = mine\n");
}

static void
the_rest_is_taken_or_told(void **state)
{
	const struct wsems_opts plain = { .listener = false };

	(void)state;
	taken("{\"ws_servers\":[{\"host\":\"::1\"},{\"host\":\" h.x \","
	    "\"port\":2}],\"proxy\":{\"host\":\"p\",\"user\":\"u\","
	    "\"password\":\"hush\"},\"ws_connection\":{\"ping_rate\":55000,"
	    "\"connect_retry_interval\":300000,\"encryption\":\"fips\"},"
	    "\"logger\":{\"level\":\"TRACE\",\"audit_target\":\"file://x\"},"
	    "\"duty_cycle\":{},\"tunnel\":[],\"file\":{},"
	    "\"offline_msg_store\":{\"enabled\":true}}");
	agent_has("server = wss://[::1]:443,wss://h.x:2\n");
	agent_has("proxy = http://p:3128\nproxy-user = u\n"
	    "proxy-password-file = plain:hush\n");
	agent_has("retry-min-ms = 300000\nretry-max-ms = 300000\n");
	agent_has("log-level = debug\n");
	agent_has("fips = yes\n");
	told("no counterpart: ws_connection.ping_rate: ");
	told("no counterpart: logger.audit_target: ");
	told("no counterpart: duty_cycle: ");
	told("no counterpart: tunnel: ");
	told("no counterpart: file: ");
	told("no counterpart: offline_msg_store: ");
	not_told("hush");
	assert_int_equal(import("{\"http_server\":{}}", &plain), 0);
	told("no counterpart: http_server: cleatd's part");
	assert_int_equal(got.listener.n, 0);
}

static void
the_report_has_an_end(void **state)
{
	char json[32768];
	size_t n = 1, lines = 0;

	(void)state;
	json[0] = '{';
	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "%s\"x%d\":1",
		    i > 0 ? "," : "", i);
	(void)snprintf(json + n, sizeof(json) - n, "}");
	taken(json);
	assert_int_equal(got.count[WSEMS_UNKNOWN], 1000);
	for (const char *p = text_str(&got.report); *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, WSEMS_LINES_MAX);
}

static void
an_allocation_that_fails_is_told(void **state)
{
	static const char json[] = "{" SERVER "," BOUND ",\"appKey\":\"k\","
	    "\"certificates\":{\"cert_chain\":\"/ca\",\"cipher_suite\":"
	    "\"ALL\"},\"proxy\":{\"host\":\"p\",\"password\":\"x\"},"
	    "\"http_server\":{\"certificate\":\"/c\",\"passphrase\":\"p\"}}";
	unsigned long calls, i = 0;
	int r;

	(void)state;
	do {
		(void)mem_fail_nth(++i);
		r = import(json, NULL);
		calls = mem_fail_nth(0);
		assert_int_equal(r, calls >= i ? -ENOMEM : 0);
	} while (calls >= i);
	assert_true(i > 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
		    high_security_has_no_weakening_but_secrets, done),
		cmocka_unit_test_teardown(
		    each_weakening_is_told_with_its_reason, done),
		cmocka_unit_test_teardown(
		    comments_and_a_byte_order_mark_are_passed_over, done),
		cmocka_unit_test_teardown(
		    bad_json_is_refused_with_its_line_and_without_its_text,
		    done),
		cmocka_unit_test_teardown(wrong_types_keep_what_is_safe, done),
		cmocka_unit_test_teardown(
		    unknown_names_are_told_with_what_was_meant, done),
		cmocka_unit_test_teardown(
		    what_the_ems_encrypted_is_lost_and_told, done),
		cmocka_unit_test_teardown(
		    a_secret_that_is_no_line_is_not_written, done),
		cmocka_unit_test_teardown(
		    those_behind_the_ems_have_to_show_certificates, done),
		cmocka_unit_test_teardown(
		    an_agent_is_the_gateway_or_the_first, done),
		cmocka_unit_test_teardown(the_rest_is_taken_or_told, done),
		cmocka_unit_test_teardown(the_report_has_an_end, done),
		cmocka_unit_test_teardown(an_allocation_that_fails_is_told,
		    done)
	};

	text_locale();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
