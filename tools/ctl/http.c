/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 over the daemon's unix socket. */
#include "http.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "text.h"

#define CONNECT_MS 10000L

struct http {
	char *socket;
	CURL *easy;
	const volatile sig_atomic_t *stop;
	char why[CURL_ERROR_SIZE];
};

/* What is being received. */
struct sink {
	struct text body;
	bool large;
};

struct http_stream {
	struct http *http;
	CURL *easy;
	CURLM *multi;
	http_data_fn *fn;
	void *arg;
	struct sink sink;		/* of an answer that is no stream */
	struct http_answer answer;
	int failed;			/* what the function returned */
};

int
http_new(const char *socket, const volatile sig_atomic_t *stop,
    struct http **ret)
{
	struct http *h;

	if (strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	h = mem_calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->stop = stop;
	h->socket = mem_strdup(socket);
	if (h->socket != NULL && curl_global_init(CURL_GLOBAL_NOTHING) == 0)
		h->easy = curl_easy_init();
	if (h->easy == NULL) {
		http_free(&h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void
http_free(struct http **h)
{
	if (*h == NULL)
		return;
	curl_easy_cleanup((*h)->easy);
	mem_free((*h)->socket);
	mem_free(*h);
	*h = NULL;
}

const char *
http_why(const struct http *h)
{
	return h->why;
}

/* libcurl does not tell everywhere why connect() failed, so it is
 * asked again. */
static int
connect_error(const struct http *h)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path, h->socket, strlen(h->socket));
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		r = -errno;
	(void)close(fd);
	return r == 0 ? -EAGAIN : r;
}

static int
error_of(const struct http *h, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return connect_error(h);
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_ABORTED_BY_CALLBACK:
		return -EINTR;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPIPE;
	}
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http *h = arg;

	(void)a, (void)b, (void)c, (void)d;
	return h->stop != NULL && *h->stop ? 1 : 0;
}

static size_t
sink_take(struct sink *s, const char *p, size_t n)
{
	if (s->body.n + n > HTTP_ANSWER_MAX) {
		s->large = true;
		return 0;
	}
	text_add(&s->body, p, n);
	return s->body.failed ? 0 : n;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	return sink_take(arg, p, size * n);
}

/* The same for all requests; false: libcurl has no memory. */
static bool
prepare(struct http *h, CURL *easy, const char *path)
{
	struct text url = { 0 };
	bool good;

	text_puts(&url, "http://localhost");
	text_puts(&url, path);
	good = !url.failed &&
	    curl_easy_setopt(easy, CURLOPT_URL, url.p) == CURLE_OK &&
	    /* "." and ".." are names like others */
	    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
	    h->socket) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") ==
	    CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	    (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) ==
	    CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->why) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) ==
	    CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, h) == CURLE_OK;
	text_free(&url);
	h->why[0] = '\0';
	return good;
}

/* A POST without a body is one with an empty one. */
static bool
set_body(CURL *easy, const struct http_request *q, struct curl_slist **ret)
{
	struct curl_slist *list, *more;

	if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method) !=
	    CURLE_OK)
		return false;
	if (q->body == NULL && strcmp(q->method, "POST") != 0)
		return true;
	list = curl_slist_append(NULL, "Expect:");
	if (list == NULL)
		return false;
	*ret = list;
	more = curl_slist_append(list, q->body == NULL ? "Content-Type:" :
	    "Content-Type: application/json");
	return more != NULL &&
	    curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
	    q->body == NULL ? "" : q->body) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list) == CURLE_OK;
}

int
http_call(struct http *h, const struct http_request *q,
    struct http_answer *ret)
{
	struct sink sink = { 0 };
	struct curl_slist *headers = NULL;
	struct http_answer a = { 0 };
	int r = -ENOMEM;

	curl_easy_reset(h->easy);
	if (prepare(h, h->easy, q->path) && set_body(h->easy, q, &headers) &&
	    curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, q->timeout_ms) ==
	    CURLE_OK &&
	    curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body) ==
	    CURLE_OK &&
	    curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, &sink) == CURLE_OK)
		r = error_of(h, curl_easy_perform(h->easy));
	curl_slist_free_all(headers);
	if (sink.large)
		r = -EMSGSIZE;
	else if (sink.body.failed)
		r = -ENOMEM;
	if (r == 0) {
		(void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE,
		    &a.status);
		a.n = sink.body.n;
		a.body = text_take(&sink.body);
		if (a.body == NULL)
			r = -ENOMEM;
	}
	text_free(&sink.body);
	if (r == 0)
		*ret = a;
	return r;
}

/* ---- streams ------------------------------------------------------------ */

static size_t
on_stream(char *p, size_t size, size_t n, void *arg)
{
	struct http_stream *s = arg;

	(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE,
	    &s->answer.status);
	if (s->answer.status != 200)
		return sink_take(&s->sink, p, size * n);
	s->failed = s->fn(s->arg, p, size * n);
	return s->failed < 0 ? 0 : size * n;
}

int
http_stream_open(struct http *h, const char *path, http_data_fn *fn,
    void *arg, struct http_stream **ret)
{
	struct http_stream *s = mem_calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->http = h;
	s->fn = fn;
	s->arg = arg;
	s->multi = curl_multi_init();
	s->easy = curl_easy_init();
	if (s->multi == NULL || s->easy == NULL ||
	    !prepare(h, s->easy, path) ||
	    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_stream) !=
	    CURLE_OK ||
	    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s) != CURLE_OK ||
	    curl_multi_add_handle(s->multi, s->easy) != CURLM_OK) {
		http_stream_free(&s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

static int
stream_ended(struct http_stream *s, CURLcode code)
{
	s->answer.body = s->sink.body.p;
	s->answer.n = s->sink.body.n;
	(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE,
	    &s->answer.status);
	if (s->failed < 0)
		return s->failed;
	if (s->sink.large)
		return -EMSGSIZE;
	return s->sink.body.failed ? -ENOMEM : error_of(s->http, code);
}

int
http_stream_turn(struct http_stream *s, int timeout_ms)
{
	const CURLMsg *m;
	int running = 0, left;

	if (curl_multi_poll(s->multi, NULL, 0, timeout_ms, NULL) !=
	    CURLM_OK || curl_multi_perform(s->multi, &running) != CURLM_OK)
		return -EPIPE;
	while ((m = curl_multi_info_read(s->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE)
			return stream_ended(s, m->data.result);
	return 1;
}

const struct http_answer *
http_stream_answer(const struct http_stream *s)
{
	return &s->answer;
}

void
http_stream_free(struct http_stream **s)
{
	if (*s == NULL)
		return;
	if ((*s)->multi != NULL && (*s)->easy != NULL)
		(void)curl_multi_remove_handle((*s)->multi, (*s)->easy);
	curl_easy_cleanup((*s)->easy);
	(void)curl_multi_cleanup((*s)->multi);
	text_free(&(*s)->sink.body);
	mem_free(*s);
	*s = NULL;
}
