/* cmd_run.c - run: a transient process whose output is the answer.
 *
 * The answer is a stream of records, each a line "LABEL LENGTH" and so many bytes:
 * a number labels what the process has written to that descriptor, and run, spawn
 * and end label JSON (supervisor/run_say.c).  A client that takes nothing makes the
 * process wait; one that goes away ends it.  Input and signals come as requests of their own. */
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
static void run_stop_one(struct control_call *call);
static void run_list(struct control_call *call);

const struct command commands_run[] = {
    { "POST", "/v1/run", ROLE_CONTROL, run_post },
    { "POST", "/v1/run/{}/stdin", ROLE_CONTROL, run_stdin },
    { "POST", "/v1/run/{}/signal", ROLE_CONTROL, run_kill },
    { "POST", "/v1/run/{}/stop", ROLE_CONTROL, run_stop_one },
    { "GET", "/v1/run", ROLE_READ, run_list },
    { 0 },
};

#define UNREAD_MAX (64 * 1024) /* by the client, before the process is made to wait */

/* -- the answer --------------------------------------------------------------- */

struct follower {
    struct http_request *request;
    struct run *run;
};

static bool on_data(const char *data, size_t len, void *arg)
{
    struct follower *f = arg;
    http_stream_write(f->request, data, len);
    return http_stream_unread(f->request) < UNREAD_MAX;
}

static void on_ended(void *arg)
{
    struct follower *f = arg;
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
    http_request_on_close(f->request, on_client_gone, f);
    http_stream_on_room(f->request, on_room, f);
    http_stream_begin(f->request, 200, "application/vnd.drover.run");
}

/* Those who may all are root and the daemon's own user. */
static bool may_have(const struct control_call *call, uid_t owner)
{
    const struct http_peer *peer = http_request_peer(call->request);
    return !peer->known || peer->uid == 0 || peer->uid == geteuid() || peer->uid == owner;
}

/* ?key=K&from=N: a client that was cut off and has N bytes of the answer.  False: there
 * is nothing to go on with, and nothing was answered. */
static bool go_on(struct control_call *call, uint64_t key, uint64_t from)
{
    struct supervisor *s = call->control->supervisor;
    struct run *run = NULL;
    uid_t owner = 0;
    int r = run_look_up(s, key, from, &owner, &run);
    if (r == -EAGAIN || (r == -ENOENT && from == 0) || (r == 0 && !may_have(call, owner)))
        return false;
    struct follower *f = r == 0 ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) {
        http_reply_error(call->request,
                         r == -EBUSY ? 409
                         : r < 0     ? 410
                                     : 503,
                         r < 0 ? strerrorname_np(-r) : "ENOMEM",
                         r == -EBUSY ? "its client is still there" : "nothing is known of it any more");
        return true;
    }
    *f = (struct follower){ .request = call->request, .run = run };
    begin_answer(f);
    run_go_on(s, key, from, &(struct run_client){ on_data, on_ended, f });
    return true;
}

static uint64_t read_key(struct http_request *r)
{
    const char *text = http_request_query(r, "key", 0);
    char *end;
    uint64_t key = text != NULL ? strtoull(text, &end, 16) : 0;
    return key != 0 && *end == '\0' ? key : 0;
}

static void run_post(struct control_call *call)
{
    struct run_order o;
    uint64_t key = read_key(call->request);
    long long from = control_number(call->request, "from", 0);
    if (key != 0 && go_on(call, key, (uint64_t)from))
        return;
    if (control_refuse_if_ending(call) || run_order_read(call->request, &o) < 0)
        return;
    struct follower *f = calloc(1, sizeof(*f));
    o.client = (struct run_client){ on_data, on_ended, f };
    o.key = key;
    o.from = from > 0 ? (uint64_t)from : 0;
    int r = f != NULL ? run_start(call->control->supervisor, &o, &f->run) : -ENOMEM;
    config_unref(o.config);
    free((char *)(uintptr_t)o.input);
    if (r == 0) {
        f->request = call->request;
        begin_answer(f);
        run_begin_answer(f->run);
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

/* -- which there are --------------------------------------------------------------- */

static void run_list(struct control_call *call)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1024 * 1024);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "runs");
    for (struct run *r = run_next(call->control->supervisor, NULL); r != NULL;
         r = run_next(call->control->supervisor, r)) {
        const struct run_info info = run_info(r);
        char name[32];
        snprintf(name, sizeof(name), "run:%" PRIu64, info.number);
        if (!may_have(call, info.owner))
            continue;
        jsonw_object(&j, NULL);
        jsonw_int(&j, "id", (int64_t)info.number);
        jsonw_string(&j, "process", name);
        jsonw_int(&j, "pid", info.pid);
        jsonw_string(&j, "command", info.command);
        jsonw_int(&j, "uid", info.owner);
        jsonw_seconds(&j, "start", info.began_wall);
        jsonw_bool(&j, "detached", info.detached);
        jsonw_bool(&j, "attached", info.attached);
        jsonw_bool(&j, "ending", info.ending);
        jsonw_object_end(&j);
    }
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    http_reply_json(call->request, 200, &b);
}

/* -- input and signals ---------------------------------------------------------- */

/* The transient of that number, for whoever started it and for those who may all. */
static struct run *find(struct control_call *call)
{
    int64_t number;
    struct run *r = NULL;
    if (parse_int(call->name, &number) < 0)
        number = 0;
    if (number > 0)
        r = run_find(call->control->supervisor, (uint64_t)number);
    if (r == NULL && run_is_unborn(call->control->supervisor, (uint64_t)number)) {
        http_reply_error(call->request, 503, "EAGAIN", "run:%s is to be begun once more", call->name);
        return NULL;
    }
    if (r == NULL || !may_have(call, run_owner(r))) {
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
    else if (result == -ESPIPE)
        http_reply_error(request, 409, "ESPIPE", "what comes before that was not given to it");
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
                         .number = control_descriptor(call->request, 0) };
    int64_t at = control_number(call->request, "at", -1);
    int q = run_write(r, p->number, body, len, at, eof, on_written, p);
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

static void run_stop_one(struct control_call *call)
{
    struct run *r = find(call);
    if (r == NULL)
        return;
    run_stop(r);
    control_ok(call->request);
}
