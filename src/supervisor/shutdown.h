/* shutdown.h - stopping everything in order: supervisor_shutdown(), declared in
 * supervisor.h, and what it shares with its neighbours. */
#pragma once

#include "supervisor/supervisor.h"

/* Something changed while all is being stopped: see what to stop next. */
void supervisor_shutdown_look(struct supervisor *s);
