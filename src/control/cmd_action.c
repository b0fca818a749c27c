/* cmd_action.c - start, stop, restart, signal, clear: deeds on one process or many.
 *
 * An action owns what it waits for: one watch on each process that has not yet
 * come to where it was sent, until all have, or the client has gone, or its time
 * is up.  Results of a start come in the order in which the starts were decided,
 * those of a stop in the order in which they were asked.
 *
 * again=TIME: the answer to what was asked at that time was lost, and it is asked once
 * more.  What has been done since then counts as done, and is not done twice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/control.h"
#include "control/names.h"
#include "supervisor/child_ipc.h"
#include "supervisor/remember.h"
#include "wire/jsonw.h"

static void action_start(struct control_call *call);
static void action_stop(struct control_call *call);
static void action_restart(struct control_call *call);
static void action_signal(struct control_call *call);
static void action_clear(struct control_call *call);
static void action_disconnect(struct control_call *call);

const struct command commands_action[] = {
    { "POST", "/v1/processes/{}/start", ROLE_CONTROL, action_start },
    { "POST", "/v1/processes/{}/stop", ROLE_CONTROL, action_stop },
    { "POST", "/v1/processes/{}/restart", ROLE_CONTROL, action_restart },
    { "POST", "/v1/processes/{}/signal", ROLE_CONTROL, action_signal },
    { "POST", "/v1/processes/{}/clear", ROLE_CONTROL, action_clear },
    { "POST", "/v1/processes/{}/disconnect", ROLE_CONTROL, action_disconnect },
    { 0 },
};

enum phase { PHASE_STOPPING, PHASE_STARTING, PHASE_DONE };

struct item {
    struct action *action;
    struct child *child; /* NULL once it has been removed */
    struct child_watch watch;
    char name[256], group[256]; /* the child may be gone when the answer is written */
    enum phase phase;
    bool stopped; /* restart: it was up before */
    enum fault fault;
    char *detail;
    unsigned place; /* in the order of decision */
};

struct action {
    struct control *control;
    struct http_request *request;
    struct loop_work work;
    struct loop_timer timer;
    struct item *items;
    size_t n, n_left;
    unsigned decided;
    usec_t asked; /* at first, in wall-clock time; 0: this is the first time */
    bool restart, by_decision, client_gone;
};

/* -- the answer --------------------------------------------------------------- */

static void result_json(struct jsonw *j, const struct item *it, bool restart)
{
    char display[520];
    snprintf(display, sizeof(display), "%s:%s", it->group, it->name);
    jsonw_object(j, NULL);
    jsonw_string(j, "process", display);
    jsonw_string(j, "name", it->name);
    jsonw_string(j, "group", it->group);
    jsonw_bool(j, "ok", it->fault == FAULT_NONE);
    if (restart)
        jsonw_bool(j, "stopped", it->stopped);
    if (it->fault != FAULT_NONE)
        fault_json(j, it->fault, strcmp(it->name, it->group) == 0 ? it->name : display, it->detail);
    jsonw_object_end(j);
}

static int by_place(const void *a, const void *b)
{
    unsigned x = ((const struct item *)a)->place, y = ((const struct item *)b)->place;
    return x < y ? -1 : x > y;
}

static void action_free(struct action *a)
{
    for (size_t i = 0; i < a->n; i++) {
        child_unwatch(&a->items[i].watch);
        free(a->items[i].detail);
    }
    loop_timer_clear(&a->timer);
    loop_undefer(a->control->supervisor->loop, &a->work);
    free(a->items);
    free(a);
}

static void warn_json(struct jsonw *j, int error)
{
    char text[200];
    snprintf(text, sizeof(text), "done, but not remembered over a restart of the daemon: %s", strerror(-error));
    jsonw_string(j, "warning", text);
}

static void action_finish(void *arg)
{
    struct action *a = arg;
    int unwritten = remember_sync(a->control->supervisor);
    if (!a->client_gone) {
        _cleanup_buf_ struct buf b = BUF_INIT(16 << 20);
        struct jsonw j = JSONW_INIT(&b);
        for (size_t i = 0; i < a->n; i++) /* list nodes do not survive being sorted */
            child_unwatch(&a->items[i].watch);
        if (a->by_decision)
            qsort(a->items, a->n, sizeof(*a->items), by_place);
        jsonw_object(&j, NULL);
        jsonw_array(&j, "results");
        for (size_t i = 0; i < a->n; i++)
            result_json(&j, &a->items[i], a->restart);
        jsonw_array_end(&j);
        if (unwritten < 0)
            warn_json(&j, unwritten);
        jsonw_object_end(&j);
        buf_putc(&b, '\n');
        http_reply_json(a->request, 200, &b);
    }
    action_free(a);
}

static void finish_later(struct action *a)
{
    loop_defer(a->control->supervisor->loop, &a->work, action_finish, a);
}

/* -- one process's way ---------------------------------------------------------- */

static void decide(struct item *it, enum fault fault, const char *detail)
{
    if (it->phase == PHASE_DONE)
        return;
    child_unwatch(&it->watch);
    it->phase = PHASE_DONE;
    it->fault = fault;
    it->detail = detail != NULL ? strdup(detail) : NULL;
    it->place = it->action->decided++;
    if (--it->action->n_left == 0)
        finish_later(it->action);
}

static void decide_start(struct item *it)
{
    const struct process *p = &it->child->process;
    char words[512];
    if (p->state == PROCESS_RUNNING) {
        decide(it, FAULT_NONE, NULL);
    } else if (p->state == PROCESS_BACKOFF || p->state == PROCESS_FATAL) {
        process_spawnerr(p, words, sizeof(words));
        decide(it, FAULT_SPAWN_ERROR, it->child->detail != NULL ? it->child->detail : words);
    } else if (p->state != PROCESS_STARTING && p->state != PROCESS_STOPPING) {
        exit_cause_words(&p->cause, words, sizeof(words));
        decide(it, FAULT_ABNORMAL_TERMINATION, words);
    }
}

static void begin_starting(struct item *it);

static void on_stopped(struct action *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->items[i].phase == PHASE_STOPPING && !process_is_down(&a->items[i].child->process))
            return;
    for (size_t i = 0; i < a->n; i++)
        if (a->items[i].phase == PHASE_STOPPING)
            begin_starting(&a->items[i]);
}

static void on_state(struct child *c, enum process_state from, enum process_state to, void *arg)
{
    (void)from;
    struct item *it = arg;
    if (it->phase == PHASE_STARTING) {
        decide_start(it);
        return;
    }
    if (to == PROCESS_UNKNOWN)
        decide(it, FAULT_FAILED, "the daemon may not signal it");
    else if (it->action->restart)
        on_stopped(it->action);
    else if (process_is_down(&c->process))
        decide(it, FAULT_NONE, NULL);
}

static void on_gone(void *arg)
{
    struct item *it = arg;
    it->child = NULL;
    decide(it, FAULT_ABNORMAL_TERMINATION, "it was removed from the configuration");
}

static void watch(struct item *it, enum phase phase)
{
    it->phase = phase;
    child_unwatch(&it->watch);
    it->watch = (struct child_watch){ .fn = on_state, .gone = on_gone, .arg = it };
    child_watch(it->child, &it->watch);
}

/* supervisord's faults for a command that cannot be started */
static enum fault command_fault(struct child *c, char *detail, size_t size)
{
    struct exit_cause cause;
    if (child_check_command(c, &cause) == 0)
        return FAULT_NONE;
    struct process told = c->process; /* as if it had failed, for the words only */
    *(enum process_state *)&told.state = PROCESS_FATAL;
    told.cause = cause;
    process_spawnerr(&told, detail, size);
    return cause.stage == SPAWN_STAGE_LOOKUP && cause.value == ENOENT ? FAULT_NO_FILE : FAULT_NOT_EXECUTABLE;
}

/* Was it started since the first time that this was asked for? */
static bool was_started(const struct item *it)
{
    usec_t asked = it->action->asked;
    return asked != 0 && it->child->process.started_wall >= asked;
}

static void begin_starting(struct item *it)
{
    char detail[512];
    struct child *c = it->child;
    enum fault f = command_fault(c, detail, sizeof(detail));
    if (was_started(it)) {
        watch(it, PHASE_STARTING);
        decide_start(it);
    } else if (f != FAULT_NONE) {
        decide(it, f, detail);
    } else if (process_is_up(&c->process)) {
        decide(it, FAULT_ALREADY_STARTED, NULL);
    } else if (c->process.state == PROCESS_UNKNOWN) {
        decide(it, FAULT_FAILED, "it is in an unknown process state");
    } else {
        watch(it, PHASE_STARTING);
        remember_wish(c, false);
        supervisor_start(c);
    }
}

static void begin_stopping(struct item *it)
{
    struct child *c = it->child;
    remember_wish(c, true);
    if (!process_is_up(&c->process) && c->process.state != PROCESS_STOPPING) {
        c->process.operator_stopped = true;
        decide(it, it->action->asked != 0 ? FAULT_NONE : FAULT_NOT_RUNNING, NULL);
        return;
    }
    watch(it, PHASE_STOPPING);
    supervisor_stop(c, true);
    if (it->phase == PHASE_STOPPING && process_is_down(&c->process)) /* it had no child */
        decide(it, FAULT_NONE, NULL);
}

/* -- beginning ---------------------------------------------------------------- */

/* Nobody waits for the others: each is started again when it is down, which the record
 * of a process knows how to do by itself. */
static void leave_to_itself(struct action *a)
{
    for (size_t i = 0; a->restart && i < a->n; i++)
        if (a->items[i].phase == PHASE_STOPPING)
            supervisor_start(a->items[i].child);
}

static void on_client_gone(void *arg)
{
    struct action *a = arg;
    a->client_gone = true; /* what was begun goes on; nobody hears of its end */
    leave_to_itself(a);
    finish_later(a);
}

static void on_timeout(void *arg)
{
    struct action *a = arg;
    leave_to_itself(a);
    for (size_t i = 0; i < a->n; i++)
        decide(&a->items[i], FAULT_FAILED, "it took longer than the client would wait");
}

static struct action *action_new(struct control_call *call, struct selection *sel)
{
    struct action *a = calloc(1, sizeof(*a));
    if (a != NULL)
        a->items = calloc(sel->n + 1, sizeof(*a->items));
    if (a == NULL || a->items == NULL) {
        free(a);
        return NULL;
    }
    a->control = call->control;
    a->request = call->request;
    a->n = a->n_left = sel->n;
    for (size_t i = 0; i < sel->n; i++) {
        struct item *it = &a->items[i];
        it->action = a;
        it->child = sel->list[i];
        snprintf(it->name, sizeof(it->name), "%s", sel->list[i]->process.program->name);
        snprintf(it->group, sizeof(it->group), "%s", sel->list[i]->group->group->name);
    }
    return a;
}

static usec_t time_asked(struct http_request *r)
{
    const char *text = http_request_query(r, "again", 0);
    double seconds = text != NULL ? strtod(text, NULL) : 0;
    return seconds > 0 && seconds < 1e12 ? (usec_t)(seconds * USEC_PER_SEC) : 0;
}

/* The processes that are asked for and to whom it applies: all of them, or, where
 * many are named at once, only those that are up (or are not). */
static struct action *begin(struct control_call *call, enum selection_order order,
                            bool (*applies)(const struct child *))
{
    struct selection sel;
    if (control_refuse_if_ending(call))
        return NULL;
    enum fault f = select_processes(call->control->supervisor, call->name, order, &sel);
    if (f != FAULT_NONE) {
        control_fail(call->request, f, call->name, NULL);
        return NULL;
    }
    size_t kept = 0;
    usec_t asked = time_asked(call->request);
    for (size_t i = 0; i < sel.n; i++)
        if (sel.single || asked != 0 || applies == NULL || applies(sel.list[i]))
            sel.list[kept++] = sel.list[i];
    sel.n = kept;
    struct action *a = action_new(call, &sel);
    selection_done(&sel);
    if (a == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return NULL;
    }
    a->asked = asked;
    http_request_on_close(call->request, on_client_gone, a);
    struct loop *loop = call->control->supervisor->loop;
    loop_timer_set(loop, &a->timer, usec_add(loop_now(loop), control_timeout(call->request, 0)), on_timeout, a);
    return a;
}

static void settle(struct action *a)
{
    if (a->n == 0)
        finish_later(a);
    if (a->n == 0 || control_number(a->request, "wait", 1) != 0)
        return;
    leave_to_itself(a);
    for (size_t i = 0; i < a->n; i++)
        decide(&a->items[i], FAULT_NONE, NULL);
}

static bool is_up(const struct child *c)
{
    return process_is_up(&c->process);
}

static bool is_startable(const struct child *c)
{
    return !process_is_up(&c->process) && c->process.state != PROCESS_UNKNOWN;
}

static bool is_signallable(const struct child *c)
{
    return c->process.pid != 0;
}

static void action_start(struct control_call *call)
{
    struct action *a = begin(call, SELECT_STARTING, is_startable);
    if (a == NULL)
        return;
    a->by_decision = true;
    for (size_t i = 0; i < a->n; i++)
        begin_starting(&a->items[i]);
    settle(a);
}

static void action_stop(struct control_call *call)
{
    struct action *a = begin(call, SELECT_STOPPING, is_up);
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->n; i++)
        begin_stopping(&a->items[i]);
    settle(a);
}

static void action_restart(struct control_call *call)
{
    struct action *a = begin(call, SELECT_STARTING, NULL);
    if (a == NULL)
        return;
    a->restart = a->by_decision = true;
    for (size_t i = a->n; i > 0; i--) { /* stopped in the reverse order */
        struct item *it = &a->items[i - 1];
        it->stopped = process_is_up(&it->child->process);
        if (was_started(it) || it->child->process.state == PROCESS_UNKNOWN) { /* which nobody may wait for */
            begin_starting(it);
            continue;
        }
        watch(it, PHASE_STOPPING);
        if (it->stopped)
            supervisor_stop(it->child, false);
    }
    if (a->n > 0)
        on_stopped(a);
    settle(a);
}

/* -- deeds that wait for nothing ---------------------------------------------- */

static void signal_one(struct item *it, int signal)
{
    if (it->child->process.pid == 0) {
        decide(it, FAULT_NOT_RUNNING, NULL);
        return;
    }
    int r = child_signal(it->child, signal, false);
    decide(it, r < 0 && r != -ESRCH ? FAULT_FAILED : FAULT_NONE, r < 0 ? strerror(-r) : NULL);
}

static void action_signal(struct control_call *call)
{
    int signal = control_read_signal(call->request);
    struct action *a = begin(call, SELECT_STARTING, is_signallable);
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->n; i++) {
        if (signal < 0)
            decide(&a->items[i], FAULT_BAD_SIGNAL, NULL);
        else
            signal_one(&a->items[i], signal);
    }
    settle(a);
}

static int clear_log(struct child *c, int number)
{
    struct logfile *log = NULL;
    if (child_log_path(c, number) == NULL)
        return 0;
    int r = child_log_open(c, number, &log);
    if (r == 0 && log != NULL && logfile_is_file(log))
        r = logfile_clear(log);
    logfile_unref(log);
    return r;
}

static void action_clear(struct control_call *call)
{
    struct action *a = begin(call, SELECT_LEXICAL, NULL);
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->n; i++) {
        int r = clear_log(a->items[i].child, 1);
        int q = clear_log(a->items[i].child, 2);
        r = r < 0 ? r : q;
        decide(&a->items[i], r < 0 ? FAULT_FAILED : FAULT_NONE, r < 0 ? strerror(-r) : NULL);
    }
    settle(a);
}

static bool is_connected(const struct child *c)
{
    return child_channel(c) != NULL;
}

static void action_disconnect(struct control_call *call)
{
    struct action *a = begin(call, SELECT_LEXICAL, is_connected);
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->n; i++) {
        struct channel *ch = child_channel(a->items[i].child);
        if (ch != NULL)
            channel_disconnect(ch);
        decide(&a->items[i], ch != NULL || a->asked != 0 ? FAULT_NONE : FAULT_NO_CHANNEL, NULL);
    }
    settle(a);
}
