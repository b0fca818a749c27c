/* gap.h - the time in which nobody answers, since one supervisor has died or makes room
 * for the next: how long a client that was in the middle of something keeps trying. */
#pragma once

#include <stdbool.h>

#include "base/usec.h"

#define GAP_MAX (10 * USEC_PER_SEC)

struct gap {
    usec_t since; /* 0: somebody answers */
    usec_t pause; /* before the next try */
};

/* Is it what the death of a supervisor looks like to somebody who is connected? */
bool gap_is_cut(int error);

/* ... or to somebody who tries to connect. */
bool gap_is_possible(int error);

/* True after a while in which one should have come: try again.  False: the error is of
 * another kind, it has lasted too long, or `interrupt_fd` (-1: none) is readable. */
bool gap_wait(struct gap *g, int interrupt_fd, int error);

/* The same for those who wait themselves: when to try again, 0: no more. */
usec_t gap_next(struct gap *g, int error);

void gap_over(struct gap *g);
