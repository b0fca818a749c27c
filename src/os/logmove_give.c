/* logmove_give.c - see logmove_give.h.
 *
 * Owns nothing: slots and scratch pipes are logmove.c's.  A piece is given within one
 * call, so between two calls no slot is in use for it. */
#include "os/logmove_give.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/logmove_internal.h"

/* From here on what is no longer in the scratch pipe has been given. */
static void commit_given(struct move *v, ino_t to, uint64_t before, size_t n)
{
    v->record.from = to;
    v->record.offset = before;
    v->record.done = n;
    move_commit(v, GIVEN);
}

static void note_given(uint64_t *given, uint64_t value)
{
    __atomic_store_n(given, value, __ATOMIC_RELEASE);
}

/* As much of the scratch pipe as goes; 0 with *r when nothing does. */
static size_t pass_on(struct move *v, int fd, size_t len, int *r)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = splice(v->scratch[0], NULL, fd, NULL, len - done, SPLICE_F_NONBLOCK);
        if (n <= 0) {
            *r = n < 0 ? -errno : -EIO;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

ssize_t mover_give(struct mover *m, int fd, const void *data, size_t len, uint64_t *given)
{
    struct move *v = mover_free_slot(m, MOVER_SLOTS);
    ino_t ino;
    int r = move_ready(m, v, fd, &ino);
    if (r < 0)
        return r;
    v->record.mind.begun = 0;
    move_commit(v, WRITTEN); /* what comes into it is nobody's yet */
    ssize_t n = write(v->scratch[1], data, len < SCRATCH_SIZE ? len : SCRATCH_SIZE);
    size_t done = 0;
    if (n <= 0) {
        r = n < 0 ? -errno : -EIO;
    } else {
        commit_given(v, ino, *given, (size_t)n);
        done = pass_on(v, fd, (size_t)n, &r);
        note_given(given, *given + done);
    }
    if (n > 0 && done == (size_t)n)
        move_commit(v, IDLE);
    else
        move_over(m, v);
    return done > 0 ? (ssize_t)done : r;
}

void mover_resume_given(struct mover *m, int fd, uint64_t *given)
{
    struct stat st;
    if (!m->any_left || fstat(fd, &st) < 0)
        return;
    for (unsigned i = 0; i < MOVER_SLOTS; i++) {
        struct move *v = &m->moves[i];
        if (!v->left || v->record.state != GIVEN || v->record.from != st.st_ino)
            continue;
        note_given(given, v->record.offset + v->record.done - (uint64_t)move_waiting_in(v->scratch[0]));
        move_over(m, v);
        v->busy = v->left = false;
    }
}
