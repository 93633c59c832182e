/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked, and by whom: doc/openapi.json says the same. */
#include "control/control_priv.h"

const struct route control_routes[] = {
	{ .method = "GET", .path = "/v1/status", .role = CONTROL_VIEWER,
	  .fn = system_status },
	{ .method = "GET", .path = "/v1/endpoints", .role = CONTROL_VIEWER,
	  .fn = endpoints_list, .params = { "state", "status", "group",
	  "prefix", "after", "limit" } },
	{ .method = "GET", .path = "/v1/endpoints/{}",
	  .role = CONTROL_VIEWER, .fn = endpoint_show },
	{ .method = "POST", .path = "/v1/endpoints/{}/kick",
	  .role = CONTROL_OPERATOR, .fn = endpoint_kick_it },
	{ .method = "POST", .path = "/v1/drain", .role = CONTROL_OPERATOR,
	  .body = true, .fn = system_drain },
	{ .method = "POST", .path = "/v1/reload", .role = CONTROL_OPERATOR,
	  .fn = system_reload },
	{ .method = "GET", .path = "/v1/log-level", .role = CONTROL_VIEWER,
	  .fn = system_log_level_get },
	{ .method = "PUT", .path = "/v1/log-level", .role = CONTROL_OPERATOR,
	  .body = true, .fn = system_log_level_put },
	{ .method = "GET", .path = "/v1/events", .role = CONTROL_VIEWER,
	  .fn = sse_get, .params = { "prefix" } },
	{ .method = NULL }
};
