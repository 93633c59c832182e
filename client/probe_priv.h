/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the probe share. */
#ifndef CT_CLIENT_PROBE_PRIV_H
#define CT_CLIENT_PROBE_PRIV_H

#include "client_priv.h"
#include "probe.h"
#include "tls/client.h"
#include "tls/review.h"

/* Whatever the client or its link says. */
#define PROBE_WHY_SIZE (LINK_WHY_SIZE + 64)

struct probe {
	const struct probe_spec *spec;
	struct cleat_client_opts opts;	/* borrowed texts */
	struct cleat_client *c;
	enum probe_result result;
	uint64_t start_ms, mark_ms;	/* of the present step */
	bool refused;			/* the server's certificate */
	char refusal[512];		/* and why */
	bool second;			/* visit, without secrets */
	bool blind;			/* without our settings */
	bool may_hello;
	bool upgraded, challenged;	/* and told */
	unsigned told;			/* bits: 1 << LINK_... */
	struct tls_review review;
};

/* A line; a failure of this kind is the result, if it is the first. */
void probe_say(struct probe *, const char *check, enum probe_level,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void probe_fail(struct probe *, enum probe_result, const char *check,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* With the time since the last one of these. */
void probe_step(struct probe *, const char *check, enum probe_level,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void probe_cert_line(struct probe *, enum probe_level,
    const struct cert_facts *, const char *text);

/* Until something may have happened: 0, or -ETIME. */
int probe_wait(struct probe *);
/* Why it came to r; returns `to`. */
const char *probe_reason(const struct probe *, int r,
    char to[PROBE_WHY_SIZE]);

/* probe_reach.c: 0 bytes may flow; else failed, and said. */
int probe_reach(struct probe *);
#define PROBE_UNSEEN \
	"cannot be looked at: no certificate of ours is shown here (%s)"

/* probe_speak.c */
void probe_speak(struct probe *);
/* Stands for client_send_hello(). */
int probe_challenged(struct cleat_client *, const json_t *challenge);

/* probe_cert.c: what the server has shown on c->link.tls, and the judgement. */
void probe_certificates(struct probe *);
/* Our own certificate, if there is one. */
void probe_own(struct probe *);

#endif
