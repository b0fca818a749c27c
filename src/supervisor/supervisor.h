/* supervisor.h - the processes that are to run, and the one who sees to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "config/config.h"
#include "os/logfile.h"
#include "supervisor/child.h"
#include "supervisor/events.h"
#include "supervisor/loop.h"
#include "supervisor/start_queue.h"

/* supervisord's SupervisorStates */
enum supervisor_state { SUPERVISOR_SHUTDOWN = -1, SUPERVISOR_RESTARTING = 0, SUPERVISOR_RUNNING = 1 };

/* A group as it runs: the definition it was made from, and its processes. */
struct member_group {
    const struct program_group *group;
    struct config *config;   /* a reference; `group` lives in it */
    struct child **children; /* sorted by name, bytewise; &only while that is enough */
    struct child *only;      /* most groups have one process */
    uint32_t n_children;
    uint32_t order; /* among the groups of its configuration */
};

struct holder;
struct journal;

struct supervisor_options {
    const char *const *environ; /* the daemon's own, NULL-terminated */
    struct rlimit nofile;       /* as it was before it was raised; given back to jobs */
    bool restore_nofile;
    struct intent *intent;   /* taken over; NULL: none */
    uint64_t given_fds;      /* bit N: descriptor N came from who started us, and may be passed on */
    struct holder *holder;   /* the guardian, or NULL: nothing outlives us */
    struct journal *journal; /* taken over; NULL: none */
    /* all that autostart asked for was tried once */
    void (*started)(void *arg);
    /* everything is down after supervisor_shutdown(); state says why */
    void (*stopped)(enum supervisor_state state, void *arg);
    /* a process changed its state: for STATUS= */
    void (*changed)(void *arg);
    void *arg;
};

struct supervisor {
    struct loop *loop;
    struct supervisor_options options;
    struct config *config; /* as read last; groups may still run an older one */
    enum supervisor_state state;
    struct member_group **groups; /* sorted by name, bytewise */
    size_t n_groups;
    struct events *events;
    struct logfile_table *logs;
    struct capture *capture;
    struct identities *identities;
    struct syslogger *syslogger;
    struct reaper_wait *reaper_waits;
    struct channels *channels; /* NULL while no process has one */
    struct relay *relay;       /* NULL while no program takes part in it */
    /* what a process asks of the supervisor over its channel: 0 and JSON, or a negative errno */
    int (*ask)(struct child *asker, const char *msg, size_t len, struct buf *answer, void *arg);
    void *ask_arg;
    struct update *update;    /* the one under way, or NULL */
    struct cgroups *cgroups;  /* NULL until a program wants one */
    struct runs *runs;        /* transient processes; NULL until there is one */
    struct start_queue queue; /* of starts */
    struct loop_work stop_work;
    struct loop_timer stop_timer;
    size_t n_children;
    size_t counts[8]; /* of children by state, see supervisor_count() */
    usec_t started_wall;
    bool groups_changed; /* since whoever keeps note of them has looked */
    bool recovered;      /* some of the processes were those of a supervisor before us */
    bool no_cgroups;     /* none can be made: told once */
    uint64_t starts;
    uint32_t random;
};

int supervisor_new(struct loop *loop, const struct supervisor_options *o, struct supervisor **ret);
void supervisor_free(struct supervisor *s);

/* One group of those that ran when a supervisor before us ended. */
struct supervisor_part {
    struct config *config; /* borrowed */
    const struct program_group *group;
};

/* Takes a reference to the configuration, makes its groups and begins to start
 * what has autostart, by priority.  parts: these groups instead, NULL: all. */
int supervisor_load(struct supervisor *s, struct config *config, const struct supervisor_part *parts, size_t n);

/* -- finding ---------------------------------------------------------------- */
struct member_group *supervisor_group(const struct supervisor *s, const char *name);
struct child *supervisor_child(const struct supervisor *s, const char *group, const char *name);

/* -- the life of one process ------------------------------------------------ */
/* Somebody (an operator, an update) wants it up or down.  The outcome comes to
 * those who watch the child. */
void supervisor_start(struct child *c);
void supervisor_stop(struct child *c, bool by_operator);
/* Feeds an event; the one caller of process_handle(). */
void supervisor_handle(struct child *c, enum process_event event, pid_t pid, struct exit_cause cause);

/* -- all together ----------------------------------------------------------- */
/* In the order of priority: lowest first, or highest first for stopping.  A
 * malloc'd array of n children, NULL without memory or children. */
struct child **supervisor_in_order(const struct supervisor *s, bool stopping, size_t *n);
size_t supervisor_count(const struct supervisor *s, enum process_state state);

/* Stops everything, highest priority first, a priority at a time; then calls
 * options.stopped with `state` (SHUTDOWN or RESTARTING). */
void supervisor_shutdown(struct supervisor *s, enum supervisor_state state);
/* Forgets all groups (all must be down): for HUP in supervisord's way. */
void supervisor_clear(struct supervisor *s);

/* -- groups coming and going (used by reload.c) ----------------------------- */
/* What it has will be added: room for it in the journal, in one go. */
void supervisor_expect(struct supervisor *s, const struct config *config);
int supervisor_add_group(struct supervisor *s, struct config *config, const struct program_group *group);
/* -EBUSY while something in it is not down; -ENOENT */
int supervisor_remove_group(struct supervisor *s, const char *name);
/* Adds or removes one process of a group that stays (numprocs, [group] programs). */
int supervisor_add_child(struct supervisor *s, struct member_group *g, const struct program *p, uint32_t order);
void supervisor_remove_child(struct supervisor *s, struct member_group *g, struct child *c);

int supervisor_reopen_logs(struct supervisor *s);
