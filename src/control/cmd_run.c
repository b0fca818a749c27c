/* cmd_run.c - run: a transient process whose output is the answer.
 *
 * The answer is a stream of records, each a line "LABEL LENGTH" and so many bytes:
 * a number labels what the process has written to that descriptor, and run, spawn
 * and end label JSON.  A client that takes nothing makes the process wait; one that
 * goes away ends it.  Input and signals come as requests of their own. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "control/control.h"
#include "control/run_order.h"
#include "wire/jsonw.h"

static void run_post(struct control_call *call);
static void run_stdin(struct control_call *call);
static void run_kill(struct control_call *call);

const struct command commands_run[] = {
    { "POST", "/v1/run", ROLE_CONTROL, run_post },
    { "POST", "/v1/run/{}/stdin", ROLE_CONTROL, run_stdin },
    { "POST", "/v1/run/{}/signal", ROLE_CONTROL, run_kill },
    { 0 },
};

#define UNREAD_MAX (64 * 1024) /* by the client, before the process is made to wait */

/* -- the answer --------------------------------------------------------------- */

struct follower {
    struct http_request *request;
    struct run *run;
};

static void record(struct follower *f, const char *label, const char *data, size_t len)
{
    char head[64];
    int n = snprintf(head, sizeof(head), "%s %zu\n", label, len);
    http_stream_write(f->request, head, (size_t)n);
    http_stream_write(f->request, data, len);
}

static void record_json(struct follower *f, const char *label, struct buf *b)
{
    buf_putc(b, '\n');
    if (b->error == 0)
        record(f, label, b->data, b->len);
}

static void on_began(pid_t pid, void *arg)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1024);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_int(&j, "pid", pid);
    jsonw_object_end(&j);
    record_json(arg, "spawn", &b);
}

static bool on_output(int number, const char *data, size_t len, void *arg)
{
    struct follower *f = arg;
    char label[16];
    snprintf(label, sizeof(label), "%d", number);
    record(f, label, data, len);
    return http_stream_unread(f->request) < UNREAD_MAX;
}

/* The name of an errno as Node has it: what is found and cannot be executed is
 * EACCES to every exec. */
static const char *error_code(const struct run_result *result)
{
    bool lookup = result->cause.kind == EXIT_SPAWN && result->cause.stage == SPAWN_STAGE_LOOKUP;
    int error = lookup && (result->error == ENOEXEC || result->error == EISDIR) ? EACCES : result->error;
    return strerrorname_np(error) ?: "EIO";
}

static const char *error_message(const struct run_result *result)
{
    switch (result->error) {
    case ETIMEDOUT:
        return "it ran longer than it may";
    case ENOBUFS:
        return "it printed more than max_buffer";
    case ESHUTDOWN:
        return "the daemon is shutting down";
    default:
        return strerror(result->error);
    }
}

static void error_json(struct jsonw *j, const struct run_result *result)
{
    if (result->error == 0) {
        jsonw_null(j, "error");
        return;
    }
    bool spawn = result->cause.kind == EXIT_SPAWN;
    jsonw_object(j, "error");
    jsonw_string(j, "code", error_code(result));
    jsonw_string(j, "syscall", "spawn");
    if (spawn) {
        jsonw_string(j, "stage", spawn_stage_name(result->cause.stage));
        jsonw_string(j, "path", result->path);
    }
    jsonw_string(j, "message", result->message != NULL ? result->message : error_message(result));
    jsonw_object_end(j);
}

static void on_ended(const struct run_result *result, void *arg)
{
    struct follower *f = arg;
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    struct jsonw j = JSONW_INIT(&b);
    char name[16];
    jsonw_object(&j, NULL);
    jsonw_int(&j, "pid", result->pid);
    if (result->cause.kind == EXIT_STATUS)
        jsonw_int(&j, "status", result->cause.value);
    else
        jsonw_null(&j, "status");
    jsonw_string(&j, "signal", result->cause.kind == EXIT_SIGNAL ? exit_signal_name(result->cause.value, name) : NULL);
    error_json(&j, result);
    jsonw_object_end(&j);
    record_json(f, "end", &b);
    http_stream_end(f->request);
    free(f);
}

static void on_room(void *arg)
{
    struct follower *f = arg;
    run_resume(f->run);
}

static void on_client_gone(void *arg)
{
    struct follower *f = arg;
    run_leave(f->run);
    free(f);
}

static void begin_answer(struct follower *f)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1024);
    struct jsonw j = JSONW_INIT(&b);
    char name[32];
    snprintf(name, sizeof(name), "run:%" PRIu64, run_number(f->run));
    http_request_on_close(f->request, on_client_gone, f);
    http_stream_on_room(f->request, on_room, f);
    http_stream_begin(f->request, 200, "application/vnd.drover.run");
    jsonw_object(&j, NULL);
    jsonw_int(&j, "id", (int64_t)run_number(f->run));
    jsonw_string(&j, "process", name);
    jsonw_array(&j, "pipes");
    for (int i = 0; i < STDIO_MAX; i++)
        if ((run_pipes(f->run) >> i & 1) != 0)
            jsonw_int(&j, NULL, i);
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    record_json(f, "run", &b);
}

static void run_post(struct control_call *call)
{
    struct run_order o;
    if (control_refuse_if_ending(call) || run_order_read(call->request, &o) < 0)
        return;
    struct follower *f = calloc(1, sizeof(*f));
    o.client = (struct run_client){ on_began, on_output, on_ended, f };
    int r = f != NULL ? run_start(call->control->supervisor, &o, &f->run) : -ENOMEM;
    config_unref(o.config);
    free((char *)(uintptr_t)o.input);
    if (r == 0) {
        f->request = call->request;
        begin_answer(f);
        return;
    }
    free(f);
    if (r == -EBUSY)
        http_reply_error(call->request, 503, "EBUSY",
                         "too many transient processes run: %d at once, %d of them attached", RUNS_MAX,
                         RUNS_ATTACHED_MAX);
    else
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
}

/* -- input and signals ---------------------------------------------------------- */

/* The transient of that number, for whoever started it and for those who may all. */
static struct run *find(struct control_call *call)
{
    const struct http_peer *peer = http_request_peer(call->request);
    int64_t number;
    struct run *r = NULL;
    if (parse_int(call->name, &number) == 0 && number > 0)
        r = run_find(call->control->supervisor, (uint64_t)number);
    bool own = !peer->known || peer->uid == 0 || peer->uid == geteuid();
    if (r == NULL || (!own && run_owner(r) != peer->uid)) {
        http_reply_error(call->request, 404, "ESRCH", "run:%s does not run", call->name);
        return NULL;
    }
    return r;
}

/* A piece of input on its way; the answer is that it was taken. */
struct piece {
    struct http_request *request;
    struct supervisor *supervisor;
    uint64_t run;
    int number;
};

static void reply_written(struct http_request *request, int result)
{
    if (result == 0)
        control_ok(request);
    else if (result == -EBUSY)
        http_reply_error(request, 409, "EBUSY", "another piece is being written there");
    else if (result == -EBADF)
        http_reply_error(request, 400, "EBADF", "its stdio has no such pipe");
    else
        http_reply_error(request, 409, "EPIPE", "nobody reads there any more");
}

static void on_written(int result, void *arg)
{
    struct piece *p = arg;
    reply_written(p->request, result);
    free(p);
}

static void on_writer_gone(void *arg)
{
    struct piece *p = arg;
    struct run *r = run_find(p->supervisor, p->run);
    if (r != NULL)
        run_write_cancel(r, p->number);
    free(p);
}

static void run_stdin(struct control_call *call)
{
    struct run *r = find(call);
    if (r == NULL)
        return;
    struct piece *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    size_t len;
    const char *body = http_request_body(call->request, &len);
    bool eof = control_number(call->request, "eof", 0) != 0;
    *p = (struct piece){ .request = call->request,
                         .supervisor = call->control->supervisor,
                         .run = run_number(r),
                         .number = (int)control_number(call->request, "fd", 0) };
    int q = run_write(r, p->number, body, len, eof, on_written, p);
    if (q < 0) {
        free(p);
        reply_written(call->request, q);
        return;
    }
    http_request_on_close(call->request, on_writer_gone, p);
}

static void run_kill(struct control_call *call)
{
    struct run *r = find(call);
    if (r == NULL)
        return;
    int signal = control_read_signal(call->request);
    if (signal < 0) {
        control_fail(call->request, FAULT_BAD_SIGNAL, NULL, NULL);
        return;
    }
    int q = run_signal(r, signal);
    if (q == 0)
        control_ok(call->request);
    else
        control_fail(call->request, q == -ESRCH ? FAULT_NOT_RUNNING : FAULT_FAILED, NULL, strerror(-q));
}
