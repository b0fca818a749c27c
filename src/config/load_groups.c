/* load_groups.c - which processes there are, and in which groups.
 *
 * First [group:x] sections, which take their members out of their own groups,
 * then programs, event listeners and fcgi programs that are groups of their own;
 * at last all by priority and name.  Two groups of one name, or two processes of
 * one name in a group, are possible in supervisord, and one of the two then never
 * runs: that one is marked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

struct groups {
    struct program_group *list; /* malloc'd */
    size_t n, capacity;
};

static struct program_group *add_group(struct loader *l, struct groups *all, const struct program_group *g)
{
    if (all->n == all->capacity) {
        size_t capacity = all->capacity == 0 ? 64 : all->capacity * 2;
        struct program_group *bigger = reallocarray(all->list, capacity, sizeof *bigger);
        if (bigger == NULL) {
            l->scratch.failed = true;
            return NULL;
        }
        all->list = bigger;
        all->capacity = capacity;
    }
    all->list[all->n] = *g;
    return &all->list[all->n++];
}

static void add_programs(struct loader *l, struct program_group *g, const struct program *list, size_t n)
{
    if (n == 0)
        return;
    struct program *all = arena_new_array(l->keep, g->n_programs + n, struct program);
    if (all == NULL)
        return;
    if (g->n_programs > 0)
        memcpy(all, g->programs, g->n_programs * sizeof *all);
    memcpy(all + g->n_programs, list, n * sizeof *all);
    g->programs = all;
    g->n_programs += n;
}

/* --- [group:x] ---------------------------------------------------------------- */

/* The section of a member; NULL was reported.  `blame` is the section that
 * supervisord names: that of the member before, from the second on. */
static struct ini_section *member(struct loader *l, const struct ini_section *group, const char *name,
                                  const char *blame)
{
    struct where w = { .section = group, .option = "programs", .key = ini_key(&l->ini, group, "programs") };
    struct ini_section *program = ini_section(&l->ini, scratchf(l, "program:%s", name));
    struct ini_section *fcgi = ini_section(&l->ini, scratchf(l, "fcgi-program:%s", name));
    if (program == NULL && fcgi == NULL)
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "[%s] names unknown program or fcgi-program %s", blame, name),
               "there is no program \"%s\"; add a [program:%s], or take it away here", name, name);
    else if (program != NULL && fcgi != NULL)
        report(l, DIAGNOSTIC_ERROR, &w,
               scratchf(l, "[%s] name %s is ambiguous (exists as program and fcgi-program)", blame, name),
               "\"%s\" is a program and an fcgi-program; rename one of them", name);
    else
        return program != NULL ? program : fcgi;
    return NULL;
}

/* The members' processes one after another; gathered in scratch space first. */
static void load_members(struct loader *l, const struct ini_section *section, struct group_draft *draft)
{
    const char **names, *blame = section->name;
    size_t n = split_list(l, draft->programs, &names);
    struct program **lists = arena_new_array(&l->scratch, n, struct program *);
    size_t *counts = arena_new_array(&l->scratch, n, size_t), total = 0;
    if (lists == NULL || counts == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        struct ini_section *s = member(l, section, names[i], blame);
        if (s == NULL)
            continue;
        blame = s->name;
        s->grouped = true;
        counts[i] = load_programs(l, s, PROGRAM_PLAIN, draft->g.name, &lists[i]);
        total += counts[i];
    }
    struct program *all = arena_new_array(l->keep, total, struct program);
    if (all == NULL)
        return;
    draft->g.programs = all;
    for (size_t i = 0; i < n; i++) {
        if (counts[i] > 0)
            memcpy(all + draft->g.n_programs, lists[i], counts[i] * sizeof *all);
        draft->g.n_programs += counts[i];
    }
}

static void load_group(struct loader *l, const struct ini_section *section, struct groups *all)
{
    struct where w = { .section = section };
    struct scope scope = { .here = l->here };
    struct group_draft draft = { .g = { .type = PROGRAM_PLAIN }, .programs = "" };
    const char *name = checked_name(l, &w, strchr(section->name, ':') + 1);
    draft.g.name = name != NULL ? name : section->name;
    draft.g.is_section = true;
    set_options(l, section, &options_group, &draft, &scope, 0, 0);
    load_members(l, section, &draft);
    add_group(l, all, &draft.g);
}

/* --- sections that are groups of their own ------------------------------------- */

static int load_priority(struct loader *l, const struct ini_section *section, int fallback)
{
    struct draft tmp = { .p = { .priority = fallback } };
    struct scope scope = { .here = l->here };
    if (ini_key(&l->ini, section, "priority") != NULL)
        set_option(l, section, &options_program, "priority", &tmp, &scope);
    return tmp.p.priority;
}

static void load_own(struct loader *l, const struct ini_section *section, struct program_group *g, struct groups *all)
{
    struct program *list = NULL;
    size_t n = load_programs(l, section, g->type, g->name, &list);
    struct program_group *group = add_group(l, all, g);
    if (group != NULL)
        add_programs(l, group, list, n);
}

static void load_plain(struct loader *l, const struct ini_section *section, struct groups *all)
{
    struct where w = { .section = section };
    struct program_group g = { .type = PROGRAM_PLAIN };
    const char *name = checked_name(l, &w, strchr(section->name, ':') + 1);
    if (name == NULL)
        return;
    g.name = name;
    g.priority = load_priority(l, section, 999);
    load_own(l, section, &g, all);
}

static const struct program_group_special *keep_special(struct loader *l, const struct special_draft *d)
{
    struct program_group_special *special = arena_new(l->keep, struct program_group_special);
    if (special != NULL)
        *special = d->s;
    return special;
}

static void load_listener(struct loader *l, const struct ini_section *section, struct groups *all)
{
    struct where w = { .section = section, .option = "events" };
    struct scope scope = { .here = l->here };
    struct program_group g = { .type = PROGRAM_EVENTLISTENER };
    struct special_draft draft = { .s = { .socket_mode = -1 } };
    struct draft tmp = { .p = { .redirect_stderr = false } };
    g.name = keep_string(l, strchr(section->name, ':') + 1);
    g.priority = load_priority(l, section, -1);
    bool ok = set_options(l, section, &options_eventlistener, &draft, &scope, 0, 0);
    if (ok && (draft.s.events == NULL || draft.s.events[0] == NULL))
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "[%s] section requires an \"events\" line", section->name),
               "is missing; name the events that it is told, such as PROCESS_STATE");
    w.option = "redirect_stderr";
    if (set_option(l, section, &options_program, "redirect_stderr", &tmp, &scope) && tmp.p.redirect_stderr)
        report(l, DIAGNOSTIC_ERROR, &w,
               scratchf(l,
                        "[%s] section sets redirect_stderr=true but this is not allowed because it will interfere "
                        "with the eventlistener protocol",
                        section->name),
               "is not possible: a listener's standard output is for its protocol; take it away");
    w.option = NULL;
    report(l, DIAGNOSTIC_WARNING, &w, NULL, "is started as a program, but is not told of events yet");
    g.special = keep_special(l, &draft);
    load_own(l, section, &g, all);
}

static void load_fcgi(struct loader *l, const struct ini_section *section, struct groups *all)
{
    struct where w = { .section = section, .option = "socket" };
    struct draft tmp = { .p = { .common = &tmp.common } };
    struct program_group g = { .type = PROGRAM_FCGI };
    struct special_draft draft = { .s = { .socket_mode = -1, .socket_uid = (uid_t)-1, .socket_gid = (gid_t)-1 },
                                   .proc_uid = (uid_t)-1 };
    struct scope scope = { .here = l->here }, socket_scope;
    const struct option_table *t = &options_fcgi;
    const char *name = checked_name(l, &w, strchr(section->name, ':') + 1);
    if (name == NULL)
        return;
    g.name = name;
    g.priority = load_priority(l, section, 999);
    set_option(l, section, &options_program, "user", &tmp, &scope);
    if (tmp.common.user != NULL) {
        draft.proc_uid = tmp.common.uid;
        draft.proc_gid = tmp.common.gid;
    }
    bool ok = set_option(l, section, t, "socket_backlog", &draft, &scope);
    ok = set_option(l, section, t, "socket_owner", &draft, &scope) && ok;
    ok = set_option(l, section, t, "socket_mode", &draft, &scope) && ok;
    socket_scope = scope;
    socket_scope.program = name;
    const struct ini_key *key = ini_key(&l->ini, section, "socket");
    if (key == NULL || key->value[0] == '\0')
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "[%s] section requires a \"socket\" line", section->name),
               "is missing; write unix:///absolute/path or tcp://host:port");
    else
        set_option(l, section, t, "socket", &draft, &socket_scope);
    w.option = NULL;
    report(l, DIAGNOSTIC_WARNING, &w, NULL, "is started as a program, but without its socket yet");
    g.special = keep_special(l, &draft);
    load_own(l, section, &g, all);
}

typedef void (*load_fn)(struct loader *l, const struct ini_section *section, struct groups *all);

static void each_section(struct loader *l, const char *prefix, load_fn load, struct groups *all)
{
    size_t len = strlen(prefix);
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next)
        if (strncmp(s->name, prefix, len) == 0 && !s->grouped)
            load(l, s, all);
}

/* --- order and doubles ---------------------------------------------------------- */

/* Pointers into one array, so that among equals the place in it decides. */
static int by_priority(const void *a, const void *b)
{
    const struct program_group *g = *(const struct program_group *const *)a;
    const struct program_group *h = *(const struct program_group *const *)b;
    if (g->priority != h->priority)
        return g->priority < h->priority ? -1 : 1;
    int r = strcmp(g->name, h->name);
    return r != 0 ? r : (g > h) - (g < h);
}

static void keep_groups(struct loader *l, const struct groups *all)
{
    const struct program_group **order = arena_new_array(&l->scratch, all->n, const struct program_group *);
    l->c->groups = arena_new_array(l->keep, all->n, struct program_group);
    if (order == NULL || l->c->groups == NULL || all->n == 0)
        return;
    for (size_t i = 0; i < all->n; i++)
        order[i] = &all->list[i];
    qsort(order, all->n, sizeof *order, by_priority);
    for (size_t i = 0; i < all->n; i++)
        l->c->groups[i] = *order[i];
    l->c->n_groups = all->n;
}

static void tell_double(struct loader *l, const struct program *p, const char *what, const char *name)
{
    bool native = l->c->kind == CONFIG_NATIVE;
    struct where w = { .file = p != NULL ? l->files[p->file] : l->files[0], .line = p != NULL ? p->line : 0 };
    report(l, native ? DIAGNOSTIC_ERROR : DIAGNOSTIC_WARNING, &w, NULL, "two %s are called \"%s\"%s; rename one", what,
           name, native ? "" : ", and only one of them runs");
}

static void mark_group(struct loader *l, struct map *seen, struct program_group *g)
{
    void **slot = map_add(seen, 0, g->name, strlen(g->name));
    if (slot != NULL && *slot != NULL) {
        g->shadowed = true;
        tell_double(l, g->n_programs > 0 ? &g->programs[0] : NULL, "groups", g->name);
    } else if (slot != NULL) {
        *slot = g;
    }
    for (size_t i = 0; i < g->n_programs; i++) {
        struct program *p = &g->programs[i];
        slot = map_add(seen, (uintptr_t)g, p->name, strlen(p->name));
        if (slot == NULL)
            return;
        if (*slot != NULL) {
            ((struct program *)*slot)->shadowed = true;
            tell_double(l, p, "processes of one group", p->name);
        }
        *slot = p;
    }
}

static void check_exit_with(struct loader *l)
{
    const char *name = l->c->daemon.exit_with;
    const char *colon = name != NULL ? strchr(name, ':') : NULL;
    for (size_t g = 0; name != NULL && g < l->c->n_groups; g++) {
        const struct program_group *group = &l->c->groups[g];
        const char *process = colon != NULL ? colon + 1 : name;
        size_t len = colon != NULL ? (size_t)(colon - name) : strlen(name);
        if (strncmp(group->name, name, len) != 0 || group->name[len] != '\0')
            continue;
        for (size_t i = 0; i < group->n_programs; i++)
            if (strcmp(group->programs[i].name, process) == 0)
                return;
    }
    if (name == NULL || l->d->n_errors > 0)
        return;
    const struct ini_section *section = ini_section(&l->ini, l->c->kind == CONFIG_NATIVE ? "droverd" : "supervisord");
    struct where w = { .section = section, .key = ini_key(&l->ini, section, "exit_with"), .option = "exit_with" };
    report(l, DIAGNOSTIC_ERROR, &w, NULL, "there is no process \"%s\"; name a program, or group:process", name);
}

void load_groups(struct loader *l)
{
    struct groups all = { 0 };
    struct map seen = { 0 };
    each_section(l, "group:", load_group, &all);
    each_section(l, "program:", load_plain, &all);
    each_section(l, "eventlistener:", load_listener, &all);
    each_section(l, "fcgi-program:", load_fcgi, &all);
    keep_groups(l, &all);
    free(all.list);
    for (size_t i = 0; i < l->c->n_groups; i++)
        mark_group(l, &seen, &l->c->groups[i]);
    map_done(&seen);
    check_exit_with(l);
}
