/* logmove.h - bytes on their way from a pipe to a log, so that a kill loses none
 * and doubles none.
 *
 * A move: the bytes go by splice(2) from the job's pipe into a scratch pipe, are
 * looked at there (tee), written, and only then taken out of it.  A slot in shared
 * memory says how far it is.  Whoever holds the pipes and the memory can have any
 * process finish what another has begun, however that one ended:
 *
 *   IDLE    the scratch pipe is empty
 *   TAKEN   what it holds comes from pipe `from`; `done` bytes are written, and what
 *           the file `dev`, `ino` has beyond `offset` as well (ino 0: nothing more)
 *   WRITTEN all of it is in the log
 *
 * One thread moves one chunk at a time, so one slot and one scratch pipe do, but a
 * log that is full keeps those of its chunk until it has taken it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MOVER_SLOTS 64
#define MOVER_MEMORY (MOVER_SLOTS * 256) /* bytes of shared memory, zeroed at first */

struct mover;
struct move;

/* Takes over the descriptor of the shared memory (a memfd); -1: makes one.  0 or
 * a negative errno: then the caller reads and writes as usual. */
int mover_new(int memory_fd, struct mover **ret);
void mover_free(struct mover *m);

/* What somebody else would have to hold: the memory, and the ends of the scratch
 * pipe of slot i (-1: none yet).  Borrowed. */
int mover_memory(const struct mover *m);
void mover_scratch(const struct mover *m, unsigned i, int fds[2]);
/* Takes over the ends of the scratch pipe of slot i, before anything is moved. */
void mover_adopt(struct mover *m, unsigned i, const int fds[2]);

/* Takes up to `size` bytes (64 KiB) from the non-blocking pipe `fd`.  Their
 * number, with *ret to be ended; 0 at end of file; or a negative errno: -EAGAIN
 * nothing there, -ENOBUFS no slot is left. */
ssize_t mover_take(struct mover *m, int fd, void *data, size_t size, struct move **ret);
/* All is written: the bytes leave the scratch pipe. */
void mover_end(struct mover *m, struct move *v);

/* For the one who writes: bytes are about to be added to a file of this size
 * (ino 0: to none), and so many were. */
void move_note(struct move *v, dev_t dev, ino_t ino, uint64_t size);
void move_wrote(struct move *v, uint64_t n);

/* -- after a death ------------------------------------------------------------ */
struct move_state {
    ino_t from; /* inode of the job's pipe */
    dev_t dev;
    ino_t ino; /* 0: nothing was under way */
    uint64_t offset, done;
};
/* The move of slot i that somebody left: true, and its state. */
bool mover_left(struct mover *m, unsigned i, struct move_state *ret);
/* Goes on with it: its bytes, of which `done` are written.  As mover_take(). */
ssize_t mover_resume(struct mover *m, unsigned i, uint64_t done, void *data, size_t size, struct move **ret);
