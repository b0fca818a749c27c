/* deed.h - what start, stop, restart, signal and clear have in common: a name
 * goes to the daemon, a list of results comes back, each becomes a line. */
#pragma once

#include "ctl/ctl.h"

struct deed {
    const char *verb;                 /* in the path */
    const char *done;                 /* "web: started" */
    const char *ignored;              /* a fault that leaves the exit status alone, or NULL */
    const char *underway;             /* instead of done with --no-wait, or NULL */
    int no_group;                     /* exit status for an unknown group */
    bool once;                        /* it is not to be repeated when nobody knows whether it was done */
    bool (*applies)(long long state); /* to which processes of several; NULL: to all */
};

/* For all names, or all processes when one of them is `all`; `body` is JSON or NULL. */
void deed_do(struct ctl *c, const struct deed *d, char *const *names, size_t n, const char *body);
