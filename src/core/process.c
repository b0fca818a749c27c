/* process.c - the life of one process as a table of state x event.
 *
 * Owns nothing, allocates nothing, asks no clock: see process.h.  Every cell of
 * the table is written down; the ones that cannot happen say so and are ignored
 * by process_handle(), since nothing that reaches the daemon may end it.
 *
 * States, timings and policy are supervisord's (its documentation, "Subprocesses":
 * a start counts once the process was up for startsecs; one that dies sooner goes
 * through BACKOFF until startretries are used up, whatever autorestart says;
 * autorestart rules over what had been RUNNING), with timers to the microsecond
 * in place of its one-second poll. */
#include "core/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/restart.h"

/* How long a start waits that the daemon could not serve, and how long after a
 * SIGKILL the next follows: a process in an uninterruptible call may take it late. */
#define POSTPONE (100 * USEC_PER_MSEC)
#define KILL_AGAIN (10 * USEC_PER_SEC)

typedef void (*transition_fn)(struct process *p, const struct process_input *in, struct effects *out);

static void push(struct effects *out, struct effect e)
{
    if (out->n < EFFECTS_MAX)
        out->list[out->n++] = e;
}

static void set_state(struct process *p, enum process_state to, struct effects *out)
{
    enum process_state from = p->state;
    *(enum process_state *)&p->state = to;
    push(out, (struct effect){ .kind = EFFECT_ANNOUNCE, .from = from, .to = to });
}

static void arm(struct process *p, usec_t at, struct effects *out)
{
    p->deadline = at;
    push(out, (struct effect){ .kind = EFFECT_ARM, .at = at });
}

static void disarm(struct process *p, struct effects *out)
{
    if (p->deadline != 0)
        push(out, (struct effect){ .kind = EFFECT_DISARM });
    p->deadline = 0;
}

/* -- starting ------------------------------------------------------------- */

static void enter_starting(struct process *p, const struct process_input *in, struct effects *out)
{
    disarm(p, out);
    p->started = in->now;
    p->started_wall = in->wall;
    p->execed = p->signal_due = false;
    p->step = p->timed_out = 0;
    set_state(p, PROCESS_STARTING, out);
    push(out, (struct effect){ .kind = EFFECT_SPAWN });
}

static void start(struct process *p, const struct process_input *in, struct effects *out)
{
    p->wanted = true;
    p->operator_stopped = false;
    p->restart_token = true;
    p->restart_due = false;
    p->tries = 0;
    enter_starting(p, in, out);
}

static void start_after_stop(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)in;
    (void)out;
    p->wanted = true; /* stopping_exited() looks at it */
    p->operator_stopped = false;
}

/* One that waits for its turn and is called off meanwhile was none. */
static void count_restart(struct process *p)
{
    p->restarts += p->restart_due;
    p->restart_due = false;
}

static void spawned(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)out;
    count_restart(p);
    p->pid = in->pid;
    p->started = in->now;
    p->started_wall = in->wall;
}

static bool has_timeout(const struct process *p)
{
    return p->program->common->timeout > 0 && p->program->common->timeout != USEC_INFINITY;
}

static void enter_running(struct process *p, const struct process_input *in, struct effects *out)
{
    disarm(p, out);
    if (p->program->common->restart_reset <= p->program->startsecs)
        p->tries = 0;
    set_state(p, PROCESS_RUNNING, out);
    usec_t end = usec_add(p->started, p->program->common->timeout);
    if (has_timeout(p))
        arm(p, end > in->now ? end : in->now, out);
}

static void execed(struct process *p, const struct process_input *in, struct effects *out)
{
    p->execed = true;
    usec_t since = usec_sub(in->now, p->started);
    if (since >= p->program->startsecs)
        enter_running(p, in, out);
    else
        arm(p, usec_add(p->started, p->program->startsecs), out);
}

static void starting_postponed(struct process *p, const struct process_input *in, struct effects *out)
{
    arm(p, in->now + POSTPONE, out);
}

static void starting_timer(struct process *p, const struct process_input *in, struct effects *out)
{
    p->deadline = 0;
    if (p->pid == 0)
        push(out, (struct effect){ .kind = EFFECT_SPAWN });
    else if (p->execed)
        enter_running(p, in, out);
}

/* -- failing and trying again --------------------------------------------- */

static void fail_start(struct process *p, const struct process_input *in, struct effects *out)
{
    count_restart(p);
    p->pid = 0;
    p->cause = in->cause;
    p->stopped_wall = in->wall;
    p->tries++;
    disarm(p, out);
    set_state(p, PROCESS_BACKOFF, out);
    if (restart_tries_left(p->program, p->tries)) {
        arm(p, usec_add(in->now, restart_delay(p->program, p->tries, in->random)), out);
    } else {
        p->wanted = false;
        set_state(p, PROCESS_FATAL, out);
    }
}

static void backoff_timer(struct process *p, const struct process_input *in, struct effects *out)
{
    p->deadline = 0;
    p->restart_due = true;
    enter_starting(p, in, out);
}

static void backoff_stop(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)in;
    p->wanted = false;
    disarm(p, out);
    set_state(p, PROCESS_STOPPED, out);
}

/* -- running and exiting -------------------------------------------------- */

/* The first restart comes at once; after it, starts keep restart_interval apart
 * until the process has again been up that long. */
static void restart(struct process *p, const struct process_input *in, struct effects *out)
{
    usec_t interval = p->program->common->restart_interval;
    bool stable = usec_sub(in->now, p->started) >= interval;
    if (!stable && !p->restart_token) {
        arm(p, usec_add(p->started, interval), out);
        return;
    }
    p->restart_token = stable;
    p->restart_due = true;
    enter_starting(p, in, out);
}

/* How it ended, and whether that was because it had run for too long. */
static void take_cause(struct process *p, const struct process_input *in)
{
    p->pid = 0;
    p->signal_due = false;
    p->cause = in->cause;
    p->cause.timed_out = p->timed_out > 0;
}

static void running_exited(struct process *p, const struct process_input *in, struct effects *out)
{
    take_cause(p, in);
    p->stopped_wall = in->wall;
    if (usec_sub(in->now, p->started) >= p->program->common->restart_reset)
        p->tries = 0;
    disarm(p, out);
    set_state(p, PROCESS_EXITED, out);
    if (restart_wanted(p->program, &p->cause))
        restart(p, in, out);
    else
        p->wanted = false;
}

static void starting_exited(struct process *p, const struct process_input *in, struct effects *out)
{
    bool too_quickly = usec_sub(in->now, p->started) < p->program->startsecs;
    if (in->cause.kind == EXIT_SPAWN || !p->execed || too_quickly) {
        fail_start(p, in, out);
        return;
    }
    enter_running(p, in, out);
    running_exited(p, in, out);
}

static void exited_timer(struct process *p, const struct process_input *in, struct effects *out)
{
    p->deadline = 0;
    p->restart_due = true;
    enter_starting(p, in, out);
}

static void exited_stop(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)in;
    p->wanted = false;
    if (p->deadline == 0)
        return;
    disarm(p, out);
    set_state(p, PROCESS_STOPPED, out);
}

/* -- stopping ------------------------------------------------------------- */

static bool is_last_step(const struct process *p)
{
    return p->step + 1u >= p->program->n_ladder;
}

/* The signal of where it stands: of its step, or that of its timeout. */
static void send_signal(struct process *p, struct effects *out)
{
    const struct program *program = p->program;
    bool by_timeout = p->state == PROCESS_RUNNING && p->timed_out == 1;
    int signal = by_timeout ? program->common->timeout_signal : program->ladder[p->step].signal;
    bool kill = !by_timeout && signal == SIGKILL && is_last_step(p);
    p->signal_due = true;
    push(out, (struct effect){ .kind = EFFECT_SIGNAL,
                               .signal = signal,
                               .as_group = kill ? program->killasgroup : program->stopasgroup });
}

static void stop_step(struct process *p, const struct process_input *in, struct effects *out)
{
    send_signal(p, out);
    arm(p, usec_add(in->now, is_last_step(p) ? KILL_AGAIN : p->program->ladder[p->step].wait), out);
}

/* Its timeout has come: its own signal, then the ladder.  It stays RUNNING, since
 * nobody asked for a stop: autorestart decides what follows. */
static void running_timer(struct process *p, const struct process_input *in, struct effects *out)
{
    const struct program *program = p->program;
    if (!has_timeout(p))
        return;
    p->deadline = 0;
    if (p->timed_out == 0) {
        p->timed_out = 1;
        send_signal(p, out);
        arm(p, usec_add(in->now, program->common->stopwaitsecs), out);
        return;
    }
    if (p->timed_out == 2 && p->step + 1u < program->n_ladder)
        p->step++;
    p->timed_out = 2;
    stop_step(p, in, out);
}

static void running_stop(struct process *p, const struct process_input *in, struct effects *out)
{
    p->wanted = false;
    disarm(p, out);
    if (p->pid == 0) { /* a postponed start */
        set_state(p, PROCESS_STOPPED, out);
        return;
    }
    p->step = 0;
    set_state(p, PROCESS_STOPPING, out);
    stop_step(p, in, out);
}

static void stopping_timer(struct process *p, const struct process_input *in, struct effects *out)
{
    p->deadline = 0;
    if (p->step + 1u < p->program->n_ladder)
        p->step++;
    stop_step(p, in, out);
}

static void stopping_stop(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)in;
    (void)out;
    p->wanted = false;
}

static void stopping_exited(struct process *p, const struct process_input *in, struct effects *out)
{
    take_cause(p, in);
    p->stopped_wall = in->wall;
    disarm(p, out);
    set_state(p, PROCESS_STOPPED, out);
    if (p->wanted)
        start(p, in, out);
}

static void lose_hold(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)in;
    disarm(p, out);
    set_state(p, PROCESS_UNKNOWN, out);
}

/* -- going on --------------------------------------------------------------- */

/* Whoever carried the effects out is gone, and so are its timers and its queue. */
static void recovered(struct process *p, const struct process_input *in, struct effects *out)
{
    if (p->signal_due)
        send_signal(p, out);
    if (p->deadline != 0)
        arm(p, p->deadline > in->now ? p->deadline : in->now, out);
    else if (p->state == PROCESS_STARTING && p->pid == 0)
        push(out, (struct effect){ .kind = EFFECT_SPAWN });
}

static void ignore(struct process *p, const struct process_input *in, struct effects *out)
{
    (void)p;
    (void)in;
    (void)out;
}

static void impossible(struct process *p, const struct process_input *in, struct effects *out)
{
    ignore(p, in, out);
}

enum { ROW_STOPPED, ROW_STARTING, ROW_RUNNING, ROW_BACKOFF, ROW_STOPPING, ROW_EXITED, ROW_FATAL, ROW_UNKNOWN, ROWS };

/* clang-format off */
static const transition_fn table[ROWS][PROCESS_EVENTS] = {
    /*                 START             STOP           SPAWNED     EXECED      SPAWN_FAILED POSTPONED           EXITED           TIMER           SIGNAL_FAILED RECOVERED */
    [ROW_STOPPED]  = { start,            ignore,        impossible, impossible, impossible,  impossible,         impossible,      impossible,     ignore,       recovered },
    [ROW_STARTING] = { ignore,           running_stop,  spawned,    execed,     fail_start,  starting_postponed, starting_exited, starting_timer, lose_hold,    recovered },
    [ROW_RUNNING]  = { ignore,           running_stop,  impossible, impossible, impossible,  impossible,         running_exited,  running_timer,  lose_hold,    recovered },
    [ROW_BACKOFF]  = { start,            backoff_stop,  impossible, impossible, impossible,  impossible,         impossible,      backoff_timer,  ignore,       recovered },
    [ROW_STOPPING] = { start_after_stop, stopping_stop, impossible, ignore,     impossible,  impossible,         stopping_exited, stopping_timer, lose_hold,    recovered },
    [ROW_EXITED]   = { start,            exited_stop,   impossible, impossible, impossible,  impossible,         impossible,      exited_timer,   ignore,       recovered },
    [ROW_FATAL]    = { start,            ignore,        impossible, impossible, impossible,  impossible,         impossible,      impossible,     ignore,       recovered },
    [ROW_UNKNOWN]  = { ignore,           ignore,        impossible, ignore,     impossible,  impossible,         stopping_exited, impossible,     ignore,       recovered },
};
/* clang-format on */

static int row_of(enum process_state state)
{
    switch (state) {
    case PROCESS_STOPPED:
        return ROW_STOPPED;
    case PROCESS_STARTING:
        return ROW_STARTING;
    case PROCESS_RUNNING:
        return ROW_RUNNING;
    case PROCESS_BACKOFF:
        return ROW_BACKOFF;
    case PROCESS_STOPPING:
        return ROW_STOPPING;
    case PROCESS_EXITED:
        return ROW_EXITED;
    case PROCESS_FATAL:
        return ROW_FATAL;
    case PROCESS_UNKNOWN:
        break;
    }
    return ROW_UNKNOWN;
}

bool process_event_legal(enum process_state state, enum process_event event)
{
    return event < PROCESS_EVENTS && table[row_of(state)][event] != impossible;
}

void process_handle(struct process *p, const struct process_input *in, struct effects *out)
{
    if (in->event < PROCESS_EVENTS)
        table[row_of(p->state)][in->event](p, in, out);
}

void process_init(struct process *p, const struct program *program)
{
    struct process blank = { .program = program, .state = PROCESS_STOPPED };
    memcpy(p, &blank, sizeof(*p)); /* the state is const to everybody else */
}

void process_restore(struct process *p, const struct process *kept)
{
    struct process restored = *kept;
    restored.program = p->program;
    memcpy(p, &restored, sizeof(*p));
}

bool process_state_is_known(unsigned number)
{
    return number == PROCESS_UNKNOWN || row_of((enum process_state)number) != ROW_UNKNOWN;
}

const char *process_state_name(enum process_state state)
{
    static const char *const names[ROWS] = {
        [ROW_STOPPED] = "STOPPED",   [ROW_STARTING] = "STARTING", [ROW_RUNNING] = "RUNNING", [ROW_BACKOFF] = "BACKOFF",
        [ROW_STOPPING] = "STOPPING", [ROW_EXITED] = "EXITED",     [ROW_FATAL] = "FATAL",     [ROW_UNKNOWN] = "UNKNOWN",
    };
    return names[row_of(state)];
}

bool process_is_up(const struct process *p)
{
    return p->state == PROCESS_STARTING || p->state == PROCESS_RUNNING || p->state == PROCESS_BACKOFF ||
           (p->state == PROCESS_EXITED && p->deadline != 0);
}

bool process_is_down(const struct process *p)
{
    return p->state == PROCESS_STOPPED || p->state == PROCESS_FATAL || (p->state == PROCESS_EXITED && p->deadline == 0);
}

/* supervisord's words where it has some */
static void spawn_words(const struct process *p, char *buf, size_t size)
{
    const char *command = p->program->command != NULL ? p->program->command : "";
    int word = (int)strcspn(command, " \t\r\n");
    int error = p->cause.value;
    switch (p->cause.stage) {
    case SPAWN_STAGE_COMMAND:
        snprintf(buf, size, error == ENODATA ? "command is empty" : "can't parse command '%s'", command);
        break;
    case SPAWN_STAGE_LOOKUP:
        if (error == EISDIR)
            snprintf(buf, size, "command at '%.*s' is a directory", word, command);
        else if (error == ENOEXEC)
            snprintf(buf, size, "command at '%.*s' is not executable", word, command);
        else if (error == EACCES)
            snprintf(buf, size, "no permission to run command '%.*s'", word, command);
        else
            snprintf(buf, size, "can't find command '%.*s'", word, command);
        break;
    case SPAWN_STAGE_EXEC:
        snprintf(buf, size, "couldn't exec '%.*s': %s", word, command, strerrorname_np(error) ?: "?");
        break;
    default: /* the path or user at fault is not known here; `why` names it */
        snprintf(buf, size, "couldn't run '%.*s': %s: %s", word, command, spawn_stage_name(p->cause.stage),
                 strerrorname_np(error) ?: "?");
    }
}

void process_spawnerr(const struct process *p, char *buf, size_t size)
{
    if (size > 0)
        buf[0] = '\0';
    bool failed = p->state == PROCESS_BACKOFF || p->state == PROCESS_FATAL;
    if (failed && p->cause.kind == EXIT_SPAWN)
        spawn_words(p, buf, size);
    else if (failed)
        snprintf(buf, size, "Exited too quickly (process log may have details)");
    else if (p->state == PROCESS_EXITED && !exit_cause_expected(&p->cause, p->program))
        snprintf(buf, size, "Bad exit code %d", p->cause.kind == EXIT_STATUS ? p->cause.value : -1);
}
