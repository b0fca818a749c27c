/* shutdown.c - stops everything, highest priority first.
 *
 * What has the same priority stops together; the next lower priority waits until
 * the one above it is down (supervisord goes group by group in the same order,
 * and makes equal ones wait for each other, which serves nobody).  Transient
 * processes are stopped beside them, and go on when all is only restarted.  Looks again
 * whenever something changed; says every few seconds for whom it waits. */
#include "supervisor/shutdown.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/run.h"

#define REPORT_EVERY (3 * USEC_PER_SEC)

static void look(void *arg);

/* What is detached stays as it is, unless it is being stopped, or does not run. */
static bool is_settled(const struct process *p)
{
    bool runs = p->pid != 0 && (p->state == PROCESS_RUNNING || p->state == PROCESS_STARTING);
    return (p->program->detached && runs) || process_is_down(p) || p->state == PROCESS_UNKNOWN;
}

static void report(void *arg)
{
    struct supervisor *s = arg;
    size_t n;
    _cleanup_free_ struct child **list = supervisor_in_order(s, true, &n);
    _cleanup_buf_ struct buf names = BUF_INIT(4096);
    for (size_t i = 0; i < n; i++)
        if (!is_settled(&list[i]->process))
            buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", list[i]->process.program->name);
    if (names.len > 0)
        log_info("waiting for %s to die", names.data);
    loop_timer_set(s->loop, &s->stop_timer, loop_now(s->loop) + REPORT_EVERY, report, s);
}

/* Stops the highest priority that is not down yet; true when all is down. */
static bool stop_next(struct supervisor *s)
{
    size_t n;
    _cleanup_free_ struct child **list = supervisor_in_order(s, true, &n);
    const struct child *first = NULL;
    for (size_t i = 0; i < n; i++) {
        struct child *c = list[i];
        if (is_settled(&c->process))
            continue;
        if (first == NULL)
            first = c;
        if (c->group->group->priority != first->group->group->priority)
            break;
        if (c->process.state != PROCESS_STOPPING)
            supervisor_stop(c, false);
    }
    if (first == NULL)
        return true;
    for (size_t i = 0; i < n; i++) /* a stop can settle a process at once (BACKOFF) */
        if (!is_settled(&list[i]->process))
            return false;
    return true;
}

static void look(void *arg)
{
    struct supervisor *s = arg;
    if (s->state == SUPERVISOR_RUNNING)
        return;
    if (s->state == SUPERVISOR_SHUTDOWN)
        runs_stop(s);
    if (!stop_next(s) || (s->state == SUPERVISOR_SHUTDOWN && !runs_are_down(s)))
        return;
    loop_timer_clear(&s->stop_timer);
    enum supervisor_state why = s->state;
    if (s->options.stopped != NULL)
        s->options.stopped(why, s->options.arg);
}

void supervisor_shutdown_look(struct supervisor *s)
{
    if (s->state != SUPERVISOR_RUNNING)
        loop_defer(s->loop, &s->stop_work, look, s);
}

void supervisor_shutdown(struct supervisor *s, enum supervisor_state state)
{
    bool first = s->state == SUPERVISOR_RUNNING;
    if (s->state == SUPERVISOR_SHUTDOWN)
        return; /* nothing goes over an end */
    s->state = state;
    if (first) {
        struct event e = { .type = EVENT_DAEMON, .text = strdup("stopping") };
        events_add(s->events, &e);
        loop_timer_set(s->loop, &s->stop_timer, loop_now(s->loop) + REPORT_EVERY, report, s);
    }
    supervisor_shutdown_look(s);
}
