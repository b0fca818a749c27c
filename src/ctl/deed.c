/* deed.c - see deed.h.
 *
 * The words for each fault are supervisorctl's, since scripts look for them; the
 * reason behind it, which supervisord does not know, goes to standard error. */
#include "ctl/deed.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "ctl/ask.h"
#include "ctl/gap.h"
#include "ctl/hint.h"
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
    if (strcmp(fault, "BAD_NAME") == 0)
        hint_name(c, spec);
    if (detail != NULL && !c->json)
        ctl_note(c, "%s: %s", spec, detail);
    if (d->ignored == NULL || strcmp(fault, d->ignored) != 0)
        ctl_status(c, status);
}

static void deed_result(struct ctl *c, const struct deed *d, const json_t *result)
{
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    const char *spec = ctl_namespec(&name, result);
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
        hint_name(c, name);
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

/* One deed, and what has to be known to ask for it once more. */
struct request {
    const struct deed *deed;
    const char *name, *body;
    json_t *before; /* whom it concerned at first; NULL: the one named */
    double asked;   /* when, in seconds since the epoch */
    bool again;
};

static double deed_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of several processes a deed is done to those that are up, or down; which these were
 * nobody can tell any more when it has been done and the answer was lost. */
static void deed_look(struct ctl *c, struct request *q)
{
    size_t i;
    json_t *process;
    if (q->deed->applies == NULL || c->no_wait || !(name_is_glob(q->name) || name_is_group(q->name)))
        return;
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT), name = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes?match=", q->name, "&fields=name,group,state");
    _cleanup_answer_ struct answer a = { 0 };
    if (path.error < 0 || ask(c, "GET", path.data, NULL, 0, &a) < 0 || a.status != 200)
        return;
    q->before = json_object();
    json_array_foreach(json_object_get(a.json, "processes"), i,
                       process) if (q->deed->applies(ask_integer(process, "state", 0)))
        json_object_set_new(q->before, ctl_namespec(&name, process), json_true());
}

static bool deed_concerns(const struct request *q, const json_t *result)
{
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    return !q->again || q->before == NULL || json_object_get(q->before, ctl_namespec(&name, result)) != NULL;
}

static int deed_path(const struct ctl *c, const struct request *q, struct buf *path)
{
    double left = c->wait - (q->again ? deed_now() - q->asked : 0);
    ask_path(path, "/v1/processes/", q->name, "/");
    buf_printf(path, "%s?wait=%d", q->deed->verb, !c->no_wait);
    if (!c->no_wait && c->wait > 0)
        buf_printf(path, "&timeout=%llu", (unsigned long long)((left > 0 ? left : 0.001) + 0.999)); /* whole seconds */
    if (q->again)
        buf_printf(path, "&again=%.6f", q->asked);
    return path->error;
}

/* A supervisor that dies while we wait is followed by one that goes on with what was
 * begun; it is asked for the same, and told that it may have been done already. */
static int deed_ask(struct ctl *c, struct request *q, struct answer *a)
{
    struct gap gap = { 0 };
    unsigned flags = ASK_WAIT | (q->deed->once ? 0 : ASK_UNTOLD);
    q->asked = deed_now();
    for (;;) {
        _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
        int e = deed_path(c, q, &path);
        if (e < 0)
            return e;
        e = ask(c, "POST", path.data, q->body, flags, a);
        if (e == 0 || q->deed->once)
            return e;
        if (!gap_is_possible(e))
            return e;
        if (!gap_wait(&gap, c->interrupt_fd, e)) {
            ctl_connection_failed(c, e);
            return e;
        }
        q->again = true;
    }
}

static int deed_results(struct ctl *c, const struct request *q, const struct answer *a)
{
    const json_t *results = a->status == 200 ? answer_list(c, a, "results") : NULL, *result;
    size_t i;
    if (a->status == 200 && results == NULL)
        return -EPROTO;
    if (a->status != 200)
        deed_refused(c, q->deed, q->name, a);
    else if (json_array_size(results) == 0 && name_is_glob(q->name) && strcmp(q->name, "*") != 0 &&
             deed_fits_nothing(c, q->name))
        deed_nothing(c, q->name);
    json_array_foreach(results, i, result) if (deed_concerns(q, result)) deed_result(c, q->deed, result);
    if (ask_string(a->json, "warning", NULL) != NULL)
        ctl_note(c, "%s: %s", q->name, ask_string(a->json, "warning", ""));
    fflush(stdout);
    return 0;
}

static int deed_one(struct ctl *c, const struct deed *d, const char *name, const char *body)
{
    struct request q = { .deed = d, .name = name, .body = body };
    _cleanup_answer_ struct answer a = { 0 };
    deed_look(c, &q);
    int e = deed_ask(c, &q, &a);
    if (e == 0)
        e = deed_results(c, &q, &a);
    json_decref(q.before);
    return e;
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
