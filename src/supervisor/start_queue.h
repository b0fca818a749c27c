/* start_queue.h - the queue of starts: which of them are made in this turn. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "supervisor/loop.h"

struct child;
struct supervisor;

/* Zero is an empty queue. */
struct start_queue {
    struct child *head, *tail;
    struct loop_work work;
    struct loop_timer timer;
    bool lack;        /* the last start found that something is lacking */
    bool pause;       /* until the timer fires none is made */
    bool told;        /* the queue was empty once */
    unsigned breaths; /* taken for the guardian, one after the other */
    pid_t alone;      /* the pause ends when this one has ended, too; 0: none */
};

void start_queue_add(struct child *c);
/* No more than a look at the queue in this turn: when it is empty, that is told. */
void start_queue_look(struct supervisor *s);
void start_queue_forget(struct child *c);                /* it is not to be started, or about to be freed */
void start_queue_lack(struct supervisor *s);             /* descriptors, memory, ... for a start */
void start_queue_ended(struct supervisor *s, pid_t pid); /* a process is gone */
void start_queue_done(struct supervisor *s);
