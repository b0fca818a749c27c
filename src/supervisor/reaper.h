/* reaper.h - adopted processes that have ended and that somebody else must reap before
 * their status can be had. */
#pragma once

#include "supervisor/child.h"

/* Calls late(c) in a while, unless reaper_done() comes first; at most one wait for each.
 * -ENOMEM and the errors of loop_timer_set(). */
int reaper_await(struct child *c, void (*late)(void *c));
void reaper_done(struct child *c);
