/* exit_with.h - the program whose end is the daemon's end. */
#pragma once

#include "supervisor/supervisor.h"

/* Whether this event says that the program called `wanted` (NULL: none is) has
 * ended for good; then *status is what the daemon is to end with. */
bool exit_with_met(const struct supervisor *s, const char *wanted, const struct event *e, int *status);
