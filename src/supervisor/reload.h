/* reload.h - a new configuration beside the running one: what differs, and the way there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/supervisor.h"

/* Names of groups; borrowed from the configurations compared. */
struct reload_diff {
    const char **added, **changed, **removed; /* malloc'd lists */
    size_t n_added, n_changed, n_removed;
};

/* What runs against what `config` says. */
int reload_compare(const struct supervisor *s, const struct config *config, struct reload_diff *ret);
void reload_diff_done(struct reload_diff *d);

/* Makes `config` the one that `update` and `add` work from (reread).  Nothing is
 * started or stopped; groups that are the same in both move over to it, so that
 * the older one can be let go. */
int reload_adopt(struct supervisor *s, struct config *config);

enum update_action { UPDATE_REMOVED, UPDATE_CHANGED, UPDATE_ADDED };

struct update_row {
    char *group;
    enum update_action action;
    int error; /* 0 or a negative errno: it is as it was */
};

struct update;
typedef void (*update_done_fn)(const struct update_row *rows, size_t n, void *arg);

/* Makes what runs equal to the adopted configuration, for the named groups or
 * (names NULL) all: processes that changed are stopped and started anew, others
 * of the same group are left alone, and what an operator has stopped stays so.
 * `done` is called once, perhaps at once.  -EBUSY while another is under way. */
int reload_update(struct supervisor *s, const char *const *names, size_t n_names, update_done_fn done, void *arg,
                  struct update **ret);

/* After a recovery: the update that the supervisor before us was at. */
void reload_resume(struct supervisor *s);

/* Nobody wants to hear of its end any more; the update goes on. */
void update_forget(struct update *u);
