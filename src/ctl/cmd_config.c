/* cmd_config.c - `reread`, `update`, `avail`, `add`, `remove`: the verbs of a
 * changed configuration. */
#include "ctl/ask.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/render.h"

static void reread_run(struct ctl *c, const struct ctl_words *words);
static void avail_run(struct ctl *c, const struct ctl_words *words);
static void add_run(struct ctl *c, const struct ctl_words *words);
static void remove_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_reread = {
    .name = "reread",
    .args = "",
    .summary = "reads the configuration files and says what has changed; nothing is applied",
    .flags = CTL_NO_ARGS,
    .fn = reread_run,
};

const struct ctl_command ctl_cmd_avail = {
    .name = "avail",
    .args = "",
    .summary = "shows configured processes, whether they are in use, their priorities",
    .flags = CTL_NO_ARGS,
    .fn = avail_run,
};

const struct ctl_command ctl_cmd_add = {
    .name = "add",
    .args = "GROUP...",
    .summary = "takes configured groups into use and starts what starts by itself",
    .flags = CTL_GROUPS,
    .fn = add_run,
};

const struct ctl_command ctl_cmd_remove = {
    .name = "remove",
    .args = "GROUP...",
    .summary = "takes stopped groups out of use",
    .flags = CTL_GROUPS,
    .fn = remove_run,
};

struct change {
    const char *group;
    const char *what;
};

static const struct {
    const char *list;
    const char *what;
} changes[] = { { "added", "available" }, { "changed", "changed" }, { "removed", "disappeared" } };

static int change_compare(const void *a, const void *b)
{
    return strcmp(((const struct change *)a)->group, ((const struct change *)b)->group);
}

/* Sorted by name over the three lists, each with its own word. */
static void reread_show(struct ctl *c, const struct answer *a)
{
    const json_t *answer = a->json;
    if (answer_list(c, a, changes[0].list) == NULL)
        return;
    size_t total = 0, n = 0, i;
    for (size_t k = 0; k < ELEMENTS(changes); k++)
        total += json_array_size(json_object_get(answer, changes[k].list));
    _cleanup_free_ struct change *all = calloc(total + 1, sizeof(*all));
    if (all == NULL)
        return;
    const json_t *name;
    for (size_t k = 0; k < ELEMENTS(changes); k++)
        json_array_foreach(json_object_get(answer, changes[k].list), i, name) if (json_is_string(name)) all[n++] =
            (struct change){ json_string_value(name), changes[k].what };
    qsort(all, n, sizeof(*all), change_compare);
    for (i = 0; i < n; i++)
        ctl_say(c, "%s: %s", all[i].group, all[i].what);
    if (n == 0)
        ctl_say(c, "No config updates to processes");
}

static void reread_notes(struct ctl *c, const json_t *list)
{
    size_t i;
    const json_t *text;
    json_array_foreach(list, i, text) if (json_is_string(text)) ctl_note(c, "%s", json_string_value(text));
}

/* What reread and update have to say when the files cannot be read, or the daemon ends. */
static void reread_refused(struct ctl *c, const struct answer *a, const char *ending)
{
    if (c->json && a->json != NULL)
        ctl_print_json(c, a->json);
    else if (answer_is_end(a))
        ctl_fail(c, "ERROR: %s", ending);
    else if (strcmp(answer_fault(a), "CANT_REREAD") == 0)
        ctl_fail(c, "ERROR: CANT_REREAD: %s", answer_message(a));
    else
        answer_complain(c, a, c->command->name);
    if (!c->json)
        reread_notes(c, json_object_get(a->error, "diagnostics") ?: json_object_get(a->json, "diagnostics"));
    ctl_status(c, CTL_GENERIC);
}

static void reread_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "POST", "/v1/config/reread", NULL, ASK_WAIT | ASK_AGAIN, &a) < 0)
        return;
    if (a.status != 200) {
        reread_refused(c, &a, "supervisor shutting down");
        return;
    }
    if (c->json) {
        ctl_print_json(c, a.json);
        return;
    }
    reread_show(c, &a);
    reread_notes(c, json_object_get(a.json, "warnings"));
}

static void avail_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "GET", "/v1/config/avail", NULL, 0, &a) < 0)
        return;
    if (a.status != 200) {
        reread_refused(c, &a, "supervisor shutting down");
        return;
    }
    if (c->json) {
        ctl_print_json(c, a.json);
        return;
    }
    size_t i;
    const json_t *list = answer_list(c, &a, "processes"), *p;
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    json_array_foreach(list, i, p)
    {
        const char *spec = ctl_namespec(&name, p);
        ctl_say(c, "%-*s %-9s %-9s %lld:%lld", 32 + (int)(strlen(spec) - render_width(spec)), spec,
                ask_true(p, "inuse") ? "in use" : "avail", ask_true(p, "autostart") ? "auto" : "manual",
                ask_integer(p, "group_prio", 0), ask_integer(p, "process_prio", 0));
    }
}

/* POST to a group; true when it is done; already: the fault that says that it is, when
 * it is asked for once more. */
static bool group_ask(struct ctl *c, const char *name, const char *verb, const char *already, struct answer *a)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/groups/", name, "/");
    buf_puts(&path, verb);
    if (path.error < 0 || ask(c, "POST", path.data, NULL, ASK_WAIT | ASK_AGAIN, a) < 0)
        return false;
    bool done = a->status == 200 || (a->again && strcmp(answer_fault(a), already) == 0);
    if (c->json)
        ctl_collect(c, json_pack("{s:s, s:b, s:O*}", "group", name, "ok", done, "error", done ? NULL : a->error));
    return done;
}

/* An unknown group and the rest of what both verbs share. */
static void group_refused(struct ctl *c, const char *name, const struct answer *a)
{
    if (a->status == 0 || c->json)
        ctl_status(c, a->status == 0 ? c->exit_status : CTL_GENERIC);
    else if (strcmp(answer_fault(a), "BAD_NAME") == 0)
        ctl_fail(c, "ERROR: no such process/group: %s", name);
    else if (answer_is_end(a))
        ctl_fail(c, "ERROR: shutting down");
    else
        answer_complain(c, a, name);
    if (a->status != 0)
        ctl_status(c, CTL_GENERIC);
}

static void add_run(struct ctl *c, const struct ctl_words *words)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *name = words->list[i];
        _cleanup_answer_ struct answer a = { 0 };
        if (group_ask(c, name, "add", "ALREADY_ADDED", &a))
            ctl_say(c, "%s: added process group", name);
        else if (!c->json && strcmp(answer_fault(&a), "ALREADY_ADDED") == 0)
            ctl_fail(c, "ERROR: process group already active");
        else if (strcmp(answer_fault(&a), "ALREADY_ADDED") != 0)
            group_refused(c, name, &a);
        if (a.status == 0)
            return;
    }
    ctl_flush(c, "results");
}

static void remove_run(struct ctl *c, const struct ctl_words *words)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *name = words->list[i];
        _cleanup_answer_ struct answer a = { 0 };
        if (group_ask(c, name, "remove", "BAD_NAME", &a)) {
            ctl_say(c, "%s: removed process group", name);
        } else if (!c->json && strcmp(answer_fault(&a), "STILL_RUNNING") == 0) {
            ctl_fail(c, "ERROR: process/group still running: %s", name);
            ctl_status(c, CTL_GENERIC);
        } else {
            group_refused(c, name, &a);
        }
        if (a.status == 0)
            return;
    }
    ctl_flush(c, "results");
}
