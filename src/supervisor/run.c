/* run.c - see run.h: the life of a transient process, from its plan to its end.
 *
 * Owns, for each: its definition (a reference to a configuration of its own), its
 * pidfd, its pipes, one timer.  What it prints is handed on as it is read; while
 * the client takes no more, its pipes are not read and it waits.
 *
 * It has ended when it was reaped and its pipes are at their end; when it was told
 * to end, its pipes are emptied and not waited for, and what it has left in its
 * process group is killed.  The end is told in a turn of its own (loop_defer), so
 * that nothing is freed under the callback that found it out. */
#include "supervisor/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "supervisor/child_plan.h"
#include "supervisor/identities.h"
#include "supervisor/shutdown.h"
#include "supervisor/starting.h"
#include "supervisor/supervisor.h"

/* What the guardian knows it by: in the place of a slot of the journal one that there
 * is none of, so that it belongs to nobody, and is ended, once we have died. */
static uint64_t tag_of(const struct run *r)
{
    return UINT64_C(0xffffffff) << 32 | (uint32_t)r->number;
}

static void tell_guardian(const struct run *r, struct spawn_plan *plan)
{
    const struct holder *h = r->supervisor->options.holder;
    if (h == NULL)
        return;
    plan->tell_fd = h->fd;
    plan->n_tell = HOLDER_BORN_SIZE;
    holder_born(tag_of(r), plan->tell);
}

/* -- to the client ------------------------------------------------------------ */

static bool hand_on(struct run *r, int number, const char *data, size_t len)
{
    return r->client.output == NULL || r->client.output(number, data, len, r->client.arg);
}

static void pause_all(struct run *r, bool paused)
{
    r->paused = paused;
    for (struct run_pipe *p = r->pipes; p != NULL; p = p->next)
        run_pipe_pause(p, paused);
}

void run_resume(struct run *r)
{
    if (!r->paused)
        return;
    pause_all(r, false);
    run_look(r);
}

static void tell_event(struct run *r, enum event_type type)
{
    struct event e = { .type = (uint8_t)type, .name = r->name, .pid = r->pid };
    events_add(r->supervisor->events, &e);
}

static void tell_exit(struct run *r, const struct rusage *u)
{
    const struct exit_cause *cause = &r->result.cause;
    struct event e = { .type = EVENT_EXIT,
                       .name = r->name,
                       .pid = r->pid,
                       .value = cause->value,
                       .kind = (uint8_t)cause->kind,
                       .core = cause->core,
                       .timed_out = r->result.error == ETIMEDOUT,
                       .expected = cause->kind == EXIT_STATUS && cause->value == 0 };
    e.cpu_user_ms = (uint32_t)(u->ru_utime.tv_sec * 1000 + u->ru_utime.tv_usec / 1000);
    e.cpu_system_ms = (uint32_t)(u->ru_stime.tv_sec * 1000 + u->ru_stime.tv_usec / 1000);
    e.maxrss_kib = (uint32_t)u->ru_maxrss;
    events_add(r->supervisor->events, &e);
}

/* -- its end -------------------------------------------------------------------- */

void run_free(struct run *r)
{
    starting_free(r->starting);
    loop_io_clear(&r->exit_io);
    loop_timer_clear(&r->timer);
    loop_undefer(r->supervisor->loop, &r->end_work);
    cleanup_close(&r->pidfd);
    run_pipe_free_all(r->pipes);
    run_feed_free_all(r->feeds);
    event_name_unref(r->name);
    config_unref(r->config);
    free(r->identity);
    free(r->detail);
    free(r);
}

static void log_end(const struct run *r)
{
    char words[128];
    exit_cause_words(&r->result.cause, words, sizeof(words));
    if (r->result.cause.kind == EXIT_SPAWN)
        log_info("run:%" PRIu64 ": %s", r->number, r->result.message != NULL ? r->result.message : words);
    else
        log_info("run:%" PRIu64 ": pid %d has ended (%s)%s%s", r->number, r->pid, words,
                 r->result.error != 0 ? ": " : "", r->result.error != 0 ? strerrorname_np(r->result.error) : "");
}

static void on_end(void *arg)
{
    struct run *r = arg;
    struct supervisor *s = r->supervisor;
    if (r->pid != 0)
        tell_event(r, EVENT_CLOSE);
    if (r->client.ended != NULL)
        r->client.ended(&r->result, r->client.arg);
    runs_forget(r);
    run_free(r);
    supervisor_shutdown_look(s);
}

static bool has_open_pipe(const struct run *r)
{
    for (const struct run_pipe *p = r->pipes; p != NULL; p = p->next)
        if (p->fd >= 0)
            return true;
    return false;
}

/* Reaped, and nothing more to come: then it is over. */
void run_look(struct run *r)
{
    if (r->pidfd >= 0 || r->ended)
        return;
    for (struct run_pipe *p = r->pipes; r->told_to_end && p != NULL; p = p->next)
        run_pipe_finish(p);
    if (has_open_pipe(r) && !r->hurried)
        return;
    r->ended = true;
    loop_timer_clear(&r->timer);
    loop_defer(r->supervisor->loop, &r->end_work, on_end, r);
}

/* -- being told to end ------------------------------------------------------------ */

int run_signal(struct run *r, int signal)
{
    if (r->pidfd < 0)
        return -ESRCH;
    int q = pidfd_signal_group(r->pid, signal);
    return q == -ESRCH ? pidfd_signal(r->pidfd, signal) : q; /* it has no group of its own yet */
}

/* The signal that it was to be ended with, then what is left of the ladder. */
static void on_ladder(void *arg)
{
    struct run *r = arg;
    const struct program *p = r->program;
    const struct stop_step *step = &p->ladder[r->step];
    log_warn("run:%" PRIu64 ": pid %d is still there; it gets %s", r->number, r->pid,
             exit_signal_name(step->signal, (char[16]){ 0 }));
    run_signal(r, step->signal);
    if (++r->step < p->n_ladder)
        loop_timer_set(r->supervisor->loop, &r->timer, usec_add(loop_now(r->supervisor->loop), step->wait), on_ladder,
                       r);
}

void run_tell_to_end(struct run *r, int why)
{
    const struct program *p = r->program;
    if (r->told_to_end || r->ended)
        return;
    r->told_to_end = true;
    r->result.error = why;
    if (r->pidfd < 0) { /* it has; what it has left still has its pipes */
        run_look(r);
        return;
    }
    run_signal(r, p->common->timeout_signal);
    r->step = p->ladder[0].signal == p->common->timeout_signal && p->n_ladder > 1 ? 1 : 0;
    loop_timer_set(r->supervisor->loop, &r->timer, usec_add(loop_now(r->supervisor->loop), p->ladder[0].wait),
                   on_ladder, r);
}

static void on_timeout(void *arg)
{
    run_tell_to_end(arg, ETIMEDOUT);
}

void run_leave(struct run *r)
{
    r->client = (struct run_client){ 0 };
    if (r->attached)
        r->supervisor->runs->n_attached--;
    r->attached = false;
    if (!r->detached)
        run_tell_to_end(r, ECANCELED);
    run_resume(r);
    run_look(r);
}

/* -- what it prints ----------------------------------------------------------------- */

static void on_output(struct run_pipe *p, const char *data, size_t len, void *arg)
{
    struct run *r = arg;
    if (data == NULL) {
        if (!r->told_to_end || r->pidfd >= 0) /* else run_look() has asked */
            run_look(r);
        return;
    }
    uint64_t before = p->total - len;
    size_t room = before >= r->max_buffer ? 0 : (size_t)(r->max_buffer - before < len ? r->max_buffer - before : len);
    if (room > 0 && !hand_on(r, p->number, data, room))
        pause_all(r, true);
    if (room < len)
        run_tell_to_end(r, ENOBUFS);
}

/* -- its start ---------------------------------------------------------------------- */

static void fail(struct run *r, struct exit_cause cause, const char *culprit)
{
    const struct plan_source from = { .supervisor = r->supervisor, .program = r->program, .own_path = true };
    r->detail = child_plan_explain(&from, &cause, culprit);
    r->result.cause = cause;
    r->result.error = cause.value;
    r->result.message = r->detail;
    r->result.path = r->detail != NULL ? r->detail + strlen(r->detail) + 1 : NULL;
    struct event e = { .type = EVENT_ERROR,
                       .name = r->name,
                       .pid = r->pid,
                       .value = cause.value,
                       .stage = (uint8_t)cause.stage,
                       .text = event_error_text(r->result.path, r->detail) };
    events_add(r->supervisor->events, &e);
}

static void program_runs(struct run *r)
{
    starting_free(TAKE_PTR(r->starting));
    tell_event(r, EVENT_SPAWN);
    if (r->client.began != NULL)
        r->client.began(r->pid, r->client.arg);
    if (!r->detached || r->client.ended == NULL)
        return;
    r->result.pid = r->pid;
    r->client.ended(&r->result, r->client.arg); /* that is all a client of a detached one hears */
    run_leave(r);
}

static void on_starting(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct run *r = arg;
    if (starting_read(r->starting) == STARTING_RUNS)
        program_runs(r);
}

static void never_ran(struct run *r, const struct spawn_report *report)
{
    const char *path = NULL;
    if (report->stage == SPAWN_STAGE_STDIO)
        path = stdio_entry(r->program->stdio, (unsigned)report->index).path;
    fail(r, exit_cause_from_spawn(report->stage, report->error), path);
    r->told_to_end = true; /* nobody else can have its pipes */
}

void run_reap(struct run *r)
{
    int status = 0;
    struct rusage usage = { 0 };
    if (r->told_to_end) /* its number is its group's until it is reaped */
        pidfd_signal_group(r->pid, SIGKILL);
    int q = pidfd_reap(r->pidfd, &status, &usage);
    if (q == 0)
        return;
    const struct spawn_report *report = r->starting != NULL ? starting_settle(r->starting) : NULL;
    if (r->starting != NULL && report == NULL)
        program_runs(r);
    if (r->told_to_end) /* else its time goes on for who has its pipes */
        loop_timer_clear(&r->timer);
    loop_io_clear(&r->exit_io);
    cleanup_close(&r->pidfd);
    if (!r->detached && r->supervisor->options.holder != NULL)
        holder_forget(r->supervisor->options.holder, r->pid, tag_of(r));
    for (struct run_feed *f = r->feeds; f != NULL; f = f->next)
        run_feed_close(f);
    if (report != NULL) {
        never_ran(r, report);
    } else {
        r->result.pid = r->pid;
        r->result.cause = q > 0 ? exit_cause_from_wait(status) : (struct exit_cause){ .kind = EXIT_UNKNOWN };
        tell_exit(r, &usage);
    }
    log_end(r);
    run_look(r);
}

static void on_exit_io(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    run_reap(arg);
}

static int adopt_pipe(struct run *r, struct child_plan *p, unsigned i)
{
    struct loop *loop = r->supervisor->loop;
    struct run_pipe *pipe = NULL;
    struct run_feed *feed = NULL;
    int q = 0;
    if (i == 0 || i >= 3) { /* a descriptor is watched for one direction only */
        int fd = i == 0 ? TAKE_FD(p->ours[i]) : fcntl(p->ours[i], F_DUPFD_CLOEXEC, 3);
        q = fd < 0 ? -errno : run_feed_new(loop, fd, (int)i, &feed);
    }
    if (q == 0 && i > 0)
        q = run_pipe_new(loop, TAKE_FD(p->ours[i]), (int)i, on_output, r, &pipe);
    if (feed != NULL) {
        feed->next = r->feeds;
        r->feeds = feed;
    }
    if (pipe != NULL) {
        pipe->next = r->pipes;
        r->pipes = pipe;
    }
    return q;
}

static int adopt(struct run *r, struct child_plan *p, struct spawned *spawned)
{
    struct loop *loop = r->supervisor->loop;
    r->pid = spawned->pid;
    r->pidfd = spawned->pidfd;
    int q = loop_io_set(loop, &r->exit_io, r->pidfd, LOOP_READ, LOOP_LIFE, on_exit_io, r);
    for (unsigned i = 0; q == 0 && i < p->plan.n_fds; i++)
        if (p->ours[i] >= 0)
            q = adopt_pipe(r, p, i);
    int w = starting_new(loop, p, spawned, on_starting, r, &r->starting);
    usec_t timeout = r->program->common->timeout;
    if (timeout > 0 && timeout != USEC_INFINITY)
        loop_timer_set(loop, &r->timer, usec_add(loop_now(loop), timeout), on_timeout, r);
    return q < 0 ? q : w;
}

static void give_input(struct run *r, const struct run_order *o)
{
    struct run_feed *f = r->feeds;
    while (f != NULL && f->number != 0)
        f = f->next;
    if (f == NULL || o->input_follows)
        return;
    char *own = o->input != NULL && *o->input != '\0' ? strdup(o->input) : NULL;
    if (own != NULL && run_feed_write(f, own, strlen(own), true, NULL, NULL) == 0) {
        f->own = own;
        return;
    }
    free(own);
    run_feed_close(f);
}

void run_spawn(struct run *r, const struct run_order *o)
{
    struct exit_cause cause;
    struct spawned spawned;
    _cleanup_(child_plan_done) struct child_plan p;
    child_plan_init(&p);
    int q = identity_make(r->program, &r->identity);
    const struct plan_source from = {
        .supervisor = r->supervisor, .program = r->program, .own_path = true, .identity = r->identity
    };
    if (q < 0) {
        fail(r, exit_cause_from_spawn(SPAWN_STAGE_USER, -q), NULL);
    } else if (child_plan_make(&from, &p, &cause) < 0) {
        fail(r, cause, p.culprit);
    } else {
        p.plan.new_session = r->detached;
        if (!r->detached) /* which is to outlive us, and the guardian too */
            tell_guardian(r, &p.plan);
        q = spawn(&p.plan, &spawned);
        if (q < 0)
            fail(r, exit_cause_from_spawn(SPAWN_STAGE_FORK, -q), NULL);
    }
    if (r->result.error != 0) {
        log_end(r);
        run_look(r);
        return;
    }
    q = adopt(r, &p, &spawned);
    log_info("run:%" PRIu64 ": '%s' with pid %d for %s", r->number, r->program->command, r->pid, o->by);
    if (q < 0) {
        log_error("run:%" PRIu64 ": cannot watch pid %d: %s; it is killed", r->number, r->pid, strerror(-q));
        run_tell_to_end(r, -q);
        pidfd_signal(r->pidfd, SIGKILL);
    }
    give_input(r, o);
}
