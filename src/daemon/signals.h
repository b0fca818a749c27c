/* signals.h - what the daemon is asked by signals, and how often it listens.
 *
 * TERM, INT and QUIT are passed on at once, each time.  HUP and USR2 make work:
 * the first is passed on at once, what follows within SIGNALS_SPACING of it
 * becomes one more call at the end of that time, however many signals it was. */
#pragma once

#include <stdbool.h>

#include "base/usec.h"
#include "supervisor/loop.h"

#define SIGNALS_SPACING (250 * USEC_PER_MSEC)

enum signals_wish { SIGNALS_END, SIGNALS_RELOAD, SIGNALS_REOPEN };

/* False: not possible just now; RELOAD and REOPEN are then asked again after
 * SIGNALS_SPACING. */
typedef bool (*signals_fn)(enum signals_wish wish, void *arg);

struct signals;

int signals_watch(struct loop *loop, signals_fn fn, void *arg, struct signals **ret);
void signals_free(struct signals *s);
