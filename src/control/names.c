/* names.c - see names.h.  Owns nothing but the lists it returns. */
#include "control/names.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void child_display_name(const struct child *c, char *buf, size_t size)
{
    const char *group = c->group->group->name, *name = c->process.program->name;
    if (strcmp(group, name) == 0)
        snprintf(buf, size, "%s", name);
    else
        snprintf(buf, size, "%s:%s", group, name);
}

static bool has_glob(const char *s)
{
    return strpbrk(s, "*?[") != NULL;
}

/* The processes of one group without a search through all of them: the common case. */
static enum fault select_group(const struct supervisor *s, const char *group, const char *name, struct selection *sel)
{
    struct member_group *g = supervisor_group(s, group);
    if (g == NULL)
        return *name == '\0' || strcmp(name, "*") == 0 ? FAULT_BAD_GROUP : FAULT_BAD_NAME;
    bool all = *name == '\0' || strcmp(name, "*") == 0;
    sel->list = malloc((g->n_children + 1) * sizeof(struct child *));
    if (sel->list == NULL)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < g->n_children; i++)
        if (all || fnmatch(name, g->children[i]->process.program->name, 0) == 0)
            sel->list[sel->n++] = g->children[i];
    return FAULT_NONE;
}

static enum fault select_one(const struct supervisor *s, const char *group, const char *name, struct selection *sel)
{
    struct child *c = supervisor_child(s, group, name);
    if (c == NULL)
        return FAULT_BAD_NAME;
    sel->list = malloc(sizeof(struct child *));
    if (sel->list == NULL)
        return FAULT_NO_MEMORY;
    sel->list[0] = c;
    sel->n = 1;
    sel->single = true;
    return FAULT_NONE;
}

static bool matches(const struct child *c, const char *group, const char *name)
{
    char display[1024];
    if (name != NULL)
        return fnmatch(group, c->group->group->name, 0) == 0 &&
               (*name == '\0' || fnmatch(name, c->process.program->name, 0) == 0);
    child_display_name(c, display, sizeof(display));
    return fnmatch(group, display, 0) == 0;
}

static enum fault select_matching(const struct supervisor *s, const char *group, const char *name,
                                  struct selection *sel)
{
    sel->list = malloc((s->n_children + 1) * sizeof(struct child *));
    if (sel->list == NULL)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            if (matches(s->groups[i]->children[k], group, name))
                sel->list[sel->n++] = s->groups[i]->children[k];
    return FAULT_NONE;
}

/* The list in the supervisor's order, less what the selection does not have. */
static enum fault put_in_order(const struct supervisor *s, bool stopping, struct selection *sel)
{
    size_t n, kept = 0;
    _cleanup_free_ struct child **all = supervisor_in_order(s, stopping, &n);
    if (sel->n < 2)
        return FAULT_NONE;
    if (all == NULL)
        return FAULT_NO_MEMORY;
    for (size_t i = 0; i < sel->n; i++)
        sel->list[i]->selected = true;
    for (size_t i = 0; i < n; i++) {
        if (all[i]->selected)
            sel->list[kept++] = all[i];
        all[i]->selected = false;
    }
    return FAULT_NONE;
}

enum fault select_processes(const struct supervisor *s, const char *name, enum selection_order order,
                            struct selection *ret)
{
    char group[512];
    snprintf(group, sizeof(group), "%s", name);
    char *process = strchr(group, ':');
    if (process != NULL)
        *process++ = '\0';
    struct selection sel = { 0 };
    enum fault f;
    if (process == NULL && (strcmp(group, "all") == 0 || strcmp(group, "*") == 0) &&
        supervisor_child(s, group, group) == NULL)
        f = select_matching(s, "*", NULL, &sel);
    else if (has_glob(group))
        f = select_matching(s, group, process, &sel);
    else if (process == NULL)
        f = select_one(s, group, group, &sel);
    else if (*process == '\0' || has_glob(process))
        f = select_group(s, group, process, &sel);
    else
        f = select_one(s, group, process, &sel);
    if (f == FAULT_NONE && order != SELECT_LEXICAL)
        f = put_in_order(s, order == SELECT_STOPPING, &sel);
    if (f != FAULT_NONE) {
        selection_done(&sel);
        return f;
    }
    *ret = sel;
    return FAULT_NONE;
}

void selection_done(struct selection *sel)
{
    free(sel->list);
    *sel = (struct selection){ 0 };
}

struct child *control_one(struct control_call *call)
{
    struct selection sel = { 0 };
    enum fault f = select_processes(call->control->supervisor, call->name, SELECT_LEXICAL, &sel);
    if (f == FAULT_NONE && sel.n != 1)
        f = FAULT_BAD_NAME;
    struct child *c = f == FAULT_NONE ? sel.list[0] : NULL;
    if (f != FAULT_NONE)
        control_fail(call->request, f, call->name, NULL);
    selection_done(&sel);
    return c;
}
