/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a probe to the server: names, TCP, proxy, TLS. */
#include "probe_priv.h"

#include <errno.h>
#include <string.h>

#include "probe_text.h"

static void
say_own_shown(struct probe *p, const struct tls_client_facts *f)
{
	bool only = p->spec->cert_is_all;

	if (p->opts.cert_file != NULL && f->asked)
		probe_say(p, "own-cert", PROBE_OK, "shown, the server has "
		    "asked for one");
	else if (p->opts.cert_file != NULL)
		probe_say(p, "own-cert", only ? PROBE_WARNING : PROBE_SKIP,
		    "not shown, the server does not ask for one%s", only ?
		    ", and this device has nothing else to prove who it is" :
		    "");
	else if (f->asked)
		probe_say(p, "own-cert", PROBE_SKIP, "the server asks for a "
		    "certificate, and none is configured (--cert)");
}

/* `done`: the handshake. */
static void
say_tls(struct probe *p, bool done)
{
	struct tls_client_facts f;

	tls_client_facts(p->c->link.tls, &f);
	probe_step(p, "tls", PROBE_OK, "%s%s%s%s%s%s", f.version,
	    f.suite[0] == '\0' ? "" : ", ", f.suite,
	    f.group[0] == '\0' ? "" : ", ", f.group, p->refused ?
	    ", looked at unverified" : "");
	if (p->review.judged)
		probe_certificates(p);
	if (done && !p->second)
		say_own_shown(p, &f);
}

static void
say_done(struct probe *p, enum link_step step)
{
	struct cleat_client *c = p->c;
	char text[400];

	if ((p->told & 1u << step) != 0)
		return;
	p->told |= 1u << step;
	switch (step) {
	case LINK_RESOLVE:
		probe_step(p, "names", PROBE_OK, "%s", probe_addresses(&c->link,
		    text, sizeof(text)));
		break;
	case LINK_CONNECT:
		probe_step(p, "tcp", PROBE_OK, "connected to %s%s",
		    c->link.proxy != NULL ? "the proxy, " : "",
		    probe_peer(&c->link, text, sizeof(text)));
		break;
	case LINK_HEAR_PROXY:
		probe_step(p, "proxy", PROBE_OK, "opens the way to %s port %s",
		    c->url.host, c->url.port);
		break;
	case LINK_TLS:
		say_tls(p, true);
		break;
	case LINK_ASK_PROXY:
	case LINK_UP:
		break;
	}
}

static void
fail_tls(struct probe *p, int r)
{
	struct cleat_client *c = p->c;
	char text[PROBE_WHY_SIZE];
	bool judged = p->review.judged && c->link.tls != NULL;

	(void)probe_reason(p, r, text);
	/* The second visit tells more: this handshake was not completed. */
	if (judged && !p->second && p->review.error == -EACCES) {
		p->refused = true;
		memcpy(p->refusal, p->review.why, sizeof(p->refusal));
		return;
	}
	if (judged)
		say_tls(p, false);
	if (judged && p->second)
		probe_say(p, "upgrade", PROBE_SKIP, PROBE_UNSEEN, text);
	else
		probe_fail(p, PROBE_UNTRUSTED, "tls", "%s%s", text,
		    r == -EPROTO && !judged ? " Does this port speak TLS?" :
		    "");
}

static void
fail_step(struct probe *p, int r)
{
	enum link_step step = p->c->link.step;
	char text[PROBE_WHY_SIZE];

	if (step == LINK_TLS) {
		fail_tls(p, r);
		return;
	}
	(void)probe_reason(p, r, text);
	probe_fail(p, PROBE_UNREACHED, step == LINK_RESOLVE ? "names" :
	    step == LINK_CONNECT ? "tcp" : step == LINK_UP ? "upgrade" :
	    "proxy", "%s", text);
}

int
probe_reach(struct probe *p)
{
	struct cleat_client *c = p->c;
	enum link_step step;
	int r;

	c->phase = CLIENT_LINK;
	c->why[0] = '\0';
	r = link_open(&c->link, &c->url, proxy_wanted(&c->proxy, &c->url) ?
	    &c->proxy : NULL, c->url.tls ? c->policy : NULL);
	c->link.review = &p->review;
	c->link.go_on = p->second;
	while (r == 0 && c->link.step != LINK_UP) {
		step = c->link.step;
		r = link_step(&c->link);
		if (c->link.step > step)
			say_done(p, step);
		if (r == -EAGAIN)
			r = probe_wait(p);
	}
	if (r != 0)
		fail_step(p, r);
	return r;
}
