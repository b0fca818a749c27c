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
#include "core/program.h"
#include "os/logfile.h"
#include "supervisor/loop.h"

struct stream;
struct capture;
struct mover;

/* What became of a log: "full" (bytes wait, the job will block), "dropped" (they
 * are thrown away instead), "recovered" from either, "rotated". */
struct stream_report {
    const char *reason;
    int error;      /* negative errno, or 0 */
    uint64_t bytes; /* that were dropped: so far, or on the whole when recovered */
};

struct stream_owner {
    /* whether anybody needs to see the bytes: if not, they may go to the log directly */
    bool (*watched)(struct stream *s, void *arg);
    /* bytes as the job printed them */
    void (*output)(struct stream *s, const char *data, size_t len, void *arg);
    /* bytes as they go to the log; the same unless log_format rewrites them */
    void (*logged)(struct stream *s, const char *data, size_t len, void *arg);
    /* end of file: the stream is to be let go by its owner */
    void (*closed)(struct stream *s, void *arg);
    void (*report)(struct stream *s, const struct stream_report *r, void *arg);
    void (*dropped)(struct stream *s, uint64_t bytes, void *arg); /* so many more are lost */
};

struct stream_options {
    bool strip_ansi;
    enum log_format format;
    enum log_overflow overflow;
    const char *process;     /* for lines of JSON; outlives the stream */
    struct capture *capture; /* outlives the stream; NULL: bytes pass through memory of ours, and die with us */
};

struct stream_stash; /* block: bytes that a slow or full log has not taken yet */
struct stream_drops; /* drop: how it stands with what is thrown away */
struct logline;

struct stream {
    struct loop_io io;     /* knows its loop, also while it is silent */
    struct stream *next;   /* of the owner's list of lingering ones */
    struct stream *behind; /* the next one in the line before its log; see capture_put.c */
    const struct stream_owner *owner;
    void *arg;
    struct logfile *log; /* NULL: read and thrown away */
    struct stream_stash *stash;
    struct stream_drops *drops; /* NULL: the job waits for its log */
    struct logline *lines;      /* NULL: raw */
    struct capture *capture;
    struct move *move; /* the one that is under way */
    int fd;
    pid_t run;      /* of the process that got the other end */
    uint8_t number; /* 1 stdout, 2 stderr */
    bool strip_ansi;
    bool lingering; /* its process is gone */
    bool watched;
    bool told_full;
    bool in_line;
    bool gathered; /* see capture_gather.h */
    bool enlarged;
    enum ansi_state ansi;
    uint32_t last; /* when it was readable, in microseconds that go round */
    unsigned rotations;
};

/* What the streams of a loop share.  Takes over the mover (os/logmove.h); NULL: none. */
int capture_new(struct loop *loop, struct mover *mover, struct capture **ret);
void capture_free(struct capture *c); /* all streams must be gone */
struct mover *capture_mover(const struct capture *c);

/* Takes over `fd` (the read end, non-blocking) and one reference to `log`. */
int stream_new(struct loop *loop, int fd, int number, struct logfile *log, const struct stream_options *o,
               const struct stream_owner *owner, void *arg, struct stream **ret);

/* Reads what the pipe holds now, so that the last line before a death is in the
 * log before the death is told: at most what a pipe can hold, lest a grandchild
 * that writes on keep us here.  True at end of file. */
bool stream_drain(struct stream *s);

/* What is wrong with its log now: a negative errno and since when (monotonic), or
 * 0.  -EAGAIN: whoever reads the log is slow. */
int stream_trouble(const struct stream *s, usec_t *since);

/* What a log has still not taken is lost with the stream, and told as dropped. */
void stream_free(struct stream *s);
