/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a request with jansson.  This file stays apart from base/json_out.h,
 * whose writer has function names that jansson has too.  Members that are not
 * known are passed over, so that a newer client can ask an older daemon.
 */
#include "event/request.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

static const char *const get_names[] = {
	[GET_ENDPOINTS] = "endpoints",
	[GET_ENDPOINT] = "endpoint",
	[GET_SUMMARY] = "summary",
	[GET_CERTIFICATES] = "certificates",
	[GET_PLUGINS] = "plugins",
};

/* A name of 1 … EVENT_ID_MAX bytes; an absent one leaves `to` as it is. */
static bool
take_name(const json_t *m, char *to)
{
	const char *s;

	if (m == NULL)
		return true;
	if ((s = json_string_value(m)) == NULL || *s == '\0' ||
	    strlen(s) > EVENT_ID_MAX)
		return false;
	memcpy(to, s, strlen(s) + 1);
	return true;
}

static bool
take_limit(const json_t *m, uint32_t *to)
{
	if (m == NULL)
		return true;
	if (!json_is_integer(m) || json_integer_value(m) < 1)
		return false;
	*to = json_integer_value(m) > REQUEST_LIMIT_MAX ?
	    REQUEST_LIMIT_MAX : (uint32_t)json_integer_value(m);
	return true;
}

static bool
take_state(const json_t *m, unsigned *to)
{
	const char *s = json_string_value(m);
	unsigned i;

	if (m == NULL)
		return true;
	for (i = 0; s != NULL && i < PRESENCE_STATES; i++)
		if (strcmp(s, presence_state_name(i)) == 0) {
			*to = i;
			return true;
		}
	return false;
}

static int
take_get(const json_t *m, enum request_get *to, const char **ret_text)
{
	const char *s = json_string_value(m);
	unsigned i;

	*ret_text = "get: endpoints, endpoint, summary, certificates or "
	    "plugins is expected";
	if (s == NULL)
		return -EINVAL;
	for (i = 0; i < sizeof(get_names) / sizeof(*get_names); i++)
		if (strcmp(s, get_names[i]) == 0) {
			*to = i;
			return 0;
		}
	return -ENOTSUP;
}

static int
take(const json_t *o, struct request *q, const char **ret_text)
{
	int r;

	if ((r = take_get(json_object_get(o, "get"), &q->get, ret_text)) != 0)
		return r;
	*ret_text = "after: a name of 1 to 255 bytes is expected";
	if (!take_name(json_object_get(o, "after"), q->after))
		return -EINVAL;
	*ret_text = "limit: a number above 0 is expected";
	if (!take_limit(json_object_get(o, "limit"), &q->limit))
		return -EINVAL;
	*ret_text = "state: no such state";
	if (!take_state(json_object_get(o, "state"), &q->state))
		return -EINVAL;
	*ret_text = "id: an endpoint id of 1 to 255 bytes is expected";
	if (!take_name(json_object_get(o, "id"), q->id) ||
	    (q->get == GET_ENDPOINT && q->id[0] == '\0'))
		return -EINVAL;
	return 0;
}

int
request_parse(const void *p, size_t n, struct request *ret,
    const char **ret_text)
{
	struct request q = {
		.limit = REQUEST_LIMIT_DEFAULT, .state = PRESENCE_STATES,
	};
	json_t *o;
	int r = -EINVAL;

	*ret_text = "the request is longer than 4096 bytes";
	if (n > REQUEST_MAX)
		return -EINVAL;
	/* What is not JSON is no object either. */
	o = json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
	*ret_text = "one JSON object is expected";
	if (json_is_object(o))
		r = take(o, &q, ret_text);
	json_decref(o);
	if (r == 0)
		*ret = q;
	return r;
}
