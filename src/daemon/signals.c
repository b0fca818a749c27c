/* signals.c - see signals.h.
 *
 * Owns the handlers and one timer for each signal that is spaced.  Decides only
 * when the daemon is told; what is done is daemon.c's.
 *
 * A burst must cost no more than a few readings of the configuration, and its
 * last signal must not be lost: whoever sent it has changed the file before.  So a
 * signal that comes too early is kept until the time is up, and so is one that
 * finds the daemon in the middle of an update.  The log has a line for each call,
 * not for each signal. */
#include "daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/exit_cause.h"
#include "os/spawn.h"

static const struct meaning {
    int signal;
    enum signals_wish wish;
    enum log_level level;
    const char *words;
    bool spaced;
} meanings[] = {
    { SIGTERM, SIGNALS_END, LOG_LEVEL_WARN, "exit", false },
    { SIGINT, SIGNALS_END, LOG_LEVEL_WARN, "exit", false },
    { SIGQUIT, SIGNALS_END, LOG_LEVEL_WARN, "exit", false },
    { SIGHUP, SIGNALS_RELOAD, LOG_LEVEL_WARN, "restart", true },
    { SIGUSR2, SIGNALS_REOPEN, LOG_LEVEL_INFO, "log reopen", true },
};

struct watched {
    struct signals *signals;
    const struct meaning *meaning;
    struct loop_signal event;
    struct loop_timer timer;
    usec_t quiet_until; /* what comes before waits for the timer */
    bool waiting;
};

struct signals {
    struct loop *loop;
    signals_fn fn;
    void *arg;
    struct watched list[ELEMENTS(meanings)];
};

static void on_time(void *arg);

static void wait_for_time(struct watched *w)
{
    if (!w->waiting)
        w->waiting = loop_timer_set(w->signals->loop, &w->timer, w->quiet_until, on_time, w) == 0;
}

static void tell(struct watched *w)
{
    struct signals *s = w->signals;
    bool done = s->fn(w->meaning->wish, s->arg);
    w->quiet_until = usec_add(loop_now(s->loop), SIGNALS_SPACING);
    if (!done && w->meaning->spaced)
        wait_for_time(w);
}

static void on_time(void *arg)
{
    struct watched *w = arg;
    w->waiting = false;
    tell(w);
}

static void on_signal(int signal, void *arg)
{
    struct watched *w = arg;
    char name[16];
    if (w->waiting) /* this one is in it already */
        return;
    log_write(w->meaning->level, "received %s indicating %s request", exit_signal_name(signal, name),
              w->meaning->words);
    if (w->meaning->spaced && loop_now(w->signals->loop) < w->quiet_until)
        wait_for_time(w);
    else
        tell(w);
}

int signals_watch(struct loop *loop, signals_fn fn, void *arg, struct signals **ret)
{
    struct signals *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    *s = (struct signals){ .loop = loop, .fn = fn, .arg = arg };
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that hits a file size limit is an error of write(2) */
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTS(meanings); i++) {
        struct watched *w = &s->list[i];
        *w = (struct watched){ .signals = s, .meaning = &meanings[i] };
        r = loop_signal_set(loop, &w->event, meanings[i].signal, on_signal, w);
    }
    if (r < 0) {
        signals_free(s);
        return r;
    }
    spawn_learn_signals();
    *ret = s;
    return 0;
}

void signals_free(struct signals *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < ELEMENTS(meanings); i++) {
        loop_signal_clear(&s->list[i].event);
        loop_timer_clear(&s->list[i].timer);
    }
    free(s);
}
