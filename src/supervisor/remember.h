/* remember.h - an operator's stop outlives the daemon, where that is configured (remember_stop). */
#pragma once

#include "supervisor/supervisor.h"

/* An operator has stopped it, or started it again. */
void remember_wish(struct child *c, bool stopped);
/* To be called before the operator is answered: 0, or a negative errno when the wishes
 * hold for now but are not on the disk yet. */
int remember_sync(struct supervisor *s);

bool remember_is_stopped(const struct child *c);
