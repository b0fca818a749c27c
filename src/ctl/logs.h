/* logs.h - what cmd_logs.c and logs_since.c share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ctl/ask.h"
#include "ctl/follow.h"
#include "ctl/lines.h"
#include "ctl/since.h"

#define LOGS_CHUNK_MAX (8 * 1024 * 1024)

struct logs_process;

struct logs_stream {
    struct ctl *ctl;
    const struct logs_process *process;
    bool is_stderr;
    int64_t fd;                /* 0: stdout or stderr, else a pipe of the process's own */
    bool exists;               /* or may come to be */
    char *never;               /* why there is no such log, by its configuration; NULL */
    int64_t next;              /* where to go on */
    const struct since *waits; /* for the first line that is not older; NULL: all are shown */
    struct lines lines;
    char *path; /* of its source */
    struct source source;
};

struct logs_process {
    char *name;
    unsigned colour;
    int width; /* of the widest name */
    struct logs_stream streams[2];
};

struct logs {
    struct ctl *ctl;
    bool follow;
    int64_t fd;       /* --fd, or 0 */
    size_t n_streams; /* of each process */
    int64_t n_lines;  /* -1: none were given */
    struct since since;
    bool has_since;
    struct logs_process *processes;
    size_t n;
};

/* "/v1/processes/NAME/log?stream=stdout" */
int logs_path(struct buf *path, const struct logs_stream *s);
/* An answer that is none: 0 when there is no such log, which is noted; -EPROTO when it was told. */
int logs_refused(struct logs_stream *s, const struct answer *a);
/* All of the answer was taken: what follows goes on behind it. */
void logs_came(struct logs_stream *s, const struct answer *a);
/* Shows what has come since, in whichever files it is by now. */
int logs_more(struct logs_stream *s);
/* Shows all lines of l->since and later, of all files of the log.  0 or a negative
 * errno, which has been told. */
int logs_since(struct logs *l, struct logs_stream *s);
