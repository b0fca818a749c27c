/* child.h - a process and all that the supervisor holds for it.
 *
 * Made and freed by supervisor.c with its group; read by control/.  Changed only
 * through the functions here and in supervisor.h. */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>

#include "core/process.h"
#include "supervisor/capture.h"
#include "supervisor/duplex.h"
#include "supervisor/events.h"
#include "supervisor/loop.h"

struct supervisor;
struct member_group;
struct child;

/* Told of every state that the child enters; gone: the child is about to be freed. */
struct child_watch {
    struct child_watch *next, **at;
    void (*fn)(struct child *c, enum process_state from, enum process_state to, void *arg);
    void (*gone)(void *arg); /* or NULL */
    void *arg;
};

/* Given every byte as it goes to the log, or as it was printed (number: 1 stdout,
 * 2 stderr); gone: the child is about to be freed. */
struct child_follower {
    struct child_follower *next, **at;
    bool raw; /* as it was printed, whatever log_format is */
    void (*output)(int number, const char *data, size_t len, void *arg);
    void (*gone)(void *arg);
    void *arg;
};

struct child {
    struct process process;
    struct supervisor *supervisor;
    struct member_group *group;
    struct event_name *name;
    struct child *spawn_next; /* in the queue of starts */
    bool spawn_queued;
    bool adopted;            /* its process is no child of ours: somebody else reaps it */
    bool start_waits;        /* for descriptors, memory, ...: told once, not at each try */
    bool restored;           /* as a supervisor before us left it */
    bool was_up;             /* before the update that stopped it */
    bool selected;           /* scratch of control/names.c, within one call */
    int pidfd;               /* -1: no child */
    uint32_t syslog_lost;    /* lines that the system's log did not take */
    struct feed in;          /* its stdin */
    struct duplex *duplexes; /* its pipes from 3 on, of this or the last run */
    struct child_ipc *ipc;   /* its channels; NULL: it never had one */
    struct loop_io exit_event;
    struct loop_timer *timer;  /* only while there is a deadline */
    struct starting *starting; /* only between clone and exec */
    struct stream *streams[2]; /* stdout, stderr of the running child */
    struct stream *lingering;  /* of earlier ones, kept open by somebody */
    struct child_watch *watches;
    struct child_follower *followers;
    char *auto_log[2];              /* names made for AUTO */
    struct syslogger_lines *syslog; /* begun lines of both streams; only where it is asked for */
    uint64_t log_dropped;           /* bytes that its logs did not take */
    char *detail;                   /* why the last start failed, for people, and behind its NUL at what; NULL */
    uint32_t cpu_user_ms, cpu_system_ms, maxrss_kib; /* of the last ended run */
    uint32_t order;                                  /* among the programs of its configuration */
    uint32_t slot, instance;                         /* in the journal, and which run this is; see record.h */
};

/* For supervisor.c only. */
int child_new(struct supervisor *s, struct member_group *g, const struct program *p, uint32_t order,
              struct child **ret);
void child_free(struct child *c);
/* It is gone: all that belongs to its run ends, and its exit is told. */
void child_ended(struct child *c, struct exit_cause cause);
int child_watch_exit(struct child *c); /* of its pidfd */
/* Carries out EFFECT_SPAWN for several at once, see spawn_many(); what fails is told
 * by events.  -ENOMEM: nothing was done. */
int child_spawn_all(struct child *const *list, size_t n);

/* Sends a signal; 0, -ESRCH, -EPERM. */
int child_signal(struct child *c, int signal, bool as_group);

/* Bytes for its descriptor `number`: 0, or a pipe from 3 on.  Results as those of
 * feed_write(), -ESRCH not running, -EBADF no such pipe. */
int child_write(struct child *c, int number, const void *data, size_t len);
void child_write_end(struct child *c, int number);

/* At what the last start failed: a path, or NULL when none has. */
const char *child_failed_path(const struct child *c);

/* Where a stream's log is: a path, or NULL when there is no file. */
const char *child_log_path(const struct child *c, int number);
/* The log that a stream goes to, with redirect_stderr seen through; NULL: none. */
int child_log_open(struct child *c, int number, struct logfile **ret);
/* A descriptor for the process itself to write its log with; -ENOENT: it has none. */
int child_log_direct(struct child *c, int number);

/* What is wrong with a log of it now; false: nothing. */
struct child_log_trouble {
    int error;    /* a negative errno */
    int number;   /* 1 stdout, 2 stderr */
    usec_t since; /* monotonic */
    bool dropping;
};
bool child_log_trouble(const struct child *c, struct child_log_trouble *ret);

void child_watch(struct child *c, struct child_watch *w);
void child_unwatch(struct child_watch *w);
void child_follow(struct child *c, struct child_follower *f);
void child_unfollow(struct child_follower *f);

/* Could the command be started?  0, or the cause as a failed spawn would have it
 * (in *cause) and -EINVAL.  Looks at the file, starts nothing. */
int child_check_command(struct child *c, struct exit_cause *cause);
