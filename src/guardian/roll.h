/* roll.h - what the guardian knows: descriptors by name, and children by pid.
 *
 * Static and bounded; nothing here allocates, blocks or fails but for want of
 * room.  The supervisor inherits it all by fork, so a new one reads the tables in
 * its own memory and finds every held descriptor open at the number given here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ROLL_NAME_MAX 8 /* systemd's fd store takes longer ones, and then its service can fail to start for ever */
#define ROLL_HELD_MAX 16384
#define ROLL_BORN_MAX 8192
#define ROLL_INDEX_SIZE (2 * ROLL_HELD_MAX) /* a power of two */

enum roll_state {
    ROLL_LIVE, /* a child of the supervisor, or of the guardian */
    ROLL_DEAD, /* reaped by the guardian; its status is here */
    ROLL_GONE, /* reaped by a supervisor that died before it could say so */
};

#define ROLL_STRANGER 0 /* the tag of one who never told us: an orphan of somebody else */

/* A child that told us of itself on its way to exec. */
struct roll_child {
    uint64_t tag; /* the supervisor's own, chosen before the child was made */
    pid_t pid;
    int status; /* of wait(2), if DEAD; and what it used */
    uint32_t user_ms, system_ms, maxrss_kib;
    uint8_t state;
    uint8_t told; /* the present supervisor knows of this state */
    uint8_t ours; /* a child of the guardian by now: nobody else can reap it */
};

struct roll {
    uint32_t n_held, n_born;
    uint64_t names[ROLL_HELD_MAX]; /* in no order, the first n_held; padded with NUL */
    int fds[ROLL_HELD_MAX];
    uint16_t index[ROLL_INDEX_SIZE]; /* by name: 1 + place in names, 0: free */
    struct roll_child born[ROLL_BORN_MAX];
};

/* A name as a number; 0 when it is empty or too long. */
uint64_t roll_name(const char *name);
/* The text of it; of roll_name(). */
const char *roll_name_text(uint64_t name, char text[ROLL_NAME_MAX + 1]);

/* The descriptor held under that name, or -1. */
int roll_held(const struct roll *r, uint64_t name);
/* Takes the descriptor; *before is the one that had the name, or -1, and is the
 * caller's.  -ENOSPC when the table is full, -EINVAL without a name: then
 * nothing was taken. */
int roll_hold(struct roll *r, uint64_t name, int fd, int *before);
/* Gives the descriptor back, -1 if there is none. */
int roll_drop(struct roll *r, uint64_t name);

/* -ENOSPC when the table is full. */
int roll_add(struct roll *r, pid_t pid, uint64_t tag);
/* The one of that pid that is LIVE, or NULL. */
struct roll_child *roll_live(struct roll *r, pid_t pid);
/* Forgets that child, whatever its state; false: not there. */
bool roll_forget(struct roll *r, pid_t pid, uint64_t tag);
/* How many are LIVE. */
unsigned roll_count_live(const struct roll *r);
