/* identities.h - supplementary groups of the users that jobs run as.
 *
 * Asked of the name service when a configuration is loaded, never while a job is
 * being started: a directory server that hangs must not hold up a restart. */
#pragma once

#include "config/config.h"
#include "core/spawn_plan.h"

struct identities;

int identities_new(struct identities **ret);
void identities_free(struct identities *ids);

/* Looks up the groups of every user that the configuration names. */
int identities_load(struct identities *ids, const struct config *config);

/* The identity of one program that is in no configuration, asked of the name service
 * now: 0 and *ret for free(), NULL when nothing is to be changed; -EPERM as below. */
int identity_make(const struct program *p, struct spawn_identity **ret);

/* 0 and the identity of a program (borrowed; valid until the next load);
 * -EPERM when we are not root and not that user; -ENOENT when it was not loaded.
 * *ret is NULL when nothing is to be changed. */
int identities_get(const struct identities *ids, const struct program *p, const struct spawn_identity **ret);
