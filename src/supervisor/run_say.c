/* run_say.c - see run_say.h.  Owns nothing. */
#include "supervisor/run_say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/run_internal.h"
#include "wire/jsonw.h"

static bool hand_on(struct run *r, const char *data, size_t len)
{
    size_t skip = len < r->skip ? len : (size_t)r->skip;
    r->skip -= skip;
    return r->client.data != NULL && (len == skip || r->client.data(data + skip, len - skip, r->client.arg));
}

static bool say(struct run *r, const char *label, const char *data, size_t len)
{
    char head[64];
    size_t n = (size_t)snprintf(head, sizeof(head), "%s %zu\n", label, len);
    run_keep_add(r->keep, head, n, data, len);
    bool room = hand_on(r, head, n);
    return hand_on(r, data, len) && room;
}

static bool say_json(struct run *r, const char *label, struct buf *b)
{
    buf_putc(b, '\n');
    return b->error == 0 && say(r, label, b->data, b->len);
}

bool run_say_begun(struct run *r)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1024);
    struct jsonw j = JSONW_INIT(&b);
    char name[32];
    snprintf(name, sizeof(name), "run:%" PRIu64, r->keep->number);
    jsonw_object(&j, NULL);
    jsonw_int(&j, "id", (int64_t)r->keep->number);
    jsonw_string(&j, "process", name);
    jsonw_array(&j, "pipes");
    for (int i = 0; i < 64; i++)
        if ((r->keep->pipes >> i & 1) != 0)
            jsonw_int(&j, NULL, i);
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    return say_json(r, "run", &b);
}

bool run_say_runs(struct run *r)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1024);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_int(&j, "pid", r->keep->pid);
    jsonw_object_end(&j);
    return say_json(r, "spawn", &b);
}

bool run_say_output(struct run *r, int number, const char *data, size_t len)
{
    char label[16];
    snprintf(label, sizeof(label), "%d", number);
    return say(r, label, data, len);
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
    case EOWNERDEAD:
        return "it ended together with the daemon, which could not see how";
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
    jsonw_object(j, "error");
    jsonw_string(j, "code", error_code(result));
    jsonw_string(j, "syscall", "spawn");
    if (result->cause.kind == EXIT_SPAWN) {
        jsonw_string(j, "stage", spawn_stage_name(result->cause.stage));
        jsonw_string(j, "path", result->path);
    }
    jsonw_string(j, "message", result->message != NULL ? result->message : error_message(result));
    jsonw_object_end(j);
}

bool run_say_end(struct run *r)
{
    _cleanup_buf_ struct buf b = BUF_INIT(32 * 1024); /* less than the ring has beside what is on its way */
    const struct run_result *result = &r->result;
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
    return say_json(r, "end", &b);
}
