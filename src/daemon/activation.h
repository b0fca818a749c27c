/* activation.h - sockets that the service manager has made for us (LISTEN_FDS). */
#pragma once

#include "control/listen.h"

/* Takes what was passed, if it was passed to the process `starter`, and removes LISTEN_PID,
 * LISTEN_FDS and LISTEN_FDNAMES from the environment, so that no job believes
 * they are its own.  All-zero when nothing was passed. */
void activation_take(pid_t starter, struct passed_sockets *ret);
/* Says in the log which of them no section of the configuration serves. */
void activation_complain(const struct passed_sockets *passed, const struct config *config);
void activation_done(struct passed_sockets *passed);
