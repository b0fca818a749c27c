/* daemonize.h - what a process does to itself to become a daemon. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* /dev/null for the three standard descriptors.  0 or a negative errno. */
int daemonize_leave_terminal(void);

/* Makes sure that descriptors 0, 1 and 2 exist, so that no file of ours takes a
 * number that libraries write messages to. */
int daemonize_keep_standard_fds(void);

/* Marks every inherited descriptor from 3 on as not to be passed on to jobs; bit N of
 * the result: N was open and meant for us, 0 to 2 always. */
uint64_t daemonize_seal_fds(void);

/* Raises the soft limit to `least` at least, and as far as the hard one lets us;
 * *before is what it was.  -EPERM when `least` is out of reach (the limit is
 * then as high as it can be). */
int daemonize_raise_limit(int resource, rlim_t least, struct rlimit *before);

/* Becomes that user for good, with all its groups.  0 or a negative errno. */
int daemonize_become(uid_t uid, gid_t gid, const char *user);
