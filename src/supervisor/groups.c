/* groups.c - the groups and their children: found, ordered, added, removed.
 *
 * Owns nothing that supervisor.c does not own; it is the part of it that knows
 * how they are kept: groups sorted by name, children sorted by name within, each
 * with its place in the configuration for the order of starting and stopping. */
#include "supervisor/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/spawn.h"

/* stdin, stdout, stderr, its pidfd, two logs */
#define FDS_OF_A_CHILD 6

/* -- finding ---------------------------------------------------------------- */

static int by_group_name(const void *name, const void *element)
{
    return strcmp(name, (*(struct member_group *const *)element)->group->name);
}

static int by_child_name(const void *name, const void *element)
{
    return strcmp(name, (*(struct child *const *)element)->process.program->name);
}

struct member_group *supervisor_group(const struct supervisor *s, const char *name)
{
    if (s->n_groups == 0)
        return NULL;
    struct member_group **g = bsearch(name, s->groups, s->n_groups, sizeof(*s->groups), by_group_name);
    return g != NULL ? *g : NULL;
}

struct child *supervisor_child(const struct supervisor *s, const char *group, const char *name)
{
    struct member_group *g = supervisor_group(s, group);
    if (g == NULL || g->n_children == 0)
        return NULL;
    struct child **c = bsearch(name, g->children, g->n_children, sizeof(*g->children), by_child_name);
    return c != NULL ? *c : NULL;
}

static int compare_priority(const struct child *a, const struct child *b)
{
    const struct program_group *ga = a->group->group, *gb = b->group->group;
    if (ga->priority != gb->priority)
        return ga->priority < gb->priority ? -1 : 1;
    if (a->group == b->group && a->process.program->priority != b->process.program->priority)
        return a->process.program->priority < b->process.program->priority ? -1 : 1;
    return 0;
}

static int compare_place(const struct child *a, const struct child *b)
{
    if (a->group->order != b->group->order)
        return a->group->order < b->group->order ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int by_start_order(const void *a, const void *b)
{
    const struct child *x = *(struct child *const *)a, *y = *(struct child *const *)b;
    int r = compare_priority(x, y);
    return r != 0 ? r : compare_place(x, y);
}

static int by_stop_order(const void *a, const void *b)
{
    const struct child *x = *(struct child *const *)a, *y = *(struct child *const *)b;
    int r = compare_priority(y, x);
    return r != 0 ? r : compare_place(x, y);
}

struct child **supervisor_in_order(const struct supervisor *s, bool stopping, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < s->n_groups; i++)
        total += s->groups[i]->n_children;
    *n = 0;
    struct child **list = total > 0 ? malloc(total * sizeof(struct child *)) : NULL;
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            list[(*n)++] = s->groups[i]->children[k];
    qsort(list, *n, sizeof(*list), stopping ? by_stop_order : by_start_order);
    return list;
}

/* -- groups ----------------------------------------------------------------- */

static int compare_children(const void *a, const void *b)
{
    return strcmp((*(struct child *const *)a)->process.program->name,
                  (*(struct child *const *)b)->process.program->name);
}

static void drop_child(struct supervisor *s, struct child *c)
{
    start_queue_forget(c);
    --*supervisor_count_of(s, c->process.state);
    s->n_children--;
    child_free(c);
}

void member_group_free(struct supervisor *s, struct member_group *g)
{
    for (size_t i = 0; i < g->n_children; i++)
        drop_child(s, g->children[i]);
    if (g->children != &g->only)
        free(g->children);
    config_unref(g->config);
    free(g);
}

/* For one child more; what is there stays. */
static int make_room(struct member_group *g)
{
    if (g->n_children == 0 && (g->children == NULL || g->children == &g->only)) {
        g->children = &g->only;
        return 0;
    }
    struct child **own = g->children != &g->only ? g->children : NULL;
    struct child **children = realloc(own, (g->n_children + 1) * sizeof(*children));
    if (children == NULL)
        return -ENOMEM;
    if (own == NULL && g->n_children > 0)
        children[0] = g->only;
    g->children = children;
    return 0;
}

int supervisor_add_child(struct supervisor *s, struct member_group *g, const struct program *p, uint32_t order)
{
    int r = make_room(g);
    if (r == 0)
        r = child_new(s, g, p, order, &g->children[g->n_children]);
    if (r < 0)
        return r;
    struct child *c = g->children[g->n_children++];
    s->n_children++;
    spawn_expect_fds((unsigned)s->n_children * FDS_OF_A_CHILD);
    ++*supervisor_count_of(s, c->process.state);
    return 0;
}

void supervisor_remove_child(struct supervisor *s, struct member_group *g, struct child *c)
{
    for (size_t i = 0; i < g->n_children; i++) {
        if (g->children[i] != c)
            continue;
        memmove(&g->children[i], &g->children[i + 1], (g->n_children - i - 1) * sizeof(*g->children));
        g->n_children--;
        drop_child(s, c);
        return;
    }
}

void supervisor_sort_group(struct member_group *g)
{
    if (g->n_children > 1)
        qsort(g->children, g->n_children, sizeof(*g->children), compare_children);
}

static int group_new(struct supervisor *s, struct config *config, const struct program_group *group,
                     struct member_group **ret)
{
    struct member_group *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return -ENOMEM;
    g->group = group;
    g->config = config_ref(config);
    g->order = (uint32_t)(group - config->groups);
    for (size_t i = 0; i < group->n_programs; i++) {
        if (group->programs[i].shadowed)
            continue;
        int r = supervisor_add_child(s, g, &group->programs[i], (uint32_t)i);
        if (r < 0) {
            member_group_free(s, g);
            return r;
        }
    }
    supervisor_sort_group(g);
    *ret = g;
    return 0;
}

int supervisor_add_group(struct supervisor *s, struct config *config, const struct program_group *group)
{
    if (supervisor_group(s, group->name) != NULL)
        return -EEXIST;
    struct member_group **groups = realloc(s->groups, (s->n_groups + 1) * sizeof(struct member_group *));
    if (groups == NULL)
        return -ENOMEM;
    s->groups = groups;
    struct member_group *g;
    int r = group_new(s, config, group, &g);
    if (r < 0)
        return r;
    size_t at = s->n_groups;
    while (at > 0 && strcmp(groups[at - 1]->group->name, group->name) > 0)
        at--;
    memmove(&groups[at + 1], &groups[at], (s->n_groups - at) * sizeof(struct member_group *));
    groups[at] = g;
    s->n_groups++;
    s->groups_changed = true;
    return 0;
}

int supervisor_remove_group(struct supervisor *s, const char *name)
{
    struct member_group *g = supervisor_group(s, name);
    if (g == NULL)
        return -ENOENT;
    for (size_t i = 0; i < g->n_children; i++)
        if (!process_is_down(&g->children[i]->process))
            return -EBUSY;
    size_t at = 0;
    while (s->groups[at] != g)
        at++;
    memmove(&s->groups[at], &s->groups[at + 1], (s->n_groups - at - 1) * sizeof(struct member_group *));
    s->n_groups--;
    s->groups_changed = true;
    member_group_free(s, g);
    return 0;
}
