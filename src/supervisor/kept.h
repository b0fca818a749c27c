/* kept.h - our ends of jobs' pipes and channels, of which the guardian holds a
 * duplicate each, so that they outlive us.
 *
 * What is open belongs to the whole process, and so does this table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct holder;

/* Whose: the slot of a process in the journal, which of its runs, and the number that
 * the other end has there. */
struct kept_key {
    uint32_t slot, instance;
    unsigned number;
    bool memory; /* what our end of that channel must not lose, rather than our end itself */
};

/* From here on descriptors can be kept; NULL: there is no guardian. */
void kept_begin(struct holder *h);
void kept_end(void);

/* Has the guardian hold a duplicate, from the next kept_flush() on.  0, -ENOMEM. */
int kept_put(const struct kept_key *k, int fd);
/* Beside the memory of a channel, box `n` of 0 to 63. */
int kept_put_box(int memory, unsigned n, int fd);
int kept_take_box(int memory, unsigned n);
/* One that a supervisor before us had, which is ours now, or -1. */
int kept_take(const struct kept_key *k);
/* The next of those that nobody has taken, of a process and any of its runs; *at is 0
 * at first.  kept_take() what is found. */
bool kept_next(uint32_t *at, struct kept_key *k);

/* How many runs before that one; see kept.c for how far it can tell. */
unsigned kept_runs_since(const struct kept_key *k, uint32_t instance);

struct roll;
/* The next memory of a channel among what is held, not taken; -1: there is no more.  *at is 0 at first. */
int kept_look(const struct roll *r, uint32_t *at);
/* Ours that is kept by that name, or -1. */
int kept_find(const char *name);

/* A memfd of that name, which a supervisor before us had or which is new; held from the
 * next kept_flush() on.  -1: there is no guardian, or no descriptor. */
int kept_memory(const char *name);

/* Everything that was put is held: 0; -EAGAIN not yet; -EPIPE there is no guardian. */
int kept_flush(void);
/* The guardian keeps up with what it is told. */
bool kept_has_room(void);

/* Closes a descriptor, and whether it was kept or not, nobody holds it after that. */
void kept_close(int *fd);
