/* sweep.h - what programs have left behind when all has been stopped. */
#pragma once

#include "supervisor/supervisor.h"

/* Kills those who have lost their parent to a program's end and so came to the
 * guardian, and those who come to it by that, until there are none; spares what the
 * supervisor knows (detached programs). */
void sweep_strays(const struct supervisor *s, pid_t guardian);
