/* logmove_internal.h - a slot and its scratch pipe, for logmove.c (from a job to a log)
 * and logmove_give.c (from us to a job); nobody else includes it. */
#pragma once

#include <stdatomic.h>

#include "os/logmove.h"

#define SCRATCH_SIZE (64 * 1024)
#define SLOT_SIZE 168

enum { IDLE, TAKEN, WRITTEN, GIVEN };

struct record {
    uint64_t state, from, dev, ino, offset, done;
    struct move_mind mind;
    uint32_t half; /* of its room for a begun line, which has `mind.begun` bytes */
};

struct slot {
    _Atomic uint64_t number; /* its lowest bit: the copy that holds */
    struct record copies[2];
};

_Static_assert(sizeof(struct slot) <= SLOT_SIZE, "a slot has outgrown its place");
_Static_assert(MOVER_SLOTS *SLOT_SIZE <= 4096, "the slots have outgrown their page");

struct move {
    struct slot *slot;
    char *begun;          /* two halves in the shared memory */
    struct record record; /* as it will be committed next */
    int scratch[2];
    bool busy;
    bool left; /* by somebody before us, and not yet taken up */
};

struct mover {
    int memory_fd;
    int look[2];
    int null_fd;
    unsigned char *memory;
    bool any_left;
    void (*on_scratch)(unsigned i, const int fds[2], void *arg);
    void *on_scratch_arg;
    struct move moves[MOVER_SLOTS];
};

void move_commit(struct move *v, uint64_t state); /* its record, with this state, takes effect */
/* The slot, if there is one, has a scratch pipe, and *ino says which one that other descriptor is. */
int move_ready(struct mover *m, struct move *v, int fd, ino_t *ino);
void move_over(struct mover *m, struct move *v); /* what is in its scratch pipe counts for nothing */
int move_waiting_in(int fd);
/* Among the first n slots; NULL: all are in use. */
struct move *mover_free_slot(struct mover *m, unsigned n);
