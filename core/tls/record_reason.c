/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a connection ended, as text for the log.  Constant tables only: nothing
 * of the peer's gets into a text.  Alert names are those of the IANA registry.
 */
#include "tls/record_priv.h"

#define PEER "the peer sent the alert "

static const char *const reasons[REC_REASONS] = {
	[WHY_NONE] = "no error",
	[WHY_CLOSED] = "the peer closed",
	[WHY_PEER_ALERT] = "the peer sent an alert",
	[WHY_BAD_MAC] = "a record does not decrypt",
	[WHY_TYPE] = "a record of a type that may not come now",
	[WHY_VERSION] = "a record of another TLS version",
	[WHY_TOO_LONG] = "a record is too long",
	[WHY_TOO_SHORT] = "a record is too short",
	[WHY_NO_TYPE] = "a record holds nothing but padding",
	[WHY_EMPTY] = "an empty alert or handshake record",
	[WHY_EMPTIES] = "too many empty records",
	[WHY_ALERT_FORM] = "a malformed alert",
	[WHY_WARNINGS] = "too many warning alerts",
	[WHY_INTERLEAVED] = "a handshake message is interrupted",
	[WHY_MESSAGE] = "a handshake message that may not come now",
	[WHY_MESSAGE_LONG] = "a handshake message is too long",
	[WHY_UPDATE_FORM] = "a malformed KeyUpdate",
	[WHY_UPDATE_VALUE] = "a KeyUpdate with an unknown value",
	[WHY_UPDATE_LAST] = "a KeyUpdate is not the end of its record",
	[WHY_UPDATES] = "too many KeyUpdates",
	[WHY_TICKETS] = "too many tickets",
	[WHY_RENEGOTIATE] = "the peer insists on renegotiation",
	[WHY_SEQUENCE] = "the record numbers are used up",
	[WHY_USED_UP] = "the keys are used up",
	[WHY_MEMORY] = "out of memory in the record layer",
};

static const struct {
	uint8_t alert;
	const char *text;
} peer_alerts[] = {
	{ 10, PEER "unexpected_message" },
	{ 20, PEER "bad_record_mac" },
	{ 21, PEER "decryption_failed" },
	{ 22, PEER "record_overflow" },
	{ 40, PEER "handshake_failure" },
	{ 42, PEER "bad_certificate" },
	{ 43, PEER "unsupported_certificate" },
	{ 44, PEER "certificate_revoked" },
	{ 45, PEER "certificate_expired" },
	{ 46, PEER "certificate_unknown" },
	{ 47, PEER "illegal_parameter" },
	{ 48, PEER "unknown_ca" },
	{ 49, PEER "access_denied" },
	{ 50, PEER "decode_error" },
	{ 51, PEER "decrypt_error" },
	{ 70, PEER "protocol_version" },
	{ 71, PEER "insufficient_security" },
	{ 80, PEER "internal_error" },
	{ 86, PEER "inappropriate_fallback" },
	{ 90, PEER "user_canceled" },
	{ 100, PEER "no_renegotiation" },
	{ 109, PEER "missing_extension" },
	{ 110, PEER "unsupported_extension" },
	{ 112, PEER "unrecognized_name" },
	{ 113, PEER "bad_certificate_status_response" },
	{ 115, PEER "unknown_psk_identity" },
	{ 116, PEER "certificate_required" },
	{ 120, PEER "no_application_protocol" },
};

const char *
rec_reason_text(const struct transport *t)
{
	const struct tls_record *r = (const void *)t;

	if (r->reason != WHY_PEER_ALERT)
		return reasons[r->reason];
	for (size_t i = 0; i < sizeof(peer_alerts) / sizeof(peer_alerts[0]);
	    i++)
		if (peer_alerts[i].alert == r->peer_alert)
			return peer_alerts[i].text;
	return PEER "(unknown)";
}
