/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's session.  Part of the peer policy, which the client library is
 * built from: includes nothing of the server's side.  Renegotiation is refused
 * (RFC 5746 4.5 leaves that to us), early data is never sent.
 */
#include "tls/client_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>


#include "base/mem.h"
#include "tls/policy.h"
#include "tls/vendor.h"

#define PEM_MAX (16 * 1024 * 1024)
#define WARNINGS_MAX 4

/* ---- policy ---- */

static int
load_own(struct tls_client_policy *p, const struct tls_client_spec *spec,
    char *why)
{
	gnutls_datum_t chain = tls_datum(spec->chain_pem, spec->chain_n);
	gnutls_datum_t key = tls_datum(spec->key_pem, spec->key_n);
	int r;

	if (spec->chain_pem == NULL)
		return 0;
	if (spec->key_pem == NULL || spec->chain_n > PEM_MAX ||
	    spec->key_n > PEM_MAX)
		return tls_why(why, -EINVAL, spec->key_pem == NULL ?
		    "own certificate without a private key" :
		    "own certificate or key is longer than 16 MiB");
	r = gnutls_certificate_set_x509_key_mem(p->xcred, &chain, &key,
	    GNUTLS_X509_FMT_PEM);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r),
		    "own certificate and key: %s", gnutls_strerror(r));
	return 0;
}

int
tls_client_policy_new(const struct tls_client_spec *spec, char *why,
    struct tls_client_policy **ret)
{
	struct tls_client_policy *p = mem_calloc(1, sizeof(*p));
	int r;

	if (p == NULL || gnutls_certificate_allocate_credentials(
	    &p->xcred) < 0) {
		mem_free(p);
		return tls_why(why, -ENOMEM, "out of memory");
	}
	p->trust = tls_trust_ref(spec->trust);
	gnutls_certificate_set_verify_function(p->xcred, tls_client_verify);
	r = tls_policy_resolve(spec->priority, why, &p->priority);
	if (r == 0)
		r = tls_trust_apply(p->trust, p->xcred, why);
	if (r == 0)
		r = load_own(p, spec, why);
	if (r < 0)
		tls_client_policy_free(&p);
	else
		*ret = p;
	return r;
}

static void
drop_ticket(struct tls_client_policy *p)
{
	if (p->ticket.data != NULL)
		mem_wipe(p->ticket.data, p->ticket.size);
	gnutls_free(p->ticket.data);
	p->ticket.data = NULL;
	mem_free(p->ticket_host);
	p->ticket_host = NULL;
}

void
tls_client_policy_free(struct tls_client_policy **pp)
{
	struct tls_client_policy *p = *pp;

	if (p == NULL)
		return;
	drop_ticket(p);
	if (p->priority != NULL)
		gnutls_priority_deinit(p->priority);
	gnutls_certificate_free_credentials(p->xcred);
	tls_trust_unref(&p->trust);
	mem_free(p);
	*pp = NULL;
}

/* ---- what GnuTLS calls ---- */

/* What io returned, as GnuTLS wants it; an error of the wire is kept. */
static ssize_t
moved(struct tls_client *c, ssize_t k)
{
	if (k >= 0)
		return k;
	if (k != -EAGAIN && k != -EINTR)
		c->io_error = (int)k;
	gnutls_transport_set_errno(c->session, (int)-k);
	return -1;
}

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *to, size_t n)
{
	struct tls_client *c = ptr;

	return moved(c, c->io.recv(c->io.ctx, to, n));
}

static ssize_t
push(gnutls_transport_ptr_t ptr, const void *from, size_t n)
{
	struct tls_client *c = ptr;

	return moved(c, c->io.send(c->io.ctx, from, n));
}

static ssize_t
fd_recv(void *ctx, void *to, size_t n)
{
	ssize_t k = recv((int)(intptr_t)ctx, to, n, 0);

	return k < 0 ? -errno : k;
}

static ssize_t
fd_send(void *ctx, const void *from, size_t n)
{
	ssize_t k = send((int)(intptr_t)ctx, from, n, MSG_NOSIGNAL);

	return k < 0 ? -errno : k;
}

struct tls_client_io
tls_client_io_fd(int fd)
{
	const struct tls_client_io io = {
		fd_recv, fd_send, (void *)(intptr_t)fd
	};

	return io;
}

/* ---- a connection ---- */

static bool
is_address(const char *host)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, host, addr) == 1 ||
	    inet_pton(AF_INET6, host, addr) == 1;
}

static int
set_up(struct tls_client *c)
{
	static const char alpn_text[] = "http/1.1";
	gnutls_datum_t alpn = tls_datum(alpn_text, sizeof(alpn_text) - 1);
	struct tls_client_policy *p = c->policy;
	gnutls_session_t s = c->session;
	int r;

	gnutls_session_set_ptr(s, c);
	gnutls_transport_set_ptr(s, c);
	gnutls_transport_set_pull_function(s, pull);
	gnutls_transport_set_push_function(s, push);
	gnutls_handshake_set_hook_function(s, GNUTLS_HANDSHAKE_ANY,
	    GNUTLS_HOOK_PRE, tls_client_look);
	r = gnutls_priority_set(s, p->priority);
	if (r >= 0)
		r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, p->xcred);
	if (r >= 0 && !is_address(c->host))
		r = gnutls_server_name_set(s, GNUTLS_NAME_DNS, c->host,
		    strlen(c->host));
	if (r >= 0)
		r = gnutls_alpn_set_protocols(s, &alpn, 1, 0);
	/* A ticket that does not fit means a full handshake, nothing worse. */
	if (r >= 0 && p->ticket.data != NULL &&
	    strcmp(p->ticket_host, c->host) == 0)
		(void)gnutls_session_set_data(s, p->ticket.data,
		    p->ticket.size);
	return r < 0 ? tls_vendor_errno(r) : 0;
}

int
tls_client_new(struct tls_client_policy *p, const char *host,
    const struct tls_client_io *io, struct tls_client **ret)
{
	struct tls_client *c = mem_calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	c->policy = p;
	c->io = *io;
	c->host = mem_strdup(host);
	if (c->host != NULL && gnutls_init(&c->session, GNUTLS_CLIENT |
	    GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) >= 0)
		r = set_up(c);
	if (r < 0)
		tls_client_free(&c);
	else
		*ret = c;
	return r;
}

static void
keep_ticket(struct tls_client *c)
{
	struct tls_client_policy *p = c->policy;
	gnutls_datum_t fresh = {NULL, 0};
	char *host;

	if (!c->done || (gnutls_session_get_flags(c->session) &
	    GNUTLS_SFLAGS_SESSION_TICKET) == 0)
		return;
	host = mem_strdup(c->host);
	if (host == NULL)
		return;
	if (gnutls_session_get_data2(c->session, &fresh) < 0) {
		mem_free(host);
		return;
	}
	drop_ticket(p);
	p->ticket = fresh;
	p->ticket_host = host;
}

void
tls_client_free(struct tls_client **cp)
{
	struct tls_client *c = *cp;

	if (c == NULL)
		return;
	if (c->session != NULL) {
		keep_ticket(c);
		gnutls_deinit(c->session);
	}
	mem_free(c->host);
	mem_free_wiped(c, sizeof(*c));
	*cp = NULL;
}

/* ---- results ---- */

static int say(struct tls_client *c, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
say(struct tls_client *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->reason, sizeof(c->reason), fmt, ap);
	va_end(ap);
	return error;
}

/* Is this result an end?  Warnings are not, up to a number of them. */
static bool
passes(struct tls_client *c, ssize_t rc)
{
	if (rc == GNUTLS_E_REHANDSHAKE)
		(void)gnutls_alert_send(c->session, GNUTLS_AL_WARNING,
		    GNUTLS_A_NO_RENEGOTIATION);
	if (rc == GNUTLS_E_REHANDSHAKE || rc == GNUTLS_E_WARNING_ALERT_RECEIVED)
		return ++c->warnings <= WARNINGS_MAX;
	return rc == GNUTLS_E_INTERRUPTED;
}

static int
result(struct tls_client *c, ssize_t rc)
{
	const char *name;
	int r = (int)rc;

	c->blocked_write = r == GNUTLS_E_AGAIN &&
	    gnutls_record_get_direction(c->session) == 1;
	if (r == GNUTLS_E_AGAIN)
		return -EAGAIN;
	if (c->io_error != 0)
		return say(c, c->io_error, "%s", strerror(-c->io_error));
	if (r == GNUTLS_E_PREMATURE_TERMINATION)
		return say(c, -ECONNRESET, "the stream ended without notice");
	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED ||
	    r == GNUTLS_E_WARNING_ALERT_RECEIVED) {
		name = gnutls_alert_get_name(gnutls_alert_get(c->session));
		return say(c, -ECONNABORTED, "the server's alert %d: %s",
		    (int)gnutls_alert_get(c->session),
		    name != NULL ? name : "unknown");
	}
	if (c->distrust[0] != '\0')
		return say(c, -EACCES, "%s", c->distrust);
	if (r == GNUTLS_E_MEMORY_ERROR)
		return say(c, -ENOMEM, "out of memory");
	return say(c, -EPROTO, "%s", gnutls_strerror(r));
}

/* A GnuTLS error, so that it ends as a full handshake would. */
static int
judge_resumed(struct tls_client *c)
{
	int r = tls_client_judge(c);

	return r == 0 ? 0 : r == -ENOMEM ? GNUTLS_E_MEMORY_ERROR :
	    GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

int
tls_client_handshake(struct tls_client *c)
{
	int r;

	if (c->done)
		return 0;
	do
		r = gnutls_handshake(c->session);
	while (r < 0 && passes(c, r));
	if (r == 0 && gnutls_session_is_resumed(c->session) != 0)
		r = judge_resumed(c);
	if (r == 0) {
		c->done = true;
		c->blocked_write = false;
		return 0;
	}
	if (r != GNUTLS_E_AGAIN) {
		/* Best effort: the connection ends here anyway. */
		(void)gnutls_alert_send_appropriate(c->session, r);
		drop_ticket(c->policy);
	}
	return result(c, r);
}

ssize_t
tls_client_read(struct tls_client *c, void *to, size_t n)
{
	ssize_t k;

	if (!c->done)
		return say(c, -ENOTCONN, "no handshake yet");
	do
		k = gnutls_record_recv(c->session, to, n);
	while (k < 0 && passes(c, k));
	if (k < 0)
		return result(c, k);
	c->blocked_write = false;
	return k;
}

int
tls_client_flush(struct tls_client *c)
{
	ssize_t k;

	if (!c->flushing)
		return 0;
	do
		k = gnutls_record_send(c->session, NULL, 0);
	while (k == GNUTLS_E_INTERRUPTED);
	if (k < 0)
		return result(c, k);
	c->flushing = c->blocked_write = false;
	return 0;
}

ssize_t
tls_client_write(struct tls_client *c, const void *from, size_t n)
{
	size_t max = gnutls_record_get_max_size(c->session);
	ssize_t k;
	int r;

	if (!c->done)
		return say(c, -ENOTCONN, "no handshake yet");
	r = tls_client_flush(c);
	if (r < 0 || n == 0)
		return r;
	if (n > max)
		n = max;
	k = gnutls_record_send(c->session, from, n);
	if (k == GNUTLS_E_AGAIN || k == GNUTLS_E_INTERRUPTED) {
		c->flushing = true;	/* sealed and kept by GnuTLS */
		return (ssize_t)n;
	}
	if (k < 0)
		return result(c, k);
	c->blocked_write = false;
	return k;
}

int
tls_client_close(struct tls_client *c)
{
	int r;

	if (!c->done)
		return 0;
	r = tls_client_flush(c);
	if (r < 0)
		return r;
	do
		r = gnutls_bye(c->session, GNUTLS_SHUT_WR);
	while (r == GNUTLS_E_INTERRUPTED);
	if (r < 0)
		return result(c, r);
	c->blocked_write = false;
	return 0;
}

bool
tls_client_wants_write(const struct tls_client *c)
{
	return c->flushing || c->blocked_write;
}

bool
tls_client_resumed(const struct tls_client *c)
{
	return gnutls_session_is_resumed(c->session) != 0;
}

int
tls_client_exporter(const struct tls_client *c, uint8_t ret[32])
{
	gnutls_datum_t cb = {NULL, 0};
	int r = -ENOTSUP;

	if (gnutls_session_channel_binding(c->session, GNUTLS_CB_TLS_EXPORTER,
	    &cb) >= 0 && cb.size == 32) {
		memcpy(ret, cb.data, 32);
		r = 0;
	}
	gnutls_free(cb.data);
	return r;
}

const char *
tls_client_reason(const struct tls_client *c)
{
	return c->reason;
}
