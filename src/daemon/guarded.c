/* guarded.c - see guarded.h.
 *
 * Owns the event on the holder's descriptor.  Writing is watched for only while
 * the guardian is behind.  Its end is ours: without it nobody would know of our
 * jobs if we died, and nobody would reap them. */
#include "daemon/guarded.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/exit_cause.h"
#include "supervisor/kept.h"
#include "supervisor/recovery.h"

#define BEAT_MAX (86400 * USEC_PER_SEC)
#define AGAIN_EVERY USEC_PER_SEC

struct guarded {
    struct supervisor *supervisor;
    struct holder *holder;
    struct loop_io event;
    struct loop_work hello;
    struct loop_timer beat;
    struct loop_timer again;
    uint64_t *refused; /* names of what the guardian had no room for */
    size_t n_refused;
    bool lacks;
    bool beating, heeds;
    uint32_t hups; /* that came before the files were read */
    void (*answer)(int status, void *arg);
    void *answer_arg;
};

static void on_event(int fd, unsigned what, void *arg);

static _Noreturn void leave(void)
{
    log_critical("the guardian is gone; so is the daemon");
    log_flush();
    _exit(EXIT_FAILURE);
}

static void watch(struct guarded *g, int flushed)
{
    unsigned what = LOOP_READ | (flushed == -EAGAIN ? (unsigned)LOOP_WRITE : 0);
    loop_io_set(g->supervisor->loop, &g->event, g->holder->fd, what, LOOP_LIFE, on_event, g);
}

void guarded_heeds(struct guarded *g)
{
    g->hups = holder_hups_came(g->holder);
    g->heeds = true;
}

void guarded_flush(struct guarded *g)
{
    if (g->holder->n > 0)
        watch(g, holder_flush(g->holder));
    if (g->heeds && g->holder->n == 0) {
        holder_hups_heeded(g->holder, g->hups);
        g->heeds = false;
    }
}

static void on_ended(const struct roll_child *child, void *arg)
{
    struct guarded *g = arg;
    recovery_ended(g->supervisor, child);
}

static void on_stranger(const struct roll_child *child, void *arg)
{
    (void)arg;
    char words[128];
    struct exit_cause cause = exit_cause_from_wait(child->status);
    exit_cause_words(&cause, words, sizeof(words));
    log_info("reaped unknown pid %d (%s)", child->pid, words);
}

static int find_held(const struct guarded *g, const char *name)
{
    int fd = kept_find(name);
    return fd >= 0 ? fd : recovery_scratch(capture_mover(g->supervisor->capture), name);
}

/* What is still ours is given to it once more; what is not has no one to miss it. */
static void on_again(void *arg)
{
    struct guarded *g = arg;
    char name[ROLL_NAME_MAX + 1];
    if (g->n_refused == 0) {
        log_info("the guardian has room again");
        g->lacks = false;
        return;
    }
    while (g->n_refused > 0) {
        int fd = find_held(g, roll_name_text(g->refused[--g->n_refused], name));
        if (fd >= 0)
            holder_put(g->holder, name, fd);
    }
    loop_timer_set(g->supervisor->loop, &g->again, loop_now(g->supervisor->loop) + AGAIN_EVERY, on_again, g);
}

static void on_refused(const char *name, void *arg)
{
    struct guarded *g = arg;
    uint64_t *more = reallocarray(g->refused, g->n_refused + 1, sizeof(*more));
    if (more != NULL) {
        g->refused = more;
        more[g->n_refused++] = roll_name(name);
    }
    if (g->lacks)
        return;
    log_error("the guardian has no room for %s: until it has, that would be lost if the supervisor were killed", name);
    g->lacks = true;
    loop_timer_set(g->supervisor->loop, &g->again, loop_now(g->supervisor->loop) + AGAIN_EVERY, on_again, g);
}

static void on_answer(int status, void *arg)
{
    struct guarded *g = arg;
    if (g->answer != NULL)
        g->answer(status, g->answer_arg);
}

void guarded_on_answer(struct guarded *g, void (*fn)(int status, void *arg), void *arg)
{
    g->answer = fn;
    g->answer_arg = arg;
}

static void on_event(int fd, unsigned what, void *arg)
{
    (void)fd;
    struct guarded *g = arg;
    const struct holder_events e = {
        .ended = on_ended, .stranger = on_stranger, .answer = on_answer, .refused = on_refused, .arg = g
    };
    if ((what & LOOP_READ) != 0 && holder_receive(g->holder, &e) < 0)
        leave();
    if ((what & LOOP_WRITE) != 0)
        watch(g, holder_flush(g->holder));
}

/* What is shorter counts; 0: nobody asks. */
static usec_t interval(const struct guarded *g)
{
    const struct config *config = g->supervisor->config;
    usec_t own = config != NULL ? config->daemon.watchdog : 0, theirs = g->holder->watchdog;
    return own == 0 || (theirs > 0 && theirs < own) ? theirs : own;
}

static void on_beat(void *arg)
{
    guarded_beat(arg);
}

void guarded_beat(struct guarded *g)
{
    struct loop *loop = g->supervisor->loop;
    usec_t within = interval(g);
    if (within > BEAT_MAX)
        within = BEAT_MAX;
    if (within > 0 || g->beating)
        watch(g, holder_beat(g->holder, (unsigned)(within / USEC_PER_MSEC)));
    g->beating = within > 0;
    if (g->beating)
        loop_timer_set(loop, &g->beat, loop_now(loop) + within / 3, on_beat, g);
    else
        loop_timer_clear(&g->beat);
}

static void say_hello(void *arg)
{
    struct guarded *g = arg;
    watch(g, holder_hello(g->holder));
    guarded_beat(g);
}

int guarded_new(struct supervisor *s, struct holder *h, struct guarded **ret)
{
    struct guarded *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return -ENOMEM;
    *g = (struct guarded){ .supervisor = s, .holder = h };
    loop_defer(s->loop, &g->hello, say_hello, g);
    *ret = g;
    return 0;
}

void guarded_free(struct guarded *g)
{
    if (g == NULL)
        return;
    loop_io_clear(&g->event);
    loop_undefer(g->supervisor->loop, &g->hello);
    loop_timer_clear(&g->beat);
    loop_timer_clear(&g->again);
    free(g->refused);
    free(g);
}
