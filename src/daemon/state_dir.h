/* state_dir.h - where a daemon's state lives, and so what one daemon is. */
#pragma once

#include "config/config.h"

struct holder;

/* The lock of this configuration, malloc'd.  Native: in state_dir, or /run/drover
 * for root, $RUNTIME_DIRECTORY under systemd, $XDG_RUNTIME_DIR/drover/IDENTIFIER for
 * others; a supervisord file: beside its socket, or its pidfile when it has none. */
int state_dir_lock_path(const struct config *config, char **ret);
/* The directory that it is in, if that is ours and not there. */
int state_dir_make(const char *lock_path);

/* The journal beside that lock, or the one that a supervisor before us had, which the
 * guardian holds: whatever has become of the directory since.  Where there can be no
 * file it is in memory, which is logged: it outlives us, but not the guardian. */
struct journal *state_dir_journal(const char *lock_path, struct holder *h);

/* What operators have stopped: in state_dir, or $STATE_DIRECTORY under systemd, for root
 * /var/lib/drover (in it IDENTIFIER for a supervisord file), $XDG_STATE_HOME/drover/IDENTIFIER
 * for others.  NULL: it is not to be remembered, or, which is logged, cannot be. */
struct intent *state_dir_intent(const struct config *config);
