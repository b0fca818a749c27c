/* starting.c - see starting.h.
 *
 * Owns the daemon's end of the pipe on which a child reports, and what the child
 * is to have until it has a table of descriptors of its own.  Decides nothing: who
 * started the child asks it what it has heard. */
#include "supervisor/starting.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

struct starting {
    struct loop_io event;
    int fd;
    struct spawn_report report;
    bool failed;
    unsigned n_held;
    int held[];
};

static void let_go(struct starting *st)
{
    for (unsigned i = 0; i < st->n_held; i++)
        cleanup_close(&st->held[i]);
}

int starting_new(struct loop *loop, struct child_plan *p, struct spawned *spawned, loop_io_fn fn, void *arg,
                 struct starting **ret)
{
    struct starting *st = calloc(1, sizeof(*st) + (p->plan.n_fds + 1) * sizeof(int));
    if (st == NULL) {
        cleanup_close(&spawned->error_fd);
        cleanup_close(&spawned->held_fd);
        return -ENOMEM;
    }
    st->fd = TAKE_FD(spawned->error_fd);
    st->n_held = p->plan.n_fds + 1;
    st->held[0] = TAKE_FD(spawned->held_fd);
    for (unsigned i = 0; i < p->plan.n_fds; i++)
        st->held[i + 1] = TAKE_FD(p->ends[i]);
    int r = loop_io_set(loop, &st->event, st->fd, LOOP_READ, LOOP_LIFE, fn, arg);
    *ret = st;
    return r;
}

void starting_free(struct starting *st)
{
    if (st == NULL)
        return;
    let_go(st);
    loop_io_clear(&st->event);
    cleanup_close(&st->fd);
    free(st);
}

enum starting_state starting_read(struct starting *st)
{
    ssize_t n = -1;
    while (!st->failed && (n = read(st->fd, &st->report, sizeof(st->report))) > 0) {
        if (st->report.stage == SPAWN_STAGE_NONE) {
            let_go(st);
            continue;
        }
        st->failed = true;
        loop_io_clear(&st->event); /* its exit follows at once and is what counts */
    }
    return st->failed ? STARTING_FAILED : n == 0 ? STARTING_RUNS : STARTING_WAITS;
}

/* Without a word of failure it has run.  The end of the pipe may come late: another
 * child on its way to exec still has a copy of its other end. */
const struct spawn_report *starting_settle(struct starting *st)
{
    if (!st->failed) {
        let_go(st);
        starting_read(st);
    }
    return st->failed ? &st->report : NULL;
}
