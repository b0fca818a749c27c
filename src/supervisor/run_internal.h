/* run_internal.h - a transient process, for run.c (one life) and runs.c (all of
 * them); nobody else includes it. */
#pragma once

#include "supervisor/events.h"
#include "supervisor/loop.h"
#include "supervisor/run.h"
#include "supervisor/run_pipe.h"

struct run {
    struct run *next;
    struct supervisor *supervisor;
    struct config *config;
    const struct program *program;
    struct spawn_identity *identity;
    struct event_name *name;
    struct run_client client; /* all NULL once it has left */
    uint64_t number, max_buffer;
    uid_t owner;
    pid_t pid;
    int pidfd;
    struct loop_io exit_io;
    struct loop_timer timer;
    struct loop_work end_work;
    struct starting *starting;
    struct run_pipe *pipes;
    struct run_feed *feeds;
    struct run_result result;
    char *detail; /* message NUL path; see child_plan_explain() */
    unsigned step;
    bool detached, attached; /* attached: it counts among those with a client */
    bool paused, told_to_end, hurried, ended;
};

struct runs {
    struct run *first;
    unsigned n, n_attached;
    uint64_t last; /* number that was given */
};

/* run.c */
void run_spawn(struct run *r, const struct run_order *o);
void run_reap(struct run *r); /* when its pidfd says that it has ended */
void run_tell_to_end(struct run *r, int why);
void run_look(struct run *r); /* is it over? */
void run_free(struct run *r);

/* runs.c */
void runs_forget(struct run *r);
