/* run_keep.h - what a transient process must not lose with the supervisor that made it.
 *
 * One piece of memory (a memfd that the guardian holds) with a berth for each: who it
 * is, how it is to be ended, how much it was given to read, and the last of the answer
 * that its client gets.  There is no pointer in it.  A client that was cut off says how
 * much of the answer it has, and is given the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/program.h"

#define RUN_BERTHS 64
#define RUN_RING (128 * 1024)     /* of its answer: more than is ever on its way to a client */
#define RUN_INPUT_MAX (64 * 1024) /* of a text that it is to read */
#define RUN_COMMAND_MAX 512

enum run_berth {
    RUN_FREE,
    RUN_LIVES,
    RUN_TOLD,   /* its end, too; the client may not have read it yet */
    RUN_UNBORN, /* whoever made it died before it was executed: its client asks for it once more */
};

struct run_keep {
    uint32_t state;
    uint32_t owner; /* uid of who asked */
    uint64_t number, key;
    uint64_t max_buffer, pipes;
    uint64_t start, inode; /* with .pid its identity */
    uint64_t began_wall;
    uint64_t deadline, timeout; /* CLOCK_BOOTTIME, 0: none; microseconds */
    uint64_t told_at;           /* CLOCK_MONOTONIC: since when it is TOLD or UNBORN */
    int32_t pid;
    int32_t error; /* why it did not run to its own end */
    int32_t cause_value;
    uint8_t cause_kind, cause_core;
    uint8_t detached, told_to_end, step, ran, answered;
    uint8_t kill_mode;     /* enum kill_mode */
    uint8_t input_follows; /* else the text below is all that it reads */
    uint32_t n_ladder, input_len;
    int32_t timeout_signal;
    struct {
        int32_t signal;
        uint64_t wait;
    } ladder[STOP_LADDER_MAX];
    uint64_t eof;       /* bit N: nothing more is written to its descriptor N */
    uint64_t given[64]; /* bytes that it was given at each descriptor */
    uint64_t taken[64]; /* bytes that it has written to each */
    uint64_t taking;    /* .made, and .taken of that descriptor, before what is being taken now */
    uint64_t taking_before;
    uint64_t made; /* bytes of the answer */
    char command[RUN_COMMAND_MAX];
    char input[RUN_INPUT_MAX];
    char ring[RUN_RING];
};

struct holder;
struct run_memory;

/* Has a supervisor before us left some? */
bool run_memory_is_left(const struct holder *h);
/* Those of a supervisor before us, or new ones.  NULL without memory. */
struct run_memory *run_memory_new(struct holder *h);
void run_memory_free(struct run_memory *m);

struct run_keep *run_memory_berth(struct run_memory *m, unsigned i);
unsigned run_memory_index(const struct run_memory *m, const struct run_keep *k);
/* An empty one with a number of its own, or with that of the one of this key that was never
 * born; NULL: all are in use.  Numbers grow, over the death of supervisors as well. */
struct run_keep *run_memory_take(struct run_memory *m, uint64_t key);
void run_memory_told(struct run_keep *k);
void run_memory_unborn(struct run_keep *k);

/* Adds to the answer: head and data as one. */
void run_keep_add(struct run_keep *k, const char *head, size_t head_len, const char *data, size_t len);
/* What there is of the answer from byte `from` on: 0 with the two pieces, or -ERANGE. */
struct run_piece {
    const char *data;
    size_t len;
};
int run_keep_rest(const struct run_keep *k, uint64_t from, struct run_piece pieces[2]);
