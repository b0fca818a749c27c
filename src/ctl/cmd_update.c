/* cmd_update.c - `update`: reads the configuration and applies what has changed.
 *
 * The daemon does it in one go and reports group by group.  It refuses a list
 * that holds an unknown group before it has done anything; supervisorctl names
 * each unknown group and goes on with the rest, so we ask again without it. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "ctl/names.h"

static void update_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_update = {
    .name = "update",
    .args = "[GROUP...]",
    .summary = "reads the configuration files; removes, restarts and adds what changed",
    .help = "    all is the same as no name\n",
    .flags = CTL_GROUPS,
    .fn = update_run,
};

static const struct {
    const char *action;
    const char *text;
    bool stops; /* it was stopped first, and supervisorctl says so */
} actions[] = {
    { "removed", "removed process group", true },
    { "updated", "updated process group", true },
    { "added", "added process group", false },
};

static void update_result(struct ctl *c, const json_t *result)
{
    const char *group = ask_string(result, "group", ""), *action = ask_string(result, "action", "");
    bool ok = ask_true(result, "ok");
    for (size_t i = 0; i < ELEMENTS(actions); i++) {
        if (strcmp(action, actions[i].action) != 0)
            continue;
        if (actions[i].stops)
            ctl_say(c, "%s: stopped", group);
        if (ok)
            ctl_say(c, "%s: %s", group, actions[i].text);
    }
    if (!ok) {
        const char *why = ask_string(json_object_get(result, "error"), "message", NULL);
        ctl_fail(c, "%s: has problems; not %s", group, strcmp(action, "removed") == 0 ? "removing" : action);
        if (why != NULL)
            ctl_note(c, "%s: %s", group, why);
        ctl_status(c, CTL_GENERIC);
    }
}

static void update_refused(struct ctl *c, const struct answer *a)
{
    const char *fault = answer_fault(a);
    if (c->json && a->json != NULL)
        ctl_print_json(c, a->json);
    else if (answer_is_end(a))
        ctl_fail(c, "ERROR: already shutting down");
    else if (strcmp(fault, "CANT_REREAD") == 0)
        ctl_fail(c, "ERROR: CANT_REREAD: %s", answer_message(a));
    else
        answer_complain(c, a, "update");
    size_t i;
    const json_t *text;
    json_array_foreach(json_object_get(a->error, "diagnostics") ?: json_object_get(a->json, "diagnostics"), i,
                       text) if (!c->json && json_is_string(text)) ctl_note(c, "%s", json_string_value(text));
    ctl_status(c, CTL_GENERIC);
}

/* Drops the group that the daemon does not know; false when it was not asked for. */
static bool update_drop(struct ctl *c, json_t *groups, const struct answer *a)
{
    const char *unknown = ask_string(a->error, "name", "");
    size_t i;
    json_t *name;
    if (strcmp(answer_fault(a), "BAD_NAME") != 0)
        return false;
    json_array_foreach(groups, i, name) if (strcmp(json_string_value(name), unknown) == 0)
    {
        ctl_fail(c, "ERROR: no such group: %s", unknown);
        ctl_status(c, CTL_GENERIC);
        json_array_remove(groups, i);
        return true;
    }
    return false;
}

/* The next supervisor goes on with the update of one that has died; after that it
 * is asked whether something is left. */
static bool update_goes_on(const struct answer *a)
{
    const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000L };
    if (!a->again || strcmp(ask_string(a->error, "code", ""), "EBUSY") != 0)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static int update_ask(struct ctl *c, json_t *groups, struct answer *a)
{
    json_t *request = json_array_size(groups) > 0 ? json_pack("{s:O}", "groups", groups) : json_object();
    _cleanup_free_ char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    int e = body == NULL ? -ENOMEM : ask(c, "POST", "/v1/config/update", body, ASK_WAIT | ASK_AGAIN, a);
    while (e == 0 && update_goes_on(a)) {
        answer_done(a);
        e = ask(c, "POST", "/v1/config/update", body, ASK_WAIT | ASK_AGAIN, a);
        a->again = true;
    }
    return e;
}

/* Asks until the daemon knows all groups that are left. */
static void update_groups(struct ctl *c, json_t *groups)
{
    bool named = json_array_size(groups) > 0;
    do {
        _cleanup_answer_ struct answer a = { 0 };
        if (update_ask(c, groups, &a) < 0)
            return;
        if (a.status != 200) {
            if (update_drop(c, groups, &a))
                continue;
            update_refused(c, &a);
            return;
        }
        size_t i;
        const json_t *results = answer_list(c, &a, "results"), *result;
        if (a.again)
            ctl_note(c, "update: the daemon was replaced meanwhile; groups that it had changed by then are not listed");
        if (c->json)
            ctl_print_json(c, a.json);
        json_array_foreach(results, i, result) update_result(c, result);
        return;
    } while (!named || json_array_size(groups) > 0);
    ctl_flush(c, "results");
}

static void update_run(struct ctl *c, const struct ctl_words *words)
{
    json_t *groups = json_array();
    if (!names_have_all(words))
        for (size_t i = 0; i < words->n; i++)
            json_array_append_new(groups, json_string(words->list[i]));
    if (json_array_size(groups) > 0 || words->n == 0 || names_have_all(words))
        update_groups(c, groups);
    json_decref(groups);
}
