/* reload.c - from the configuration that runs to the one that was read.
 *
 * Owns the one update that may be under way: first everything that must go or
 * change is told to stop, and when all of that is down, groups and processes are
 * taken out, moved over to their new definitions and added, and what should run
 * is started.  A process whose definition is equal in both is never touched. */
#include "supervisor/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "supervisor/child_ipc.h"
#include "supervisor/groups.h"
#include "supervisor/identities.h"
#include "supervisor/record.h"
#include "supervisor/shutdown.h"
#include "wire/jsonw.h"

/* -- comparing ---------------------------------------------------------------- */

static const struct program_group *find_group(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_groups; i++)
        if (!config->groups[i].shadowed && strcmp(config->groups[i].name, name) == 0)
            return &config->groups[i];
    return NULL;
}

void reload_diff_done(struct reload_diff *d)
{
    free(d->added);
    free(d->changed);
    free(d->removed);
    *d = (struct reload_diff){ 0 };
}

static int by_config_order(const void *a, const void *b)
{
    uint32_t x = (*(struct member_group *const *)a)->order, y = (*(struct member_group *const *)b)->order;
    return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the running groups that `config` has no more, in the order they had. */
static int list_removed(const struct supervisor *s, const struct config *config, struct reload_diff *d)
{
    _cleanup_free_ const char **names = malloc((config->n_groups + 1) * sizeof(char *));
    _cleanup_free_ struct member_group **running = malloc((s->n_groups + 1) * sizeof(struct member_group *));
    if (names == NULL || running == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_groups; i++)
        names[i] = config->groups[i].name;
    qsort(names, config->n_groups, sizeof(*names), compare_names);
    if (s->n_groups > 0)
        memcpy(running, s->groups, s->n_groups * sizeof(struct member_group *));
    qsort(running, s->n_groups, sizeof(*running), by_config_order);
    for (size_t i = 0; i < s->n_groups; i++)
        if (bsearch(&running[i]->group->name, names, config->n_groups, sizeof(*names), compare_names) == NULL)
            d->removed[d->n_removed++] = running[i]->group->name;
    return 0;
}

int reload_compare(const struct supervisor *s, const struct config *config, struct reload_diff *ret)
{
    struct reload_diff d = { .added = calloc(config->n_groups + 1, sizeof(char *)),
                             .changed = calloc(config->n_groups + 1, sizeof(char *)),
                             .removed = calloc(s->n_groups + 1, sizeof(char *)) };
    int r = d.added == NULL || d.changed == NULL || d.removed == NULL ? -ENOMEM : list_removed(s, config, &d);
    if (r < 0) {
        reload_diff_done(&d);
        return r;
    }
    for (size_t i = 0; i < config->n_groups; i++) {
        const struct program_group *group = &config->groups[i];
        const struct member_group *running = supervisor_group(s, group->name);
        if (group->shadowed)
            continue;
        if (running == NULL)
            d.added[d.n_added++] = group->name;
        else if (running->group != group && !group_equal(running->group, group))
            d.changed[d.n_changed++] = group->name;
    }
    *ret = d;
    return 0;
}

/* -- adopting ----------------------------------------------------------------- */

static const struct program *find_program(const struct program_group *group, const char *name)
{
    for (size_t i = 0; i < group->n_programs; i++)
        if (!group->programs[i].shadowed && strcmp(group->programs[i].name, name) == 0)
            return &group->programs[i];
    return NULL;
}

/* An equal definition takes the place of the one that a group runs by. */
static void move_over(struct member_group *g, struct config *config, const struct program_group *group)
{
    for (size_t i = 0; i < g->n_children; i++) {
        const struct program *p = find_program(group, g->children[i]->process.program->name);
        if (p == NULL)
            continue;
        g->children[i]->process.program = p;
        g->children[i]->order = (uint32_t)(p - group->programs);
    }
    config_ref(config);
    config_unref(g->config);
    g->config = config;
    g->group = group;
    g->order = (uint32_t)(group - config->groups);
}

static void add_names(struct jsonw *j, const char *name, const char **names, size_t n)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < n; i++)
        jsonw_string(j, NULL, names[i]);
    jsonw_array_end(j);
}

static void tell_config(struct supervisor *s, const struct reload_diff *d)
{
    _cleanup_buf_ struct buf text = BUF_INIT(64 * 1024);
    struct jsonw j = JSONW_INIT(&text);
    add_names(&j, "added", d->added, d->n_added);
    add_names(&j, "changed", d->changed, d->n_changed);
    add_names(&j, "removed", d->removed, d->n_removed);
    struct event e = { .type = EVENT_CONFIG, .text = buf_steal(&text) };
    events_add(s->events, &e);
}

int reload_adopt(struct supervisor *s, struct config *config)
{
    struct reload_diff d;
    int r = identities_load(s->identities, config);
    if (r == 0)
        r = reload_compare(s, config, &d);
    if (r < 0)
        return r;
    supervisor_expect(s, config);
    for (size_t i = 0; i < config->n_groups; i++) {
        struct member_group *g = supervisor_group(s, config->groups[i].name);
        bool changed = false;
        for (size_t k = 0; k < d.n_changed; k++)
            changed |= d.changed[k] == config->groups[i].name;
        if (g != NULL && !changed && !config->groups[i].shadowed)
            move_over(g, config, &config->groups[i]);
    }
    config_keep_from_children(config);
    config_ref(config);
    config_unref(s->config);
    s->config = config;
    s->groups_changed = true;
    tell_config(s, &d);
    reload_diff_done(&d);
    return 0;
}

/* -- updating ----------------------------------------------------------------- */

struct waiting { /* for one process to be down */
    struct child_watch watch;
    struct update *update;
};

struct update {
    struct supervisor *supervisor;
    struct loop_work work;
    struct update_row *rows;
    size_t n_rows;
    struct waiting *waiting;
    size_t n_waiting, n_left;
    update_done_fn done;
    void *arg;
};

static bool must_stop(const struct child *c, const struct program_group *next)
{
    const struct program *p = next != NULL ? find_program(next, c->process.program->name) : NULL;
    return p == NULL || !program_equal(c->process.program, p);
}

static void apply(void *arg);

static void on_state(struct child *c, enum process_state from, enum process_state to, void *arg)
{
    (void)from;
    struct waiting *w = arg;
    if (to != PROCESS_UNKNOWN && !process_is_down(&c->process))
        return;
    child_unwatch(&w->watch);
    if (--w->update->n_left == 0)
        loop_defer(w->update->supervisor->loop, &w->update->work, apply, w->update);
}

static void stop_children(struct update *u, struct member_group *g, const struct program_group *next)
{
    for (size_t i = 0; i < g->n_children; i++) {
        struct child *c = g->children[i];
        if (!must_stop(c, next) || process_is_down(&c->process) || c->process.state == PROCESS_UNKNOWN)
            continue;
        struct waiting *w = &u->waiting[u->n_waiting++];
        w->update = u;
        w->watch = (struct child_watch){ .fn = on_state, .arg = w };
        child_watch(c, &w->watch);
        u->n_left++;
        c->was_up = true;
        supervisor_stop(c, false);
    }
}

/* Was it up, or is it meant to be?  An operator's stop outlives the update. */
static void start_if_meant(struct child *c)
{
    bool was_up = c->was_up;
    c->was_up = false;
    record_write(c);
    if (process_is_down(&c->process) && !c->process.operator_stopped && (was_up || c->process.program->autostart))
        supervisor_start(c);
}

static int change_child(struct supervisor *s, struct member_group *g, const struct program_group *next,
                        const struct program *p)
{
    struct child *c = supervisor_child(s, g->group->name, p->name);
    uint32_t order = (uint32_t)(p - next->programs);
    if (c == NULL)
        return supervisor_add_child(s, g, p, order);
    bool same = program_equal(c->process.program, p);
    c->order = order;
    c->process.program = p;
    return same ? 0 : child_ipc_join(c); /* who runs on keeps its channel, and its place in the relay */
}

static int change_group(struct supervisor *s, struct member_group *g, const struct program_group *next)
{
    for (size_t i = g->n_children; i > 0; i--) {
        struct child *c = g->children[i - 1];
        bool gone = find_program(next, c->process.program->name) == NULL;
        if (must_stop(c, next) && !process_is_down(&c->process))
            return -EBUSY;
        if (gone)
            supervisor_remove_child(s, g, c);
    }
    size_t before = g->n_children;
    /* which are to be started is asked of the old definitions, before they go */
    _cleanup_free_ bool *start = calloc(next->n_programs + 1, sizeof(bool));
    if (start == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < next->n_programs; i++) {
        struct child *c = supervisor_child(s, g->group->name, next->programs[i].name);
        start[i] = !next->programs[i].shadowed && (c == NULL || must_stop(c, next));
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < next->n_programs; i++) {
        if (next->programs[i].shadowed)
            continue;
        r = change_child(s, g, next, &next->programs[i]);
        if (r == 0 && g->n_children != before) {
            supervisor_sort_group(g);
            before = g->n_children;
        }
    }
    move_over(g, s->config, next);
    s->groups_changed = true;
    for (size_t i = 0; i < next->n_programs; i++) {
        struct child *c = supervisor_child(s, g->group->name, next->programs[i].name);
        if (start[i] && c != NULL)
            start_if_meant(c);
    }
    return r;
}

static int add_group(struct supervisor *s, const struct program_group *group)
{
    int r = supervisor_add_group(s, s->config, group);
    struct member_group *g = supervisor_group(s, group->name);
    if (r < 0 || g == NULL)
        return r;
    for (size_t i = 0; i < group->n_programs; i++) {
        struct child *c = supervisor_child(s, group->name, group->programs[i].name);
        if (c != NULL && !group->programs[i].shadowed)
            start_if_meant(c);
    }
    return 0;
}

static int apply_row(struct supervisor *s, const struct update_row *row)
{
    const struct program_group *next = find_group(s->config, row->group);
    struct member_group *g = supervisor_group(s, row->group);
    switch (row->action) {
    case UPDATE_REMOVED:
        return supervisor_remove_group(s, row->group);
    case UPDATE_CHANGED:
        return g != NULL && next != NULL ? change_group(s, g, next) : -ENOENT;
    case UPDATE_ADDED:
        return next != NULL ? add_group(s, next) : -ENOENT;
    }
    return -EINVAL;
}

static void update_free(struct update *u)
{
    for (size_t i = 0; i < u->n_rows; i++)
        free(u->rows[i].group);
    free(u->rows);
    free(u->waiting);
    free(u);
}

/* -- over a death --------------------------------------------------------------- */

#define UPDATE_NAME "update" /* held by the guardian: the groups of the update under way, a line each */
#define UPDATE_MAX (1U << 20)

static void note_update(const struct update *u)
{
    struct holder *h = u->supervisor->options.holder;
    _cleanup_buf_ struct buf b = BUF_INIT(UPDATE_MAX);
    int fd = h != NULL ? memfd_create(UPDATE_NAME, MFD_CLOEXEC) : -1;
    for (size_t i = 0; i < u->n_rows; i++)
        buf_printf(&b, "%s\n", u->rows[i].group);
    if (fd >= 0 && b.error == 0 && write(fd, b.data, b.len) == (ssize_t)b.len && holder_put(h, UPDATE_NAME, fd) == 0)
        holder_flush(h); /* it borrows the descriptor until it has been sent */
    cleanup_close(&fd);
}

static void forget_update(const struct supervisor *s)
{
    if (s->options.holder != NULL)
        holder_drop(s->options.holder, UPDATE_NAME);
}

static void apply(void *arg)
{
    struct update *u = arg;
    static const char *const words[] = { "removed", "updated", "added" };
    for (size_t i = 0; i < u->n_rows; i++) {
        struct update_row *row = &u->rows[i];
        row->error = apply_row(u->supervisor, row);
        if (row->error < 0)
            log_error("%s: process group could not be %s: %s", row->group, words[row->action], strerror(-row->error));
        else
            log_info("%s: %s process group", row->group, words[row->action]);
    }
    u->supervisor->update = NULL;
    forget_update(u->supervisor);
    if (u->done != NULL)
        u->done(u->rows, u->n_rows, u->arg);
    update_free(u);
}

static bool is_named(const char *const *names, size_t n, const char *name)
{
    if (names == NULL)
        return true;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int add_rows(struct update *u, const char **groups, size_t n, enum update_action action,
                    const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_named(names, n_names, groups[i]))
            continue;
        struct update_row *row = &u->rows[u->n_rows];
        *row = (struct update_row){ .group = strdup(groups[i]), .action = action };
        if (row->group == NULL)
            return -ENOMEM;
        u->n_rows++;
    }
    return 0;
}

static int make_rows(struct update *u, const char *const *names, size_t n_names)
{
    struct reload_diff d;
    int r = reload_compare(u->supervisor, u->supervisor->config, &d);
    if (r < 0)
        return r;
    u->rows = calloc(d.n_added + d.n_changed + d.n_removed + 1, sizeof(*u->rows));
    r = u->rows == NULL ? -ENOMEM : add_rows(u, d.removed, d.n_removed, UPDATE_REMOVED, names, n_names);
    if (r == 0)
        r = add_rows(u, d.changed, d.n_changed, UPDATE_CHANGED, names, n_names);
    if (r == 0)
        r = add_rows(u, d.added, d.n_added, UPDATE_ADDED, names, n_names);
    reload_diff_done(&d);
    return r;
}

int reload_update(struct supervisor *s, const char *const *names, size_t n_names, update_done_fn done, void *arg,
                  struct update **ret)
{
    if (s->update != NULL)
        return -EBUSY;
    struct update *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return -ENOMEM;
    *u = (struct update){ .supervisor = s, .done = done, .arg = arg };
    u->waiting = calloc(s->n_children + 1, sizeof(*u->waiting));
    int r = u->waiting == NULL ? -ENOMEM : make_rows(u, names, n_names);
    if (r < 0) {
        update_free(u);
        return r;
    }
    s->update = u;
    note_update(u);
    for (size_t i = 0; i < u->n_rows; i++) {
        struct member_group *g = supervisor_group(s, u->rows[i].group);
        if (g != NULL)
            stop_children(u, g, u->rows[i].action == UPDATE_CHANGED ? find_group(s->config, u->rows[i].group) : NULL);
    }
    if (u->n_left == 0)
        loop_defer(s->loop, &u->work, apply, u);
    if (ret != NULL)
        *ret = u;
    return 0;
}

/* The names of an update that the supervisor before us was at, in one block, or NULL. */
static const char **noted_names(struct supervisor *s, char *text, size_t size, size_t *n)
{
    _cleanup_close_ int fd = s->options.holder != NULL ? holder_take(s->options.holder, UPDATE_NAME) : -1;
    ssize_t len = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;
    const char **names = len > 0 ? calloc((size_t)len, sizeof(*names)) : NULL;
    char *next;
    if (names == NULL)
        return NULL;
    text[len] = '\0';
    *n = 0;
    for (char *name = strtok_r(text, "\n", &next); name != NULL; name = strtok_r(NULL, "\n", &next))
        names[(*n)++] = name;
    return names;
}

void reload_resume(struct supervisor *s)
{
    size_t n;
    _cleanup_free_ char *text = malloc(UPDATE_MAX);
    _cleanup_free_ const char **names = text != NULL ? noted_names(s, text, UPDATE_MAX, &n) : NULL;
    if (names == NULL)
        return;
    log_info("the update that was under way goes on");
    int r = reload_update(s, names, n, NULL, NULL, NULL);
    if (r < 0)
        log_error("the update that was under way cannot go on: %s; update again", strerror(-r));
}

void update_forget(struct update *u)
{
    u->done = NULL;
}
