/* recovery.c - from the journal, the guardian's table of children and the descriptors
 * that it holds, to processes that go on as if nothing had happened.
 *
 * Owns what it makes for one pass: a list of children by tag, a plan for each process.
 * What a process's record says is believed; what the kernel and the guardian say is
 * about whether that very run still lives, and how it ended.  Doing it twice is
 * harmless: a supervisor that dies in the middle is followed by one that reads the
 * same. */
#include "supervisor/recovery.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/journal.h"
#include "os/logmove.h"
#include "os/pidfd.h"
#include "supervisor/child_ipc.h"
#include "supervisor/child_take.h"
#include "supervisor/kept.h"
#include "supervisor/record.h"
#include "supervisor/relay.h"
#include "supervisor/run.h"
#include "supervisor/scope.h"

/* -- what moves bytes into logs ---------------------------------------------- */

#define MEMORY_NAME "mover"

static void scratch_name(unsigned i, unsigned end, char name[ROLL_NAME_MAX + 1])
{
    snprintf(name, ROLL_NAME_MAX + 1, "m%c%02u", end == 0 ? 'r' : 'w', i % 100);
}

static void on_scratch(unsigned i, const int fds[2], void *arg)
{
    struct holder *h = arg;
    char name[ROLL_NAME_MAX + 1];
    for (unsigned end = 0; end < 2; end++) {
        scratch_name(i, end, name);
        holder_put(h, name, fds[end]);
    }
    holder_flush(h);
}

int recovery_scratch(const struct mover *m, const char *name)
{
    char of[ROLL_NAME_MAX + 1];
    for (unsigned i = 0; m != NULL && i < 2 * MOVER_SLOTS; i++) {
        int fds[2] = { -1, -1 };
        scratch_name(i / 2, i % 2, of);
        if (strcmp(of, name) != 0)
            continue;
        mover_scratch(m, i / 2, fds);
        return fds[i % 2];
    }
    return -1;
}

static void take_scratch(struct holder *h, struct mover *m)
{
    char name[ROLL_NAME_MAX + 1];
    for (unsigned i = 0; i < MOVER_SLOTS; i++) {
        int fds[2];
        for (unsigned end = 0; end < 2; end++) {
            scratch_name(i, end, name);
            fds[end] = holder_take(h, name);
        }
        if (fds[0] >= 0 && fds[1] >= 0) {
            mover_adopt(m, i, fds);
            continue;
        }
        cleanup_close(&fds[0]);
        cleanup_close(&fds[1]);
    }
}

int recovery_mover(struct holder *h, struct mover **ret)
{
    int memory = h != NULL ? holder_take(h, MEMORY_NAME) : -1;
    bool fresh = memory < 0;
    int r = mover_new(memory, ret);
    if (r < 0 || h == NULL)
        return r;
    if (!fresh)
        take_scratch(h, *ret);
    mover_on_scratch(*ret, on_scratch, h);
    if (!fresh)
        return 0;
    int fds[2];
    mover_scratch(*ret, 0, fds);
    holder_put(h, MEMORY_NAME, mover_memory(*ret));
    if (fds[0] >= 0)
        on_scratch(0, fds, h);
    return 0;
}

/* -- children by tag ------------------------------------------------------------ */

struct roster {
    const struct roll_child *list; /* a copy, sorted by tag */
    bool *ours;                    /* of each: it is the run that one of the children has */
    size_t n;
};

static int by_tag(const void *a, const void *b)
{
    uint64_t x = ((const struct roll_child *)a)->tag, y = ((const struct roll_child *)b)->tag;
    return (x > y) - (x < y);
}

static struct roster roster_of(const struct holder *h)
{
    struct roster r = { .n = h != NULL ? h->roll->n_born : 0 };
    struct roll_child *list = r.n > 0 ? malloc(r.n * sizeof(*list)) : NULL;
    r.ours = list != NULL ? calloc(r.n, sizeof(bool)) : NULL;
    if (r.ours == NULL) {
        free(list);
        return (struct roster){ .n = 0 };
    }
    memcpy(list, h->roll->born, r.n * sizeof(*list));
    qsort(list, r.n, sizeof(*list), by_tag);
    r.list = list;
    return r;
}

static const struct roll_child *roster_find(const struct roster *r, uint64_t tag)
{
    const struct roll_child key = { .tag = tag };
    return r->n > 0 ? bsearch(&key, r->list, r->n, sizeof(key), by_tag) : NULL;
}

/* -- one process ------------------------------------------------------------------ */

static const struct exit_cause none = { .kind = EXIT_NONE };

static void take_pipes(struct child *c, struct child_plan *p)
{
    struct kept_key key = { .slot = c->slot, .instance = c->instance };
    p->channel_fd = ipc_descriptor(c->process.program);
    p->plan.n_fds = stdio_length(c->process.program->stdio);
    if (p->channel_fd >= (int)p->plan.n_fds)
        p->plan.n_fds = (unsigned)p->channel_fd + 1;
    if (p->channel_fd >= 0) {
        key.number = (unsigned)p->channel_fd;
        key.memory = true;
        p->channel_memory = kept_take(&key);
        key.memory = false;
    }
    for (unsigned i = 0; i < p->plan.n_fds; i++) {
        key.number = i;
        p->ours[i] = kept_take(&key);
        if (i != 1 && i != 2)
            continue;
        int r = p->ours[i] >= 0 ? child_log_open(c, (int)i, &p->logs[i - 1]) : 0;
        if (r < 0)
            log_error("%s: cannot open its log again: %s; what it prints is thrown away", c->process.program->name,
                      strerror(-r));
    }
}

/* Known to the guardian: it lives, or its end is on record there.  Else whoever has
 * that pid now may be somebody else. */
static int open_run(const struct child *c, const struct roll_child *rc)
{
    if (rc != NULL)
        return rc->state == ROLL_LIVE ? (int)syscall(SYS_pidfd_open, rc->pid, 0) : -1;
    return record_find(journal_get(c->supervisor->options.journal, c->slot));
}

static void ended(struct child *c, const struct roll_child *rc)
{
    struct holder *h = c->supervisor->options.holder;
    bool known = rc != NULL && rc->state == ROLL_DEAD;
    struct exit_cause cause = known ? exit_cause_from_wait(rc->status) : (struct exit_cause){ .kind = EXIT_UNKNOWN };
    if (known) {
        c->cpu_user_ms = rc->user_ms;
        c->cpu_system_ms = rc->system_ms;
        c->maxrss_kib = rc->maxrss_kib;
    }
    cause.timed_out = c->process.timed_out > 0;
    scope_kill(c, c->process.pid);
    child_ended(c, cause);
    if (rc != NULL)
        holder_forget(h, rc->pid, rc->tag);
}

/* Nobody was there when the daemon began: the guardian had died as well. */
static void tell_survivor(struct child *c, bool lives)
{
    const struct process *p = &c->process;
    const struct journal_slot *s = journal_get(c->supervisor->options.journal, c->slot);
    if (!lives) {
        log_warn("%s: pid %d has ended while no daemon ran; nobody knows how", p->program->name, p->pid);
        return;
    }
    log_info("adopted: '%s' with pid %d, which was running already", p->program->name, p->pid);
    if (s->definition != program_sum(p->program))
        log_warn("%s: pid %d runs by an earlier definition; a restart of it applies the new one", p->program->name,
                 p->pid);
    struct event e = { .type = EVENT_STATE,
                       .name = c->name,
                       .pid = p->pid,
                       .from = PROCESS_STOPPED,
                       .to = (uint16_t)p->state,
                       .tries = p->tries < UINT16_MAX ? (uint16_t)p->tries : UINT16_MAX };
    events_add(c->supervisor->events, &e);
}

/* .pid: of the record, or, where that was not written any more, as the guardian has it. */
static bool resume_run(struct child *c, pid_t pid, const struct roll_child *rc)
{
    _cleanup_(child_plan_done) struct child_plan p;
    child_plan_init(&p);
    int pidfd = open_run(c, rc);
    if (c->process.pid == 0)
        supervisor_handle(c, PROCESS_SPAWNED, pid, none);
    take_pipes(c, &p);
    c->adopted = true;
    if (pidfd >= 0)
        scope_note(c, pid);
    int r = child_take(c, &p, pid, pidfd, rc == NULL && pidfd >= 0);
    if (r < 0)
        log_error("%s: cannot watch pid %d: %s", c->process.program->name, pid, strerror(-r));
    child_ipc_started(c); /* as far as anybody can know; if not, its end follows */
    if (!c->process.execed)
        supervisor_handle(c, PROCESS_EXECED, 0, none);
    supervisor_handle(c, PROCESS_RECOVERED, 0, none);
    if (rc == NULL)
        tell_survivor(c, pidfd >= 0);
    return rc != NULL ? rc->state == ROLL_LIVE : pidfd >= 0;
}

/* Made, and on record here, but whoever made it had died before the child could tell
 * the guardian of itself: then it ends without having been executed.  Where the guardian
 * is new as well it may have been told to the one before. */
static bool was_never_born(const struct child *c, const struct roll_child *rc)
{
    const struct holder *h = c->supervisor->options.holder;
    const struct process *p = &c->process;
    return rc == NULL && h != NULL && h->generation > 1 && p->state == PROCESS_STARTING && p->pid != 0 && !p->execed;
}

/* It is started once more, and that is no restart. */
static void forget_unborn(struct child *c)
{
    _cleanup_close_ int pidfd = open_run(c, NULL);
    if (pidfd >= 0)
        pidfd_signal(pidfd, SIGKILL);
    c->process.pid = 0;
    c->process.deadline = 0;
}

/* False: its run has ended meanwhile. */
static bool resume(struct child *c, const struct roll_child *rc)
{
    if (was_never_born(c, rc))
        forget_unborn(c);
    bool born = rc != NULL && c->process.pid == 0 && c->process.state == PROCESS_STARTING;
    if (c->process.pid != 0 || born)
        return resume_run(c, born ? rc->pid : c->process.pid, rc);
    if (rc != NULL) /* its end was on record here before it could be forgotten there */
        holder_forget(c->supervisor->options.holder, rc->pid, rc->tag);
    supervisor_handle(c, PROCESS_RECOVERED, 0, none);
    return true;
}

/* -- all of them ------------------------------------------------------------------- */

static struct child *child_of_slot(const struct supervisor *s, uint32_t slot)
{
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            if (s->groups[i]->children[k]->slot == slot)
                return s->groups[i]->children[k];
    return NULL;
}

/* A pipe of a run that has ended. */
struct left_pipe {
    struct kept_key key;
    struct child *child;
    unsigned age; /* how many runs ago */
};

static int by_age(const void *a, const void *b)
{
    unsigned x = ((const struct left_pipe *)a)->age, y = ((const struct left_pipe *)b)->age;
    return (y > x) - (y < x);
}

static size_t list_left(const struct supervisor *s, struct left_pipe *list, size_t most)
{
    size_t n = 0;
    struct kept_key key;
    for (uint32_t at = 0; n < most && kept_next(&at, &key);) {
        struct child *c = key.number == 1 || key.number == 2 ? child_of_slot(s, key.slot) : NULL;
        if (c != NULL && c->restored)
            list[n++] = (struct left_pipe){ .key = key, .child = c, .age = kept_runs_since(&key, c->instance) };
    }
    return n;
}

/* Those that somebody still writes to, or whose log took nothing: the oldest first, and
 * before what later runs have printed. */
static void take_lingering(struct supervisor *s)
{
    size_t most = s->options.holder != NULL ? s->options.holder->roll->n_held : 0;
    _cleanup_free_ struct left_pipe *list = most > 0 ? malloc(most * sizeof(*list)) : NULL;
    size_t n = list != NULL ? list_left(s, list, most) : 0;
    if (n > 0)
        qsort(list, n, sizeof(*list), by_age);
    for (size_t i = 0; i < n; i++) {
        int fd = kept_take(&list[i].key);
        if (fd >= 0 && child_take_lingering(list[i].child, fd, (int)list[i].key.number) < 0)
            kept_close(&fd);
    }
}

/* Detached, of a program that the configuration no longer has: it is left alone. */
static bool is_left_alone(const struct supervisor *s, const struct roll_child *rc)
{
    const struct journal_slot *slot = journal_get(s->options.journal, (uint32_t)(rc->tag >> 32));
    return rc->state == ROLL_LIVE && slot != NULL && slot->detached && slot->instance == (uint32_t)rc->tag;
}

/* Born to nobody that we know: a process that the configuration no longer has. */
static void end_strangers(struct supervisor *s, const struct roster *roster)
{
    for (size_t i = 0; i < roster->n; i++) {
        if (roster->ours[i])
            continue;
        const struct roll_child *rc = &roster->list[i];
        struct child *c = child_of_slot(s, (uint32_t)(rc->tag >> 32));
        if (runs_have(s, rc->tag) || (c != NULL && record_tag(c) == rc->tag) || (c == NULL && is_left_alone(s, rc)))
            continue;
        if (rc->state == ROLL_LIVE && !run_is_detached(rc->tag)) {
            log_warn("pid %d belongs to no program any more; it is ended", rc->pid);
            if (kill(-rc->pid, SIGKILL) < 0)
                kill(rc->pid, SIGKILL);
        }
        holder_forget(s->options.holder, rc->pid, rc->tag);
    }
}

/* How many there are.  Their ends are dealt with when all of them are there: last words may be
 * for others. */
static size_t resume_all(struct supervisor *s, const struct roster *roster)
{
    size_t n = 0, n_over = 0, n_children;
    _cleanup_free_ struct child **list = supervisor_in_order(s, false, &n_children);
    for (size_t i = 0; i < n_children; i++) {
        if (!list[i]->restored)
            continue;
        const struct roll_child *rc = roster_find(roster, record_tag(list[i]));
        bool lives = resume(list[i], rc);
        if (rc != NULL && rc->tag == record_tag(list[i]))
            roster->ours[rc - roster->list] = true;
        if (!lives)
            list[n_over++] = list[i];
        n++;
    }
    if (n > 0)
        relay_restore(s);
    take_lingering(s); /* before what has ended since is drained to the same logs */
    for (size_t i = 0; i < n_over; i++)
        ended(list[i], roster_find(roster, record_tag(list[i])));
    return n;
}

void recovery_run(struct supervisor *s)
{
    struct roster roster = roster_of(s->options.holder);
    size_t n = resume_all(s, &roster);
    runs_recover(s);
    if (capture_mover(s->capture) != NULL)
        mover_forget(capture_mover(s->capture));
    end_strangers(s, &roster);
    free((void *)roster.list);
    free(roster.ours);
    if (n == 0)
        return;
    s->recovered = true;
    log_info("took over %zu process%s", n, n == 1 ? "" : "es");
}

void recovery_ended(struct supervisor *s, const struct roll_child *rc)
{
    struct child *c = child_of_slot(s, (uint32_t)(rc->tag >> 32));
    if (c != NULL && record_tag(c) == rc->tag && c->process.pid == rc->pid)
        ended(c, rc);
    else if (!runs_ended(s, rc))
        holder_forget(s->options.holder, rc->pid, rc->tag);
}
