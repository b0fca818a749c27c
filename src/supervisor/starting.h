/* starting.h - a child between its birth and its program: what must stay open here
 * for it meanwhile, and its word of failure (see os/spawn.h). */
#pragma once

#include "os/spawn.h"
#include "supervisor/child_plan.h"
#include "supervisor/loop.h"

struct starting;

/* Takes the pipe of `spawned` and the child's ends out of the plan.  fn is called
 * when there is something for starting_read().  On failure all is closed. */
int starting_new(struct loop *loop, struct child_plan *p, struct spawned *spawned, loop_io_fn fn, void *arg,
                 struct starting **ret);
void starting_free(struct starting *st);

enum starting_state { STARTING_WAITS, STARTING_FAILED, STARTING_RUNS };
enum starting_state starting_read(struct starting *st);

/* Once it has ended: why it never ran, or NULL when it did. */
const struct spawn_report *starting_settle(struct starting *st);
