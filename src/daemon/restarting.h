/* restarting.h - whether systemd ends the service only to start it again.
 *
 * TERM is all that a service hears of either; the job that systemd works at says
 * which it is. */
#pragma once

#include <stdbool.h>

#include "supervisor/loop.h"

struct restarting;

typedef void (*restarting_fn)(bool again, void *arg);

int restarting_new(struct loop *loop, struct restarting **ret);
void restarting_free(struct restarting *r);

/* Tells fn once, at once or within seconds.  Whatever hinders an answer is
 * no restart.  While one is asked for, another call does nothing. */
void restarting_ask(struct restarting *r, restarting_fn fn, void *arg);
