/* program.h - the definition of a process: every setting, fully expanded.
 *
 * One [program:x] section with numprocs=8 loads as eight of these, which are
 * alike but for what %(process_num)s touched.  A program is an immutable value:
 * its memory belongs to the struct config that it was loaded with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/usec.h"
#include "core/confinement.h"
#include "core/ipc.h"
#include "core/stdio_list.h"

/* Thousands of programs are in memory: what stands in each of them takes a byte. */
#define SMALL_ENUM __attribute__((packed))

enum SMALL_ENUM program_type { PROGRAM_PLAIN, PROGRAM_EVENTLISTENER, PROGRAM_FCGI };

/* what makes an exited process start again; values of `autorestart` */
enum SMALL_ENUM restart_policy {
    RESTART_NEVER,      /* false */
    RESTART_ALWAYS,     /* true */
    RESTART_UNEXPECTED, /* unexpected: any end that `exitcodes` does not list */
    RESTART_ON_EXIT,    /* on-exit: any normal exit, whatever its code */
    RESTART_ON_SIGNAL,  /* on-signal: death by a signal */
    RESTART_ON_FAILURE, /* on-failure: either of both that `exitcodes` does not list */
};

/* where a captured stream goes */
enum SMALL_ENUM log_target {
    LOG_TARGET_AUTO,   /* a file of our own making in childlogdir */
    LOG_TARGET_NONE,   /* read and thrown away */
    LOG_TARGET_FILE,   /* the path; /dev/stdout, /dev/stderr and /dev/fd/N mean the daemon's own */
    LOG_TARGET_SYSLOG, /* supervisord's deprecated value `syslog` */
};

struct log_settings {
    const char *path;   /* LOG_TARGET_FILE only, else NULL */
    uint64_t max_bytes; /* 0: never rotated */
    unsigned backups;
    enum log_target target;
    bool events_enabled;
    bool syslog;
};

/* what is written into a log for each line */
enum log_format {
    LOG_FORMAT_RAW,       /* the job's bytes as they are */
    LOG_FORMAT_TIMESTAMP, /* a time before each line */
    LOG_FORMAT_JSON,      /* an object a line */
};

/* what becomes of output that its log does not take */
enum log_overflow {
    LOG_OVERFLOW_BLOCK, /* it waits, and the job with it */
    LOG_OVERFLOW_DROP,  /* it is thrown away and counted */
};

/* whom the signals of a stop reach */
enum kill_mode {
    KILL_MODE_UNSET,   /* as stopasgroup and killasgroup say */
    KILL_MODE_PROCESS, /* the process alone */
    KILL_MODE_GROUP,   /* its process group */
    KILL_MODE_CGROUP,  /* its process group, and KILL all that came of it */
};

#define STOP_LADDER_MAX 8
#define PROGRAM_GROUPS_MAX 1024
#define STARTRETRIES_INFINITY UINT32_MAX

struct stop_step {
    int signal;
    usec_t wait; /* until the next step; the last step of every ladder is KILL */
};

/* One element of `exitcodes`: an exit status, or a signal when .signal is set. */
struct exit_code {
    int value;
    bool signal;
};

/* Where a key was set.  Keys that no file names have no entry.  Lines are counted from
 * that of the section, so that sections that look alike share what says so. */
struct program_source {
    uint16_t option; /* index into the option table of config/ */
    uint16_t file;   /* index into struct config .files */
    uint32_t line;   /* plus .line of the program */
};

/* A number as its file has it, where the field can only hold its nearest
 * sensible value (startretries=-1 is 0 there). */
struct program_given {
    uint16_t option;
    int64_t value;
};

/* What most programs of a file have alike, so that one such value serves many. */
struct program_common {
    const char *argv0;                      /* NULL: the command's first word */
    const char *shell;                      /* NULL: none; its path */
    const char *serverurl;                  /* NULL: AUTO, the daemon's */
    const char *description;                /* NULL or text for `status` */
    const char *const *inherit_environment; /* names of the daemon's variables that are passed on; NULL: all */
    const char *stopsignal_text;            /* as given: "TERM" or "TERM:10, INT:5, KILL" */

    const char *user;    /* name as resolved ("root" for uid 0), NULL: no such key */
    const char *account; /* who the supplementary groups are those of; NULL: a number without a name */
    const char *uid_text, *gid_text, *groups_text; /* as given; NULL: not given */
    const gid_t *groups; /* sorted; only where groups_text is there: in place of those of the account */
    size_t n_groups;
    uid_t uid;
    gid_t gid;

    usec_t stopwaitsecs;
    usec_t timeout; /* longest run; 0 or USEC_INFINITY: none */
    usec_t restart_delay;
    usec_t restart_delay_max;
    usec_t restart_reset;
    usec_t restart_interval;
    double restart_factor; /* 0: supervisord's linear 1, 2, 3 ... */
    double restart_jitter; /* 0.1: up to a tenth more */

    uint64_t out_capture_max_bytes, err_capture_max_bytes;

    int umask; /* -1: the daemon's */
    int stopsignal;
    int timeout_signal; /* what it gets at its timeout, before the ladder */
    enum log_format log_format;
    enum log_overflow log_overflow;
    enum kill_mode kill_mode;
};

/* Thousands may be in memory: pointers and times come first, then what is small. */
struct program {
    const char *name;    /* process name: web_00 */
    const char *section; /* name of its section: web */
    const struct program_source *sources;
    const struct program_given *given; /* numbers out of range */
    const struct program_common *common;

    const char *command;                   /* as given and expanded; split by argv_split() at each start */
    const char *directory;                 /* NULL: the daemon's */
    const char *const *environment;        /* NAME=VALUE sorted by name, NULL-terminated; [supervisord]'s merged in */
    const char *environment_file;          /* as given */
    const char *const *file_variables;     /* what was in them, less what `environment` sets; NULL-terminated */
    const struct confinement *confinement; /* NULL: none */
    const struct stdio_list *stdio;        /* NULL: three pipes */
    const struct ipc_settings *ipc;        /* NULL: the defaults, see ipc_settings_of() */

    const struct exit_code *exitcodes;
    const struct stop_step *ladder; /* always ends in KILL; equal ones are shared */
    usec_t startsecs;
    struct log_settings out;
    struct log_settings err;

    unsigned number; /* process_num */
    uint32_t line;   /* where the section starts, in .file */
    int priority;
    uint32_t startretries; /* STARTRETRIES_INFINITY */
    uint16_t n_exitcodes, n_ladder;
    uint16_t file; /* index into struct config .files */
    uint16_t n_sources, n_given;
    enum program_type type;
    enum restart_policy autorestart;
    bool has_identity; /* .common's uid and gid hold: one of user, uid, gid is set */
    bool autostart;
    bool stopasgroup;
    bool killasgroup;
    bool redirect_stderr;
    bool detached; /* leader of a session of its own; it outlives the daemon */
    bool shadowed; /* another process of its group has the same name, and is the one that runs */
};

/* What only [eventlistener:x] and [fcgi-program:x] say. */
struct program_group_special {
    /* [eventlistener:x] */
    unsigned buffer_size;
    const char *const *events; /* NULL-terminated, sorted */
    const char *result_handler;

    /* [fcgi-program:x] */
    const char *socket_url;
    int socket_backlog;
    int socket_mode;          /* -1: none (tcp) */
    const char *socket_owner; /* "user:group", "user:", or NULL */
    uid_t socket_uid;         /* (uid_t)-1, (gid_t)-1: nobody was named */
    gid_t socket_gid;
};

/* Programs that are started, stopped and addressed together. */
struct program_group {
    const char *name;
    enum program_type type;
    int priority;
    bool is_section;          /* made by [group:x]; else by one program section alone */
    bool shadowed;            /* an earlier group has the same name, and is the one that runs */
    struct program *programs; /* in supervisord's order: by priority as loaded */
    size_t n_programs;
    const struct program_group_special *special; /* NULL: PROGRAM_PLAIN */
};
