/* cmd_process.c - questions about processes: the list, one, and why. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/option.h"
#include "control/control.h"
#include "control/names.h"
#include "control/present.h"

static void process_list(struct control_call *call);
static void process_get(struct control_call *call);
static void process_why(struct control_call *call);

const struct command commands_process[] = {
    { "GET", "/v1/processes", ROLE_READ, process_list },
    { "GET", "/v1/processes/{}", ROLE_READ, process_get },
    { "GET", "/v1/processes/{}/why", ROLE_READ, process_why },
    { 0 },
};

#define REPLY_MAX (64U << 20)
#define STDERR_TAIL 2000

/* Bits in the order of a walk over all processes: which have been chosen. */
static enum fault choose(const struct supervisor *s, struct http_request *r, const char **culprit)
{
    const char *name;
    for (size_t i = 0; (name = http_request_query(r, "match", i)) != NULL; i++) {
        struct selection sel;
        enum fault f = select_processes(s, name, SELECT_LEXICAL, &sel);
        if (f != FAULT_NONE) {
            *culprit = name;
            return f;
        }
        for (size_t k = 0; k < sel.n; k++)
            sel.list[k]->selected = true;
        selection_done(&sel);
    }
    return FAULT_NONE;
}

static void process_list(struct control_call *call)
{
    const struct supervisor *s = call->control->supervisor;
    struct http_request *r = call->request;
    const char *culprit = NULL;
    bool all = http_request_query(r, "match", 0) == NULL;
    enum fault f = all ? FAULT_NONE : choose(s, r, &culprit);
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    uint64_t fields = present_fields(http_request_query(r, "fields", 0));
    usec_t wall = usec_now(CLOCK_REALTIME);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "processes");
    for (size_t i = 0; i < s->n_groups; i++) {
        for (size_t k = 0; k < s->groups[i]->n_children; k++) {
            struct child *c = s->groups[i]->children[k];
            if (f == FAULT_NONE && (all || c->selected))
                present_process(&j, NULL, c, fields, wall);
            c->selected = false;
        }
    }
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    if (f != FAULT_NONE)
        control_fail(r, f, culprit, NULL);
    else
        http_reply_json(r, 200, &b);
}

/* -- show ------------------------------------------------------------------- */

static void json_source(struct jsonw *j, const struct config *config, unsigned file, unsigned line)
{
    if (line == 0 || file >= config->n_files) {
        jsonw_null(j, "source");
        return;
    }
    jsonw_object(j, "source");
    jsonw_string(j, "file", config->files[file]);
    jsonw_int(j, "line", line);
    jsonw_object_end(j);
}

static void json_settings(struct jsonw *j, const struct child *c)
{
    _cleanup_buf_ struct buf value = BUF_INIT(1 << 20);
    struct option_value v;
    jsonw_array(j, "settings");
    for (size_t i = 0; config_option_value(c->process.program, i, &v, &value); i++) {
        jsonw_object(j, NULL);
        jsonw_string(j, "key", v.name);
        jsonw_string(j, "value", value.data);
        json_source(j, c->group->config, v.file, v.line);
        jsonw_object_end(j);
        buf_reset(&value);
    }
    jsonw_array_end(j);
}

static void json_descriptor(struct jsonw *j, const struct child *c, unsigned fd)
{
    static const char *const kinds[] = {
        [STDIO_PIPE] = "pipe",     [STDIO_IGNORE] = "ignore", [STDIO_INHERIT] = "inherit",
        [STDIO_NUMBER] = "number", [STDIO_READ] = "read",     [STDIO_WRITE] = "write",
        [STDIO_APPEND] = "append", [STDIO_IPC] = "ipc",       [STDIO_LOG] = "log"
    };
    const struct program *p = c->process.program;
    unsigned seen = fd == 2 && p->redirect_stderr ? 1 : fd;
    struct stdio_entry e = stdio_entry(p->stdio, seen);
    if ((int)fd == ipc_descriptor(p))
        e.kind = STDIO_IPC;
    bool captured = (e.kind == STDIO_PIPE || e.kind == STDIO_LOG) && (seen == 1 || seen == 2);
    jsonw_object(j, NULL);
    jsonw_int(j, "fd", fd);
    jsonw_string(j, "kind", kinds[e.kind]);
    if (e.kind == STDIO_NUMBER)
        jsonw_int(j, "number", e.number);
    jsonw_string(j, "to", captured ? child_log_path(c, (int)seen) : e.kind == STDIO_PIPE ? "control" : e.path);
    jsonw_object_end(j);
}

static void json_descriptors(struct jsonw *j, const struct child *c)
{
    const struct program *p = c->process.program;
    int channel = ipc_descriptor(p);
    jsonw_array(j, "descriptors");
    for (unsigned fd = 0; fd < stdio_length(p->stdio) || (int)fd <= channel; fd++)
        json_descriptor(j, c, fd);
    jsonw_array_end(j);
}

static void process_get(struct control_call *call)
{
    struct child *c = control_one(call);
    if (c == NULL)
        return;
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    present_process(&j, NULL, c, present_fields(http_request_query(call->request, "fields", 0)),
                    usec_now(CLOCK_REALTIME));
    if (control_number(call->request, "show", 0) != 0) {
        b.len--; /* open the object again */
        j.comma = true;
        json_settings(&j, c);
        json_descriptors(&j, c);
        json_source(&j, c->group->config, c->process.program->file, c->process.program->line);
        jsonw_object_end(&j);
    }
    buf_putc(&b, '\n');
    http_reply_json(call->request, 200, &b);
}

/* -- why -------------------------------------------------------------------- */

static const char *verdict(const struct process *p)
{
    switch (p->state) {
    case PROCESS_RUNNING:
        return "running";
    case PROCESS_STARTING:
        return p->pid != 0 ? "starting" : "waiting for the daemon to have what a start takes";
    case PROCESS_BACKOFF:
        return "waiting to be started again";
    case PROCESS_STOPPING:
        return "being stopped";
    case PROCESS_EXITED:
        return p->deadline != 0 ? "waiting to be started again" : "has exited";
    case PROCESS_FATAL:
        return "given up";
    case PROCESS_STOPPED:
        return p->started_wall == 0 ? "never started" : "stopped";
    case PROCESS_UNKNOWN:
        return "out of control";
    }
    return "unknown";
}

static void because_ended(struct jsonw *j, const struct child *c)
{
    const struct process *p = &c->process;
    char words[256], text[1024], when[32];
    if (p->cause.kind == EXIT_NONE)
        return;
    present_time(p->stopped_wall, when);
    exit_cause_words(&p->cause, words, sizeof(words));
    if (p->cause.kind == EXIT_SPAWN)
        snprintf(text, sizeof(text), "the last start failed at %s: %s", when, c->detail != NULL ? c->detail : words);
    else
        snprintf(text, sizeof(text), "the last run ended at %s: %s", when, words);
    jsonw_string(j, NULL, text);
}

static void because_policy(struct jsonw *j, const struct child *c)
{
    static const char *const policies[] = { "false", "true", "unexpected", "on-exit", "on-signal", "on-failure" };
    const struct process *p = &c->process;
    char text[256];
    if (p->state == PROCESS_BACKOFF || p->state == PROCESS_FATAL) {
        if (p->program->startretries == STARTRETRIES_INFINITY)
            snprintf(text, sizeof(text), "failed start %u of any number (startretries=infinity)", p->tries);
        else
            snprintf(text, sizeof(text), "failed start %u; startretries=%u allows %u", p->tries,
                     p->program->startretries, p->program->startretries + 1);
        jsonw_string(j, NULL, text);
    }
    if (p->state == PROCESS_EXITED) {
        bool expected = exit_cause_expected(&p->cause, p->program);
        snprintf(text, sizeof(text), "autorestart=%s, and that end was %sexpected", policies[p->program->autorestart],
                 expected ? "" : "not ");
        jsonw_string(j, NULL, text);
    }
    if (p->state == PROCESS_STOPPED)
        jsonw_string(j, NULL,
                     p->operator_stopped      ? p->started_wall != 0 ? "an operator stopped it"
                                                                     : "an operator stopped it, before this daemon began"
                     : p->started_wall != 0   ? "it was stopped, not by an operator"
                     : !p->program->autostart ? "autostart=false, and nobody has started it"
                                              : "it has not been started yet");
}

/* What newcomers meet most: a program that puts itself into the background, or that
 * is meant to be done at once, looks like one that failed. */
static void because_done_early(struct jsonw *j, const struct child *c)
{
    const struct process *p = &c->process;
    char text[256];
    bool down = p->state == PROCESS_BACKOFF || p->state == PROCESS_FATAL;
    if (!down || p->cause.kind != EXIT_STATUS || p->cause.value != 0)
        return;
    snprintf(text, sizeof(text),
             "it ended before startsecs (%g s) were over: a program must stay in the foreground; if it is meant to be "
             "done so soon, set startsecs=0",
             (double)p->program->startsecs / (double)USEC_PER_SEC);
    jsonw_string(j, NULL, text);
}

static void because_timer(struct jsonw *j, const struct child *c)
{
    const struct process *p = &c->process;
    char text[128];
    usec_t now = loop_now(c->supervisor->loop);
    double left = (double)usec_sub(p->deadline, now) / (double)USEC_PER_SEC;
    if (p->deadline == 0)
        return;
    if (p->state == PROCESS_STOPPING)
        snprintf(text, sizeof(text), "the next signal of its stop ladder follows in %.1f s", left);
    else if (p->state == PROCESS_RUNNING)
        snprintf(text, sizeof(text),
                 p->timed_out ? "its timeout has come; the next signal follows in %.1f s"
                              : "reaches its timeout in %.1f s",
                 left);
    else if (p->state == PROCESS_STARTING)
        snprintf(text, sizeof(text), "counts as running in %.1f s (startsecs)", left);
    else
        snprintf(text, sizeof(text), "next try in %.1f s", left);
    jsonw_string(j, NULL, text);
}

static void because_log(struct jsonw *j, const struct child *c)
{
    struct child_log_trouble t;
    char words[256], text[1024];
    if (!present_log_trouble(c, &t, words, sizeof(words)))
        return;
    const char *path = child_log_path(c, t.number);
    snprintf(text, sizeof(text), "%s (%s)", words, path != NULL ? path : "its log");
    jsonw_string(j, NULL, text);
}

static void json_stderr_tail(struct jsonw *j, const struct child *c)
{
    char tail[STDERR_TAIL];
    const char *path = child_log_path(c, c->process.program->redirect_stderr ? 1 : 2);
    _cleanup_close_ int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    off_t from = end > STDERR_TAIL ? end - STDERR_TAIL : 0;
    ssize_t n = end > 0 ? pread(fd, tail, sizeof(tail), from) : 0;
    jsonw_bytes(j, "stderr_tail", tail, n > 0 ? (size_t)n : 0);
    if (c->process.program->redirect_stderr)
        jsonw_string(j, "stderr_tail_of", "stdout");
}

static void process_why(struct control_call *call)
{
    struct child *c = control_one(call);
    if (c == NULL)
        return;
    char display[1024];
    child_display_name(c, display, sizeof(display));
    _cleanup_buf_ struct buf b = BUF_INIT(REPLY_MAX);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "process", display);
    jsonw_string(&j, "state", process_state_name(c->process.state));
    jsonw_string(&j, "verdict", verdict(&c->process));
    jsonw_array(&j, "because");
    because_ended(&j, c);
    because_policy(&j, c);
    because_done_early(&j, c);
    because_timer(&j, c);
    because_log(&j, c);
    jsonw_array_end(&j);
    json_stderr_tail(&j, c);
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    http_reply_json(call->request, 200, &b);
}
