/* begin.h - from a loaded configuration to the point where nothing can be refused. */
#pragma once

#include "config/config.h"
#include "control/listen.h"
#include "guardian/holder.h"

/* What the daemon then has, for as long as it runs. */
struct beginning {
    struct holder *holder;
    const struct config *config;
    struct passed_sockets passed;
    struct listeners listeners;
    char *lock_path;
    int lock_fd;      /* -1: not taken */
    int lock_error;   /* why there is none (negative errno), and we run all the same */
    pid_t waited_for; /* the one who had it before; 0: nobody had to be waited for */
    usec_t waited;
};

#define BEGINNING_INIT(h, c) ((struct beginning){ .holder = (h), .config = (c), .lock_fd = -1 })

/* 0, or a negative errno after a line on standard error. */
int begin(struct beginning *b);
/* The daemon's log as this configuration has it. */
void begin_log(const struct config *config);
/* The daemon ends: who is started from now on waits for that. */
void begin_ending(const struct beginning *b);
/* Gives all of it back: files that are ours are removed. */
void begin_undo(struct beginning *b, const char *pidfile);
