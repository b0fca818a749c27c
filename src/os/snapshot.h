/* snapshot.h - what a configuration was loaded from, so that it can be loaded again
 * when the files have changed: the text of every file that was read, what every
 * pattern found, what existed.  It lies in a memfd, which may outlive us. */
#pragma once

#include "os/world.h"

struct snapshot;

/* What is asked of the world from here on is written down too. */
int snapshot_record(struct world *w, struct snapshot **ret);
/* A descriptor of all that was written down; the caller's.  Or a negative errno. */
int snapshot_take_fd(struct snapshot *s);

/* What is asked of the world from here on is answered by what was written down; the
 * descriptor is borrowed.  -EBADMSG: it is no snapshot. */
int snapshot_replay(struct world *w, int fd, struct snapshot **ret);

/* The world is what it was. */
void snapshot_free(struct world *w, struct snapshot *s);
