/* capture.h - one output stream of one process: pipe -> log file, and whoever follows.
 *
 * A stream outlives its process as long as somebody holds the other end of the
 * pipe (a grandchild), and ends at the end of file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/ansi.h"
#include "os/logfile.h"
#include "supervisor/loop.h"

struct stream;

struct stream_owner {
    /* bytes as they go to the log; for followers and the debug log */
    void (*output)(struct stream *s, const char *data, size_t len, void *arg);
    /* end of file: the stream is to be let go by its owner */
    void (*closed)(struct stream *s, void *arg);
    /* reason: "full" (bytes wait, the job will block), "recovered", "rotated" */
    void (*report)(struct stream *s, const char *reason, int error, void *arg);
};

struct stream_stash; /* bytes that a slow or full log has not taken yet */

struct stream {
    struct loop_event io;
    struct loop *loop;
    struct stream *next; /* of the owner's list of lingering ones */
    const struct stream_owner *owner;
    void *arg;
    struct logfile *log; /* NULL: read and thrown away */
    struct stream_stash *stash;
    int fd;
    pid_t run; /* of the process that got the other end */
    uint8_t number; /* 1 stdout, 2 stderr */
    bool strip_ansi;
    bool lingering; /* its process is gone */
    bool watched;
    enum ansi_state ansi;
    unsigned rotations;
};

/* Takes over `fd` (the read end, non-blocking) and one reference to `log`. */
int stream_new(struct loop *loop, int fd, int number, struct logfile *log, bool strip_ansi,
               const struct stream_owner *owner, void *arg, struct stream **ret);

/* Reads what the pipe holds now, so that the last line before a death is in the
 * log before the death is told: at most what a pipe can hold, lest a grandchild
 * that writes on keep us here.  True at end of file. */
bool stream_drain(struct stream *s);

void stream_free(struct stream *s);
