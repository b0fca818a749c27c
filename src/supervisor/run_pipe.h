/* run_pipe.h - the pipes of a transient process: what it prints, and what it reads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/loop.h"

/* Called with what was read; data is NULL at the end.  May close the pipe. */
struct mover;
struct run_pipe;
typedef void (*run_pipe_fn)(struct run_pipe *p, const char *data, size_t len, void *arg);

struct run_pipe {
    struct run_pipe *next;
    struct loop *loop;
    struct loop_io io;
    run_pipe_fn fn;
    /* what a predecessor of ours would not lose: NULL, or who moves the bytes, and what is
     * called before they are taken and when they are safe */
    struct mover *mover;
    void (*before)(struct run_pipe *p, void *arg);
    void (*after)(struct run_pipe *p, void *arg);
    void *arg;
    int fd, number; /* fd -1: at its end */
    bool paused;
};

int run_pipe_new(struct loop *loop, int fd, int number, run_pipe_fn fn, void *arg,
                 struct run_pipe **ret); /* takes fd */
void run_pipe_pause(struct run_pipe *p, bool paused);
/* Reads what is there and takes that for all, unless it is paused on the way. */
void run_pipe_finish(struct run_pipe *p);
void run_pipe_free_all(struct run_pipe *first);

/* The other direction: one piece at a time, which stays the writer's. */
struct run_feed {
    struct run_feed *next;
    uint64_t *given;     /* counts what was written */
    uint64_t *ended;     /* bit `number` is set at its end */
    struct mover *mover; /* by whom a kill does not spoil that count; NULL: nobody will follow us */
    struct loop *loop;
    struct loop_io io;
    const char *data;
    size_t left;
    void (*done)(int result, void *arg);
    void *arg;
    char *own; /* the piece, where it is ours */
    int fd, number;
    bool socket; /* at its end the other direction stays */
    bool eof;
    bool busy; /* there is a piece */
    bool held; /* it waits until the job is executed */
};

int run_feed_new(struct loop *loop, int fd, int number, struct run_feed **ret); /* takes fd */
/* As run_write(). */
int run_feed_write(struct run_feed *f, const void *data, size_t len, bool eof, void (*done)(int result, void *arg),
                   void *arg);
void run_feed_release(struct run_feed *f); /* it is not held any more */
void run_feed_cancel(struct run_feed *f);
void run_feed_close(struct run_feed *f); /* whose piece is not taken is told so */
void run_feed_free_all(struct run_feed *first);
