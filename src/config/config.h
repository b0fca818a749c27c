/* config.h - a loaded configuration, as a value.
 *
 * It owns all the memory behind it, is counted by references, and is never changed
 * once it is loaded (config_load.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/program.h"

enum config_kind { CONFIG_SUPERVISORD, CONFIG_NATIVE };

struct config_server {
    const char *section; /* "unix_http_server", "inet_http_server:x" */
    bool is_unix;
    const char *file;  /* unix */
    int mode;          /* unix: chmod */
    const char *owner; /* "user:group", "user:" or NULL */
    uid_t owner_uid;   /* (uid_t)-1: as started */
    gid_t owner_gid;   /* (gid_t)-1: as started */
    const char *host;  /* inet: "" for any */
    unsigned port;
    const char *username; /* NULL: no password asked */
    const char *password; /* clear, or "{SHA}" and 40 hex digits */
};

struct config_pair {
    const char *name;
    const char *value;
};

struct config_plugin { /* [rpcinterface:x], [ctlplugin:x]: Python code that Drover has built in or does without */
    const char *name;
    const char *factory;
    const struct config_pair *settings;
    size_t n_settings;
};

struct config_client { /* [supervisorctl] */
    bool present;
    const char *serverurl;
    const char *username, *password;
    const char *prompt;
    const char *history_file;
};

/* [supervisord] or [droverd] */
struct config_daemon {
    bool nodaemon, silent;
    const char *user; /* NULL: stay who we are */
    uid_t uid;
    gid_t gid;
    int umask;
    const char *directory;
    const char *logfile; /* "syslog" is the system's log; NULL none */
    uint64_t logfile_maxbytes;
    unsigned logfile_backups;
    int loglevel; /* enum log_level of base/log.h */
    const char *pidfile;
    const char *identifier;
    const char *childlogdir;
    unsigned minfds, minprocs;
    bool nocleanup, strip_ansi;
    const char *const *environment;    /* NAME=VALUE sorted, NULL-terminated */
    const char *serverurl;             /* of the first server; NULL none */
    const struct program_given *given; /* numbers out of range, as the file has them */
    uint16_t n_given;

    /* keys that supervisord does not have */
    const char *exit_with;     /* NULL or group:process / program */
    const char *control_group; /* NULL or the group whose members may control */
    const char *state_dir;     /* NULL: decided by the daemon */
    usec_t watchdog;           /* 0: none */
    bool remember_stop, keep_on_restart;
};

struct config {
    unsigned refs;
    enum config_kind kind;
    const char *path;         /* main file, absolute */
    const char *const *files; /* main file first, then every included one */
    size_t n_files;
    const char *const *plugins; /* Python code that the file names and that only supervisord could run */
    size_t n_plugins;
    const char *const *include_patterns; /* absolute, in order */
    size_t n_include_patterns;
    struct config_daemon daemon;
    struct config_client client;
    struct config_server *servers;
    size_t n_servers;
    struct config_plugin *rpcinterfaces, *ctlplugins;
    size_t n_rpcinterfaces, n_ctlplugins;
    struct program_group *groups; /* supervisord's order */
    size_t n_groups;
    void *arena;
};

struct config *config_ref(struct config *c);
void config_unref(struct config *c);
/* For a process that is done with daemonising: os/spawn packs what a child needs,
 * so children need not carry a thousand definitions. */
void config_keep_from_children(struct config *c);

/* Do both define the very same process?  Compares every setting of the option
 * tables; where a setting was written (file, line) does not count. */
bool program_equal(const struct program *a, const struct program *b);
/* A checksum of what files say of it, for where the program itself cannot be kept: the
 * same in another run of the daemon.  Two programs that differ have different ones; two
 * that are equal may, where one file leaves out what the other says. */
uint64_t program_sum(const struct program *p);

/* The same for groups: their own settings and all their programs. */
bool group_equal(const struct program_group *a, const struct program_group *b);
