/* run_recover.c - transient processes go on after the supervisor that made them: from
 * their berths (run_keep.h), the guardian's table and the pipes that it holds; and their
 * clients come back to them.
 *
 * Owns nothing: records are those of runs.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/identity.h"
#include "os/logmove.h"
#include "os/logmove_give.h"
#include "os/pidfd.h"
#include "supervisor/run_internal.h"
#include "supervisor/run_say.h"
#include "supervisor/scope.h"
#include "supervisor/supervisor.h"

#define GRACE (15 * USEC_PER_SEC) /* a client tries for 10 */
#define CHUNK_MAX (64 * 1024)

/* -- after a death ---------------------------------------------------------------- */

static const struct roll_child *find_born(const struct supervisor *s, uint64_t tag)
{
    const struct roll *roll = s->options.holder != NULL ? s->options.holder->roll : NULL;
    for (uint32_t i = 0; roll != NULL && i < roll->n_born; i++)
        if (roll->born[i].tag == tag)
            return &roll->born[i];
    return NULL;
}

/* What was taken out of this pipe is in the answer, or it is put there now. */
static void settle(struct run *r, unsigned number, int fd)
{
    struct mover *m = capture_mover(r->supervisor->capture);
    struct run_keep *k = r->keep;
    struct move *move = NULL;
    struct move_mind mind;
    uint64_t done;
    _cleanup_free_ char *data = m != NULL ? malloc(CHUNK_MAX) : NULL;
    ssize_t n = data != NULL ? mover_resume(m, fd, data, &mind, &done, &move) : 0;
    if (move == NULL)
        return;
    if (n > 0 && k->made == k->taking && k->taking_before < k->max_buffer) {
        uint64_t room = k->max_buffer - k->taking_before;
        run_say_output(r, (int)number, data, room < (uint64_t)n ? (size_t)room : (size_t)n);
    }
    if (n > 0)
        k->taken[number] = k->taking_before + (uint64_t)n;
    r->overflowed |= k->taken[number] > k->max_buffer;
    mover_end(m, &move, NULL, 0, 0);
}

/* What was on its way to it has come there, or not: then its client sends it again. */
static void settle_input(struct run *r, unsigned number, int fd)
{
    struct mover *m = capture_mover(r->supervisor->capture);
    if (m != NULL && (number == 0 || number >= 3))
        mover_resume_given(m, fd, &r->keep->given[number]);
}

static void take_pipes(struct run *r)
{
    for (unsigned i = 0; i < 64; i++) {
        const struct kept_key key = run_kept_key(r->supervisor->runs, r->keep, i);
        int fd = (r->keep->pipes >> i & 1) != 0 ? kept_take(&key) : -1;
        if (fd < 0)
            continue;
        if (i > 0)
            settle(r, i, fd);
        settle_input(r, i, fd);
        int q = run_adopt_pipe(r, i, fd);
        if (q < 0)
            log_error("run:%" PRIu64 ": cannot go on with its descriptor %u: %s", r->keep->number, i, strerror(-q));
    }
}

/* -1: it has ended.  One that the guardian has reaped since we were made is still to be
 * told by it; until then something is held that is no process. */
static int open_live(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd >= 0 ? fd : eventfd(0, EFD_CLOEXEC);
}

static int open_process(const struct run_keep *k, const struct roll_child *rc)
{
    const struct identity id = { .pid = k->pid, .start = k->start, .inode = k->inode };
    if (k->cause_kind != EXIT_NONE)
        return -1;
    if (rc != NULL)
        return rc->state == ROLL_LIVE ? open_live(rc->pid) : -1;
    return k->detached ? identity_open(&id) : -1;
}

static struct exit_cause cause_of(const struct run_keep *k, const struct roll_child *rc)
{
    if (k->cause_kind != EXIT_NONE && k->cause_kind <= EXIT_UNKNOWN)
        return (
            struct exit_cause){ .kind = (enum exit_kind)k->cause_kind, .value = k->cause_value, .core = k->cause_core };
    if (rc != NULL && rc->state == ROLL_DEAD)
        return exit_cause_from_wait(rc->status);
    return (struct exit_cause){ .kind = EXIT_UNKNOWN };
}

static struct rusage usage_of(const struct roll_child *rc)
{
    struct rusage u = { 0 };
    if (rc == NULL)
        return u;
    u.ru_utime = (struct timeval){ .tv_sec = rc->user_ms / 1000, .tv_usec = rc->user_ms % 1000 * 1000 };
    u.ru_stime = (struct timeval){ .tv_sec = rc->system_ms / 1000, .tv_usec = rc->system_ms % 1000 * 1000 };
    u.ru_maxrss = rc->maxrss_kib;
    return u;
}

static void on_grace(void *arg)
{
    struct run *r = arg;
    log_info("run:%" PRIu64 ": its client has not come back", r->keep->number);
    run_leave(r);
}

static struct run *make_again(struct supervisor *s, struct run_keep *k)
{
    struct run *r = calloc(1, sizeof(*r));
    char name[32];
    if (r == NULL)
        return NULL;
    snprintf(name, sizeof(name), "%" PRIu64, k->number);
    *r = (struct run){ .supervisor = s, .keep = k, .name = event_name_new("run", name), .pidfd = -1 };
    r->taken_over = true;
    r->awaited = k->key != 0 && !k->answered;
    r->attached = r->awaited && !k->detached;
    r->result.error = k->error;
    if (r->name != NULL)
        return r;
    free(r);
    return NULL;
}

static void go_on(struct supervisor *s, struct run_keep *k, const struct roll_child *rc)
{
    struct run *r = make_again(s, k);
    if (r == NULL)
        return;
    if (k->pid == 0 && rc != NULL)
        k->pid = rc->pid;
    runs_add(s, r);
    r->pidfd = open_process(k, rc);
    if (k->kill_mode == KILL_MODE_CGROUP && r->pidfd >= 0)
        scope_note_pid(s, k->pid);
    if (k->made == 0) /* it was born, and nobody was told its number, by which it is given its input */
        run_say_begun(r);
    take_pipes(r);
    run_pause(r, r->awaited);
    if (r->awaited)
        loop_timer_set(s->loop, &r->grace, usec_add(loop_now(s->loop), GRACE), on_grace, r);
    if (!k->ran && k->cause_kind != EXIT_SPAWN) { /* as far as anybody can know; if not, its end follows */
        k->ran = true;
        run_say_runs(r);
    }
    if (k->ran)
        run_release_input(r);
    log_info("run:%" PRIu64 ": '%s' with pid %d goes on", k->number, k->command, k->pid);
    if (r->pidfd >= 0 && rc == NULL)
        loop_io_set(s->loop, &r->exit_io, r->pidfd, LOOP_READ, LOOP_LIFE, run_on_exit, r);
    if (r->pidfd >= 0) {
        run_give_input(r);
        run_arm(r);
    } else {
        const struct rusage usage = usage_of(rc);
        run_ended(r, cause_of(k, rc), &usage);
        if (rc != NULL)
            holder_forget(s->options.holder, rc->pid, rc->tag);
    }
    if (r->overflowed)
        run_tell_to_end(r, ENOBUFS);
    if (!r->awaited && !k->detached) /* its client had left already */
        run_leave(r);
}

/* A FIFO in its stdio, say, keeps it waiting.  Somebody begins it once more, so it must not go on. */
static void end_unborn(const struct run_keep *k)
{
    const struct identity id = { .pid = k->pid, .start = k->start, .inode = k->inode };
    _cleanup_close_ int fd = identity_open(&id);
    if (fd >= 0)
        pidfd_signal(fd, SIGKILL);
}

void runs_recover(struct supervisor *s)
{
    if (s->runs != NULL || !run_memory_is_left(s->options.holder) || runs_open(s) < 0)
        return;
    for (unsigned i = 0; i < RUN_BERTHS; i++) {
        struct run_keep *k = run_memory_berth(s->runs->memory, i);
        const struct roll_child *rc = k->state == RUN_LIVES ? find_born(s, run_tag(k)) : NULL;
        if (k->state != RUN_LIVES)
            continue;
        if (rc != NULL || k->ran || k->cause_kind != EXIT_NONE) {
            go_on(s, k, rc);
            continue;
        }
        end_unborn(k);
        run_memory_unborn(k);
    }
}

bool run_is_detached(uint64_t tag)
{
    return tag >> 32 == 0xffffffff && (tag >> 31 & 1) != 0;
}

bool runs_have(const struct supervisor *s, uint64_t tag)
{
    for (const struct run *r = run_next(s, NULL); r != NULL; r = run_next(s, r))
        if (run_tag(r->keep) == tag)
            return true;
    return false;
}

bool runs_ended(struct supervisor *s, const struct roll_child *rc)
{
    for (struct run *r = run_next(s, NULL); r != NULL; r = run_next(s, r)) {
        if (run_tag(r->keep) != rc->tag || r->pidfd < 0 || !r->taken_over)
            continue;
        const struct rusage usage = usage_of(rc);
        if (r->keep->kill_mode == KILL_MODE_CGROUP)
            scope_kill_pid(s, r->keep->pid, true);
        run_ended(r, cause_of(r->keep, rc), &usage);
        holder_forget(s->options.holder, rc->pid, rc->tag);
        return true;
    }
    return false;
}

/* -- clients come back ---------------------------------------------------------------- */

static struct run *find_key(const struct supervisor *s, uint64_t key)
{
    struct run *r = run_next(s, NULL);
    while (r != NULL && r->keep->key != key)
        r = r->next;
    return r;
}

static const struct run_keep *find_rest(const struct supervisor *s, uint64_t key)
{
    for (unsigned i = 0; s->runs != NULL && i < RUN_BERTHS; i++) {
        const struct run_keep *k = run_memory_berth(s->runs->memory, i);
        if ((k->state == RUN_TOLD || k->state == RUN_UNBORN) && k->key == key)
            return k;
    }
    return NULL;
}

bool run_is_unborn(const struct supervisor *s, uint64_t number)
{
    for (unsigned i = 0; s->runs != NULL && i < RUN_BERTHS; i++) {
        const struct run_keep *k = run_memory_berth(s->runs->memory, i);
        if (k->state == RUN_UNBORN && k->number == number && k->key != 0)
            return true;
    }
    return false;
}

int run_look_up(const struct supervisor *s, uint64_t key, uint64_t from, uid_t *owner, struct run **ret)
{
    struct run *r = key != 0 ? find_key(s, key) : NULL;
    const struct run_keep *k = r != NULL ? r->keep : key != 0 ? find_rest(s, key) : NULL;
    struct run_piece pieces[2];
    if (k == NULL)
        return -ENOENT;
    if (k->state == RUN_UNBORN)
        return -EAGAIN;
    if (r != NULL && r->client.data != NULL)
        return -EBUSY;
    *owner = k->owner;
    *ret = r;
    return run_keep_rest(k, from, pieces);
}

static bool hand_on(const struct run_keep *k, uint64_t from, const struct run_client *client)
{
    struct run_piece pieces[2];
    bool room = true;
    if (run_keep_rest(k, from, pieces) < 0)
        return true;
    for (int i = 0; i < 2; i++)
        if (pieces[i].len > 0)
            room = client->data(pieces[i].data, pieces[i].len, client->arg);
    return room;
}

void run_go_on(struct supervisor *s, uint64_t key, uint64_t from, const struct run_client *client)
{
    struct run *r = find_key(s, key);
    const struct run_keep *k = r != NULL ? r->keep : find_rest(s, key);
    if (k == NULL)
        return;
    bool room = hand_on(k, from, client);
    if (r == NULL || k->answered) {
        client->ended(client->arg);
        if (r == NULL)
            return;
        run_leave(r);
        return;
    }
    r->client = *client;
    r->awaited = false;
    loop_timer_clear(&r->grace);
    if (room)
        run_resume(r);
}
