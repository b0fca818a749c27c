/* restart.h - whether and when a process starts again: pure policy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/usec.h"
#include "core/exit_cause.h"
#include "core/program.h"

/* Does `autorestart` ask for another start after this end?  For processes that
 * had been RUNNING; one that died before counts as a failed start instead. */
bool restart_wanted(const struct program *p, const struct exit_cause *c);

/* May one more start be tried after `tries` failed ones in a row? */
bool restart_tries_left(const struct program *p, uint32_t tries);

/* How long to stay in BACKOFF after the tries-th failure (tries >= 1):
 * supervisord's 1, 2, 3 ... seconds where restart_factor is 0, else
 * delay * factor^(tries-1) up to the maximum; up to restart_jitter more by chance. */
usec_t restart_delay(const struct program *p, uint32_t tries, uint32_t random);
