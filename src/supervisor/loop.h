/* loop.h - the one event loop: descriptors, timers, signals, work for later.
 *
 * loop.c is the only file that knows libevent.  What is waited for is memory of
 * the caller (embedded in the object that it serves, all zero before its first
 * use) and must be cleared before that goes.
 * Callbacks run on the loop's one thread; work that a callback must not do to
 * itself (free its own object, start what may call back) is deferred to the end
 * of the turn, so nothing recurses. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/usec.h"

struct loop;

/* A descriptor that is watched; thousands are in memory. */
#define LOOP_IO_SIZE 40
struct loop_io {
    _Alignas(8) unsigned char opaque[LOOP_IO_SIZE];
};

/* 128 bytes more, which are libevent's. */
#define LOOP_TIMER_SIZE (LOOP_IO_SIZE + 128)
struct loop_timer {
    _Alignas(8) unsigned char opaque[LOOP_TIMER_SIZE];
};
struct loop_signal {
    _Alignas(8) unsigned char opaque[LOOP_TIMER_SIZE];
};

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Served in this order within a turn; every turn serves all that was ready, so
 * no priority can starve another.  Timers and signals are LOOP_LIFE. */
enum loop_priority { LOOP_CONTROL, LOOP_LIFE, LOOP_DATA, LOOP_PRIORITIES };

typedef void (*loop_io_fn)(int fd, unsigned what, void *arg);
typedef void (*loop_fn)(void *arg);
typedef void (*loop_signal_fn)(int signal, void *arg);

int loop_new(struct loop **ret);
void loop_free(struct loop *l);

/* Turns until loop_stop(), whose turn is finished first; 0 or a negative errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Called at the end of every turn, before the next wait; NULL: nothing. */
void loop_on_turn_end(struct loop *l, loop_fn fn, void *arg);

/* CLOCK_MONOTONIC, read once a turn (outside of loop_run() at each call).  A turn
 * that starts children takes long: where that matters it is usec_now(). */
usec_t loop_now(struct loop *l);

/* Level-triggered and persistent.  `what` is LOOP_READ | LOOP_WRITE; 0 keeps
 * it known but silent: not even a hang-up is reported then.  Calling it again
 * on the same one changes it, and costs nothing when nothing changes.  Clear
 * it before the descriptor is closed.  A descriptor can be watched by one only
 * (-EEXIST). */
int loop_io_set(struct loop *l, struct loop_io *io, int fd, unsigned what, enum loop_priority priority, loop_io_fn fn,
                void *arg);
/* The loop that it was set on; NULL before and after. */
struct loop *loop_of(const struct loop_io *io);
void loop_io_clear(struct loop_io *io); /* one that was never set may be cleared too */

/* Fires once at `at` (CLOCK_MONOTONIC), never before; setting it again moves it.
 * A point in the past fires in the next turn, USEC_INFINITY never. */
int loop_timer_set(struct loop *l, struct loop_timer *t, usec_t at, loop_fn fn, void *arg);
void loop_timer_clear(struct loop_timer *t);

int loop_signal_set(struct loop *l, struct loop_signal *s, int signal, loop_signal_fn fn, void *arg);
void loop_signal_clear(struct loop_signal *s);

/* Runs fn(arg) once, after the callbacks of this turn.  Work that is deferred by
 * such work runs in the next turn, which does not wait.  The node is the
 * caller's memory (free when fn is called); queueing a queued node does nothing. */
struct loop_work {
    struct loop_work *next;
    loop_fn fn;
    void *arg;
    bool queued;
};

void loop_defer(struct loop *l, struct loop_work *w, loop_fn fn, void *arg);
void loop_undefer(struct loop *l, struct loop_work *w);

/* Whether something of LOOP_CONTROL was ready a moment ago. */
bool loop_is_asked(struct loop *l);
/* The longest time one turn's callbacks took, in microseconds. */
usec_t loop_lag_max(const struct loop *l);
/* Turns so far, for benchmarks and `show droverd`. */
uint64_t loop_turns(const struct loop *l);
