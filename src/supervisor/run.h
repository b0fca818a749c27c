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

/* Who gets the answer (run_say.h), until run_leave() or `ended`, which is the last call. */
struct run_client {
    /* false: no room for more, nothing is read from it until run_resume() */
    bool (*data)(const char *data, size_t len, void *arg);
    void (*ended)(void *arg);
    void *arg;
};

struct run_order {
    struct config *config; /* of config_load_transient() */
    uint64_t max_buffer;   /* bytes of each descriptor; more and it is ended: ENOBUFS */
    bool detached;
    bool input_follows; /* run_write() will be called; else it reads an end of file after: */
    const char *input;  /* NULL: nothing */
    uint64_t key;       /* by which its client finds it again; 0: it does not */
    uint64_t from;      /* bytes that it has of the answer, if this is asked for once more */
    uid_t owner;        /* who asked */
    const char *by;     /* the same for the log */
    struct run_client client;
};

/* 0 and *ret, also when the start fails, which the answer tells; -EBUSY when too many
 * run, -ENOMEM.  No callback is called before run_begin_answer(). */
int run_start(struct supervisor *s, const struct run_order *order, struct run **ret);
void run_begin_answer(struct run *r);

/* A client that was cut off, and has `from` bytes of the answer.  -ENOENT: there is none
 * of that key; -EAGAIN: it never came to life, and run_start() begins it once more; -ERANGE: the rest is no longer
 * there; -EBUSY: it has a client; 0: run_go_on() will do.  *ret is NULL if it is over, then only the rest is to be
 * told. */
int run_look_up(const struct supervisor *s, uint64_t key, uint64_t from, uid_t *owner, struct run **ret);
void run_go_on(struct supervisor *s, uint64_t key, uint64_t from, const struct run_client *client);
struct run *run_find(const struct supervisor *s, uint64_t number); /* NULL: there is none, or it has ended */
/* It died with the supervisor before us, before it was executed, and its client begins it once more. */
bool run_is_unborn(const struct supervisor *s, uint64_t number);
uint64_t run_number(const struct run *r);
uid_t run_owner(const struct run *r);

/* All of them, one after the other; NULL at first, and at the end. */
struct run *run_next(const struct supervisor *s, const struct run *after);
struct run_info {
    uint64_t number;
    pid_t pid;
    uid_t owner;
    const char *command;
    usec_t began_wall;
    bool detached, attached, ending;
};
struct run_info run_info(const struct run *r);

void run_resume(struct run *r);
/* Nobody wants to know any more: it is told to end, unless it is detached. */
void run_leave(struct run *r);
int run_signal(struct run *r, int signal); /* its whole group; 0, -ESRCH, -EPERM */
void run_stop(struct run *r);              /* as when its timeout has come */

/* Bytes for its descriptor `number`; they stay the caller's until done, which is
 * called with 0 when it has them all, -EPIPE when it will not have them.  -EBUSY
 * while there are others, -EBADF no such pipe, -EPIPE nobody reads there.  at: where in
 * all that it is given this begins, so that what it has already is not given twice;
 * -1: behind that; -ESPIPE: something before it is missing. */
int run_write(struct run *r, int number, const void *data, size_t len, int64_t at, bool eof,
              void (*done)(int result, void *arg), void *arg);
void run_write_cancel(struct run *r, int number);

/* -- for supervisor.c and its kin ------------------------------------------- */
void runs_stop(struct supervisor *s); /* all that are not detached */
bool runs_are_down(const struct supervisor *s);
/* Those of a supervisor before us go on. */
void runs_recover(struct supervisor *s);
/* The guardian has reaped one of them: false, if it is none of ours. */
struct roll_child;
bool runs_ended(struct supervisor *s, const struct roll_child *rc);
bool run_is_detached(uint64_t tag); /* by what the guardian knows it by */
bool runs_have(const struct supervisor *s, uint64_t tag);
void runs_free(struct runs *runs);
