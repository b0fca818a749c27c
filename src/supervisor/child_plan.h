/* child_plan.h - all that one start makes before there is a child. */
#pragma once

#include "base/buf.h"
#include "core/spawn_plan.h"
#include "supervisor/child.h"

/* For whom: a process of a group, or a transient one (run.h). */
struct plan_source {
    struct supervisor *supervisor;
    const struct program *program;
    const char *group;                     /* SUPERVISOR_GROUP_NAME; NULL: it gets none of these variables */
    bool own_path;                         /* its program is looked for along its own PATH, not the daemon's */
    struct child *child;                   /* whose logs take what it prints; NULL: there are none */
    const struct spawn_identity *identity; /* of a transient one that changes its user */
};

struct child_plan {
    struct spawn_plan plan; /* points into the rest */
    char **argv, **envp;
    size_t argc;
    const char *word; /* what was looked for: the command's first word, or the shell */
    char *file;
    struct buf strings; /* the SUPERVISOR_ variables */
    const char *extra[5];
    char channel_names[2][32];
    const char *channel[4]; /* the variables that name it; the first is NULL without one */
    int channel_fd;         /* its number in the child, -1: none; our end is .ours[] there */
    int channel_memory;     /* a memfd for what it must not lose, -1: plain memory will do */
    struct logfile *logs[2];
    char culprit[512];       /* the log that could not be opened */
    int ends[SPAWN_FDS_MAX]; /* the child's ends of pipes and sockets, -1: none */
    int ours[SPAWN_FDS_MAX]; /* ours of them: 0 is written to, 1 and 2 are read, others are both */
    struct spawn_open opens[SPAWN_FDS_MAX];
    bool born; /* there is a child: its cgroup goes when that does */
};

void child_plan_init(struct child_plan *p);
void child_plan_done(struct child_plan *p);

struct plan_source child_plan_source(struct child *c);

/* Everything.  -EINVAL and *cause, or 0. */
int child_plan_make(const struct plan_source *from, struct child_plan *p, struct exit_cause *cause);

/* Why a start failed, in words, and behind its NUL at what: a path.  `culprit` is
 * what the plan or the child found to be at fault, or NULL.  NULL without memory. */
char *child_plan_explain(const struct plan_source *from, const struct exit_cause *cause, const char *culprit);
