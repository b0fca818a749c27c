/* loop.c - the event loop; the one file that knows libevent.
 *
 * libevent waits (timer heap, signals, and one descriptor); the order of work is
 * ours.  Its own priorities are strict: as long as one client kept the highest
 * queue busy, no exit of a job and no output would ever be looked at.  So
 * callbacks only put entries into one queue a priority, and when libevent has
 * come back from its one poll the queues are run through, control first.  A turn
 * is: wait, collect, run what was ready, run the deferred work.
 *
 * While turns follow closely, the wait is in the set of descriptors instead, for some
 * milliseconds, and libevent is asked once in a while.
 *
 * Descriptors do not have an event of libevent's each: three a job, 128 bytes
 * and a place in its tables apiece, were a fifth of all that a thousand jobs
 * weighed.  They are in a set of their own (os/pollset.h) with 40 bytes each,
 * and libevent waits for the set.
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

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/pollset.h"

#define DIRECT USEC_PER_MSEC /* that timers and signals may have to wait */
#define SOON_MS 5            /* the same, where no timer is as BRIEF as that */
#define BRIEF (10 * USEC_PER_MSEC)
#define LATE (20 * USEC_PER_MSEC)  /* as the log says */
#define ASKED (10 * USEC_PER_MSEC) /* a moment: whoever has asked often asks again */

enum entry_kind { ENTRY_IO, ENTRY_TIMER, ENTRY_SIGNAL };

/* What a struct loop_io really is, and what the others begin with. */
struct entry {
    struct loop *loop; /* NULL: never set */
    union {
        loop_io_fn io;
        loop_fn timer;
        loop_signal_fn signal;
    } fn;
    void *arg;
    STAILQ_ENTRY(entry) ready_link;
    int fd; /* or the signal */
    uint8_t kind;
    uint8_t priority;
    uint8_t what;  /* asked for */
    uint8_t ready; /* seen and not yet told; in a queue while not 0 */
};

/* What a struct loop_timer and a struct loop_signal really are. */
struct timed {
    struct entry entry;
    struct event event;
};

_Static_assert(sizeof(struct entry) <= LOOP_IO_SIZE, "LOOP_IO_SIZE is too small");
_Static_assert(sizeof(struct timed) <= LOOP_TIMER_SIZE, "LOOP_TIMER_SIZE is too small");
_Static_assert(_Alignof(struct loop_timer) >= _Alignof(struct timed), "struct loop_timer is not aligned");

STAILQ_HEAD(entry_queue, entry);

struct work_queue {
    struct loop_work *first;
    struct loop_work **last;
};

struct loop {
    struct event_base *base;
    struct pollset *set;
    struct event set_event; /* something in the set is ready */
    bool set_ready;
    struct loop_timer late_timer; /* while the kernel has no room for some of the set */
    bool late, late_told;
    struct entry_queue ready[LOOP_PRIORITIES];
    struct work_queue work;    /* for the end of this turn */
    struct work_queue running; /* being run now; kept here so that loop_undefer() finds it */
    usec_t now;                /* 0: not in a turn */
    usec_t begun;              /* the last turn, */
    bool soon;                 /* and not long after the one before */
    usec_t brief_until;        /* timers are to be kept to the millisecond */
    usec_t waited;             /* the last turn that libevent was waited for */
    usec_t asked;              /* when something of LOOP_CONTROL was ready last */
    usec_t lag_max;
    uint64_t turns;
    bool stopped;
    loop_fn turn_end;
    void *turn_end_arg;
};

/* libevent would write to our stderr; what fails is returned to the caller anyway. */
static void ignore_message(int severity, const char *message)
{
    (void)severity;
    (void)message;
}

/* epoll needs room in the kernel for the first descriptor, too; poll(2) never does. */
static struct event_base *base_new(bool epoll)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    if (!epoll)
        event_config_avoid_method(config, "epoll");
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void work_queue_init(struct work_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void on_set_ready(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct loop *l = arg;
    l->set_ready = true;
}

static void give_back(struct loop *l)
{
    if (l->base != NULL)
        event_base_free(l->base);
    pollset_free(TAKE_PTR(l->set));
    l->base = NULL;
}

static int begin(struct loop *l, bool epoll)
{
    l->base = base_new(epoll);
    int r = l->base != NULL ? pollset_new(&l->set) : -ENOMEM;
    if (r == 0)
        r = event_assign(&l->set_event, l->base, pollset_fd(l->set), EV_READ | EV_PERSIST, on_set_ready, l);
    if (r == 0)
        r = event_add(&l->set_event, NULL);
    if (r < 0)
        give_back(l);
    return r;
}

int loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    event_set_log_callback(ignore_message);
    if (begin(l, true) < 0 && begin(l, false) < 0) {
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
    give_back(l);
    free(l);
}

/* --- what has become ready ------------------------------------------------ */

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

static void on_io_ready(void *arg, unsigned ready)
{
    struct entry *e = arg;
    if ((ready & e->what) != 0)
        entry_queue(e, ready & e->what);
}

/* libevent's callback: remembers, runs nothing. */
static void on_timed(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    entry_queue(arg, LOOP_READ);
}

/* --- descriptors ------------------------------------------------------------ */

/* Each turn looks at what is not watched for now; this sees to it that there are turns. */
static void on_late(void *arg)
{
    struct loop *l = arg;
    l->late = pollset_retry(l->set) > 0 &&
              loop_timer_set(l, &l->late_timer, usec_now(CLOCK_MONOTONIC) + LATE, on_late, l) == 0;
}

static void look_after_late(struct loop *l)
{
    if (!l->late_told)
        log_warn("the kernel has no room to watch all descriptors (memory, or fs.epoll.max_user_watches); some are "
                 "looked at every 20 ms");
    l->late_told = true;
    on_late(l);
}

int loop_io_set(struct loop *l, struct loop_io *io, int fd, unsigned what, enum loop_priority priority, loop_io_fn fn,
                void *arg)
{
    struct entry *e = (struct entry *)(void *)io;
    if (e->loop != l || e->fd != fd) {
        loop_io_clear(io);
        *e = (struct entry){ .loop = l, .fd = fd, .kind = ENTRY_IO };
    }
    if (e->what != what) {
        int r = pollset_change(l->set, fd, e->what, what, e);
        if (r < 0) {
            loop_io_clear(io);
            return r;
        }
        if (!l->late && pollset_late(l->set) > 0)
            look_after_late(l);
    }
    if (e->what != what || e->priority != priority)
        entry_unqueue(e);
    e->what = (uint8_t)what;
    e->priority = (uint8_t)priority;
    e->fn.io = fn;
    e->arg = arg;
    return 0;
}

struct loop *loop_of(const struct loop_io *io)
{
    return ((const struct entry *)(const void *)io)->loop;
}

void loop_io_clear(struct loop_io *io)
{
    struct entry *e = (struct entry *)(void *)io;
    if (e->loop == NULL)
        return;
    entry_unqueue(e);
    pollset_change(e->loop->set, e->fd, e->what, 0, e);
    e->loop = NULL;
}

/* --- timers and signals ------------------------------------------------------- */

static void timed_clear(struct timed *t)
{
    if (t->entry.loop == NULL)
        return;
    entry_unqueue(&t->entry);
    event_del(&t->event);
    t->entry.loop = NULL;
}

/* Makes it libevent's, not yet waiting for anything. */
static int timed_assign(struct loop *l, struct timed *t, enum entry_kind kind, int number, short events)
{
    timed_clear(t);
    if (event_assign(&t->event, l->base, number, events, on_timed, &t->entry) < 0)
        return -EINVAL;
    t->entry = (struct entry){ .loop = l, .fd = number, .kind = (uint8_t)kind, .priority = LOOP_LIFE };
    return 0;
}

static int timed_add(struct timed *t, const struct timeval *delay)
{
    errno = 0;
    if (event_add(&t->event, delay) == 0)
        return 0;
    int r = errno > 0 ? -errno : -EIO;
    timed_clear(t);
    return r;
}

int loop_timer_set(struct loop *l, struct loop_timer *timer, usec_t at, loop_fn fn, void *arg)
{
    struct timed *t = (struct timed *)(void *)timer;
    if (t->entry.loop != l) {
        int r = timed_assign(l, t, ENTRY_TIMER, -1, 0);
        if (r < 0)
            return r;
    }
    entry_unqueue(&t->entry);
    t->entry.fn.timer = fn;
    t->entry.arg = arg;
    if (at == USEC_INFINITY) {
        event_del(&t->event);
        return 0;
    }
    /* libevent counts from its own, later reading of the same clock, so it is never early */
    usec_t now = usec_now(CLOCK_MONOTONIC), delay = usec_sub(at, now);
    if (delay > 1000000000 * USEC_PER_SEC)
        delay = 1000000000 * USEC_PER_SEC;
    if (delay < BRIEF && now + delay > l->brief_until)
        l->brief_until = now + delay;
    struct timeval tv = { .tv_sec = (time_t)(delay / USEC_PER_SEC), .tv_usec = (suseconds_t)(delay % USEC_PER_SEC) };
    return timed_add(t, &tv);
}

void loop_timer_clear(struct loop_timer *timer)
{
    timed_clear((struct timed *)(void *)timer);
}

int loop_signal_set(struct loop *l, struct loop_signal *watch, int signal, loop_signal_fn fn, void *arg)
{
    struct timed *t = (struct timed *)(void *)watch;
    int r = timed_assign(l, t, ENTRY_SIGNAL, signal, EV_SIGNAL | EV_PERSIST);
    if (r < 0)
        return r;
    t->entry.fn.signal = fn;
    t->entry.arg = arg;
    return timed_add(t, NULL);
}

void loop_signal_clear(struct loop_signal *watch)
{
    timed_clear((struct timed *)(void *)watch);
}

/* Tells the caller.  The entry may be gone when fn has returned. */
static void entry_run(struct entry *e)
{
    unsigned ready = e->ready;
    entry_unqueue(e);
    switch ((enum entry_kind)e->kind) {
    case ENTRY_IO:
        e->fn.io(e->fd, ready, e->arg);
        break;
    case ENTRY_TIMER:
        e->fn.timer(e->arg);
        break;
    case ENTRY_SIGNAL:
        e->fn.signal(e->fd, e->arg);
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
    usec_t start = usec_now(CLOCK_MONOTONIC);
    l->soon = start < l->begun + DIRECT;
    l->now = l->begun = start;
    l->turns++;
    if (!STAILQ_EMPTY(&l->ready[LOOP_CONTROL]))
        l->asked = start;
    for (int i = 0; i < LOOP_PRIORITIES; i++) {
        struct entry *e;
        while ((e = STAILQ_FIRST(&l->ready[i])) != NULL)
            entry_run(e);
    }
    work_run(l);
    if (l->turn_end != NULL)
        l->turn_end(l->turn_end_arg);
    usec_t took = usec_sub(usec_now(CLOCK_MONOTONIC), start);
    if (took > l->lag_max)
        l->lag_max = took;
    l->soon = l->soon && took < DIRECT;
    l->now = 0;
}

static int wait_for_something(struct loop *l)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
    if (l->work.first != NULL)
        flags |= EVLOOP_NONBLOCK;
    errno = 0;
    if (event_base_loop(l->base, flags) < 0)
        return errno > 0 ? -errno : -EIO;
    if (l->set_ready)
        pollset_collect(l->set, 0, on_io_ready);
    l->set_ready = false;
    if (l->late)
        pollset_collect_late(l->set, on_io_ready);
    return 0;
}

/* Turns follow each other closely: the next one will, too. */
static bool is_soon(const struct loop *l)
{
    return l->soon && l->work.first == NULL && !l->late && l->brief_until + DIRECT < l->waited;
}

/* Where one descriptor after the other is ready, libevent is a detour: it sets its timer
 * anew and polls before we do.  Where they come one by one, as messages do that go to and
 * fro, we wait in the set for the same reason, but not while a timer is set that has to be
 * kept to the millisecond.  A signal ends the wait, unless it came just before. */
static bool something_is_ready(struct loop *l)
{
    return l->begun < l->waited + DIRECT && pollset_collect(l->set, is_soon(l) ? SOON_MS : 0, on_io_ready);
}

int loop_run(struct loop *l)
{
    while (!l->stopped) {
        bool direct = something_is_ready(l);
        int r = direct ? 0 : wait_for_something(l);
        if (r < 0)
            return r;
        turn_run(l);
        if (!direct)
            l->waited = l->begun;
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
    return l->now != 0 ? l->now : usec_now(CLOCK_MONOTONIC);
}

bool loop_is_asked(struct loop *l)
{
    return l->asked != 0 && loop_now(l) < l->asked + ASKED;
}

usec_t loop_lag_max(const struct loop *l)
{
    return l->lag_max;
}

uint64_t loop_turns(const struct loop *l)
{
    return l->turns;
}
