/* desk.c - see desk.h.
 *
 * A question is {"method":M,"params":{"match":NAME,...}}; its answer is the JSON that
 * the HTTP interface gives.  A deed is answered when it has been begun: how it comes
 * out is told by events, to which a process can subscribe.  Owns a record for each
 * subscription, which ends with the channel that asked for it. */
#include "control/desk.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "control/control.h"
#include "control/names.h"
#include "control/present.h"
#include "supervisor/child_ipc.h"
#include "supervisor/remember.h"

#define QUESTION_MAX (16 * 1024) /* jansson makes a tree of it, which is many times as large */
#define EVENT_MAX (64 * 1024)
#define SUBSCRIPTIONS_MAX 16 /* of one process: each is told of each event */

struct question {
    struct child *asker;
    struct supervisor *supervisor;
    const char *match; /* NULL: not said */
    const json_t *params;
    struct buf *answer;
};

/* -- who may -------------------------------------------------------------------- */

static bool is_named(const char *const *names, const struct child *c)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, c->process.program->section) == 0 || strcmp(*names, c->group->group->name) == 0)
            return true;
    return false;
}

static bool may_act(const struct child *asker, const struct child *c)
{
    const struct ipc_settings *i = ipc_settings_of(asker->process.program);
    switch (i->control) {
    case IPC_CONTROL_ALL:
        return true;
    case IPC_CONTROL_SELF:
        return c->group == asker->group && strcmp(c->process.program->section, asker->process.program->section) == 0;
    case IPC_CONTROL_LIST:
        return is_named(i->control_names, c);
    case IPC_CONTROL_NONE:
    case IPC_CONTROL_READ:
        break;
    }
    return false;
}

/* -- status ------------------------------------------------------------------------ */

static int error_of(enum fault f)
{
    return f == FAULT_NONE ? 0 : f == FAULT_NO_MEMORY ? -ENOMEM : -ENOENT;
}

static int ask_status(const struct question *q)
{
    struct selection sel;
    const char *fields = json_string_value(json_object_get(q->params, "fields"));
    enum fault f = select_processes(q->supervisor, q->match != NULL ? q->match : "*", SELECT_LEXICAL, &sel);
    if (f != FAULT_NONE)
        return error_of(f);
    struct jsonw j = JSONW_INIT(q->answer);
    uint64_t wanted = fields != NULL ? present_fields(fields) : UINT64_MAX;
    usec_t wall = usec_now(CLOCK_REALTIME);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "processes");
    for (size_t i = 0; i < sel.n; i++)
        present_process(&j, NULL, sel.list[i], wanted, wall);
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    selection_done(&sel);
    return 0;
}

/* -- deeds ---------------------------------------------------------------------------- */

typedef enum fault (*deed_fn)(struct child *c, const struct question *q);

static enum fault start(struct child *c, const struct question *q)
{
    (void)q;
    if (process_is_up(&c->process))
        return FAULT_ALREADY_STARTED;
    if (c->process.state == PROCESS_UNKNOWN)
        return FAULT_FAILED;
    enum fault ending = control_ending(c->supervisor);
    if (ending != FAULT_NONE)
        return ending;
    remember_wish(c, false);
    supervisor_start(c);
    return FAULT_NONE;
}

/* Nothing can be stopped there: it is down, or may not be signalled. */
static bool is_out_of_reach(const struct child *c)
{
    return process_is_down(&c->process) || c->process.state == PROCESS_UNKNOWN;
}

static enum fault stop(struct child *c, const struct question *q)
{
    (void)q;
    if (is_out_of_reach(c))
        return FAULT_NOT_RUNNING;
    remember_wish(c, true);
    supervisor_stop(c, true);
    return FAULT_NONE;
}

/* A start that is asked for while it is being stopped follows when it is down. */
static enum fault restart(struct child *c, const struct question *q)
{
    if (is_out_of_reach(c))
        return start(c, q);
    supervisor_stop(c, false);
    supervisor_start(c);
    return FAULT_NONE;
}

static enum fault send_signal(struct child *c, const struct question *q)
{
    const char *name = json_string_value(json_object_get(q->params, "signal"));
    int number;
    if (name == NULL || parse_signal(name, &number) < 0)
        return FAULT_BAD_SIGNAL;
    if (c->process.pid == 0)
        return FAULT_NOT_RUNNING;
    int r = child_signal(c, number, false);
    return r < 0 && r != -ESRCH ? FAULT_FAILED : FAULT_NONE;
}

static void result(struct jsonw *j, const struct child *c, enum fault f)
{
    jsonw_object(j, NULL);
    jsonw_string(j, "process", event_name_text(c->name));
    jsonw_bool(j, "ok", f == FAULT_NONE);
    if (f != FAULT_NONE)
        fault_json(j, f, event_name_text(c->name), NULL);
    jsonw_object_end(j);
}

static int act(const struct question *q, deed_fn deed, enum selection_order order)
{
    struct selection sel;
    if (q->match == NULL)
        return -EINVAL;
    enum fault f = select_processes(q->supervisor, q->match, order, &sel);
    if (f != FAULT_NONE)
        return error_of(f);
    struct jsonw j = JSONW_INIT(q->answer);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "results");
    for (size_t i = 0; i < sel.n; i++)
        result(&j, sel.list[i], may_act(q->asker, sel.list[i]) ? deed(sel.list[i], q) : FAULT_NOT_ALLOWED);
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    selection_done(&sel);
    remember_sync(q->supervisor);
    return 0;
}

static int ask_start(const struct question *q)
{
    return act(q, start, SELECT_STARTING);
}

static int ask_stop(const struct question *q)
{
    return act(q, stop, SELECT_STOPPING);
}

static int ask_restart(const struct question *q)
{
    return act(q, restart, SELECT_STOPPING);
}

static int ask_signal(const struct question *q)
{
    return act(q, send_signal, SELECT_STARTING);
}

/* -- events --------------------------------------------------------------------------- */

struct subscription {
    struct event_subscriber events;
    struct ipc_watch watch;
    struct child *child;
    uint64_t missed;
    char match[256];
};

static void subscription_end(void *arg)
{
    struct subscription *s = arg;
    events_unsubscribe(&s->events);
    child_ipc_unwatch(s->child, &s->watch);
    free(s);
}

/* One who does not read them in time misses some, and is told how many. */
static void on_event(const struct event *e, void *arg)
{
    struct subscription *s = arg;
    struct relay_lane *lane = child_lane(s->child);
    _cleanup_buf_ struct buf b = BUF_INIT(EVENT_MAX);
    char gap[64];
    if (lane == NULL || e->name == NULL || fnmatch(s->match, event_name_text(e->name), 0) != 0)
        return;
    int n = snprintf(gap, sizeof(gap), "{\"event\":\"gap\",\"missed\":%llu}", (unsigned long long)s->missed);
    if (s->missed > 0 && relay_tell(lane, gap, (size_t)n) == 0)
        s->missed = 0;
    event_json(e, &b);
    if (b.error != 0 || s->missed > 0 || relay_tell(lane, b.data, b.len - 1) < 0)
        s->missed++;
}

/* How many it has; *same: one of them is for that pattern. */
static size_t count_subscriptions(const struct child *c, const char *match, bool *same)
{
    size_t n = 0;
    *same = false;
    for (const struct ipc_watch *w = child_ipc_watches(c); w != NULL; w = w->next) {
        if (w->ended != subscription_end)
            continue;
        n++;
        *same |= strcmp(((const struct subscription *)w->arg)->match, match) == 0;
    }
    return n;
}

static int subscribe(const struct question *q, const char *match)
{
    struct subscription *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->child = q->asker;
    snprintf(s->match, sizeof(s->match), "%s", match);
    s->watch = (struct ipc_watch){ .ended = subscription_end, .gone = subscription_end, .arg = s };
    if (child_ipc_watch(q->asker, &s->watch) < 0) {
        free(s);
        return -ENOMEM;
    }
    events_subscribe(q->supervisor->events, &s->events, on_event, s);
    return 0;
}

static int ask_subscribe(const struct question *q)
{
    const char *match = q->match != NULL ? q->match : "*";
    bool same;
    if (strlen(match) >= sizeof(((struct subscription *)NULL)->match))
        return -EINVAL;
    size_t n = count_subscriptions(q->asker, match, &same);
    if (!same && n >= SUBSCRIPTIONS_MAX)
        return -ENOBUFS;
    int r = same ? 0 : subscribe(q, match);
    if (r == 0)
        buf_puts(q->answer, "{\"subscribed\":true}");
    return r;
}

/* -- the table -------------------------------------------------------------------------- */

static const struct {
    const char *method;
    enum ipc_control least;
    int (*fn)(const struct question *q);
} methods[] = {
    { "status", IPC_CONTROL_READ, ask_status },   { "subscribe", IPC_CONTROL_READ, ask_subscribe },
    { "start", IPC_CONTROL_SELF, ask_start },     { "stop", IPC_CONTROL_SELF, ask_stop },
    { "restart", IPC_CONTROL_SELF, ask_restart }, { "signal", IPC_CONTROL_SELF, ask_signal },
};

static int ask(struct child *asker, const char *msg, size_t len, struct buf *answer, void *arg)
{
    enum ipc_control control = ipc_settings_of(asker->process.program)->control;
    if (control == IPC_CONTROL_NONE)
        return -EACCES;
    if (len > QUESTION_MAX)
        return -EMSGSIZE;
    json_t *root = json_loadb(msg, len, JSON_REJECT_DUPLICATES, NULL);
    const char *method = json_string_value(json_object_get(root, "method"));
    struct question q = { .asker = asker, .supervisor = arg, .answer = answer };
    q.params = json_object_get(root, "params");
    q.match = json_string_value(json_object_get(q.params, "match"));
    int r = -EINVAL;
    for (size_t i = 0; method != NULL && i < ELEMENTS(methods); i++)
        if (strcmp(method, methods[i].method) == 0)
            r = control < methods[i].least ? -EACCES : methods[i].fn(&q);
    json_decref(root);
    return r;
}

void desk_open(struct supervisor *s)
{
    s->ask = ask;
    s->ask_arg = s;
}
