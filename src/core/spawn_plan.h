/* spawn_plan.h - everything a new child needs, as a value.
 *
 * Built before the child exists, so that between its birth and its exec nothing
 * has to be looked up, allocated or decided. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/program.h"

#define SPAWN_FDS_MAX STDIO_MAX
#define SPAWN_TELL_MAX 16

struct spawn_identity {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* all supplementary groups, borrowed */
    size_t n_groups;
};

/* A descriptor that the child makes itself, as the new user and in its directory. */
struct spawn_open {
    int index;
    int flags;        /* of open(2) */
    const char *path; /* NULL: the same as descriptor .same_as */
    int same_as;
};

struct spawn_plan {
    const char *file; /* what exec gets */
    char **argv;
    char **envp;
    bool new_session;                      /* leader of a session of its own, not only of a group */
    const char *directory;                 /* NULL: stay */
    int umask;                             /* -1: as it is */
    const struct spawn_identity *identity; /* NULL: stay who we are */
    const struct confinement *confinement; /* NULL: none */
    bool restore_nofile;                   /* RLIMIT_NOFILE as it was before the daemon raised it */
    unsigned long nofile_soft, nofile_hard;
    int fds[SPAWN_FDS_MAX]; /* index: descriptor in the child; value: ours, or -1: closed there */
    unsigned n_fds;
    const struct spawn_open *opens; /* each at an index where fds has -1, in ascending order */
    unsigned n_opens;
    int cgroup_fd; /* directory of the cgroup to be born in; 0, which can be none: ours */
    /* Said on `tell_fd` just before exec, whatever it costs in time; without it there
     * is no exec.  n_tell 0: nothing. */
    int tell_fd;
    unsigned n_tell;
    unsigned char tell[SPAWN_TELL_MAX];
    int32_t *born; /* the kernel writes its pid there before it runs; or NULL */
};

/* What a job's environment is made of, from the weakest to the strongest: lists of
 * NAME=VALUE, NULL-terminated, or NULL. */
struct spawn_variables {
    const char *const *base;    /* the daemon's, less what is withheld */
    const char *const *inherit; /* names of those of `base` that pass; NULL: all */
    const char *const *extra;   /* SUPERVISOR_* */
    const char *const *own;     /* `environment` */
    const char *const *files;   /* `environment_file`, less what `own` sets */
    const char *const *channel; /* NODE_CHANNEL_FD and its kin: what nobody may say otherwise */
};

/* One malloc'd block for the list; the strings are borrowed.  NULL without memory. */
char **spawn_environment(const struct spawn_variables *v);

/* The value of a variable in such a list, or NULL. */
const char *spawn_getenv(char *const *envp, const char *name);
