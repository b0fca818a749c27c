/* adopt.h - processes that run already, and that the journal knows badly or the
 * configuration no more. */
#pragma once

#include "supervisor/supervisor.h"

/* What recovery_run() has not seen to: processes whose slot is damaged are found again
 * as far as it can be read, and the log says which run on that are no longer
 * configured.  Before anything is started, so that nothing runs twice. */
void adopt_survivors(struct supervisor *s);
