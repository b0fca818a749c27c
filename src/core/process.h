/* process.h - one instance of a program: its state, and how events move it.
 *
 * Pure: process_handle() takes what happened and the time, changes the value,
 * and says as a list of effects what is to be done.  It is the only place where
 * a state changes; the supervisor is the only one who calls it and carries the
 * effects out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/usec.h"
#include "core/exit_cause.h"
#include "core/program.h"

/* supervisord's names and numbers (its ProcessStates) */
enum process_state {
    PROCESS_STOPPED = 0,
    PROCESS_STARTING = 10,
    PROCESS_RUNNING = 20,
    PROCESS_BACKOFF = 30,
    PROCESS_STOPPING = 40,
    PROCESS_EXITED = 100,
    PROCESS_FATAL = 200,
    PROCESS_UNKNOWN = 1000,
};

enum process_event {
    PROCESS_START,           /* somebody wants it to run */
    PROCESS_STOP,            /* somebody wants it not to run */
    PROCESS_SPAWNED,         /* .pid: the child exists, its program does not run yet */
    PROCESS_EXECED,          /* its program runs */
    PROCESS_SPAWN_FAILED,    /* .cause: no child exists */
    PROCESS_SPAWN_POSTPONED, /* the daemon lacks what it takes just now; not the program's fault */
    PROCESS_EXITED_EVENT,    /* .cause: the child is gone */
    PROCESS_TIMER,           /* the deadline has come */
    PROCESS_SIGNAL_FAILED,   /* we may not signal it */
    PROCESS_RECOVERED,       /* this value was restored: what was under way for it goes on */
    PROCESS_EVENTS,
};

enum effect_kind {
    EFFECT_SPAWN,    /* make a child; answer with SPAWNED, SPAWN_FAILED or SPAWN_POSTPONED */
    EFFECT_SIGNAL,   /* .signal, to the process group when .as_group */
    EFFECT_ARM,      /* call with TIMER at .at */
    EFFECT_DISARM,   /* no deadline any more */
    EFFECT_ANNOUNCE, /* .from, .to: a state was entered */
};

struct effect {
    enum effect_kind kind;
    int signal;
    bool as_group;
    usec_t at;
    enum process_state from, to;
};

#define EFFECTS_MAX 12
struct effects {
    struct effect list[EFFECTS_MAX];
    unsigned n;
};

struct process {
    const struct program *program;  /* borrowed; replaced only by one that is equal, or while down */
    const enum process_state state; /* written by process_handle() alone */
    bool wanted;                    /* desired: up */
    bool execed;                    /* of this child: its program runs */
    bool restart_token;             /* one restart at once is allowed, see restart_interval */
    bool restart_due;               /* the start under way counts as a restart once it is made */
    bool operator_stopped;          /* down because an operator said so */
    bool signal_due;                /* the last signal asked for; until whoever sent it says false */
    uint8_t step;                   /* of the stop ladder */
    uint8_t timed_out;              /* 1: was sent timeout_signal, 2: is on the stop ladder for it */
    pid_t pid;                      /* 0: no child */
    uint32_t tries;                 /* failed starts in a row */
    uint32_t restarts;              /* starts since the first that nobody asked for */
    usec_t started;                 /* CLOCK_MONOTONIC of the last start */
    usec_t deadline;                /* 0: none */
    usec_t started_wall;            /* 0: never */
    usec_t stopped_wall;            /* of the last end; 0: never */
    struct exit_cause cause;        /* of the last end */
};

struct process_input {
    enum process_event event;
    usec_t now;
    usec_t wall;
    uint32_t random;
    pid_t pid;
    struct exit_cause cause;
};

void process_init(struct process *p, const struct program *program);
/* Takes everything but the program from a value that was kept.  PROCESS_RECOVERED has
 * to follow: timers, and starts that were asked for, are not kept. */
void process_restore(struct process *p, const struct process *kept);

/* Effects are to be carried out in their order. */
void process_handle(struct process *p, const struct process_input *in, struct effects *out);

/* False for the cells of the table that cannot happen; process_handle() ignores
 * those.  For tests, and for the supervisor to report. */
bool process_event_legal(enum process_state state, enum process_event event);

bool process_state_is_known(unsigned number);
const char *process_state_name(enum process_state state);
/* supervisord's RUNNING_STATES: up or on its way up */
bool process_is_up(const struct process *p);
/* nothing left to stop: STOPPED, EXITED, FATAL, without a restart to come */
bool process_is_down(const struct process *p);

/* What supervisord calls spawnerr: why it is in BACKOFF, FATAL or badly EXITED;
 * empty when there is nothing to say. */
void process_spawnerr(const struct process *p, char *buf, size_t size);
