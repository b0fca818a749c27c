/* run.c - see run.h: the life of a transient process, from its plan to its end.
 *
 * Owns, for each: its definition (a reference to a configuration of its own), its
 * pidfd, its pipes, two timers.  What it prints is handed on as it is read; while
 * the client takes no more, its pipes are not read and it waits.  What must not be lost
 * with us lies in its berth (run_keep.h), its pipes are the guardian's as well, and
 * run_recover.c makes the rest anew.
 *
 * It has ended when it was reaped and its pipes are at their end; when it was told
 * to end, its pipes are emptied and not waited for, and what it has left in its
 * process group is killed.  The end is told in a turn of its own (loop_defer), so
 * that nothing is freed under the callback that found it out. */
#include "supervisor/run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/identity.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "supervisor/child_plan.h"
#include "supervisor/identities.h"
#include "supervisor/kept.h"
#include "supervisor/run_say.h"
#include "supervisor/scope.h"
#include "supervisor/shutdown.h"
#include "supervisor/starting.h"
#include "supervisor/supervisor.h"

/* From here on nothing of this start is lost if we are. */
static void keep(struct run *r, struct child_plan *p)
{
    const struct holder *h = r->supervisor->options.holder;
    if (h == NULL)
        return;
    for (unsigned i = 0; i < p->plan.n_fds; i++) {
        const struct kept_key key = run_kept_key(r->supervisor->runs, r->keep, i);
        if (p->ours[i] >= 0)
            kept_put(&key, p->ours[i]);
    }
    kept_flush();
    p->plan.tell_fd = h->fd;
    p->plan.n_tell = HOLDER_BORN_SIZE;
    holder_born(run_tag(r->keep), p->plan.tell);
}

/* -- to the client ------------------------------------------------------------ */

static void tell_event(struct run *r, enum event_type type)
{
    struct event e = { .type = (uint8_t)type, .name = r->name, .pid = r->keep->pid };
    events_add(r->supervisor->events, &e);
}

static void tell_exit(struct run *r, const struct rusage *u)
{
    const struct exit_cause *cause = &r->result.cause;
    struct event e = { .type = EVENT_EXIT,
                       .name = r->name,
                       .pid = r->keep->pid,
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
    loop_timer_clear(&r->grace);
    cleanup_close(&r->pidfd);
    run_pipe_free_all(r->pipes);
    run_feed_free_all(r->feeds);
    if (r->keep != NULL)
        run_memory_told(r->keep);
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
        log_info("run:%" PRIu64 ": %s", r->keep->number, r->result.message != NULL ? r->result.message : words);
    else
        log_info("run:%" PRIu64 ": pid %d has ended (%s)%s%s", r->keep->number, r->keep->pid, words,
                 r->result.error != 0 ? ": " : "", r->result.error != 0 ? strerrorname_np(r->result.error) : "");
}

static void say_end(struct run *r)
{
    if (r->keep->answered)
        return;
    r->keep->answered = true;
    run_say_end(r);
}

/* Over.  One whose client was cut off stays until that has come back, or will not. */
static void on_end(void *arg)
{
    struct run *r = arg;
    struct supervisor *s = r->supervisor;
    if (!r->closed && r->keep->pid != 0)
        tell_event(r, EVENT_CLOSE);
    r->closed = true;
    say_end(r);
    if (r->awaited)
        return;
    if (r->client.ended != NULL)
        r->client.ended(r->client.arg);
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
    for (struct run_pipe *p = r->pipes; r->keep->told_to_end && p != NULL; p = p->next)
        run_pipe_finish(p);
    if (has_open_pipe(r) && !r->hurried)
        return;
    if (r->hurried)
        r->awaited = false;
    r->ended = true;
    loop_timer_clear(&r->timer);
    loop_defer(r->supervisor->loop, &r->end_work, on_end, r);
}

/* -- being told to end ------------------------------------------------------------ */

int run_signal(struct run *r, int signal)
{
    const struct run_keep *k = r->keep;
    if (r->pidfd < 0)
        return -ESRCH;
    if (k->kill_mode == KILL_MODE_PROCESS)
        return pidfd_signal(r->pidfd, signal);
    if (k->kill_mode == KILL_MODE_CGROUP && signal == SIGKILL)
        scope_kill_pid(r->supervisor, k->pid, r->taken_over);
    int q = r->taken_over ? pidfd_signal_group_of(r->pidfd, k->pid, signal) : pidfd_signal_group(k->pid, signal);
    return q == -ESRCH ? pidfd_signal(r->pidfd, signal) : q; /* it has no group of its own yet */
}

/* What is left of it, at its end: before it is reaped, since its number is its group's
 * until then. */
static void end_rest(const struct run *r)
{
    const struct run_keep *k = r->keep;
    if (k->told_to_end && !r->taken_over && k->kill_mode != KILL_MODE_PROCESS)
        pidfd_signal_group(k->pid, SIGKILL);
    if (k->kill_mode == KILL_MODE_CGROUP)
        scope_kill_pid(r->supervisor, k->pid, r->taken_over);
}

/* The signal that it was to be ended with, then what is left of the ladder. */
static void on_ladder(void *arg)
{
    struct run *r = arg;
    struct run_keep *k = r->keep;
    int signal = k->ladder[k->step].signal;
    usec_t wait = k->ladder[k->step].wait;
    log_warn("run:%" PRIu64 ": pid %d is still there; it gets %s", k->number, k->pid,
             exit_signal_name(signal, (char[16]){ 0 }));
    run_signal(r, signal);
    if (++k->step < k->n_ladder)
        loop_timer_set(r->supervisor->loop, &r->timer, usec_add(loop_now(r->supervisor->loop), wait), on_ladder, r);
}

static void on_timeout(void *arg)
{
    run_tell_to_end(arg, ETIMEDOUT);
}

void run_arm(struct run *r)
{
    struct loop *loop = r->supervisor->loop;
    const struct run_keep *k = r->keep;
    if (k->told_to_end && k->step < k->n_ladder && r->pidfd >= 0)
        loop_timer_set(loop, &r->timer, usec_add(loop_now(loop), k->ladder[0].wait), on_ladder, r);
    else if (!k->told_to_end && k->deadline != 0)
        loop_timer_set(loop, &r->timer, usec_add(loop_now(loop), usec_sub(k->deadline, usec_now(CLOCK_BOOTTIME))),
                       on_timeout, r);
}

void run_tell_to_end(struct run *r, int why)
{
    struct run_keep *k = r->keep;
    if (k->told_to_end || r->ended)
        return;
    k->error = r->result.error = why;
    k->told_to_end = true;
    if (r->pidfd < 0) { /* it has; what it has left still has its pipes */
        run_look(r);
        return;
    }
    k->step = k->ladder[0].signal == k->timeout_signal && k->n_ladder > 1 ? 1 : 0;
    run_signal(r, k->timeout_signal);
    run_arm(r);
}

void run_stop(struct run *r)
{
    run_tell_to_end(r, ECANCELED);
}

void run_leave(struct run *r)
{
    r->client = (struct run_client){ 0 };
    if (r->attached)
        r->supervisor->runs->n_attached--;
    r->attached = r->awaited = false;
    loop_timer_clear(&r->grace);
    if (!r->keep->detached)
        run_tell_to_end(r, ECANCELED);
    run_resume(r);
    if (r->ended)
        loop_defer(r->supervisor->loop, &r->end_work, on_end, r);
    else
        run_look(r);
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
                       .pid = r->keep->pid,
                       .value = cause.value,
                       .stage = (uint8_t)cause.stage,
                       .text = event_error_text(r->result.path, r->detail) };
    events_add(r->supervisor->events, &e);
}

static void program_runs(struct run *r)
{
    starting_free(TAKE_PTR(r->starting));
    tell_event(r, EVENT_SPAWN);
    r->keep->ran = true;
    run_release_input(r);
    if (r->client.data != NULL || r->awaited)
        run_say_runs(r);
    if (!r->keep->detached || r->client.ended == NULL)
        return;
    r->result.pid = r->keep->pid;
    say_end(r);
    r->client.ended(r->client.arg); /* that is all a client of a detached one hears */
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
    r->keep->told_to_end = true; /* nobody else can have its pipes */
}

/* On record before it is forgotten where else it stands. */
static void note_end(struct run *r, const struct exit_cause *cause)
{
    r->keep->cause_value = cause->value;
    r->keep->cause_core = cause->core;
    r->keep->cause_kind = (uint8_t)cause->kind;
}

void run_ended(struct run *r, struct exit_cause cause, const struct rusage *usage)
{
    note_end(r, &cause);
    if (r->keep->told_to_end) /* else its time goes on for who has its pipes */
        loop_timer_clear(&r->timer);
    loop_io_clear(&r->exit_io);
    cleanup_close(&r->pidfd);
    if (r->keep->kill_mode == KILL_MODE_CGROUP)
        scope_sweep(r->supervisor);
    for (struct run_feed *f = r->feeds; f != NULL; f = f->next)
        run_feed_close(f);
    if (cause.kind != EXIT_SPAWN) {
        r->result.pid = r->keep->pid;
        r->result.cause = cause;
        if (cause.kind == EXIT_UNKNOWN && r->result.error == 0)
            r->result.error = EOWNERDEAD;
        tell_exit(r, usage);
    }
    log_end(r);
    run_look(r);
}

static void reap(struct run *r)
{
    int status = 0;
    struct rusage usage = { 0 };
    int q = r->taken_over ? pidfd_status_of_other(r->pidfd, &status) : pidfd_look(r->pidfd, &status, &usage);
    if (q == 0 || q == -EAGAIN)
        return;
    end_rest(r);
    const struct spawn_report *report = r->starting != NULL ? starting_settle(r->starting) : NULL;
    if (r->starting != NULL && report == NULL)
        program_runs(r);
    struct exit_cause cause = q > 0 ? exit_cause_from_wait(status) : (struct exit_cause){ .kind = EXIT_UNKNOWN };
    if (report != NULL) {
        cause = exit_cause_from_spawn(report->stage, report->error);
        never_ran(r, report);
    }
    note_end(r, &cause);
    if (!r->taken_over)
        pidfd_reap(r->pidfd, &status, NULL);
    if (r->supervisor->options.holder != NULL)
        holder_forget(r->supervisor->options.holder, r->keep->pid, run_tag(r->keep));
    run_ended(r, cause, &usage);
}

void run_on_exit(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    reap(arg);
}

static int adopt(struct run *r, struct child_plan *p, struct spawned *spawned)
{
    struct loop *loop = r->supervisor->loop;
    struct run_keep *k = r->keep;
    struct identity id = { 0 };
    identity_of_child(spawned->pid, spawned->pidfd, &id);
    k->start = id.start;
    k->inode = id.inode;
    k->deadline = k->timeout != 0 ? usec_add(usec_now(CLOCK_BOOTTIME), k->timeout) : 0;
    k->pid = spawned->pid;
    p->born = true;
    r->pidfd = spawned->pidfd;
    int q = loop_io_set(loop, &r->exit_io, r->pidfd, LOOP_READ, LOOP_LIFE, run_on_exit, r);
    for (unsigned i = 0; q == 0 && i < p->plan.n_fds; i++)
        if (p->ours[i] >= 0)
            q = run_adopt_pipe(r, i, TAKE_FD(p->ours[i]));
    int w = starting_new(loop, p, spawned, on_starting, r, &r->starting);
    run_arm(r);
    return q < 0 ? q : w;
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
        p.plan.new_session = r->keep->detached;
        if (r->keep->kill_mode == KILL_MODE_CGROUP)
            p.plan.cgroup_fd = scope_make_for(r->supervisor, event_name_text(r->name));
        keep(r, &p);
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
    log_info("run:%" PRIu64 ": '%s' with pid %d for %s", r->keep->number, r->program->command, r->keep->pid, o->by);
    if (q < 0) {
        log_error("run:%" PRIu64 ": cannot watch pid %d: %s; it is killed", r->keep->number, r->keep->pid,
                  strerror(-q));
        run_tell_to_end(r, -q);
        pidfd_signal(r->pidfd, SIGKILL);
    }
    run_give_input(r);
}
