/* loop.c - the event loop; the one file that knows libevent.
 *
 * libevent waits (epoll, timer heap, signals); the order of work is ours.  Its
 * own priorities are strict: as long as one client kept the highest queue busy,
 * no exit of a job and no output would ever be looked at.  So libevent's
 * callbacks only put events into one queue a priority, and when it has come back
 * from its one poll the queues are run through, control first.  A turn is: wait,
 * collect, run what was ready, run the deferred work.
 *
 * Since callers run outside of libevent, they may set, clear and free any event
 * from any callback, their own included: clearing takes it out of its queue.
 *
 * The precise timer (a timerfd) is asked for because libevent otherwise reads
 * the coarse clock, whose ticks are 4 ms apart.  The caller owns the memory of
 * events and work; the loop owns the event base. */
#include "supervisor/loop.h"

#include <errno.h>
#include <sys/queue.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

enum entry_kind { ENTRY_IO, ENTRY_TIMER, ENTRY_SIGNAL };

/* What a struct loop_event really is. */
struct entry {
    struct event event;
    struct loop *loop; /* NULL: never set */
    union {
        loop_io_fn io;
        loop_fn timer;
        loop_signal_fn signal;
    } fn;
    void *arg;
    STAILQ_ENTRY(entry) ready_link;
    uint8_t kind;
    uint8_t priority;
    uint8_t what;  /* asked for */
    uint8_t ready; /* seen by libevent and not yet told; in a queue while not 0 */
};

_Static_assert(sizeof(struct entry) <= LOOP_EVENT_SIZE, "LOOP_EVENT_SIZE is too small");
_Static_assert(_Alignof(struct loop_event) >= _Alignof(struct entry), "struct loop_event is not aligned");

STAILQ_HEAD(entry_queue, entry);

struct work_queue {
    struct loop_work *first;
    struct loop_work **last;
};

struct loop {
    struct event_base *base;
    struct entry_queue ready[LOOP_PRIORITIES];
    struct work_queue work;    /* for the end of this turn */
    struct work_queue running; /* being run now; kept here so that loop_undefer() finds it */
    usec_t now;                /* 0: not in a turn */
    usec_t lag_max;
    uint64_t turns;
    bool stopped;
    loop_fn turn_end;
    void *turn_end_arg;
};

static usec_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* libevent would write to our stderr; what fails is returned to the caller anyway. */
static void ignore_message(int severity, const char *message)
{
    (void)severity;
    (void)message;
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void work_queue_init(struct work_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

int loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    event_set_log_callback(ignore_message);
    l->base = base_new();
    if (l->base == NULL) {
        free(l);
        return -ENOMEM;
    }
    for (int i = 0; i < LOOP_PRIORITIES; i++)
        STAILQ_INIT(&l->ready[i]);
    work_queue_init(&l->work);
    work_queue_init(&l->running);
    *ret = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    event_base_free(l->base);
    free(l);
}

/* --- events ------------------------------------------------------------- */

static struct entry *entry_of(struct loop_event *e)
{
    return (struct entry *)(void *)e;
}

static void entry_unqueue(struct entry *e)
{
    if (e->ready != 0)
        STAILQ_REMOVE(&e->loop->ready[e->priority], e, entry, ready_link); /* rare, and the queue is short */
    e->ready = 0;
}

static void entry_queue(struct entry *e, unsigned ready)
{
    if (e->ready == 0)
        STAILQ_INSERT_TAIL(&e->loop->ready[e->priority], e, ready_link);
    e->ready |= (uint8_t)ready;
}

/* libevent's callback for events of all kinds: remembers, runs nothing. */
static void entry_seen(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    struct entry *e = arg;
    unsigned ready = 0;
    if (e->kind != ENTRY_IO)
        ready = LOOP_READ;
    if (events & EV_READ)
        ready |= LOOP_READ;
    if (events & EV_WRITE)
        ready |= LOOP_WRITE;
    if (ready != 0)
        entry_queue(e, ready);
}

static void entry_clear(struct entry *e)
{
    if (e->loop == NULL)
        return;
    entry_unqueue(e);
    event_del(&e->event);
    e->loop = NULL;
}

/* Makes the entry libevent's, not yet waiting for anything. */
static int entry_assign(struct loop *l, struct entry *e, enum entry_kind kind, int fd, short events)
{
    entry_clear(e);
    if (event_assign(&e->event, l->base, fd, events, entry_seen, e) < 0)
        return -EINVAL;
    e->loop = l;
    e->kind = (uint8_t)kind;
    e->priority = LOOP_LIFE;
    e->what = 0;
    e->ready = 0;
    return 0;
}

static int entry_add(struct entry *e, const struct timeval *delay)
{
    errno = 0;
    if (event_add(&e->event, delay) == 0)
        return 0;
    int r = errno > 0 ? -errno : -EIO;
    entry_clear(e);
    return r;
}

int loop_io_set(struct loop *l, struct loop_event *event, int fd, unsigned what, enum loop_priority priority,
                loop_io_fn fn, void *arg)
{
    struct entry *e = entry_of(event);
    bool same = e->loop == l && e->kind == ENTRY_IO && event_get_fd(&e->event) == fd;
    if (!same || e->what != what || e->priority != priority) {
        short events = EV_PERSIST;
        events |= what & LOOP_READ ? EV_READ : 0;
        events |= what & LOOP_WRITE ? EV_WRITE : 0;
        int r = entry_assign(l, e, ENTRY_IO, fd, events);
        if (r < 0)
            return r;
        e->what = (uint8_t)what;
        e->priority = (uint8_t)priority;
        r = what != 0 ? entry_add(e, NULL) : 0;
        if (r < 0)
            return r;
    }
    e->fn.io = fn;
    e->arg = arg;
    return 0;
}

struct loop *loop_of(const struct loop_event *e)
{
    return ((const struct entry *)(const void *)e)->loop;
}

void loop_io_clear(struct loop_event *e)
{
    entry_clear(entry_of(e));
}

int loop_timer_set(struct loop *l, struct loop_event *event, usec_t at, loop_fn fn, void *arg)
{
    struct entry *e = entry_of(event);
    if (e->loop != l || e->kind != ENTRY_TIMER) {
        int r = entry_assign(l, e, ENTRY_TIMER, -1, 0);
        if (r < 0)
            return r;
    }
    entry_unqueue(e);
    e->fn.timer = fn;
    e->arg = arg;
    if (at == USEC_INFINITY) {
        event_del(&e->event);
        return 0;
    }
    /* libevent counts from its own, later reading of the same clock, so it is never early */
    usec_t delay = usec_sub(at, clock_now());
    if (delay > 1000000000 * USEC_PER_SEC)
        delay = 1000000000 * USEC_PER_SEC;
    struct timeval tv = { .tv_sec = (time_t)(delay / USEC_PER_SEC), .tv_usec = (suseconds_t)(delay % USEC_PER_SEC) };
    return entry_add(e, &tv);
}

void loop_timer_clear(struct loop_event *e)
{
    entry_clear(entry_of(e));
}

int loop_signal_set(struct loop *l, struct loop_event *event, int signal, loop_signal_fn fn, void *arg)
{
    struct entry *e = entry_of(event);
    int r = entry_assign(l, e, ENTRY_SIGNAL, signal, EV_SIGNAL | EV_PERSIST);
    if (r < 0)
        return r;
    e->fn.signal = fn;
    e->arg = arg;
    return entry_add(e, NULL);
}

void loop_signal_clear(struct loop_event *e)
{
    entry_clear(entry_of(e));
}

/* Tells the caller.  The entry may be gone when fn has returned. */
static void entry_run(struct entry *e)
{
    unsigned ready = e->ready;
    int fd = event_get_fd(&e->event);
    entry_unqueue(e);
    switch ((enum entry_kind)e->kind) {
    case ENTRY_IO:
        e->fn.io(fd, ready, e->arg);
        break;
    case ENTRY_TIMER:
        e->fn.timer(e->arg);
        break;
    case ENTRY_SIGNAL:
        e->fn.signal(fd, e->arg);
        break;
    }
}

/* --- work for later ----------------------------------------------------- */

void loop_defer(struct loop *l, struct loop_work *w, loop_fn fn, void *arg)
{
    if (w->queued)
        return;
    *w = (struct loop_work){ .fn = fn, .arg = arg, .queued = true };
    *l->work.last = w;
    l->work.last = &w->next;
}

static bool work_remove(struct work_queue *q, struct loop_work *w)
{
    for (struct loop_work **p = &q->first; *p != NULL; p = &(*p)->next) {
        if (*p != w)
            continue;
        *p = w->next;
        if (q->last == &w->next)
            q->last = p;
        return true;
    }
    return false;
}

void loop_undefer(struct loop *l, struct loop_work *w)
{
    if (w->queued && !work_remove(&l->work, w))
        work_remove(&l->running, w);
    w->queued = false;
}

static void work_run(struct loop *l)
{
    if (l->work.first == NULL)
        return;
    l->running = l->work;
    work_queue_init(&l->work);
    while (l->running.first != NULL) {
        struct loop_work *w = l->running.first;
        l->running.first = w->next;
        w->queued = false;
        w->fn(w->arg);
    }
    work_queue_init(&l->running);
}

/* --- turns -------------------------------------------------------------- */

static void turn_run(struct loop *l)
{
    usec_t start = clock_now();
    l->now = start;
    l->turns++;
    for (int i = 0; i < LOOP_PRIORITIES; i++) {
        struct entry *e;
        while ((e = STAILQ_FIRST(&l->ready[i])) != NULL)
            entry_run(e);
    }
    work_run(l);
    if (l->turn_end != NULL)
        l->turn_end(l->turn_end_arg);
    usec_t took = usec_sub(clock_now(), start);
    if (took > l->lag_max)
        l->lag_max = took;
    l->now = 0;
}

int loop_run(struct loop *l)
{
    while (!l->stopped) {
        int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
        if (l->work.first != NULL)
            flags |= EVLOOP_NONBLOCK;
        errno = 0;
        if (event_base_loop(l->base, flags) < 0)
            return errno > 0 ? -errno : -EIO;
        turn_run(l);
    }
    l->stopped = false;
    return 0;
}

void loop_on_turn_end(struct loop *l, loop_fn fn, void *arg)
{
    l->turn_end = fn;
    l->turn_end_arg = arg;
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}

usec_t loop_now(struct loop *l)
{
    return l->now != 0 ? l->now : clock_now();
}

usec_t loop_lag_max(const struct loop *l)
{
    return l->lag_max;
}

uint64_t loop_turns(const struct loop *l)
{
    return l->turns;
}
