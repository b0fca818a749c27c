/* config.h - configuration files in, one immutable value or all errors at once out.
 *
 * The loader asks the machine nothing: what it needs to know about the world
 * (environment, users, files) comes as a value.  A struct config owns all the
 * memory behind it, is counted by references, and is never changed once loaded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config_world.h"
#include "config/diagnostic.h"
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

/* Loads `path` and all it includes.  0 and *ret on success (warnings may be in
 * `d`), -EINVAL with at least one error in `d` and *ret untouched otherwise,
 * -ENOMEM. */
int config_load(const struct config_world *world, const char *path, struct config **ret, struct diagnostics *d);

/* A value from the daemon's command line: it wins over the file, and is taken as
 * it is (no %-expansion).  A list ends with .option == NULL. */
struct config_override {
    const char *option; /* a key of [supervisord]: "logfile" */
    const char *value;
    const char *flag; /* for messages: "-l" */
};

int config_load_with(const struct config_world *world, const char *path, const struct config_override *overrides,
                     struct config **ret, struct diagnostics *d);

/* A process that no file defines: keys of [program:x] that say how a process is to
 * be run, each value taken as it is (no %-expansion). */
struct config_transient {
    const char *name;
    const char *command;
    const char *const *environment; /* NAME=VALUE, NULL-terminated, each name once */
    const struct config_override *settings;
};

/* One group with one program.  The same results as config_load(). */
int config_load_transient(const struct config_world *world, const struct config_transient *t, struct config **ret,
                          struct diagnostics *d);

/* Only what a client needs: [supervisorctl] and the servers of the main file
 * itself, without programs and [include].  .client.present tells whether there
 * is a [supervisorctl]; without it its fields have their defaults. */
int config_load_client(const struct config_world *world, const char *path, struct config **ret, struct diagnostics *d);

/* The same, without a look at the lines of other sections: what is wrong there
 * goes unnoticed, and a thousand programs cost nothing. */
int config_load_endpoint(const struct config_world *world, const char *path, struct config **ret,
                         struct diagnostics *d);

/* The first default configuration file that exists; 0 or -ENOENT. */
int config_find_default(const struct config_world *world, const char **path);

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
