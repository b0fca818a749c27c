/* fault.c - how a refusal is said: one table for code, fault, status and words. */
#include "base/cleanup.h"
#include "control/control.h"
#include "wire/jsonw.h"

static const struct {
    const char *code, *fault, *message;
    int status;
} faults[] = {
    [FAULT_NONE] = { "OK", "SUCCESS", "success", 200 },
    [FAULT_BAD_NAME] = { "ENOENT", "BAD_NAME", "no such process", 404 },
    [FAULT_BAD_GROUP] = { "ENOENT", "BAD_NAME", "no such group", 404 },
    [FAULT_BAD_ARGUMENTS] = { "EINVAL", "BAD_ARGUMENTS", "bad arguments", 400 },
    [FAULT_BAD_SIGNAL] = { "EINVAL", "BAD_SIGNAL", "bad signal name", 400 },
    [FAULT_SHUTDOWN_STATE] = { "ESHUTDOWN", "SHUTDOWN_STATE", "the daemon is shutting down", 503 },
    [FAULT_RESTARTING] = { "EBUSY", "SHUTDOWN_STATE",
                           "the daemon stops all programs to begin anew; try again in a moment", 503 },
    [FAULT_NO_FILE] = { "ENOENT", "NO_FILE", "no such file", 404 },
    [FAULT_NO_LOG_FILE] = { "ENOENT", "NO_FILE", "no log file", 404 },
    [FAULT_NOT_EXECUTABLE] = { "EACCES", "NOT_EXECUTABLE", "file is not executable", 409 },
    [FAULT_FAILED] = { "EIO", "FAILED", "failed", 500 },
    [FAULT_ABNORMAL_TERMINATION] = { "ECHILD", "ABNORMAL_TERMINATION", "abnormal termination", 409 },
    [FAULT_SPAWN_ERROR] = { "ECHILD", "SPAWN_ERROR", "spawn error", 409 },
    [FAULT_ALREADY_STARTED] = { "EALREADY", "ALREADY_STARTED", "already started", 409 },
    [FAULT_NOT_RUNNING] = { "ESRCH", "NOT_RUNNING", "not running", 409 },
    [FAULT_ALREADY_ADDED] = { "EEXIST", "ALREADY_ADDED", "process group already active", 409 },
    [FAULT_STILL_RUNNING] = { "EBUSY", "STILL_RUNNING", "process group still running", 409 },
    [FAULT_CANT_REREAD] = { "EINVAL", "CANT_REREAD", "the configuration cannot be read", 400 },
    [FAULT_BUSY] = { "EBUSY", "FAILED", "another update is under way", 409 },
    [FAULT_NO_CHANNEL] = { "ENOTCONN", "FAILED", "no open channel", 409 },
    [FAULT_QUEUE_FULL] = { "ENOBUFS", "FAILED", "too many messages wait for it", 503 },
    [FAULT_TOO_LATE] = { "ETIMEDOUT", "FAILED", "no answer in time", 504 },
    [FAULT_UPGRADE] = { "ENOEXEC", "FAILED", "the upgrade is refused", 409 },
    [FAULT_NO_MEMORY] = { "ENOMEM", "FAILED", "out of memory", 503 },
    [FAULT_NOT_ALLOWED] = { "EACCES", "FAILED", "not allowed by the program's control", 403 },
};

static int http_status(enum fault f)
{
    return faults[f].status;
}

void fault_json(struct jsonw *j, enum fault f, const char *name, const char *detail)
{
    jsonw_object(j, "error");
    jsonw_string(j, "code", faults[f].code);
    jsonw_string(j, "fault", faults[f].fault);
    jsonw_string(j, "message", faults[f].message);
    if (name != NULL)
        jsonw_string(j, "name", name);
    if (detail != NULL)
        jsonw_string(j, "detail", detail);
    jsonw_object_end(j);
}

void control_fail(struct http_request *r, enum fault f, const char *name, const char *detail)
{
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    fault_json(&j, f, name, detail);
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    http_reply_json(r, http_status(f), &b);
}

void control_ok(struct http_request *r)
{
    static const char ok[] = "{\"ok\":true}\n";
    http_reply(r, 200, "application/json", ok, sizeof(ok) - 1);
}
