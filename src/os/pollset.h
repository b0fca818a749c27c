/* pollset.h - many descriptors, and which of them are ready: an epoll set that can
 * be waited for through one descriptor of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { POLLSET_READ = 1, POLLSET_WRITE = 2 };

struct pollset;

int pollset_new(struct pollset **ret);
void pollset_free(struct pollset *s);

/* Readable while something in the set is ready. */
int pollset_fd(const struct pollset *s);

/* From what was asked for before to what is now; 0 is not in the set, and then
 * not even a hang-up is told.  `arg` comes back with what is ready.  Take a
 * descriptor out before it is closed: a child may hold a copy, and then it would
 * stay in.  0 or a negative errno.  One that the kernel has no room for is no error:
 * until pollset_retry() it is looked at by pollset_collect_late() alone. */
int pollset_change(struct pollset *s, int fd, unsigned before, unsigned now, void *arg);
/* How many of those there are; retry: still. */
size_t pollset_late(const struct pollset *s);
size_t pollset_retry(struct pollset *s);

/* Tells what is ready; a hang-up or an error as all that may be asked for.  While nothing
 * is it waits, for `wait` milliseconds at most or until a signal was caught.  What did not
 * fit comes with the next call.  fn may not change the set.  False: nothing is. */
bool pollset_collect(struct pollset *s, int wait, void (*fn)(void *arg, unsigned ready));
/* The same of those that are not in the set. */
void pollset_collect_late(const struct pollset *s, void (*fn)(void *arg, unsigned ready));
