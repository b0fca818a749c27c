/* names.h - which processes a client means. */
#pragma once

#include <stdbool.h>

#include "control/control.h"

struct selection {
    struct child **list; /* malloc'd */
    size_t n;
    bool single; /* one literal name: its failure is the answer */
};

/* NAME: `proc`, `group:proc`, `group:*`, `group:`, globs in either part, `*` and
 * `all` for everything.  In lexical order, or in the order of priority. */
enum selection_order { SELECT_LEXICAL, SELECT_STARTING, SELECT_STOPPING };
enum fault select_processes(const struct supervisor *s, const char *name, enum selection_order order,
                            struct selection *ret);
void selection_done(struct selection *sel);
/* The one process that a request is about, or NULL when it has been answered. */
struct child *control_one(struct control_call *call);

/* As `status` prints it: `proc` where the group has the same name, else `group:proc`. */
void child_display_name(const struct child *c, char *buf, size_t size);
