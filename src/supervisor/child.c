/* child.c - the deeds behind a process: pipes, spawn, exit, signals, stdin.
 *
 * Owns, for each process: its pidfd, our end of its stdin, its timer's memory, and
 * its start (starting.c) until its program runs.  What it prints is child_output.c's.
 * Decides nothing: what happened goes to supervisor_handle(), what is to be done
 * comes from there.  Never blocks; never reads a name service. */
#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/exec_lookup.h"
#include "os/journal.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "supervisor/child_ipc.h"
#include "supervisor/child_output.h"
#include "supervisor/child_plan.h"
#include "supervisor/child_take.h"
#include "supervisor/kept.h"
#include "supervisor/reaper.h"
#include "supervisor/record.h"
#include "supervisor/remember.h"
#include "supervisor/scope.h"
#include "supervisor/starting.h"
#include "supervisor/supervisor.h"

static void on_exit_event(int fd, unsigned what, void *arg);

/* -- spawning --------------------------------------------------------------- */

static void explain(struct child *c, const struct exit_cause *cause, const char *culprit)
{
    const struct plan_source from = child_plan_source(c);
    free(c->detail);
    c->detail = child_plan_explain(&from, cause, culprit);
}

const char *child_failed_path(const struct child *c)
{
    return c->detail != NULL ? c->detail + strlen(c->detail) + 1 : NULL;
}

static void tell_exit(struct child *c, const struct exit_cause *cause)
{
    struct event e = { .name = c->name, .pid = c->process.pid, .value = cause->value };
    if (cause->kind == EXIT_SPAWN) {
        e.type = EVENT_ERROR;
        e.stage = (uint8_t)cause->stage;
        e.text = event_error_text(child_failed_path(c), c->detail);
    } else {
        e.type = EVENT_EXIT;
        e.kind = (uint8_t)cause->kind;
        e.core = cause->core;
        e.timed_out = cause->timed_out;
        e.expected = exit_cause_expected(cause, c->process.program);
        e.cpu_user_ms = c->cpu_user_ms;
        e.cpu_system_ms = c->cpu_system_ms;
        e.maxrss_kib = c->maxrss_kib;
    }
    events_add(c->supervisor->events, &e);
}

static void spawn_failed(struct child *c, struct exit_cause cause, const char *culprit)
{
    if (spawn_error_is_shortage(cause.value) && cause.stage >= SPAWN_STAGE_STDIO) {
        if (!c->start_waits)
            log_warn("%s: start waits: %s: %s", c->process.program->name, spawn_stage_name(cause.stage),
                     strerror(cause.value));
        c->start_waits = true;
        start_queue_lack(c->supervisor);
        supervisor_handle(c, PROCESS_SPAWN_POSTPONED, 0, cause);
        return;
    }
    c->start_waits = false;
    explain(c, &cause, culprit);
    tell_exit(c, &cause);
    supervisor_handle(c, PROCESS_SPAWN_FAILED, 0, cause);
}

void child_runs(struct child *c)
{
    starting_free(TAKE_PTR(c->starting));
    struct event e = { .type = EVENT_SPAWN, .name = c->name, .pid = c->process.pid };
    events_add(c->supervisor->events, &e);
    child_ipc_started(c);
    supervisor_handle(c, PROCESS_EXECED, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

static void on_starting(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct child *c = arg;
    if (starting_read(c->starting) == STARTING_RUNS)
        child_runs(c);
}

/* From here on nothing of this start is lost if we are: our ends of its pipes are the
 * guardian's as well, and the child tells it of itself before it does anything. */
static void keep(struct child *c, struct child_plan *p)
{
    struct holder *h = c->supervisor->options.holder;
    for (unsigned i = 0; i < p->plan.n_fds; i++)
        if (p->ours[i] >= 0)
            kept_put(&(struct kept_key){ .slot = c->slot, .instance = c->instance, .number = i }, p->ours[i]);
    if (p->channel_memory >= 0)
        kept_put(&(struct kept_key){ .slot = c->slot,
                                     .instance = c->instance,
                                     .number = (unsigned)p->channel_fd,
                                     .memory = true },
                 p->channel_memory);
    p->plan.born = journal_newborn(c->supervisor->options.journal, c->slot);
    if (h == NULL)
        return;
    p->plan.tell_fd = h->fd;
    p->plan.n_tell = HOLDER_BORN_SIZE;
    holder_born(record_tag(c), p->plan.tell);
}

/* One of the starts that are made together. */
struct birth {
    struct child *child;
    struct child_plan plan;
    struct exit_cause cause;
    bool planned;
};

static void birth_plan(struct birth *b, struct child *c)
{
    const struct plan_source from = child_plan_source(c);
    b->child = c;
    child_plan_init(&b->plan);
    free(TAKE_PTR(c->detail));
    record_plan(c);
    b->planned = child_plan_make(&from, &b->plan, &b->cause) == 0;
    if (b->planned)
        keep(c, &b->plan);
}

static void birth_done(struct birth *b, struct spawned *made)
{
    struct child *c = b->child;
    c->supervisor->starts++;
    log_info("spawned: '%s' with pid %d", c->process.program->name, made->pid);
    c->start_waits = c->adopted = false;
    b->plan.born = true;
    record_born(c, made);
    supervisor_handle(c, PROCESS_SPAWNED, made->pid, (struct exit_cause){ .kind = EXIT_NONE });
    int r = child_take(c, &b->plan, made->pid, made->pidfd, true);
    int q = starting_new(c->supervisor->loop, &b->plan, made, on_starting, c, &c->starting);
    r = r < 0 ? r : q;
    if (r < 0) {
        log_error("%s: cannot watch pid %d: %s; it is killed", c->process.program->name, made->pid, strerror(-r));
        pidfd_signal(c->pidfd, SIGKILL);
    }
}

/* The guardian does not keep up: the starts wait. */
static void births_postpone(struct birth *births, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (births[i].planned)
            births[i].cause = exit_cause_from_spawn(SPAWN_STAGE_FORK, EAGAIN);
        births[i].planned = false;
    }
}

static void births_make(struct birth *births, struct spawn_start *starts, size_t n)
{
    size_t n_starts = 0;
    for (size_t i = 0; i < n; i++)
        if (births[i].planned)
            starts[n_starts++].plan = &births[i].plan.plan;
    spawn_many(starts, n_starts);
    for (size_t i = 0, k = 0; i < n; i++) {
        if (!births[i].planned)
            continue;
        struct spawn_start *start = &starts[k++];
        if (start->error == 0) {
            birth_done(&births[i], &start->made);
            continue;
        }
        births[i].planned = false;
        births[i].cause = exit_cause_from_spawn(SPAWN_STAGE_FORK, -start->error);
    }
}

/* What has failed is told last: whoever hears of it may stop the others, and must
 * meet them with their pids. */
int child_spawn_all(struct child *const *list, size_t n)
{
    struct birth *births = malloc(n * sizeof(*births));
    struct spawn_start *starts = malloc(n * sizeof(*starts));
    if (births == NULL || starts == NULL) {
        free(births);
        free(starts);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        birth_plan(&births[i], list[i]);
    if (kept_flush() == -EAGAIN)
        births_postpone(births, n);
    births_make(births, starts, n);
    for (size_t i = 0; i < n; i++) {
        const struct process *p = &births[i].child->process;
        if (!births[i].planned && p->state == PROCESS_STARTING && p->pid == 0)
            spawn_failed(births[i].child, births[i].cause, births[i].plan.culprit);
        child_plan_done(&births[i].plan);
    }
    free(starts);
    free(births);
    return 0;
}

/* -- exit ------------------------------------------------------------------- */

static void take_usage(struct child *c, const struct rusage *u)
{
    c->cpu_user_ms = (uint32_t)(u->ru_utime.tv_sec * 1000 + u->ru_utime.tv_usec / 1000);
    c->cpu_system_ms = (uint32_t)(u->ru_stime.tv_sec * 1000 + u->ru_stime.tv_usec / 1000);
    c->maxrss_kib = (uint32_t)u->ru_maxrss;
}

static void end_run(struct child *c, struct exit_cause cause, const struct rusage *usage);

static void on_nobody_reaps(void *arg)
{
    end_run(arg, (struct exit_cause){ .kind = EXIT_UNKNOWN }, &(struct rusage){ 0 });
}

/* Its parent reaps it, in its own time, and its status can be had after that; one who
 * does not for long never will (PID 1 of a careless container).  A pidfd cannot be
 * written, so to wait for that is to wait for its hang-up alone. */
static int await_reaper(struct child *c)
{
    int r = reaper_await(c, on_nobody_reaps);
    return r < 0 ? r
                 : loop_io_set(c->supervisor->loop, &c->exit_event, c->pidfd, LOOP_WRITE, LOOP_LIFE, on_exit_event, c);
}

int child_watch_exit(struct child *c)
{
    return loop_io_set(c->supervisor->loop, &c->exit_event, c->pidfd, LOOP_READ, LOOP_LIFE, on_exit_event, c);
}

/* Takes its status if it has ended. */
static void reap(struct child *c)
{
    int status = 0;
    struct rusage usage = { 0 };
    scope_kill(c, c->process.pid); /* while its number still is its own */
    int r = pidfd_look(c->pidfd, &status, &usage);
    if (r == -ECHILD && c->adopted)
        r = pidfd_status_of_other(c->pidfd, &status);
    if (r == 0 || (r == -EAGAIN && await_reaper(c) == 0))
        return;
    end_run(c, r > 0 ? exit_cause_from_wait(status) : (struct exit_cause){ .kind = EXIT_UNKNOWN }, &usage);
}

static void on_exit_event(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    reap(arg);
}

static void end_run(struct child *c, struct exit_cause cause, const struct rusage *usage)
{
    int status;
    cause.timed_out = c->process.timed_out > 0;
    const struct spawn_report *report = c->starting != NULL ? starting_settle(c->starting) : NULL;
    if (c->starting != NULL && report == NULL)
        child_runs(c);
    if (report != NULL) {
        cause = exit_cause_from_spawn(report->stage, report->error);
        const char *path = NULL;
        if (report->stage == SPAWN_STAGE_STDIO)
            path = stdio_entry(c->process.program->stdio, (unsigned)report->index).path;
        explain(c, &cause, path);
    }
    take_usage(c, usage);
    loop_io_clear(&c->exit_event);
    _cleanup_close_ int pidfd = TAKE_FD(c->pidfd);
    uint64_t tag = record_tag(c);
    pid_t pid = c->process.pid;
    struct holder *h = c->supervisor->options.holder;
    child_ended(c, cause);
    pidfd_reap(pidfd, &status, NULL); /* now that its end is on record; until then whoever follows us would find it */
    if (h != NULL)
        holder_forget(h, pid, tag);
}

void child_ended(struct child *c, struct exit_cause cause)
{
    pid_t run = c->process.pid; /* which it forgets at its exit */
    reaper_done(c);
    starting_free(TAKE_PTR(c->starting));
    loop_io_clear(&c->exit_event);
    cleanup_close(&c->pidfd);
    feed_end(&c->in);
    for (struct duplex *d = c->duplexes; d != NULL; d = d->next)
        duplex_drain(d);
    child_drain(c);
    if (cause.kind == EXIT_SPAWN)
        child_ipc_abandon(c);
    else
        child_ipc_last_words(c);
    tell_exit(c, &cause);
    scope_remove(c);
    supervisor_handle(c, PROCESS_EXITED_EVENT, 0, cause);
    start_queue_ended(c->supervisor, run);
    child_tell_closed(c, run);
}

int child_signal(struct child *c, int signal, bool as_group)
{
    if (c->pidfd < 0)
        return -ESRCH;
    if (as_group && c->adopted)
        return pidfd_signal_group_of(c->pidfd, c->process.pid, signal);
    /* the pid cannot have been given away: nobody but on_exit_event reaps it */
    return as_group ? pidfd_signal_group(c->process.pid, signal) : pidfd_signal(c->pidfd, signal);
}

/* -- what it is told through its descriptors -------------------------------------- */

static struct feed *feed_of(struct child *c, int number)
{
    struct duplex *d = number != 0 ? duplex_find(c->duplexes, number) : NULL;
    return number == 0 ? &c->in : d != NULL ? &d->feed : NULL;
}

int child_write(struct child *c, int number, const void *data, size_t len)
{
    struct feed *f = feed_of(c, number);
    if (c->process.pid == 0)
        return -ESRCH;
    return f != NULL ? feed_write(f, data, len) : -EBADF;
}

void child_write_end(struct child *c, int number)
{
    struct feed *f = feed_of(c, number);
    if (f != NULL)
        feed_close(f);
}

/* -- birth and end of the record -------------------------------------------- */

int child_new(struct supervisor *s, struct member_group *g, const struct program *p, uint32_t order, struct child **ret)
{
    struct child *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->name = event_name_new(g->group->name, p->name);
    if (c->name == NULL) {
        free(c);
        return -ENOMEM;
    }
    process_init(&c->process, p);
    c->supervisor = s;
    c->group = g;
    c->pidfd = -1;
    c->in.fd = -1;
    c->slot = JOURNAL_NONE;
    c->order = order;
    int r = child_ipc_join(c);
    if (r == 0)
        r = record_open(c);
    if (r < 0) {
        child_free(c);
        return r;
    }
    c->restored = r == RECORD_FOUND;
    if (!c->restored)
        c->process.operator_stopped = remember_is_stopped(c);
    *ret = c;
    return 0;
}

void child_free(struct child *c)
{
    if (c == NULL)
        return;
    while (c->followers != NULL) {
        struct child_follower *f = c->followers;
        child_unfollow(f);
        f->gone(f->arg);
    }
    while (c->watches != NULL) {
        struct child_watch *w = c->watches;
        child_unwatch(w);
        if (w->gone != NULL)
            w->gone(w->arg);
    }
    record_close(c);
    starting_free(TAKE_PTR(c->starting));
    loop_io_clear(&c->exit_event);
    cleanup_close(&c->pidfd);
    feed_end(&c->in);
    duplex_free_all(c->duplexes);
    child_ipc_free(c);
    reaper_done(c);
    if (c->timer != NULL)
        loop_timer_clear(c->timer);
    free(c->timer);
    for (int i = 0; i < 2; i++) {
        stream_free(c->streams[i]);
        free(c->auto_log[i]);
    }
    while (c->lingering != NULL) {
        struct stream *s = c->lingering;
        c->lingering = s->next;
        stream_free(s);
    }
    free(c->detail);
    free(c->syslog);
    event_name_unref(c->name);
    free(c);
}
