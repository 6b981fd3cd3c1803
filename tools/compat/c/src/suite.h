/* What the tests of suite.c share: names, checks, handles, and the talk with package foreign. */
#ifndef SUITE_H
#define SUITE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

enum {
	PATIENCE = 30,     /* seconds that anything may take; it ends a test, it decides nothing */
	TICK = 500,        /* ms, the server's; sessions last 2 to 20 of it */
	TIMEOUT = 10000,   /* ms, of a session */
	HANDLES_MAX = 64,  /* of one test */
	EVENTS_MAX = 4096, /* of one recorder */
};

static const char *address;
static const char *self; /* this program, to start it again */
static jmp_buf test_ends;

/* fail ends the test. Only the test's own thread may call it. */
__attribute__((noreturn, format(printf, 3, 4))) static void fail(const char *file, int line,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("fail %s:%d: ", file, line);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
	longjmp(test_ends, 1);
}

#define HERE (strrchr("/" __FILE__, '/') + 1), __LINE__
#define FAIL(...) fail(HERE, __VA_ARGS__)

#define CHECK(condition) \
	do { \
		if (!(condition)) FAIL("not so: %s", #condition); \
	} while (0)

/* WANT compares two integers, RC a return code with the one that is expected. */
#define WANT(got, want) \
	do { \
		long long got_ = (got), want_ = (want); \
		if (got_ != want_) \
			FAIL("%s is %lld, want %lld", #got, got_, want_); \
	} while (0)

#define RC(call, want) \
	do { \
		int rc_ = (call); \
		if (rc_ != (want)) \
			FAIL("%s: %s (%d), want %s", #call, zerror(rc_), rc_, \
				zerror(want)); \
	} while (0)

#define SAME(got, want) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (strcmp(got_, want_) != 0) \
			FAIL("%s is \"%s\", want \"%s\"", #got, got_, want_); \
	} while (0)

/* UNTIL asks again and again, but not for ever. */
#define UNTIL(condition) \
	do { \
		time_t late_ = time(NULL) + PATIENCE; \
		while (!(condition)) { \
			if (time(NULL) > late_) \
				FAIL("not within %d s: %s", PATIENCE, #condition); \
			usleep(5000); \
		} \
	} while (0)

/* An event is one call of a watcher. */
struct event {
	int type, state;
	char path[200];
};

/* A recorder keeps what a watcher is told. Its lock guards all of it. */
struct recorder {
	pthread_mutex_t lock;
	int count;
	struct event events[EVENTS_MAX];
};

static struct recorder *recorder(void)
{
	struct recorder *r = calloc(1, sizeof *r); /* handles may outlive a test: never freed */
	if (r == NULL) abort();
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void record(zhandle_t *zh, int type, int state, const char *path, void *context)
{
	struct recorder *r = context;
	(void)zh;
	pthread_mutex_lock(&r->lock);
	if (r->count < EVENTS_MAX) {
		struct event *e = &r->events[r->count++];
		e->type = type;
		e->state = state;
		snprintf(e->path, sizeof e->path, "%s", path ? path : "");
	}
	pthread_mutex_unlock(&r->lock);
}

/* seen counts the events of a type and path; session events have the path "". */
static int seen(struct recorder *r, int type, const char *path)
{
	int n = 0;
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < r->count; i++)
		n += r->events[i].type == type && strcmp(r->events[i].path, path) == 0;
	pthread_mutex_unlock(&r->lock);
	return n;
}

/* nodes counts all events that are about a node. */
static int nodes(struct recorder *r)
{
	int n = 0;
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < r->count; i++) n += r->events[i].type != ZOO_SESSION_EVENT;
	pthread_mutex_unlock(&r->lock);
	return n;
}

/* states counts the session events with a state. */
static int states(struct recorder *r, int state)
{
	int n = 0;
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < r->count; i++)
		n += r->events[i].type == ZOO_SESSION_EVENT && r->events[i].state == state;
	pthread_mutex_unlock(&r->lock);
	return n;
}

static zhandle_t *handles[HANDLES_MAX];
static int handle_count;

/* begin_session makes a handle and does not wait. It is closed when the test ends. */
static zhandle_t *begin_session(const char *hosts, int timeout, const clientid_t *id,
	struct recorder *r)
{
	zhandle_t *zh = zookeeper_init(hosts, record, timeout, id, r, 0);
	CHECK(zh != NULL);
	CHECK(handle_count < HANDLES_MAX);
	handles[handle_count++] = zh;
	return zh;
}

static int connected(zhandle_t *zh) { return zoo_state(zh) == ZOO_CONNECTED_STATE; }

static zhandle_t *session(void)
{
	zhandle_t *zh = begin_session(address, TIMEOUT, NULL, recorder());
	UNTIL(connected(zh));
	return zh;
}

/* end_session closes a handle before the test ends. */
static void end_session(zhandle_t *zh)
{
	for (int i = 0; i < handle_count; i++)
		if (handles[i] == zh) handles[i] = handles[--handle_count];
	RC(zookeeper_close(zh), ZOK);
}

static void end_sessions(void)
{
	while (handle_count > 0) zookeeper_close(handles[--handle_count]);
}

/* server asks package foreign to do something to the server, and waits. */
static void server(const char *action)
{
	char answer[16] = "";
	printf("server %s\n", action);
	fflush(stdout);
	CHECK(fgets(answer, sizeof answer, stdin) != NULL);
	SAME(answer, "done\n");
}

/* A tally counts completions and the first that went wrong. */
struct tally {
	pthread_mutex_t lock;
	int done, wrong, first_rc;
	int next;   /* the number that is expected next, to prove the order */
	int astray; /* completions out of order */
};

static struct tally *tally(void)
{
	struct tally *t = calloc(1, sizeof *t); /* a late completion may use it: never freed */
	if (t == NULL) abort();
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static void count(struct tally *t, int rc)
{
	pthread_mutex_lock(&t->lock);
	if (rc != ZOK && t->wrong++ == 0) t->first_rc = rc;
	t->done++;
	pthread_mutex_unlock(&t->lock);
}

static int done(struct tally *t)
{
	pthread_mutex_lock(&t->lock);
	int n = t->done;
	pthread_mutex_unlock(&t->lock);
	return n;
}

#endif
