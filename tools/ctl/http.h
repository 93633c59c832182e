/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 over the daemon's unix socket, by libcurl: calls with one answer,
 * and streams.  Never over anything but that socket, whatever the environment
 * says of proxies.  Thread: main only.
 */
#ifndef CT_CTL_HTTP_H
#define CT_CTL_HTTP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct http;
struct http_stream;

#define HTTP_ANSWER_MAX (64u * 1024 * 1024)

struct http_answer {
	long status;
	char *body;			/* ends with NUL; mem_free() */
	size_t n;
};

/* `stop`, if not NULL, ends a call within a second when it becomes true.
 * -ENOMEM, -ENAMETOOLONG (no unix socket has that path). */
int http_new(const char *socket, const volatile sig_atomic_t *stop,
    struct http **ret);
void http_free(struct http **);

struct http_request {
	const char *method, *path;	/* with its query */
	const char *body;		/* JSON, or NULL */
	long timeout_ms;
};

/*
 * 0 with any status.  -ENOENT, -ECONNREFUSED: nobody is there; -EACCES and
 * other errors of connect(); -ETIMEDOUT; -EINTR: stopped; -EMSGSIZE; -ENOMEM;
 * -EPIPE: the connection broke, http_why() says how.
 */
int http_call(struct http *, const struct http_request *,
    struct http_answer *ret);
/* What libcurl said of the last failure; never NULL. */
const char *http_why(const struct http *);

/* What arrives while the status is 200; must not end the stream.  A negative
 * return does. */
typedef int http_data_fn(void *arg, const char *p, size_t n);

/* Asks for a stream.  It is there when the status is not 0 any
 * more. -ENOMEM. */
int http_stream_open(struct http *, const char *path, http_data_fn *fn,
    void *arg, struct http_stream **ret);
/* Waits at most that long for something, and handles it.  1: it goes on; 0: it
 * has ended; negative: as http_call(), or what the function returned. */
int http_stream_turn(struct http_stream *, int timeout_ms);
/* What it answered instead of a stream, when the status is not 200; 0 is none
 * yet.  Owned by the stream. */
const struct http_answer *http_stream_answer(const struct http_stream *);
void http_stream_free(struct http_stream **);

#endif
