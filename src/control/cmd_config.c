/* cmd_config.c - the configuration: what runs, what is in the files, and the way
 * from the one to the other. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "control/control.h"
#include "supervisor/reload.h"
#include "wire/config_json.h"
#include "wire/jsonw.h"

static void config_get(struct control_call *call);
static void config_avail(struct control_call *call);
static void config_reread(struct control_call *call);
static void config_update(struct control_call *call);
static void group_add(struct control_call *call);
static void group_remove(struct control_call *call);

const struct command commands_config[] = {
    { "GET", "/v1/config", ROLE_READ, config_get },
    { "GET", "/v1/config/avail", ROLE_READ, config_avail },
    { "POST", "/v1/config/reread", ROLE_ADMIN, config_reread },
    { "POST", "/v1/config/update", ROLE_ADMIN, config_update },
    { "POST", "/v1/groups/{}/add", ROLE_ADMIN, group_add },
    { "POST", "/v1/groups/{}/remove", ROLE_ADMIN, group_remove },
    { 0 },
};

#define REPLY_MAX (64U << 20)

static void config_get(struct control_call *call)
{
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    if (config_json(&b, call->control->supervisor->config) < 0)
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
    else
        http_reply_json(call->request, 200, &b);
}

/* -- avail ------------------------------------------------------------------ */

struct offer {
    const struct program_group *group;
    const struct program *program;
};

static int by_name(const void *a, const void *b)
{
    const struct offer *x = a, *y = b;
    int r = strcmp(x->program->name, y->program->name);
    return r != 0 ? r : strcmp(x->group->name, y->group->name);
}

static void config_avail(struct control_call *call)
{
    const struct supervisor *s = call->control->supervisor;
    size_t n = 0;
    for (size_t i = 0; i < s->config->n_groups; i++)
        n += s->config->groups[i].n_programs;
    _cleanup_free_ struct offer *offers = calloc(n + 1, sizeof(*offers));
    if (offers == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    n = 0;
    for (size_t i = 0; i < s->config->n_groups; i++)
        for (size_t k = 0; k < s->config->groups[i].n_programs && !s->config->groups[i].shadowed; k++)
            offers[n++] = (struct offer){ &s->config->groups[i], &s->config->groups[i].programs[k] };
    qsort(offers, n, sizeof(*offers), by_name);
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "processes");
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&j, NULL);
        jsonw_string(&j, "name", offers[i].program->name);
        jsonw_string(&j, "group", offers[i].group->name);
        jsonw_bool(&j, "inuse", supervisor_group(s, offers[i].group->name) != NULL);
        jsonw_bool(&j, "autostart", offers[i].program->autostart);
        jsonw_int(&j, "group_prio", offers[i].group->priority);
        jsonw_int(&j, "process_prio", offers[i].program->priority);
        jsonw_object_end(&j);
    }
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    http_reply_json(call->request, 200, &b);
}

/* -- reread ----------------------------------------------------------------- */

static void json_diagnostics(struct jsonw *j, const char *name, const struct diagnostics *d,
                             enum diagnostic_level level)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < d->n; i++)
        if (d->list[i].level == level)
            jsonw_string(j, NULL, d->list[i].text);
    jsonw_array_end(j);
}

static void refuse_config(struct http_request *r, const struct diagnostics *d)
{
    const char *first = "the configuration cannot be read";
    for (size_t i = 0; i < d->n; i++) {
        if (d->list[i].level == DIAGNOSTIC_ERROR) {
            first = d->list[i].compat != NULL ? d->list[i].compat : d->list[i].text;
            break;
        }
    }
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_object(&j, "error");
    jsonw_string(&j, "code", "EINVAL");
    jsonw_string(&j, "fault", "CANT_REREAD");
    jsonw_string(&j, "message", first);
    json_diagnostics(&j, "diagnostics", d, DIAGNOSTIC_ERROR);
    jsonw_object_end(&j);
    jsonw_object_end(&j);
    http_reply_json(r, 400, &b);
}

/* Reads the files and makes them the adopted configuration; false when that was
 * refused and the request has been answered. */
static bool reread(struct control_call *call, struct diagnostics *d)
{
    struct control *c = call->control;
    struct config *config = NULL;
    int r = c->hooks.load(&config, d, c->hooks.arg);
    if (r < 0) {
        for (size_t i = 0; i < d->n; i++)
            if (d->list[i].level == DIAGNOSTIC_ERROR)
                log_error("%s", d->list[i].text);
        refuse_config(call->request, d);
        return false;
    }
    r = reload_adopt(c->supervisor, config);
    config_unref(config);
    if (r < 0)
        control_fail(call->request, FAULT_FAILED, NULL, strerror(-r));
    return r == 0;
}

static void json_names(struct jsonw *j, const char *name, const char **names, size_t n)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < n; i++)
        jsonw_string(j, NULL, names[i]);
    jsonw_array_end(j);
}

static void config_reread(struct control_call *call)
{
    struct supervisor *s = call->control->supervisor;
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    struct reload_diff diff;
    if (control_refuse_if_ending(call) || !reread(call, &d))
        return;
    if (reload_compare(s, s->config, &diff) < 0) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    json_names(&j, "added", diff.added, diff.n_added);
    json_names(&j, "changed", diff.changed, diff.n_changed);
    json_names(&j, "removed", diff.removed, diff.n_removed);
    json_diagnostics(&j, "warnings", &d, DIAGNOSTIC_WARNING);
    jsonw_object_end(&j);
    http_reply_json(call->request, 200, &b);
    reload_diff_done(&diff);
}

/* -- update ----------------------------------------------------------------- */

struct wait_update {
    struct http_request *request;
    struct update *update;
};

static void rows_json(const struct update_row *rows, size_t n, struct buf *b)
{
    static const char *const actions[] = { "removed", "updated", "added" };
    struct jsonw j = JSONW_INIT(b);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "results");
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&j, NULL);
        jsonw_string(&j, "group", rows[i].group);
        jsonw_string(&j, "action", actions[rows[i].action]);
        jsonw_bool(&j, "stopped", rows[i].action != UPDATE_ADDED);
        jsonw_bool(&j, "ok", rows[i].error == 0);
        if (rows[i].error < 0)
            fault_json(&j, rows[i].error == -EBUSY ? FAULT_STILL_RUNNING : FAULT_FAILED, rows[i].group,
                       strerror(-rows[i].error));
        jsonw_object_end(&j);
    }
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    buf_putc(b, '\n');
}

static void on_updated(const struct update_row *rows, size_t n, void *arg)
{
    struct wait_update *w = arg;
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    rows_json(rows, n, &b);
    http_request_on_close(w->request, NULL, NULL);
    http_reply_json(w->request, 200, &b);
    free(w);
}

static void on_update_hangup(void *arg)
{
    struct wait_update *w = arg;
    update_forget(w->update); /* the update itself goes on */
    free(w);
}

/* A malloc'd list of the names in {"groups":[...]}, borrowed from *root; NULL for
 * all.  False when the body is not of that form. */
static bool read_groups(struct http_request *r, json_t **root, const char ***names, size_t *n)
{
    size_t len;
    const char *body = http_request_body(r, &len);
    *names = NULL;
    *n = 0;
    if (len == 0)
        return true;
    *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *groups = json_object_get(*root, "groups");
    if (!json_is_object(*root) || (groups != NULL && !json_is_array(groups)))
        return false;
    if (json_array_size(groups) == 0)
        return true;
    *names = calloc(json_array_size(groups), sizeof(char *));
    for (; *names != NULL && *n < json_array_size(groups); ++*n) {
        (*names)[*n] = json_string_value(json_array_get(groups, *n));
        if ((*names)[*n] == NULL)
            return false;
    }
    return *names != NULL;
}

static bool is_group(const struct supervisor *s, const char *name)
{
    if (supervisor_group(s, name) != NULL)
        return true;
    for (size_t i = 0; i < s->config->n_groups; i++)
        if (strcmp(s->config->groups[i].name, name) == 0)
            return true;
    return false;
}

static void begin_update(struct control_call *call, const char **names, size_t n)
{
    struct supervisor *s = call->control->supervisor;
    for (size_t i = 0; i < n; i++) {
        if (!is_group(s, names[i])) {
            control_fail(call->request, FAULT_BAD_GROUP, names[i], NULL);
            return;
        }
    }
    struct wait_update *w = calloc(1, sizeof(*w));
    int r = -ENOMEM;
    if (w != NULL) {
        w->request = call->request;
        http_request_on_close(call->request, on_update_hangup, w);
        r = reload_update(s, names, n, on_updated, w, &w->update);
    }
    if (r == 0)
        return;
    http_request_on_close(call->request, NULL, NULL);
    free(w);
    control_fail(call->request, r == -EBUSY ? FAULT_BUSY : FAULT_NO_MEMORY, NULL, NULL);
}

static void config_update(struct control_call *call)
{
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    _cleanup_free_ const char **names = NULL;
    json_t *root = NULL;
    size_t n;
    if (control_refuse_if_ending(call))
        return;
    if (!read_groups(call->request, &root, &names, &n))
        control_fail(call->request, FAULT_BAD_ARGUMENTS, NULL, "the body is {\"groups\":[\"name\", ...]} or empty");
    else if (reread(call, &d))
        begin_update(call, names, n);
    json_decref(root);
}

/* -- one group ---------------------------------------------------------------- */

static void group_add(struct control_call *call)
{
    struct supervisor *s = call->control->supervisor;
    if (control_refuse_if_ending(call))
        return;
    const char *names[] = { call->name };
    if (supervisor_group(s, call->name) != NULL)
        control_fail(call->request, FAULT_ALREADY_ADDED, call->name, NULL);
    else if (!is_group(s, call->name))
        control_fail(call->request, FAULT_BAD_GROUP, call->name, NULL);
    else if (reload_update(s, names, 1, NULL, NULL, NULL) < 0)
        control_fail(call->request, FAULT_BUSY, call->name, NULL);
    else
        control_ok(call->request);
}

static void group_remove(struct control_call *call)
{
    if (control_refuse_if_ending(call))
        return;
    int r = supervisor_remove_group(call->control->supervisor, call->name);
    if (r == 0)
        control_ok(call->request);
    else
        control_fail(call->request, r == -EBUSY ? FAULT_STILL_RUNNING : FAULT_BAD_GROUP, call->name, NULL);
}
