/* record.c - see record.h.
 *
 * Owns nothing: slots are the journal's, and a child knows the number of its own.
 * Without a journal every call does nothing.  Times are kept on CLOCK_BOOTTIME, which
 * all processes of a boot share and which also counts sleep. */
#include "supervisor/record.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "supervisor/child_output.h"
#include "supervisor/supervisor.h"

#define NEWBORN_WITHIN (2 * USEC_PER_SEC) /* of its plan, however many are started together */

/* How far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: the time asleep. */
static usec_t asleep(void)
{
    return usec_sub(usec_now(CLOCK_BOOTTIME), usec_now(CLOCK_MONOTONIC));
}

/* 0 and USEC_INFINITY mean something else than a time */
static usec_t to_boottime(usec_t t, usec_t gap)
{
    return t == 0 ? 0 : usec_add(t, gap);
}

static usec_t to_monotonic(usec_t t, usec_t gap)
{
    if (t == 0 || t == USEC_INFINITY)
        return t;
    return t > gap ? t - gap : 1;
}

static void put_cause(struct journal_slot *s, const struct exit_cause *cause)
{
    s->cause_kind = (uint8_t)cause->kind;
    s->cause_value = cause->value;
    s->cause_stage = (uint8_t)cause->stage;
    s->cause_core = cause->core;
    s->cause_timed_out = cause->timed_out;
}

static void put_process(struct journal_slot *s, const struct process *p)
{
    usec_t gap = asleep();
    s->state = (uint16_t)p->state;
    s->wanted = p->wanted;
    s->operator_stopped = p->operator_stopped;
    s->restart_token = p->restart_token;
    s->restart_due = p->restart_due;
    s->execed = p->execed;
    s->signal_due = p->signal_due;
    s->step = p->step;
    s->timed_out = p->timed_out;
    s->pid = p->pid;
    s->tries = p->tries;
    s->restarts = p->restarts;
    s->started = to_boottime(p->started, gap);
    s->deadline = to_boottime(p->deadline, gap);
    s->started_wall = p->started_wall;
    s->stopped_wall = p->stopped_wall;
    put_cause(s, &p->cause);
    if (p->pid == 0)
        s->start = s->inode = 0;
}

/* NAME-XXXXXX.log: the six, and nothing else, cannot be made again. */
static void put_auto_logs(struct journal_slot *s, const struct child *c)
{
    for (int i = 0; i < 2; i++) {
        memset(s->auto_log[i], 0, sizeof(s->auto_log[i]));
        if (c->auto_log[i] != NULL)
            memcpy(s->auto_log[i], c->auto_log[i] + strlen(c->auto_log[i]) - AUTO_LOG_TAIL, AUTO_LOG_UNIQUE);
    }
}

void record_write(struct child *c)
{
    struct journal *j = c->supervisor->options.journal;
    const struct journal_slot *before = journal_get(j, c->slot);
    if (before == NULL)
        return;
    struct journal_slot s = *before;
    if (before->pid != 0 && c->process.pid == 0)
        s.instance = ++c->instance; /* what the guardian still has of that run is not of the next one */
    put_process(&s, &c->process);
    s.written = 1;
    s.was_up = c->was_up;
    put_auto_logs(&s, c);
    s.cpu_user_ms = c->cpu_user_ms;
    s.cpu_system_ms = c->cpu_system_ms;
    s.maxrss_kib = c->maxrss_kib;
    journal_commit(j, c->slot, &s);
}

void record_plan(struct child *c)
{
    struct journal *j = c->supervisor->options.journal;
    const struct journal_slot *before = journal_get(j, c->slot);
    c->instance++;
    if (before == NULL)
        return;
    struct journal_slot s = *before;
    s.instance = c->instance;
    s.definition = program_sum(c->process.program);
    s.detached = c->process.program->detached;
    s.start = identity_clock(); /* no child that is born by this is older */
    journal_commit(j, c->slot, &s);
}

/* As PROCESS_SPAWNED has it: that may not be written any more. */
static void put_birth(struct journal_slot *s, const struct identity *id)
{
    s->pid = id->pid;
    s->start = id->start;
    s->inode = id->inode;
    s->restarts += s->restart_due;
    s->restart_due = 0;
    s->started = usec_now(CLOCK_BOOTTIME);
    s->started_wall = usec_now(CLOCK_REALTIME);
}

void record_born(struct child *c, const struct spawned *spawned)
{
    struct journal *j = c->supervisor->options.journal;
    const struct journal_slot *before = journal_get(j, c->slot);
    struct identity id;
    if (before == NULL)
        return;
    struct journal_slot s = *before;
    identity_of_child(spawned->pid, spawned->pidfd, &id);
    put_birth(&s, &id);
    journal_commit(j, c->slot, &s);
}

static struct process read_slot(const struct journal_slot *s)
{
    usec_t gap = asleep();
    return (struct process){ .state = (enum process_state)s->state,
                             .wanted = s->wanted,
                             .execed = s->execed,
                             .signal_due = s->signal_due,
                             .restart_token = s->restart_token,
                             .restart_due = s->restart_due,
                             .operator_stopped = s->operator_stopped,
                             .step = s->step,
                             .timed_out = s->timed_out,
                             .pid = s->pid,
                             .tries = s->tries,
                             .restarts = s->restarts,
                             .started = to_monotonic(s->started, gap),
                             .deadline = to_monotonic(s->deadline, gap),
                             .started_wall = s->started_wall,
                             .stopped_wall = s->stopped_wall,
                             .cause = { .kind = (enum exit_kind)s->cause_kind,
                                        .value = s->cause_value,
                                        .stage = (enum spawn_stage)s->cause_stage,
                                        .core = s->cause_core,
                                        .timed_out = s->cause_timed_out } };
}

/* The sums are right, but the definition may be another than it was, and a program of
 * another version may have written it. */
static bool is_sound(const struct journal_slot *s)
{
    bool up = s->state == PROCESS_RUNNING || s->state == PROCESS_STOPPING || s->state == PROCESS_UNKNOWN;
    return process_state_is_known(s->state) && s->cause_kind <= EXIT_UNKNOWN && s->cause_stage <= SPAWN_STAGE_EXEC &&
           s->pid >= 0 && (!up || s->pid > 0);
}

/* What a slot says of a process, on this daemon's clocks, as far as it fits the
 * program, whose definition may be another than it was. */
static struct process read_for(const struct journal_slot *s, const struct program *program)
{
    struct process p = read_slot(s);
    if (p.step >= program->n_ladder)
        p.step = (uint8_t)(program->n_ladder - 1);
    if (p.state == PROCESS_RUNNING && p.timed_out == 0 &&
        (program->common->timeout == 0 || program->common->timeout == USEC_INFINITY))
        p.deadline = 0;
    return p;
}

int record_find(const struct journal_slot *s)
{
    const struct identity id = { .pid = s->pid, .start = s->start, .inode = s->inode };
    return s->pid > 0 ? identity_open(&id) : -ESRCH;
}

/* Supervisor and guardian have died together in the moment between a birth and its
 * record: the pid is what the kernel has noted, and nobody else can have got it in that
 * time.  If that one does not live, nobody knows whether it was executed. */
static void find_newborn(struct child *c)
{
    struct journal *j = c->supervisor->options.journal;
    const struct holder *h = c->supervisor->options.holder;
    const struct journal_slot *s = journal_get(j, c->slot);
    const int32_t *pid = journal_newborn(j, c->slot);
    if ((h != NULL && h->generation > 1) || s->state != PROCESS_STARTING || s->pid != 0 || pid == NULL || *pid <= 0)
        return;
    struct journal_slot found = *s;
    struct identity id = { .pid = *pid };
    identity_of_young(*pid, s->start, NEWBORN_WITHIN, &id);
    put_birth(&found, &id);
    journal_commit(j, c->slot, &found);
}

static void take(struct child *c, const struct journal_slot *s)
{
    const struct process kept = read_for(s, c->process.program);
    process_restore(&c->process, &kept);
    c->instance = s->instance;
    c->was_up = s->was_up != 0;
    c->cpu_user_ms = s->cpu_user_ms;
    c->cpu_system_ms = s->cpu_system_ms;
    c->maxrss_kib = s->maxrss_kib;
    for (int i = 0; i < 2; i++)
        if (s->auto_log[i][0] != '\0' && s->auto_log[i][sizeof(s->auto_log[i]) - 1] == '\0')
            child_auto_log_again(c, i + 1, s->auto_log[i]);
}

/* Nothing of it could be read, but the guardian knows who was born by this slot: to the
 * one who lives it is as if that had not been written any more. */
static bool take_born(struct child *c)
{
    const struct holder *h = c->supervisor->options.holder;
    for (uint32_t i = 0; h != NULL && i < h->roll->n_born; i++) {
        const struct roll_child *rc = &h->roll->born[i];
        if (rc->tag >> 32 != c->slot || rc->state != ROLL_LIVE)
            continue;
        struct journal_slot s = { .instance = (uint32_t)rc->tag, .state = PROCESS_STARTING, .wanted = 1, .written = 1 };
        s.definition = program_sum(c->process.program);
        journal_commit(c->supervisor->options.journal, c->slot, &s);
        take(c, &s);
        return true;
    }
    return false;
}

/* True when it was damaged and nothing can be read of it. */
static bool mend(const struct child *c)
{
    struct journal *j = c->supervisor->options.journal;
    const char *group = c->group->group->name, *name = c->process.program->name;
    if (journal_find(j, group, name) != JOURNAL_NONE || !journal_mend(j, group, name))
        return false;
    const uint32_t slot = journal_find(j, group, name);
    const struct journal_slot *s = journal_get(j, slot);
    _cleanup_close_ int pidfd = record_find(s);
    log_error("journal: slot %u (%s:%s) is damaged; %s", slot, group, name,
              pidfd < 0 ? "no process is known by it" : "its process runs");
    return s->written == 0;
}

int record_open(struct child *c)
{
    struct journal *j = c->supervisor->options.journal;
    bool lost = mend(c);
    c->slot = journal_add(j, c->group->group->name, c->process.program->name);
    if (j != NULL && c->slot == JOURNAL_NONE)
        return -ENOMEM;
    const struct journal_slot *s = journal_get(j, c->slot);
    if (lost && take_born(c))
        return RECORD_FOUND;
    if (s != NULL && s->written != 0)
        find_newborn(c);
    s = journal_get(j, c->slot);
    if (s == NULL || s->written == 0 || !is_sound(s))
        return 0;
    take(c, s);
    return RECORD_FOUND;
}

uint64_t record_tag(const struct child *c)
{
    return (uint64_t)c->slot << 32 | c->instance;
}

void record_close(struct child *c)
{
    if (c->process.pid == 0)
        journal_remove(c->supervisor->options.journal, c->slot);
}

bool record_any_runs(const struct supervisor *s)
{
    const struct journal *j = s->options.journal;
    for (uint32_t i = 0; journal_next(j, &i); i++)
        if (journal_get(j, i)->pid != 0)
            return true;
    return false;
}
