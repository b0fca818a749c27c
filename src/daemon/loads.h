/* loads.h - the configurations that groups run by, each kept with the guardian as
 * what it was loaded from.
 *
 * Files change, and `reread` and an update of some groups leave groups that run by
 * different ones.  A supervisor that takes over must find each group as it was, so
 * it never reads the files. */
#pragma once

#include "daemon/options.h"
#include "guardian/holder.h"
#include "supervisor/supervisor.h"

struct loads;

/* For a supervisor that takes over; *ret NULL: there is nothing to take over from. */
int loads_take(struct holder *h, const struct options *o, struct loads **ret);
/* For one that begins. */
int loads_new(struct holder *h, const char *path, struct loads **ret);
void loads_free(struct loads *l);

/* Loads from the files, and remembers what it saw.  As config_load_with(). */
int loads_load(struct loads *l, const struct options *o, struct config **ret, struct diagnostics *d);

/* What was taken over: the daemon's own, and the one that was read last (both borrowed),
 * and the groups, until the first loads_sync(). */
struct config *loads_daemon(const struct loads *l);
struct config *loads_latest(const struct loads *l);
const struct supervisor_part *loads_parts(const struct loads *l, size_t *n);

/* A daemon that follows is to read the files. */
void loads_forget(struct loads *l);

/* Groups have come, gone or moved: has the guardian hold what they run by now. */
void loads_sync(struct loads *l, const struct supervisor *s, const struct config *daemon);
