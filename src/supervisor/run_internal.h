/* run_internal.h - a transient process, for run.c (one life) and runs.c (all of
 * them); nobody else includes it. */
#pragma once

#include <sys/resource.h>

#include "supervisor/events.h"
#include "supervisor/kept.h"
#include "supervisor/loop.h"
#include "supervisor/run.h"
#include "supervisor/run_keep.h"
#include "supervisor/run_pipe.h"

struct run {
    struct run *next;
    struct supervisor *supervisor;
    struct run_keep *keep; /* what is known of it, by whoever follows us as well */
    struct config *config; /* NULL, and the next two: it was started by somebody before us */
    const struct program *program;
    struct spawn_identity *identity;
    struct event_name *name;
    struct run_client client; /* all NULL once it has left */
    int pidfd;                /* -1: it has ended, or never was */
    struct loop_io exit_io;
    struct loop_timer timer;
    struct loop_timer grace; /* for a client that was cut off to come back */
    struct loop_work end_work;
    struct starting *starting;
    struct run_pipe *pipes;
    struct run_feed *feeds;
    struct run_result result;
    char *detail;  /* message NUL path; see child_plan_explain() */
    bool attached; /* it counts among those with a client */
    bool awaited;  /* its client was cut off with the supervisor before us */
    uint64_t skip; /* bytes of the answer that its client has from an attempt that came to nothing */
    bool paused, hurried, ended, closed, overflowed;
    bool taken_over; /* it is no child of ours: the guardian reaps it, or, if it is detached, somebody */
};

struct runs {
    struct run *first;
    struct run_memory *memory;
    unsigned n, n_attached;
};

/* What the guardian knows it by: in the place of a slot of the journal one that there
 * is none of, and a bit that says whether it is to outlive everybody. */
static inline uint64_t run_tag(const struct run_keep *k)
{
    return UINT64_C(0xffffffff) << 32 | (uint64_t)k->detached << 31 | (k->number & 0x7fffffff);
}

struct kept_key run_kept_key(const struct runs *all, const struct run_keep *k, unsigned number);

/* run.c */
void run_spawn(struct run *r, const struct run_order *o);
void run_tell_to_end(struct run *r, int why);
void run_look(struct run *r); /* is it over? */
void run_free(struct run *r);
int run_adopt_pipe(struct run *r, unsigned number, int fd); /* our end of it, which is taken over */
void run_ended(struct run *r, struct exit_cause cause, const struct rusage *usage);
void run_release_input(struct run *r); /* it is executed */
void run_give_input(struct run *r);    /* what it was sent with, or what is left of that */
void run_arm(struct run *r);           /* its timer, by what is on record */
void run_pause(struct run *r, bool paused);
void run_on_exit(int fd, unsigned what, void *arg);

/* runs.c */
void runs_forget(struct run *r);
void runs_add(struct supervisor *s, struct run *r);
int runs_open(struct supervisor *s); /* the table of all, if there is none yet */
