/* process_laws.h - the laws that need a world in order, and one step with all of them. */
#pragma once

#include "process_check.h"

static inline const char *child_checked(const struct watched *w)
{
    enum process_state s = w->p.state;
    bool child = w->p.pid != 0;
    LAW(child || (s != PROCESS_RUNNING && s != PROCESS_STOPPING && s != PROCESS_UNKNOWN), "up without a child");
    LAW(!child || s == PROCESS_STARTING || s == PROCESS_RUNNING || s == PROCESS_STOPPING || s == PROCESS_UNKNOWN,
        "down with a child");
    LAW(s != PROCESS_STARTING || child || w->spawn_asked != (w->timer != 0),
        "a start that waits for nothing, or for two things");
    LAW(s != PROCESS_RUNNING || w->p.execed, "RUNNING, but its program does not run");
    return NULL;
}

static inline const char *wishes_checked(const struct watched *w)
{
    enum process_state s = w->p.state;
    bool waiting = s == PROCESS_EXITED && w->timer != 0;
    bool up = s == PROCESS_STARTING || s == PROCESS_RUNNING || s == PROCESS_BACKOFF || waiting;
    bool down = s == PROCESS_STOPPED || s == PROCESS_FATAL || (s == PROCESS_EXITED && !waiting);
    LAW(!up || w->p.wanted, "up although nobody wants it");
    LAW(!down || !w->p.wanted, "down for good although it is wanted");
    LAW(process_is_up(&w->p) == up, "process_is_up() is wrong");
    LAW(process_is_down(&w->p) == down, "process_is_down() is wrong");
    LAW(w->timer == 0 || w->timer >= w->now, "a deadline in the past");
    LAW(w->program.startretries == STARTRETRIES_INFINITY || w->p.tries <= w->program.startretries + 1,
        "more tries than startretries allow");
    LAW(w->p.step < w->program.n_ladder, "beyond the end of the stop ladder");
    return NULL;
}

static inline const char *pid_checked(const struct watched *w, const struct process *before,
                                      const struct process_input *in)
{
    if (w->p.pid == before->pid)
        return NULL;
    if (w->p.pid != 0)
        LAW(in->event == PROCESS_SPAWNED, "a pid was set by another event than SPAWNED");
    else
        LAW(in->event == PROCESS_EXITED_EVENT || in->event == PROCESS_SPAWN_FAILED, "a pid was lost without an exit");
    return NULL;
}

/* Answers leave the world before the process hears of them, as in the supervisor. */
static inline void world_before(struct watched *w, enum process_event event)
{
    if (event == PROCESS_TIMER)
        w->timer = 0;
    if (event == PROCESS_RECOVERED) { /* a new world, which knows only what was written down */
        w->timer = 0;
        w->spawn_asked = false;
    }
    if (event == PROCESS_SPAWNED || event == PROCESS_SPAWN_FAILED || event == PROCESS_SPAWN_POSTPONED)
        w->spawn_asked = false;
}

static inline const char *handle_checked(struct watched *w, const struct process_input *in, bool honest)
{
    struct process before = w->p;
    bool legal = process_event_legal(before.state, in->event);
    if (honest)
        world_before(w, in->event);
    w->last.n = 0;
    process_handle(&w->p, in, &w->last);
    if (!legal) {
        LAW(w->last.n == 0, "an event that cannot happen had effects");
        LAW(memcmp(&before, &w->p, sizeof(before)) == 0, "an event that cannot happen changed something");
        return NULL;
    }
    const char *broken = effects_checked(w, &before, honest);
    if (w->p.state != PROCESS_STARTING)
        w->spawn_asked = false; /* the supervisor drops such a start */
    if (!honest)
        w->timer = w->p.deadline;
    broken = broken ?: timers_checked(w);
    if (honest)
        broken = broken ?: child_checked(w) ?: wishes_checked(w) ?: pid_checked(w, &before, in);
    return broken;
}
