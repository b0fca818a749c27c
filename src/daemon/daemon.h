/* daemon.h - droverd at work: from a loaded configuration to the last job's end. */
#pragma once

#include "config/config_load.h"
#include "daemon/options.h"
#include "guardian/holder.h"

/* Reads the configuration as this command line asks for it, with the world as it
 * is.  Diagnostics are the caller's to print. */
int daemon_load(const struct options *o, const char *path, struct config **ret, struct diagnostics *d);

/* The supervisor: runs until it is told to end; its exit status. */
struct loads;
int daemon_run(struct holder *h, const struct options *o, struct loads *loads, struct config *config);
