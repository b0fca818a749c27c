/* spawn_pack.h - for spawn.c only: what children see of our memory. */
#pragma once

#include <stddef.h>

#include "os/spawn.h"

/* Copies the plans of all starts to where their children can read them, in
 * .packed, until the next call.  0 or -ENOMEM. */
int spawn_pack(struct spawn_start *starts, size_t n);

/* The heap as it is now will not be in the next children. */
void spawn_keep_heap_out(void);
