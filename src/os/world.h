/* world.h - the real machine as the configuration loader sees it: files, globs,
 * users and groups of the name service, directories. */
#pragma once

#include <limits.h>

#include "config/config_load.h"

struct world {
    struct config_world config_world; /* what config_load() takes; points into the rest */
    char cwd[PATH_MAX];
    char host[HOST_NAME_MAX + 1];
    char tmpdir[PATH_MAX];
};

/* Looks at the process as it is now (environment, directory, user); 0 or a
 * negative errno.  The struct must not be moved while it is open. */
int world_open(struct world *w);
void world_close(struct world *w);
