/* supervisor.c - turns events into effects and effects into deeds.
 *
 * Owns the groups and their children.  It is the only caller of process_handle(),
 * and the place where state changes are logged and announced. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/cgroup.h"
#include "os/intent.h"
#include "os/journal.h"
#include "os/logmove.h"
#include "os/syslogger.h"
#include "supervisor/adopt.h"
#include "supervisor/channel.h"
#include "supervisor/groups.h"
#include "supervisor/identities.h"
#include "supervisor/kept.h"
#include "supervisor/record.h"
#include "supervisor/recovery.h"
#include "supervisor/relay.h"
#include "supervisor/run.h"
#include "supervisor/scope.h"
#include "supervisor/shutdown.h"

/* For jitter only, so quality matters little: xorshift (Marsaglia, 2003). */
static uint32_t next_random(struct supervisor *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

/* -- counting --------------------------------------------------------------- */

size_t *supervisor_count_of(struct supervisor *s, enum process_state state)
{
    static const enum process_state order[8] = { PROCESS_STOPPED,  PROCESS_STARTING, PROCESS_RUNNING, PROCESS_BACKOFF,
                                                 PROCESS_STOPPING, PROCESS_EXITED,   PROCESS_FATAL,   PROCESS_UNKNOWN };
    size_t i = 0;
    while (i < ELEMENTS(order) - 1 && order[i] != state)
        i++;
    return &s->counts[i];
}

size_t supervisor_count(const struct supervisor *s, enum process_state state)
{
    return *supervisor_count_of((struct supervisor *)s, state);
}

/* -- effects ---------------------------------------------------------------- */

static void on_timer(void *arg)
{
    struct child *c = arg;
    free(TAKE_PTR(c->timer));
    supervisor_handle(c, PROCESS_TIMER, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

static int arm(struct child *c, usec_t at)
{
    if (c->timer == NULL)
        c->timer = calloc(1, sizeof(*c->timer));
    if (c->timer == NULL)
        return -ENOMEM;
    return loop_timer_set(c->supervisor->loop, c->timer, at, on_timer, c);
}

static void disarm(struct child *c)
{
    if (c->timer != NULL)
        loop_timer_clear(c->timer);
    free(TAKE_PTR(c->timer));
}

static int send_signal(struct child *c, const struct effect *e)
{
    if (c->process.state == PROCESS_STOPPING && c->process.step > 0)
        log_warn("killing '%s' (%d) with %s", c->process.program->name, c->process.pid,
                 exit_signal_name(e->signal, (char[16]){ 0 }));
    if (c->process.state == PROCESS_RUNNING)
        log_warn("'%s' (%d) has run for its timeout; it gets %s", c->process.program->name, c->process.pid,
                 exit_signal_name(e->signal, (char[16]){ 0 }));
    if (e->signal == SIGKILL && e->as_group)
        scope_kill(c, c->process.pid);
    int r = child_signal(c, e->signal, e->as_group);
    c->process.signal_due = false;
    record_write(c);
    return r == -ESRCH ? 0 : r; /* it has just ended by itself; its pidfd will say so */
}

/* -- what people read about it ------------------------------------------------ */

static void log_end(const struct child *c, enum process_state to)
{
    const struct process *p = &c->process;
    char words[128];
    exit_cause_words(&p->cause, words, sizeof(words));
    bool expected = exit_cause_expected(&p->cause, p->program);
    enum log_level level = expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
    if (to == PROCESS_STOPPED)
        log_write(level, "stopped: %s (%s)", p->program->name, words);
    else
        log_write(level, "exited: %s (%s; %sexpected)", p->program->name, words,
                  expected && to == PROCESS_EXITED ? "" : "not ");
}

static void log_state(const struct child *c, enum process_state from, enum process_state to)
{
    const struct process *p = &c->process;
    char words[512];
    switch (to) {
    case PROCESS_RUNNING:
        if (from == PROCESS_STOPPED) {
            log_info("adopted: '%s' with pid %d, which was running already", p->program->name, p->pid);
            break;
        }
        log_info("success: %s entered RUNNING state, process has stayed up for > than %g seconds (startsecs)",
                 p->program->name, (double)p->program->startsecs / (double)USEC_PER_SEC);
        break;
    case PROCESS_BACKOFF:
        if (p->cause.kind == EXIT_SPAWN) {
            process_spawnerr(p, words, sizeof(words));
            log_info("spawnerr: %s", words);
            if (c->detail != NULL)
                log_info("%s: %s", p->program->name, c->detail);
            break;
        }
        log_end(c, to);
        break;
    case PROCESS_EXITED:
        log_end(c, to);
        break;
    case PROCESS_STOPPED:
        if (from == PROCESS_STOPPING || from == PROCESS_UNKNOWN)
            log_end(c, to);
        break;
    case PROCESS_FATAL:
        log_info("gave up: %s entered FATAL state, too many start retries too quickly", p->program->name);
        break;
    case PROCESS_UNKNOWN:
        log_critical("unknown problem killing %s (%d): no permission to signal it", p->program->name, p->pid);
        break;
    case PROCESS_STARTING:
    case PROCESS_STOPPING:
        break;
    }
}

static void announce(struct child *c, enum process_state from, enum process_state to)
{
    struct supervisor *s = c->supervisor;
    --*supervisor_count_of(s, from);
    ++*supervisor_count_of(s, to);
    log_state(c, from, to);
    struct event e = { .type = EVENT_STATE,
                       .name = c->name,
                       .pid = c->process.pid,
                       .from = (uint16_t)from,
                       .to = (uint16_t)to,
                       .tries = c->process.tries < UINT16_MAX ? (uint16_t)c->process.tries : UINT16_MAX };
    events_add(s->events, &e);
    if (s->options.changed != NULL)
        s->options.changed(s->options.arg);
    supervisor_shutdown_look(s);
}

/* A watcher may remove itself or another while it is told. */
static void tell_watchers(struct child *c, enum process_state from, enum process_state to)
{
    struct child_watch *next;
    for (struct child_watch *w = c->watches; w != NULL; w = next) {
        next = w->next;
        w->fn(c, from, to, w->arg);
    }
}

/* -- the one place where events meet processes -------------------------------- */

static int carry_out(struct child *c, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_SPAWN:
        start_queue_add(c);
        return 0;
    case EFFECT_SIGNAL:
        return send_signal(c, e);
    case EFFECT_ARM:
        return arm(c, e->at);
    case EFFECT_DISARM:
        disarm(c);
        return 0;
    case EFFECT_ANNOUNCE:
        announce(c, e->from, e->to);
        return 0;
    }
    return 0;
}

/* Watchers hear of the states after all effects are carried out, so that what
 * they do in turn (a restart starts what has just stopped) meets a settled value. */
void supervisor_handle(struct child *c, enum process_event event, pid_t pid, struct exit_cause cause)
{
    struct process_input in = {
        .event = event, .pid = pid, .cause = cause, .now = usec_now(CLOCK_MONOTONIC), .wall = usec_now(CLOCK_REALTIME)
    };
    in.random = next_random(c->supervisor);
    if (!process_event_legal(c->process.state, event))
        log_debug("%s: event %d has no place in state %s", c->process.program->name, (int)event,
                  process_state_name(c->process.state));
    struct effects effects = { .n = 0 };
    process_handle(&c->process, &in, &effects);
    record_write(c); /* before anything is done about it: whoever follows us does it once more, or what is left of it */
    bool signal_failed = false;
    for (unsigned i = 0; i < effects.n; i++) {
        int r = carry_out(c, &effects.list[i]);
        if (r < 0)
            log_error("%s: %s", c->process.program->name, strerror(-r));
        signal_failed |= r < 0 && effects.list[i].kind == EFFECT_SIGNAL;
    }
    if (signal_failed)
        supervisor_handle(c, PROCESS_SIGNAL_FAILED, 0, (struct exit_cause){ .kind = EXIT_NONE });
    for (unsigned i = 0; i < effects.n; i++)
        if (effects.list[i].kind == EFFECT_ANNOUNCE)
            tell_watchers(c, effects.list[i].from, effects.list[i].to);
}

void supervisor_start(struct child *c)
{
    supervisor_handle(c, PROCESS_START, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

void supervisor_stop(struct child *c, bool by_operator)
{
    if (by_operator)
        c->process.operator_stopped = true;
    supervisor_handle(c, PROCESS_STOP, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

/* -- all together ----------------------------------------------------------- */

static void autostart_all(struct supervisor *s)
{
    size_t n;
    _cleanup_free_ struct child **list = supervisor_in_order(s, false, &n);
    for (size_t i = 0; i < n; i++) {
        const struct process *p = &list[i]->process;
        if (!p->program->autostart || list[i]->restored)
            continue;
        if (!p->operator_stopped)
            supervisor_start(list[i]);
        else
            log_info("%s: not started: an operator has stopped it", p->program->name);
    }
    start_queue_look(s); /* nothing to start: ready all the same */
}

void supervisor_expect(struct supervisor *s, const struct config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_groups; i++)
        n += config->groups[i].n_programs;
    journal_reserve(s->options.journal, (uint32_t)n); /* if it cannot, adding to it says so */
}

static int add_all(struct supervisor *s, struct config *config)
{
    int r = 0;
    supervisor_expect(s, config);
    for (size_t i = 0; r == 0 && i < config->n_groups; i++)
        r = config->groups[i].shadowed ? 0 : supervisor_add_group(s, config, &config->groups[i]);
    return r;
}

int supervisor_load(struct supervisor *s, struct config *config, const struct supervisor_part *parts, size_t n)
{
    int r = identities_load(s->identities, config);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (parts[i].config != config)
            r = identities_load(s->identities, parts[i].config);
    if (r < 0)
        return r;
    config_keep_from_children(config);
    config_ref(config);
    config_unref(s->config);
    s->config = config;
    s->state = SUPERVISOR_RUNNING;
    s->queue.told = false; /* a restart of all is told as well */
    for (size_t i = 0; r == 0 && i < n; i++)
        r = supervisor_add_group(s, parts[i].config, parts[i].group);
    if (r == 0 && parts == NULL)
        r = add_all(s, config);
    if (r < 0)
        return r;
    recovery_run(s);
    adopt_report(s);
    autostart_all(s);
    return 0;
}

void supervisor_clear(struct supervisor *s)
{
    while (s->n_groups > 0)
        member_group_free(s, s->groups[--s->n_groups]);
}

int supervisor_reopen_logs(struct supervisor *s)
{
    return logfile_reopen_all(s->logs);
}

/* Without a mover (no descriptors, pipes that are too small) logs do without. */
static int new_capture(struct supervisor *s)
{
    struct mover *mover = NULL;
    int r = recovery_mover(s->options.holder, &mover);
    if (r < 0)
        log_warn("a crash of this daemon may cost bytes of logs: %s", strerror(-r));
    r = capture_new(s->loop, mover, &s->capture);
    if (r < 0)
        mover_free(mover);
    return r;
}

int supervisor_new(struct loop *loop, const struct supervisor_options *o, struct supervisor **ret)
{
    struct supervisor *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->loop = loop;
    s->options = *o;
    s->state = SUPERVISOR_RUNNING;
    s->started_wall = usec_now(CLOCK_REALTIME);
    if (getrandom(&s->random, sizeof(s->random), GRND_NONBLOCK) < 0 || s->random == 0)
        s->random = (uint32_t)s->started_wall | 1;
    kept_begin(o->holder);
    int r = events_new(o->journal, &s->events);
    if (r == 0)
        r = logfile_table_new(&s->logs);
    if (r == 0)
        r = new_capture(s);
    if (r == 0)
        r = identities_new(&s->identities);
    if (r == 0)
        r = (s->syslogger = syslogger_new()) == NULL ? -ENOMEM : 0;
    if (r < 0) {
        supervisor_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void supervisor_free(struct supervisor *s)
{
    if (s == NULL)
        return;
    supervisor_clear(s);
    journal_end(s->options.journal);
    intent_close(s->options.intent);
    runs_free(s->runs);
    cgroups_free(s->cgroups);
    free(s->groups);
    start_queue_done(s);
    loop_undefer(s->loop, &s->stop_work);
    loop_timer_clear(&s->stop_timer);
    config_unref(s->config);
    identities_free(s->identities);
    relay_free(s->relay);
    channels_free(s->channels);
    syslogger_free(s->syslogger);
    capture_free(s->capture);
    logfile_table_free(s->logs);
    events_free(s->events);
    kept_end();
    free(s);
}
