/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher: the one thread that takes events out of the ring, keeps the
 * view, and talks to the nng sockets.  A burst waits in the ring and goes out
 * at a pace that nng's queues bear; only when the ring itself is about to fill
 * is it sent at once, because a slow subscriber's loss is better than
 * everybody's.  Emitting threads never wait for it.
 */
#include "event/bus.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/canary.h"
#include "event/encode.h"
#include "event/record.h"
#include "event/ring.h"
#include "event/snapshot.h"
#include "event/socket.h"
#include "event/unix.h"
#include "event/view.h"

#define BUS_MAGIC 0x62757331		/* "bus1" */
#define BATCH_MAX 1024			/* events between two looks around */
#define REQUESTS_MAX 4			/* answered between two looks */
#define NAP_MS 1			/* gathers what follows a wake-up */
#define PACE_PER_MS 64			/* events, with a subscriber there */
#define FLUSH_MS 2000			/* for the ring when it ends */
#define LINGER_MS 100			/* for nng's threads after that */
#define RESYNC_EVERY_MS 1000
#define GREET_MS 100			/* between two for new subscribers */
#define HOLD_MS 1000			/* for subscribers to come back */
#define LARGE 1024			/* bytes; larger ones are counted */

/* What another thread waits for. */
struct turn {
	event_bus_fill *fill;		/* see event_bus_open() */
	void *fill_ctx;
	uint32_t subscribers;
	char *why;
	int result;
	sem_t done;
};

struct event_bus {
	uint32_t magic;
	struct event_bus_opts opts;
	char *events_url, *snapshot_url, *version;
	struct ring *ring;
	_Atomic size_t large;		/* bytes in large records that wait */
	size_t large_max;
	_Atomic int sleeping;
	_Atomic bool fresh;		/* emitted, not looked at yet */
	_Atomic bool stop;
	_Atomic(struct turn *) turn;
	int wake_fd;
	pthread_t thread;
	bool started;

	/* From here on: the publisher thread. */
	struct view *view;
	struct bus_socket pub, rep;
	struct canary pub_canary, rep_canary;
	struct outbuf text;		/* of the event at hand */
	uint64_t paced_ms, resynced_ms, resynced_lost, alive_ms;
	uint32_t pace;			/* events that may go now */
	uint32_t greeted;		/* subscribers told so far */
	uint64_t lost;			/* beyond those of the ring */
	bool unopened;			/* never was open: events wait for it */
	/* After event_bus_open(): nothing goes before so many pipes were added,
	 * or until then. */
	uint32_t awaited;
	uint64_t hold_ms;

	/* Written by it, read by any. */
	_Atomic uint64_t stat_seq, stat_published, stat_dropped;
	_Atomic uint32_t stat_waiting;
	_Atomic uint64_t stat_relistened, stat_endpoints, stat_snapshots;
};

static void
bump(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

static void
wake(struct event_bus *bus)
{
	const uint64_t one = 1;

	/* Both sides exchange: whoever comes second sees what the first did
	 * before.  A full eventfd is awake already. */
	if (atomic_exchange(&bus->sleeping, 0) != 0)
		(void)!write(bus->wake_fd, &one, sizeof(one));
}

/* Most turns that might have emitted have not; waking the publisher for
 * nothing costs more than an event. */
void
event_kick(struct event_bus *bus)
{
	if (bus != NULL && atomic_load(&bus->fresh))
		wake(bus);
}

static void
emit(struct event_bus *bus, const struct event *ev)
{
	struct event_record *rec;
	uint32_t pos;
	size_t size;

	if (event_pack(ev, &rec) != 0) {
		ring_skip(bus->ring);
		return;
	}
	size = rec->size > LARGE ? rec->size : 0;
	if (size != 0 && atomic_fetch_add(&bus->large, size) + size >
	    bus->large_max) {
		ring_skip(bus->ring);
	} else if (ring_push(bus->ring, rec, &pos)) {
		/* A long turn must not fill the ring of a sleeper. */
		if ((pos & 255) == 0)
			wake(bus);
		return;
	}
	atomic_fetch_sub(&bus->large, size);
	mem_free(rec);
}

void
event_emit(struct event_bus *bus, const struct event *ev)
{
	if (bus == NULL)
		return;
	emit(bus, ev);
	/* Behind the push: whoever takes it back sees what was pushed. */
	atomic_store(&bus->fresh, true);
}

/* Makes the text of an event in bus->text; *ret_json: where the object is. */
static int
encode(struct event_bus *bus, const struct event *ev, uint64_t seq,
    size_t *ret_json)
{
	size_t max = event_encoded_max(ev);
	uint8_t *p;

	if (bus->text.cap < max) {
		if ((p = mem_realloc(bus->text.p, max)) == NULL)
			return -ENOMEM;
		bus->text.p = p;
		bus->text.cap = max;
	}
	bus->text.n = 0;
	return event_encode(ev, bus->opts.epoch, seq, &bus->text, ret_json);
}

static void
publish(struct event_bus *bus, const struct event *ev, uint64_t seq)
{
	bool heard = bus->pub.open && bus->pub.pipes > 0;
	size_t json;
	int r;

	/* A presence event that the view cannot take is as good as lost; the
	 * facts it refuses (too many, no name) are still published. */
	r = view_apply(bus->view, ev, seq);
	if (r == -ENOMEM)
		bus->lost++;
	bus->stat_endpoints = bus->view->endpoints;
	bus->lost += bus->unopened;	/* the ring was too full to wait */
	if (heard || bus->opts.tap != NULL) {
		r = encode(bus, ev, seq, &json);
		if (r == 0 && heard)
			r = bus_socket_publish(&bus->pub, bus->text.p,
			    bus->text.n);
		if (r != 0) {		/* its number is the gap */
			bus->lost++;
			return;
		}
		if (bus->opts.tap != NULL)
			bus->opts.tap(bus->opts.tap_ctx, seq, ev,
			    (const char *)bus->text.p + json,
			    bus->text.n - json);
	}
	bump(&bus->stat_published);
}

/* When subscribers are to hear the last number: soon after one more came. */
static uint64_t
alive_due(const struct event_bus *bus)
{
	if (bus->pub.added != bus->greeted)
		return bus->alive_ms + GREET_MS;
	return bus->alive_ms + bus->opts.alive_ms;
}

/* So that what was lost before a silence shows.  Not an event:
 * it uses no number up and the tap does not see it. */
static void
say_alive(struct event_bus *bus, uint64_t now_ms)
{
	const struct event ev = {
		.type = EVENT_BUS_ALIVE, .wall_ms = clock_wall_ms(),
	};
	size_t json;

	if (bus->opts.alive_ms == 0 || ring_waiting(bus->ring) != 0 ||
	    now_ms < alive_due(bus))
		return;
	bus->alive_ms = now_ms;
	bus->greeted = bus->pub.added;
	if (bus->pub.open && bus->pub.pipes > 0 &&
	    encode(bus, &ev, bus->stat_seq, &json) == 0)
		(void)bus_socket_publish(&bus->pub, bus->text.p, bus->text.n);
}

/* Those who were there when the address was closed are coming back. */
static bool
on_hold(struct event_bus *bus)
{
	if (bus->hold_ms == 0)
		return false;
	if (bus->pub.open && bus->paced_ms < bus->hold_ms &&
	    (int32_t)(bus->awaited - bus->pub.added) > 0)
		return true;
	bus->hold_ms = 0;
	return false;
}

static bool
may_send(struct event_bus *bus)
{
	if (ring_waiting(bus->ring) > bus->opts.ring / 4 * 3)
		return true;
	if (bus->unopened || on_hold(bus))
		return false;
	if (!bus->pub.open || bus->pub.pipes <= 0)
		return true;
	if (bus->pace == 0)
		return false;
	bus->pace--;
	return true;
}

static void
refill_pace(struct event_bus *bus, uint64_t now_ms)
{
	uint64_t more = (now_ms - bus->paced_ms) * PACE_PER_MS + bus->pace;
	uint32_t most = bus->opts.queue / 2 + 1;

	bus->pace = more > most ? most : (uint32_t)more;
	bus->paced_ms = now_ms;
}

static void
take_stock(struct event_bus *bus)
{
	bus->view->seq = ring_settle(bus->ring);
	bus->stat_seq = bus->view->seq;
	bus->stat_dropped = ring_dropped(bus->ring) + bus->lost;
	bus->stat_waiting = ring_waiting(bus->ring);
}

/* Publishes a batch.  False: nothing was there. */
static bool
drain(struct event_bus *bus)
{
	struct event_record *rec;
	unsigned n;
	uint64_t seq;
	void *p;

	for (n = 0; n < BATCH_MAX; n++) {
		if (!ring_ready(bus->ring) || !may_send(bus) ||
		    !ring_pop(bus->ring, &p, &seq))
			break;
		rec = p;
		publish(bus, &rec->ev, seq);
		if (rec->size > LARGE)
			atomic_fetch_sub(&bus->large, rec->size);
		mem_free(rec);
		/* Whoever asks for numbers meanwhile gets a recent one. */
		bus->stat_seq = seq;
	}
	take_stock(bus);
	return n > 0;
}

static void
resync(struct event_bus *bus, uint64_t now_ms)
{
	uint64_t lost = bus->stat_dropped;

	if (lost == bus->resynced_lost || ring_waiting(bus->ring) != 0 ||
	    now_ms - bus->resynced_ms < RESYNC_EVERY_MS)
		return;
	bus->resynced_lost = lost;
	bus->resynced_ms = now_ms;
	if (bus->opts.resync != NULL)
		bus->opts.resync(bus->opts.resync_ctx);
}

static int
answer(struct event_bus *bus, nng_msg *m)
{
	struct outbuf out = { .cap = SNAPSHOT_REPLY_MAX };
	struct snapshot_facts facts = {
		.epoch = bus->opts.epoch, .version = bus->version,
		.published = bus->stat_published,
		.dropped = bus->stat_dropped,
		.relistened = bus->stat_relistened,
	};
	int r;

	/* Only while it is needed: pages are rare and memory is not. */
	if ((out.p = mem_alloc(out.cap)) == NULL) {
		nng_msg_free(m);
		return -ENOMEM;
	}
	snapshot_answer(bus->view, &facts, nng_msg_body(m), nng_msg_len(m),
	    &out);
	r = bus_socket_reply(&bus->rep, m, out.p, out.n);
	mem_free(out.p);
	return r;
}

/* Answers some requests.  False: there may be more. */
static bool
serve(struct event_bus *bus, uint64_t now_ms)
{
	unsigned n;
	nng_msg *m;

	if (!bus->rep.open)
		return true;
	for (n = 0; n < REQUESTS_MAX; n++) {
		if (bus_socket_request(&bus->rep, now_ms, &m) != 0)
			return true;
		if (answer(bus, m) == 0)
			bump(&bus->stat_snapshots);
	}
	return false;
}

static void
watch_listener(struct event_bus *bus, struct bus_socket *b, struct canary *c,
    uint64_t now_ms)
{
	if (!b->open || canary_turn(c, b->added, now_ms) != CANARY_DEAD)
		return;
	if (bus_socket_relisten(b) == 0)
		bump(&bus->stat_relistened);
}

static int
sooner(int a, int b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

static void
wait(struct event_bus *bus, int timeout_ms, bool requests)
{
	struct pollfd fds[2] = {
		{ .fd = bus->wake_fd, .events = POLLIN },
		{ .fd = requests && bus->rep.open ?
		    bus_socket_fd(&bus->rep) : -1, .events = POLLIN },
	};
	uint64_t n;

	if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents != 0)
		(void)!read(bus->wake_fd, &n, sizeof(n));
}

static int
left(uint64_t until_ms, uint64_t now_ms)
{
	return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void
sleep_until_kicked(struct event_bus *bus, uint64_t now_ms)
{
	int ms = -1;

	if (bus->pub.open)
		ms = sooner(ms, canary_wait(&bus->pub_canary, now_ms));
	if (bus->rep.open) {
		ms = sooner(ms, canary_wait(&bus->rep_canary, now_ms));
		ms = sooner(ms, bus_socket_wait(&bus->rep, now_ms));
	}
	if (bus->stat_dropped != bus->resynced_lost)
		ms = sooner(ms, RESYNC_EVERY_MS);
	if (bus->opts.alive_ms != 0 && bus->pub.pipes > 0)
		ms = sooner(ms, left(alive_due(bus), now_ms));
	(void)atomic_exchange(&bus->sleeping, 1);
	if (!ring_ready(bus->ring) && !bus->stop)
		wait(bus, ms, true);
	(void)atomic_exchange(&bus->sleeping, 0);
}

/* What is left goes out, paced as long as there is time. */
static void
flush(struct event_bus *bus)
{
	uint64_t now = clock_mono_ms(), end = now + FLUSH_MS;
	bool any = bus->stat_published > 0;

	bus->hold_ms = 0;
	bus->unopened = false;
	while (ring_ready(bus->ring) && now < end) {
		refill_pace(bus, now);
		(void)drain(bus);
		wait(bus, NAP_MS, false);
		now = clock_mono_ms();
	}
	take_stock(bus);
	/* nng drops what it has not written when the socket is closed, and has
	 * no way to ask. */
	if (any && bus->pub.open && bus->pub.pipes > 0)
		(void)poll(NULL, 0, LINGER_MS);
}

static void
pipe_added(void *arg)
{
	wake(arg);
}

static int
refuse(char *why, int r, const char *text)
{
	(void)snprintf(why, 256, "%s", text);
	return r;
}

static int
open_socket(struct event_bus *bus, struct bus_socket *b, const char *url,
    enum bus_socket_kind kind, char *why)
{
	if (url == NULL)
		return 0;
	b->kind = kind;
	b->url = url;
	b->path = unix_url_path(url);
	b->changed = pipe_added;
	b->changed_ctx = bus;
	return bus_socket_open(b, bus->opts.queue, why);
}

static void
close_sockets(struct event_bus *bus)
{
	canary_fini(&bus->pub_canary);
	canary_fini(&bus->rep_canary);
	bus_socket_close(&bus->pub);
	bus_socket_close(&bus->rep);
}

static int
open_sockets(struct event_bus *bus, char *why)
{
	uint32_t every = bus->opts.canary_ms;
	uint64_t now = clock_mono_ms();
	int r;

	r = open_socket(bus, &bus->pub, bus->events_url, BUS_PUB, why);
	if (r == 0)
		r = open_socket(bus, &bus->rep, bus->snapshot_url, BUS_REP,
		    why);
	if (r != 0) {
		close_sockets(bus);
		return r;
	}
	canary_init(&bus->pub_canary, bus->pub.path, CANARY_SUB, every, now);
	canary_init(&bus->rep_canary, bus->rep.path, CANARY_REQ, every, now);
	return 0;
}

/* A machine that is busy just now is no reason to give up:
 * the canary goes on. */
static void
confirm(const struct bus_socket *b, uint8_t protocol)
{
	if (b->open && !canary_confirm(b->path, protocol, &b->added))
		log_warning("connections to the bus are not taken yet url=%s",
		    b->url);
}

/* What is known already, and news to nobody. */
static void
known(void *ctx, const struct event *ev)
{
	struct event_bus *bus = ctx;
	size_t json;

	if (view_apply(bus->view, ev, bus->stat_seq) == -ENOMEM)
		bus->lost++;
	bus->stat_endpoints = bus->view->endpoints;
	if (bus->opts.tap == NULL)
		return;
	if (encode(bus, ev, bus->stat_seq, &json) == 0)
		bus->opts.tap(bus->opts.tap_ctx, bus->stat_seq, ev,
		    (const char *)bus->text.p + json, bus->text.n - json);
	else
		bus->lost++;
}

static int
open_late(struct event_bus *bus, const struct turn *t)
{
	uint32_t added = bus->pub.added;
	int r;

	if (t->fill != NULL)
		t->fill(t->fill_ctx, known, bus);
	r = open_sockets(bus, t->why);
	if (r != 0)
		return r;
	confirm(&bus->pub, CANARY_SUB);
	confirm(&bus->rep, CANARY_REQ);
	bus->awaited = added + 1 + t->subscribers;	/* with the canary */
	bus->hold_ms = t->subscribers == 0 ? 0 : clock_mono_ms() + HOLD_MS;
	bus->unopened = false;
	return 0;
}

/* Somebody waits for the sockets to be opened. */
static void
take_turn(struct event_bus *bus)
{
	struct turn *t = atomic_load(&bus->turn);

	if (t == NULL)
		return;
	t->result = bus->unopened ? open_late(bus, t) : -EALREADY;
	atomic_store(&bus->turn, NULL);
	(void)sem_post(&t->done);
}

static void *
run(void *arg)
{
	struct event_bus *bus = arg;
	bool busy, done;
	uint64_t now;

	CT_CHECK_MAGIC(bus, BUS_MAGIC);
	(void)pthread_setname_np(pthread_self(), "publisher");
	while (!bus->stop) {
		now = clock_mono_ms();
		refill_pace(bus, now);
		(void)atomic_exchange(&bus->fresh, false);
		busy = drain(bus);
		done = serve(bus, now);
		watch_listener(bus, &bus->pub, &bus->pub_canary, now);
		watch_listener(bus, &bus->rep, &bus->rep_canary, now);
		resync(bus, now);
		say_alive(bus, now);
		take_turn(bus);
		if (busy || !done || ring_ready(bus->ring))
			wait(bus, NAP_MS, done);
		else
			sleep_until_kicked(bus, now);
	}
	flush(bus);
	return NULL;
}

static int
check_opts(const struct event_bus_opts *o, char *why)
{
	if (o->ring < 2 || o->ring > RING_SIZE_MAX ||
	    (o->ring & (o->ring - 1)) != 0)
		return refuse(why, -EINVAL,
		    "the ring's size is not a power of two");
	if (o->queue < 1 || o->queue > BUS_QUEUE_MAX)
		return refuse(why, -EINVAL,
		    "the queue's length is not between 1 and 8192");
	if ((o->events_url != NULL && unix_url_path(o->events_url) == NULL) ||
	    (o->snapshot_url != NULL &&
	    unix_url_path(o->snapshot_url) == NULL))
		return refuse(why, -EINVAL,
		    "a bus address is not ipc:// and an absolute path of at "
		    "most 107 bytes");
	return 0;
}

static int
copy(const char *s, char **ret)
{
	if (s != NULL && (*ret = mem_strdup(s)) == NULL)
		return -ENOMEM;
	return 0;
}

static int
fill(struct event_bus *bus, const struct event_bus_opts *o)
{
	int r;

	bus->opts = *o;
	bus->large_max = (size_t)o->ring * LARGE;
	if ((r = copy(o->events_url, &bus->events_url)) != 0 ||
	    (r = copy(o->snapshot_url, &bus->snapshot_url)) != 0 ||
	    (r = copy(o->version != NULL ? o->version : "",
	    &bus->version)) != 0 ||
	    (r = ring_new(o->ring, &bus->ring)) != 0 ||
	    (r = view_new(&bus->view)) != 0)
		return r;
	bus->opts.events_url = bus->events_url;
	bus->opts.snapshot_url = bus->snapshot_url;
	bus->opts.version = bus->version;
	bus->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return bus->wake_fd < 0 ? -errno : 0;
}

static int
start(struct event_bus *bus, char *why)
{
	int r;

	bus->unopened = bus->opts.closed;
	r = bus->unopened ? 0 : open_sockets(bus, why);

	if (r != 0)
		return r;
	bus->paced_ms = clock_mono_ms();
	if ((r = pthread_create(&bus->thread, NULL, run, bus)) != 0)
		return -r;
	bus->started = true;
	return 0;
}

static int
turn(struct event_bus *bus, struct turn *t)
{
	const uint64_t one = 1;

	(void)sem_init(&t->done, 0, 0);
	atomic_store(&bus->turn, t);
	(void)!write(bus->wake_fd, &one, sizeof(one));
	while (sem_wait(&t->done) != 0)
		continue;
	(void)sem_destroy(&t->done);
	return t->result;
}

int
event_bus_open(struct event_bus *bus, event_bus_fill *known_to, void *ctx,
    uint32_t subscribers, char *why)
{
	struct turn t = {
		.fill = known_to, .fill_ctx = ctx,
		.subscribers = subscribers, .why = why
	};
	int r;

	why[0] = '\0';
	r = turn(bus, &t);
	if (r != 0 && why[0] == '\0')
		(void)refuse(why, r, strerror(-r));
	return r;
}

int
event_bus_new(const struct event_bus_opts *o, char *why,
    struct event_bus **ret)
{
	struct event_bus *bus;
	sigset_t all, before;
	int r;

	if ((r = check_opts(o, why)) != 0)
		return r;
	if ((bus = mem_calloc(1, sizeof(*bus))) == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	bus->magic = BUS_MAGIC;
	bus->wake_fd = -1;
	bus->pub_canary.fd = bus->rep_canary.fd = -1;
	/* nng's threads and ours take no signals: they inherit the mask. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if ((r = fill(bus, o)) == 0) {
		why[0] = '\0';
		r = start(bus, why);
		if (r != 0 && why[0] == '\0')
			(void)refuse(why, r, strerror(-r));
	} else {
		(void)refuse(why, r, strerror(-r));
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		event_bus_free(&bus);
	else
		*ret = bus;
	return r;
}

void
event_bus_free(struct event_bus **bp)
{
	struct event_bus *bus = *bp;
	const uint64_t one = 1;
	uint64_t seq;
	void *p;

	*bp = NULL;
	if (bus == NULL)
		return;
	CT_CHECK_MAGIC(bus, BUS_MAGIC);
	if (bus->started) {
		bus->stop = true;
		(void)!write(bus->wake_fd, &one, sizeof(one));
		(void)pthread_join(bus->thread, NULL);
	}
	close_sockets(bus);
	while (bus->ring != NULL && ring_pop(bus->ring, &p, &seq))
		mem_free(p);
	ring_free(&bus->ring);
	view_free(&bus->view);
	if (bus->wake_fd >= 0)
		(void)close(bus->wake_fd);
	mem_free(bus->text.p);
	mem_free(bus->events_url);
	mem_free(bus->snapshot_url);
	mem_free(bus->version);
	mem_free(bus);
}

void
event_bus_stats(struct event_bus *bus, struct event_bus_stats *ret)
{
	*ret = (struct event_bus_stats){
		.seq = bus->stat_seq, .published = bus->stat_published,
		.dropped = bus->stat_dropped, .waiting = bus->stat_waiting,
		.relistened = bus->stat_relistened,
		.endpoints = bus->stat_endpoints,
		.snapshots = bus->stat_snapshots,
		.subscribers = bus->pub.pipes > 0 ?
		    (uint32_t)bus->pub.pipes : 0,
	};
}
