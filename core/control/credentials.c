/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be which endpoint: decided and stored by endpoint/identity, listed
 * from the store.  A token that is made goes into one answer and is wiped.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/id.h"
#include "base/mem.h"
#include "control/exchange.h"
#include "store/credentials.h"
#include "store/endpoints.h"
#include "tls/digest.h"

#define LABEL_MAX 128
#define USES_MAX 1000000
#define TOKEN_LIFE_MS (INT64_C(24) * 3600 * 1000)

static const char *const kinds[] = {
	[STORE_CRED_TOKEN] = "token", [STORE_CRED_KEY] = "key",
	[STORE_CRED_CERT] = "certificate"
};

/* ---- operations of endpoint/identity ----------------------------------- */

static void credential_made(struct exchange *x);

static void
on_op(struct identity_op *op)
{
	struct exchange *x = CT_CONTAINER(op, struct exchange, op);
	struct control *c = x->control;

	c->out--;
	if (op->error == -EEXIST && x->op_then == credential_made)
		exchange_problem(x, PROBLEM_EXISTS, NULL,
		    "%s has that credential already", x->id);
	else if (op->error != 0)
		exchange_error(x, op->error, x->id);
	else
		x->op_then(x);
	control_is_idle(c);
}

struct identity_op *
exchange_op(struct exchange *x, void (*then)(struct exchange *))
{
	x->op = (struct identity_op){
		.done = on_op, .home = &x->control->worker.mailbox
	};
	x->op_then = then;
	x->control->out++;
	return &x->op;
}

/* What the call with exchange_op() returned. */
void
exchange_op_begun(struct exchange *x, int r)
{
	if (r == 0)
		return;
	x->control->out--;
	exchange_error(x, r, x->id[0] != '\0' ? x->id : "endpoint");
}

static void
nothing_more(struct exchange *x)
{
	if (exchange_text(x))
		exchange_answer(x, 204);
}

static void
show_endpoint(struct exchange *x)
{
	endpoint_answer(x, 200);
}

void
endpoint_approve(struct exchange *x)
{
	exchange_op_begun(x, identity_approve(x->control->deps.identity, x->id,
	    exchange_op(x, show_endpoint)));
}

void
endpoint_deny(struct exchange *x)
{
	exchange_op_begun(x, identity_deny(x->control->deps.identity, x->id,
	    exchange_op(x, show_endpoint)));
}

/* ---- credentials as JSON ----------------------------------------------- */

static void
on_credential(void *ctx, const struct store_credential *cr)
{
	struct exchange *x = ctx;
	struct json_out *j = &x->text.j;
	uint8_t sum[32];

	if (x->number != 0 && cr->number != x->number)
		return;
	if (text_room(&x->text, 1024 + 6 * strlen(cr->label)) != 0) {
		j->failed = true;
		return;
	}
	x->found++;
	jout_object(j, NULL);
	jout_uint(j, "number", cr->number);
	jout_string(j, "endpoint", cr->endpoint);
	jout_string(j, "kind", kinds[cr->kind]);
	jout_string(j, "label", cr->label);
	put_time(j, "created", cr->created_ms);
	put_time(j, "expires", cr->expires_ms);
	put_time(j, "used", cr->used_ms);
	put_bool(j, "revoked", cr->revoked);
	if (cr->kind == STORE_CRED_CERT)
		jout_hex(j, "fingerprint", cr->value, 32);
	else if (cr->kind == STORE_CRED_KEY &&
	    digest_sha256(cr->value, sizeof(cr->value), sum) == 0)
		jout_hex(j, "fingerprint", sum, 32);
	if (x->op.secret[0] != '\0')
		jout_string(j, "token", x->op.secret);
	jout_object_end(j);
}

static void
on_enrolment(void *ctx, const struct store_enrolment *e)
{
	struct exchange *x = ctx;
	struct json_out *j = &x->text.j;

	if (x->number != 0 && e->number != x->number)
		return;
	if (text_room(&x->text, 1024) != 0) {
		j->failed = true;
		return;
	}
	x->found++;
	jout_object(j, NULL);
	jout_uint(j, "number", e->number);
	put_text(j, "endpoint", e->endpoint);
	put_text(j, "group", e->group);
	put_time(j, "created", e->created_ms);
	put_time(j, "expires", e->expires_ms);
	jout_uint(j, "uses_left", e->uses_left);
	if (x->op.secret[0] != '\0')
		jout_string(j, "token", x->op.secret);
	jout_object_end(j);
}

static void
ignore(void *ctx, const struct store_endpoint *e)
{
	(void)ctx;
	(void)e;
}

/* One that has a number stands alone. */
static void
list_begin(struct exchange *x, const char *name)
{
	if (x->number != 0)
		return;
	jout_object(&x->text.j, NULL);
	jout_array(&x->text.j, name);
}

/* r: of the rows. */
static int
list_end(struct exchange *x, int r)
{
	if (r == 0 && x->number != 0)
		return x->found == 0 ? -ENOENT : 0;
	if (r == 0)
		r = text_room(&x->text, 16);
	if (r != 0)
		return r;
	jout_array_end(&x->text.j);
	jout_object_end(&x->text.j);
	return 0;
}

static int
credentials_run(struct exchange *x, struct store_db *db)
{
	int r = store_endpoint_get(db, x->id, ignore, NULL);

	if (r != 0)
		return r;
	list_begin(x, "credentials");
	return list_end(x, store_credential_each(db, x->id, on_credential, x));
}

static int
enrolments_run(struct exchange *x, struct store_db *db)
{
	list_begin(x, "enrolment_tokens");
	return list_end(x, store_enrolment_each(db, on_enrolment, x));
}

static void
read_then(struct exchange *x, int error)
{
	mem_wipe(x->op.secret, sizeof(x->op.secret));
	if (error != 0)
		exchange_error(x, error, x->id[0] != '\0' ? x->id : "token");
	else
		exchange_answer(x, x->number != 0 ? 201 : 200);
}

void
credentials_list(struct exchange *x)
{
	if (exchange_text(x))
		exchange_store(x, credentials_run, read_then, true);
}

void
enrolment_tokens_list(struct exchange *x)
{
	if (exchange_text(x))
		exchange_store(x, enrolments_run, read_then, true);
}

/* ---- POST -------------------------------------------------------------- */

static void
credential_made(struct exchange *x)
{
	x->number = x->op.number;
	credentials_list(x);
}

static void
enrolment_made(struct exchange *x)
{
	x->number = x->op.number;
	enrolment_tokens_list(x);
}

/* *ret keeps its value without one. */
static bool
read_expires(struct exchange *x, const json_t *given, int64_t *ret)
{
	int64_t ms;

	if (given == NULL)
		return true;
	if (time_parse(json_string_value(given), &ms) == 0 &&
	    ms > clock_wall_ms()) {
		*ret = ms;
		return true;
	}
	exchange_problem(x, PROBLEM_INVALID, "expires", "expires: a time to "
	    "come is expected, such as 2030-12-31T00:00:00Z");
	return false;
}

static bool
read_value(struct exchange *x, const char *name, const json_t *wanted,
    const json_t *other, uint8_t to[32])
{
	const char *text = json_string_value(wanted);

	if (other != NULL || text == NULL || strlen(text) != 64 ||
	    hex_read(text, to, 32) != 0) {
		exchange_problem(x, PROBLEM_INVALID, name,
		    "%s: 64 hexadecimal digits are expected for this kind",
		    name);
		return false;
	}
	return true;
}

static bool
read_credential(struct exchange *x, struct store_credential *cr)
{
	static const struct member members[] = {
		{ "kind", JSON_STRING, true }, { "label", JSON_STRING, false },
		{ "expires", JSON_STRING, false },
		{ "public_key", JSON_STRING, false },
		{ "sha256", JSON_STRING, false }, { NULL, JSON_NULL, false }
	};
	json_t *m[5];

	if (!body_members(x, members, m) ||
	    !read_expires(x, m[2], &cr->expires_ms))
		return false;
	cr->label = m[1] == NULL ? "" : json_string_value(m[1]);
	if (!label_valid(cr->label, LABEL_MAX)) {
		exchange_problem(x, PROBLEM_INVALID, "label", "label: at most "
		    "%u bytes without control characters are expected",
		    LABEL_MAX);
		return false;
	}
	for (int k = STORE_CRED_TOKEN; k <= STORE_CRED_CERT; k++)
		if (strcmp(kinds[k], json_string_value(m[0])) == 0)
			cr->kind = (enum store_cred_kind)k;
	switch ((int)cr->kind) {
	case STORE_CRED_KEY:
		return read_value(x, "public_key", m[3], m[4], cr->value);
	case STORE_CRED_CERT:
		return read_value(x, "sha256", m[4], m[3], cr->value);
	case STORE_CRED_TOKEN:
		if (m[3] == NULL && m[4] == NULL)
			return true;
		exchange_problem(x, PROBLEM_INVALID, m[3] != NULL ?
		    "public_key" : "sha256", "a token is made here, and has "
		    "no value of its own");
		return false;
	default:
		exchange_problem(x, PROBLEM_INVALID, "kind",
		    "kind: token, key or certificate is expected");
		return false;
	}
}

void
credential_post(struct exchange *x)
{
	struct store_credential cr = { .endpoint = x->id };

	if (read_credential(x, &cr))
		exchange_op_begun(x, identity_add(x->control->deps.identity,
		    &cr, exchange_op(x, credential_made)));
}

void
enrolment_token_post(struct exchange *x)
{
	static const struct member members[] = {
		{ "endpoint", JSON_STRING, false },
		{ "group", JSON_STRING, false },
		{ "expires", JSON_STRING, false },
		{ "uses", JSON_INTEGER, false }, { NULL, JSON_NULL, false }
	};
	struct store_enrolment e = {
		.endpoint = "", .group = "", .uses_left = 1,
		.expires_ms = clock_wall_ms() + TOKEN_LIFE_MS
	};
	json_int_t uses;
	json_t *m[4];

	if (!body_members(x, members, m) ||
	    !read_expires(x, m[2], &e.expires_ms))
		return;
	if (m[0] != NULL)
		e.endpoint = json_string_value(m[0]);
	if (m[1] != NULL)
		e.group = json_string_value(m[1]);
	uses = m[3] == NULL ? 1 : json_integer_value(m[3]);
	if (m[0] != NULL && !id_valid(e.endpoint))
		exchange_problem(x, PROBLEM_INVALID, "endpoint",
		    "endpoint: an endpoint id is expected");
	else if (!id_group_valid(e.group))
		exchange_problem(x, PROBLEM_INVALID, "group", "group: at most "
		    "64 of A-Z a-z 0-9 . _ : @ - are expected");
	else if (uses < 1 || uses > USES_MAX)
		exchange_problem(x, PROBLEM_INVALID, "uses",
		    "uses: 1 to %u is expected", USES_MAX);
	if (x->ready)
		return;
	e.uses_left = (uint32_t)uses;
	exchange_op_begun(x, identity_token_add(x->control->deps.identity, &e,
	    exchange_op(x, enrolment_made)));
}

/* ---- DELETE ------------------------------------------------------------ */

static bool
number_of(struct exchange *x, uint64_t *ret)
{
	if (number_parse(x->id, INT64_MAX, ret) == 0)
		return true;
	exchange_problem(x, PROBLEM_NOT_FOUND, NULL, "%s is no number", x->id);
	return false;
}

void
credential_revoke(struct exchange *x)
{
	uint64_t number;

	if (number_of(x, &number))
		exchange_op_begun(x, identity_revoke(
		    x->control->deps.identity, number,
		    exchange_op(x, nothing_more)));
}

void
enrolment_token_delete(struct exchange *x)
{
	uint64_t number;

	if (number_of(x, &number))
		exchange_op_begun(x, identity_token_remove(
		    x->control->deps.identity, number,
		    exchange_op(x, nothing_more)));
}
