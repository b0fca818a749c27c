/* process_check.h - the laws of core/process, checked after every event.
 *
 * struct watched is a process with the world around it as its effects describe
 * that world: one timer, one start that was asked for, one child.  handle_checked()
 * feeds an event and returns the law that was broken, or NULL.  `honest` says that
 * the event fits that world; a dishonest one (a timer that nobody armed) may only
 * not break what must hold whatever happens. */
#pragma once

#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/process.h"

struct watched {
    struct process p;
    struct program program;
    usec_t now;
    usec_t timer;     /* as ARM and DISARM left it; 0: none */
    bool spawn_asked; /* SPAWN was said and is not yet answered */
    struct effects last;
};

#define LAW(condition, law)                                                                                            \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return (law);                                                                                              \
    } while (0)

static inline bool edge_is_drawn(enum process_state from, enum process_state to)
{
    static const enum process_state edges[][2] = {
        { PROCESS_STOPPED, PROCESS_STARTING }, { PROCESS_STARTING, PROCESS_RUNNING },
        { PROCESS_STARTING, PROCESS_BACKOFF }, { PROCESS_STARTING, PROCESS_STOPPING },
        { PROCESS_STARTING, PROCESS_STOPPED }, { PROCESS_STARTING, PROCESS_UNKNOWN },
        { PROCESS_RUNNING, PROCESS_EXITED },   { PROCESS_RUNNING, PROCESS_STOPPING },
        { PROCESS_RUNNING, PROCESS_UNKNOWN },  { PROCESS_BACKOFF, PROCESS_STARTING },
        { PROCESS_BACKOFF, PROCESS_STOPPED },  { PROCESS_BACKOFF, PROCESS_FATAL },
        { PROCESS_STOPPING, PROCESS_STOPPED }, { PROCESS_STOPPING, PROCESS_UNKNOWN },
        { PROCESS_EXITED, PROCESS_STARTING },  { PROCESS_EXITED, PROCESS_STOPPED },
        { PROCESS_FATAL, PROCESS_STARTING },   { PROCESS_UNKNOWN, PROCESS_STOPPED },
    };
    for (size_t i = 0; i < ELEMENTS(edges); i++)
        if (edges[i][0] == from && edges[i][1] == to)
            return true;
    return false;
}

/* Carries the effects out on the world, which shows what does not fit together. */
static inline const char *effects_checked(struct watched *w, const struct process *before, bool honest)
{
    enum process_state state = before->state;
    LAW(w->last.n < EFFECTS_MAX, "the list of effects is full: one may have been lost");
    for (unsigned i = 0; i < w->last.n; i++) {
        const struct effect *e = &w->last.list[i];
        if (e->kind == EFFECT_ANNOUNCE) {
            LAW(e->from == state, "an announcement does not begin where the last one ended");
            LAW(!honest || edge_is_drawn(e->from, e->to), "a transition that supervisord's diagram does not have");
            state = e->to;
        } else if (e->kind == EFFECT_ARM) {
            w->timer = e->at;
        } else if (e->kind == EFFECT_DISARM) {
            w->timer = 0;
        } else if (e->kind == EFFECT_SIGNAL) {
            LAW(state == PROCESS_STOPPING || (state == PROCESS_RUNNING && w->p.timed_out > 0),
                "a signal of ours outside of STOPPING and before the timeout");
            LAW(!honest || w->p.pid != 0, "a signal for nobody");
            w->p.signal_due = false;
        } else {
            LAW(!honest || (w->p.pid == 0 && !w->spawn_asked), "a second child was asked for");
            w->spawn_asked = true;
        }
    }
    LAW(state == w->p.state, "a state was entered that nobody heard of");
    return NULL;
}

static inline const char *timers_checked(const struct watched *w)
{
    bool armed = w->p.deadline != 0;
    LAW(w->timer == w->p.deadline, "the armed timer is not the deadline");
    LAW(armed || w->p.state != PROCESS_STOPPING, "STOPPING without a kill timer");
    LAW(armed || w->p.state != PROCESS_BACKOFF, "BACKOFF without a retry timer");
    LAW(!armed || (w->p.state != PROCESS_STOPPED && w->p.state != PROCESS_FATAL && w->p.state != PROCESS_UNKNOWN),
        "a timer in a state that waits for nothing");
    bool limited = w->p.program->common->timeout > 0 && w->p.program->common->timeout != USEC_INFINITY;
    LAW(w->p.state != PROCESS_RUNNING || armed == limited, "RUNNING with a timer and no timeout, or the other way");
    return NULL;
}
