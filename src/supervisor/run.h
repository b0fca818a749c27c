/* run.h - transient processes: started because a client asked, forgotten when they
 * have ended.
 *
 * A transient is not a process of a group: it has no state machine and no log, is
 * never started again, and what it prints goes to whoever asked for it.  It is
 * called run:N, with a number of its own, in events and in the log. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "core/exit_cause.h"

struct supervisor;
struct run;
struct runs;

#define RUNS_MAX 64          /* at once */
#define RUNS_ATTACHED_MAX 24 /* of those, with a client at the other end, so that these cannot take all connections */

struct run_result {
    pid_t pid;               /* 0: there never was one */
    struct exit_cause cause; /* EXIT_NONE: detached, and runs */
    int error;               /* why it did not run to its own end: an errno; 0: it did */
    const char *path, *message;
};

/* Whom it is for; called until run_leave() or `ended`, which is the last call. */
struct run_client {
    void (*began)(pid_t pid, void *arg); /* its program runs */
    /* false: no room for more, nothing is read from it until run_resume() */
    bool (*output)(int number, const char *data, size_t len, void *arg);
    void (*ended)(const struct run_result *result, void *arg);
    void *arg;
};

struct run_order {
    struct config *config; /* of config_load_transient() */
    uint64_t max_buffer;   /* bytes of each descriptor; more and it is ended: ENOBUFS */
    bool detached;
    bool input_follows; /* run_write() will be called; else it reads an end of file after: */
    const char *input;  /* NULL: nothing */
    uid_t owner;        /* who asked */
    const char *by;     /* the same for the log */
    struct run_client client;
};

/* 0 and *ret, also when the start fails, which is for `ended` to tell; -EBUSY when
 * too many run, -ENOMEM.  No callback is called before it returns. */
int run_start(struct supervisor *s, const struct run_order *order, struct run **ret);
struct run *run_find(const struct supervisor *s, uint64_t number); /* NULL: there is none, or it has ended */
uint64_t run_number(const struct run *r);
uid_t run_owner(const struct run *r);
uint64_t run_pipes(const struct run *r); /* bit N: its descriptor N is a pipe to us */

void run_resume(struct run *r);
/* Nobody wants to know any more: it is told to end, unless it is detached. */
void run_leave(struct run *r);
int run_signal(struct run *r, int signal); /* its whole group; 0, -ESRCH, -EPERM */

/* Bytes for its descriptor `number`; they stay the caller's until done, which is
 * called with 0 when it has them all, -EPIPE when it will not have them.  -EBUSY
 * while there are others, -EBADF no such pipe, -EPIPE nobody reads there. */
int run_write(struct run *r, int number, const void *data, size_t len, bool eof, void (*done)(int result, void *arg),
              void *arg);
void run_write_cancel(struct run *r, int number);

/* -- for supervisor.c and its kin ------------------------------------------- */
void runs_stop(struct supervisor *s); /* all that are not detached */
bool runs_are_down(const struct supervisor *s);
void runs_free(struct runs *runs);
