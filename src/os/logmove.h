/* logmove.h - bytes on their way from a pipe to a log, so that a kill loses none
 * and doubles none.
 *
 * A move: the bytes go by splice(2) from the job's pipe into a scratch pipe, are
 * looked at there (tee), written, and only then taken out of it.  A slot in shared
 * memory says how far it is.  Whoever holds the pipes and the memory can have any
 * process finish what another has begun, however that one ended:
 *
 *   IDLE    the scratch pipe is empty
 *   TAKEN   what it holds comes from pipe `from`; `done` bytes of what is made of it
 *           are written, and what the file `dev`, `ino` has beyond `offset` as well
 *           (ino 0: nothing more)
 *   WRITTEN all of it is in the log, or counts for nothing
 *   GIVEN   see logmove_give.h
 *
 * What is made of the bytes may differ from them (log_format): it must be the same
 * each time that it is made of the same bytes, clock and state of mind, which the
 * slot therefore keeps, together with the beginning of a line that has not ended.
 *
 * One thread moves one chunk at a time, so one slot and one scratch pipe do, but a
 * log that is full keeps those of its chunk until it has taken it, and a stream
 * those with the line that it has begun.  One slot is never taken for these. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MOVER_SLOTS 24
#define MOVER_TAKES (MOVER_SLOTS - 1) /* that hold what was taken; there is always one to give with */
#define MOVER_BEGUN (16 * 1024)       /* bytes of a begun line */
#define MOVER_MEMORY (4096 + MOVER_SLOTS * 2 * (size_t)MOVER_BEGUN) /* bytes of shared memory, zeroed at first */

struct mover;
struct move;

/* The state of mind: when the bytes were taken, and what there was before them. */
struct move_mind {
    uint64_t wall;       /* microseconds */
    uint32_t state;      /* of whoever reads them */
    uint32_t begun;      /* bytes of a line that has not ended */
    uint64_t begun_wall; /* when the first of those was taken */
};

/* Takes over the descriptor of the shared memory (a memfd); -1: makes one.  0 or
 * a negative errno: then the caller reads and writes as usual. */
int mover_new(int memory_fd, struct mover **ret);
void mover_free(struct mover *m);

/* What somebody else has to hold: the memory, and the ends of the scratch pipe of
 * slot i (-1: none yet).  Borrowed. */
int mover_memory(const struct mover *m);
void mover_scratch(const struct mover *m, unsigned i, int fds[2]);
/* Called whenever a scratch pipe has been made, before anything is in it.  That of
 * slot 0 is made together with the memory. */
void mover_on_scratch(struct mover *m, void (*fn)(unsigned i, const int fds[2], void *arg), void *arg);
/* Takes over the ends of the scratch pipe of slot i, before anything is moved. */
void mover_adopt(struct mover *m, unsigned i, const int fds[2]);

/* Takes up to `size` bytes (64 KiB) from the non-blocking pipe `fd`.  Their
 * number, with the move in *v, to be ended; 0 at end of file; or a negative errno:
 * -EAGAIN nothing there, -ENOBUFS no slot is left.  *v: NULL, or the move of this
 * pipe that has a begun line; that is part of what is written next. */
ssize_t mover_take(struct mover *m, int fd, void *data, size_t size, uint64_t wall, uint32_t state, struct move **v);
/* No more will come, and the begun line is written as it is. */
void mover_take_begun(struct move *v, uint64_t wall);
uint64_t move_wall(const struct move *v);
/* All is written, but for `len` bytes of a line that has begun (at most
 * MOVER_BEGUN): the bytes leave the scratch pipe.  Without such a line the move is
 * over, and *v NULL. */
void mover_end(struct mover *m, struct move **v, const void *begun, size_t len, uint64_t begun_wall);

/* For the one who writes: bytes are about to be added to a file of this size
 * (ino 0: to none), and so many were. */
void move_note(struct move *v, dev_t dev, ino_t ino, uint64_t size);
void move_wrote(struct move *v, uint64_t n);

/* -- after a death ------------------------------------------------------------ */
/* Before the first byte is written to a file: how much of what is left over went
 * into it, which its size tells. */
void mover_settle(struct mover *m, dev_t dev, ino_t ino, uint64_t size);
/* The move that somebody left for this pipe: its bytes in `data` (of 64 KiB) and
 * their number, 0: none, and with *v NULL nothing at all was left.  What was made
 * of them is written up to byte *done. */
ssize_t mover_resume(struct mover *m, int fd, void *data, struct move_mind *mind, uint64_t *done, struct move **v);
/* What is left for pipes that nobody has brought is given up. */
void mover_forget(struct mover *m);
/* The begun line that was there before these bytes. */
const void *move_begun(const struct move *v);
