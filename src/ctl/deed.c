/* deed.c - see deed.h.
 *
 * The words for each fault are supervisorctl's, since scripts look for them; the
 * reason behind it, which supervisord does not know, goes to standard error. */
#include "ctl/deed.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/ask.h"
#include "ctl/names.h"

static const struct {
    const char *fault;
    const char *text;
    int exit_status;
} faults[] = {
    { "BAD_NAME", "no such process", CTL_GENERIC },
    { "NO_FILE", "no such file", CTL_GENERIC },
    { "NOT_EXECUTABLE", "file is not executable", CTL_GENERIC },
    { "ALREADY_STARTED", "already started", CTL_GENERIC },
    { "SPAWN_ERROR", "spawn error", CTL_NOT_RUNNING },
    { "ABNORMAL_TERMINATION", "abnormal termination", CTL_NOT_RUNNING },
    { "NOT_RUNNING", "not running", CTL_NOT_RUNNING },
    { "BAD_SIGNAL", "bad signal name", CTL_GENERIC },
};

static void deed_failed(struct ctl *c, const struct deed *d, const char *spec, const json_t *error)
{
    const char *fault = ask_string(error, "fault", ""), *text = ask_string(error, "message", "failed");
    const char *detail = ask_string(error, "detail", NULL);
    int status = CTL_GENERIC;
    for (size_t i = 0; i < ELEMENTS(faults); i++)
        if (strcmp(fault, faults[i].fault) == 0) {
            text = faults[i].text;
            status = faults[i].exit_status;
        }
    if (!c->json)
        ctl_fail(c, "%s: ERROR (%s)", spec, text);
    if (detail != NULL && !c->json)
        ctl_note(c, "%s: %s", spec, detail);
    if (d->ignored == NULL || strcmp(fault, d->ignored) != 0)
        ctl_status(c, status);
}

static void deed_result(struct ctl *c, const struct deed *d, const json_t *result)
{
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    const char *spec = ctl_namespec(&name, ask_string(result, "group", ""), ask_string(result, "name", ""));
    if (!ask_true(result, "ok"))
        deed_failed(c, d, spec, json_object_get(result, "error"));
    else
        ctl_say(c, "%s: %s", spec, c->no_wait && d->underway != NULL ? d->underway : d->done);
    if (c->json)
        ctl_collect(c, json_incref((json_t *)result));
}

/* The name itself was refused: unknown, or the daemon does nothing at all now. */
static void deed_refused(struct ctl *c, const struct deed *d, const char *name, const struct answer *a)
{
    if (c->json && a->error != NULL)
        ctl_collect(c, json_pack("{s:s, s:b, s:O}", "process", name, "ok", 0, "error", a->error));
    bool unknown = strcmp(answer_fault(a), "BAD_NAME") == 0;
    if (!unknown && a->error == NULL) {
        answer_complain(c, a, name);
    } else if (unknown && name_is_group(name)) {
        if (!c->json)
            ctl_fail(c, "%.*s: ERROR (no such group)", (int)name_shown_length(name), name);
        ctl_status(c, d->no_group);
    } else {
        _cleanup_buf_ struct buf spec = BUF_INIT(CTL_LINE_LIMIT);
        const char *colon = strchr(name, ':');
        if (colon == NULL || strncmp(name, colon + 1, (size_t)(colon - name)) != 0 ||
            strlen(colon + 1) != (size_t)(colon - name))
            colon = NULL;
        buf_puts(&spec, colon != NULL ? colon + 1 : name);
        deed_failed(c, d, spec.data != NULL ? spec.data : name, a->error);
    }
}

/* A pattern that fits nothing is an error, as an unknown name is. */
static void deed_nothing(struct ctl *c, const char *name)
{
    ctl_fail(c, "%s: ERROR (no such process)", name);
    ctl_status(c, CTL_GENERIC);
}

/* Does the pattern fit no process?  It may as well fit only those with nothing to do. */
static bool deed_fits_nothing(struct ctl *c, const char *name)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes?match=", name, "&fields=name");
    _cleanup_answer_ struct answer a = { 0 };
    return path.error == 0 && ask(c, "GET", path.data, NULL, 0, &a) == 0 && a.status == 200 &&
           json_array_size(json_object_get(a.json, "processes")) == 0;
}

static int deed_one(struct ctl *c, const struct deed *d, const char *name, const char *body)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", name, "/");
    buf_puts(&path, d->verb);
    if (c->no_wait)
        buf_puts(&path, "?wait=0");
    else if (c->wait > 0)
        buf_printf(&path, "?wait=1&timeout=%llu", (unsigned long long)(c->wait + 0.999)); /* it counts whole seconds */
    _cleanup_answer_ struct answer a = { 0 };
    int e = path.error < 0 ? path.error : ask(c, "POST", path.data, body, ASK_WAIT, &a);
    if (e < 0)
        return e;
    const json_t *results = a.status == 200 ? answer_list(c, &a, "results") : NULL, *result;
    size_t i;
    if (a.status == 200 && results == NULL)
        return -EPROTO;
    if (a.status != 200)
        deed_refused(c, d, name, &a);
    else if (json_array_size(results) == 0 && name_is_glob(name) && strcmp(name, "*") != 0 &&
             deed_fits_nothing(c, name))
        deed_nothing(c, name);
    json_array_foreach(results, i, result) deed_result(c, d, result);
    if (ask_string(a.json, "warning", NULL) != NULL)
        ctl_note(c, "%s: %s", name, ask_string(a.json, "warning", ""));
    fflush(stdout);
    return 0;
}

void deed_do(struct ctl *c, const struct deed *d, char *const *names, size_t n, const char *body)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "all") == 0) {
            deed_one(c, d, "*", body);
            return;
        }
    for (size_t i = 0; i < n; i++)
        if (deed_one(c, d, names[i], body) < 0)
            return;
}
