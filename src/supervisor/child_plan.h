/* child_plan.h - all that one start makes before there is a child. */
#pragma once

#include "base/buf.h"
#include "core/spawn_plan.h"
#include "supervisor/child.h"

struct child_plan {
    struct spawn_plan plan; /* points into the rest */
    char **argv, **envp;
    size_t argc;
    const char *word; /* what was looked for: the command's first word, or the shell */
    char *file;
    struct buf strings; /* the SUPERVISOR_ variables */
    const char *extra[5];
    struct logfile *logs[2];
    char culprit[512];       /* the log that could not be opened */
    int ends[SPAWN_FDS_MAX]; /* the child's ends of pipes and sockets, -1: none */
    int ours[SPAWN_FDS_MAX]; /* ours of them: 0 is written to, 1 and 2 are read, others are both */
    struct spawn_open opens[SPAWN_FDS_MAX];
};

void child_plan_init(struct child_plan *p);
void child_plan_done(struct child_plan *p);

/* Everything.  -EINVAL and *cause, or 0. */
int child_plan_make(struct child *c, struct child_plan *p, struct exit_cause *cause);

/* Only what is to be executed: .argv, .envp, .word, .file.  The same results. */
int child_plan_program(const struct child *c, struct child_plan *p, struct exit_cause *cause);
