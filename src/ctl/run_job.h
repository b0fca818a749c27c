/* run_job.h - a transient process at the other end of a connection: what it prints
 * comes to us, what we read and which signals we get go to it. */
#pragma once

#include "ctl/ctl.h"

struct run_job {
    struct ctl *ctl;
    int input_fd;   /* what is sent to its stdin; -1: nothing */
    bool captured;  /* what it prints is kept in `output`; else it goes to our own descriptors */
    uint64_t pipes; /* bit N: its descriptor N leads to us */
    struct buf output[64];
    json_t *end; /* the last record: how it ended; NULL: we were not told */
    int signal;  /* that ended us before it began; 0: none */
};

/* Asks for the process and stays until its end: 0; -EREMOTEIO when the daemon
 * refused, with its words in *refusal; or what kept us from it, told to nobody. */
int run_job(struct run_job *j, const char *body, json_t **refusal);
void run_job_done(struct run_job *j);
