/* adopt.h - processes that run already, and that no record has taken. */
#pragma once

#include "supervisor/supervisor.h"

/* Says which run on that are no longer configured, and which slots of the journal are
 * damaged so that nobody knows whose they are; those are given away. */
void adopt_report(struct supervisor *s);
