/* config_load.h - configuration files in, one immutable value or all errors at once out.
 *
 * The loader asks the machine nothing: what it needs to know about the world
 * (environment, users, files) comes as a value. */
#pragma once

#include "config/config.h"
#include "config/config_world.h"
#include "config/diagnostic.h"

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
