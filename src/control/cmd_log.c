/* cmd_log.c - reading logs: a part of one, its end, and what comes after.
 *
 * A follower gets first what the file holds and then every byte as it is
 * written, so nothing is missed or told twice, whatever rotation does meanwhile.
 * The daemon's own log has no such hook, nor has one that a process writes by itself;
 * while somebody follows it, it is looked at a few times a second. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "control/control.h"
#include "control/names.h"

static void log_process(struct control_call *call);
static void log_daemon(struct control_call *call);
static void log_daemon_clear(struct control_call *call);
static void logs_reopen(struct control_call *call);

const struct command commands_log[] = {
    { "GET", "/v1/processes/{}/log", ROLE_READ, log_process },
    { "GET", "/v1/daemon/log", ROLE_READ, log_daemon },
    { "POST", "/v1/daemon/log/clear", ROLE_ADMIN, log_daemon_clear },
    { "POST", "/v1/logs/reopen", ROLE_ADMIN, logs_reopen },
    { 0 },
};

#define LENGTH_MAX (8 << 20) /* of one answer; more is asked for with an offset */
#define TAIL_DEFAULT 1600    /* supervisorctl's */
#define LOOK_EVERY (200 * USEC_PER_MSEC)

static const char bytes_type[] = "application/octet-stream";
static const char behind[] = "\n[the reader fell behind and was cut off]\n";

struct range {
    off_t from;
    size_t length;
};

/* offset < 0: that many bytes before the end; length 0: to the end. */
static struct range make_range(struct http_request *r, off_t size)
{
    long long offset = control_number(r, "offset", -TAIL_DEFAULT);
    long long length = control_number(r, "length", 0);
    struct range range = { .from = offset < 0 ? (size > -offset ? size + offset : 0) : offset };
    if (range.from > size)
        range.from = size;
    off_t rest = size - range.from;
    range.length = length > 0 && length < rest ? (size_t)length : (size_t)rest;
    if (range.length > LENGTH_MAX)
        range.length = LENGTH_MAX;
    return range;
}

/* The asked-for part of the file in a malloc'd block; -ENOENT, -ENOMEM. */
static int read_part(const char *path, struct http_request *r, char **ret, size_t *len, off_t *end, char header[64])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -ENOENT;
    struct range range = make_range(r, st.st_size);
    snprintf(header, 64, "X-Drover-Size: %lld", (long long)st.st_size);
    http_request_add_header(r, header);
    char *data = malloc(range.length + 1);
    if (data == NULL)
        return -ENOMEM;
    ssize_t n = pread(fd, data, range.length, range.from);
    *ret = data;
    *len = n > 0 ? (size_t)n : 0;
    *end = range.from + (n > 0 ? n : 0);
    return 0;
}

/* What a follower gets first; no more of the past than a slow reader may leave unread. */
static void stream_begin(struct http_request *r, const char *data, size_t len)
{
    size_t most = HTTP_UNREAD_MAX / 2;
    if (len > most) {
        data += len - most;
        len = most;
    }
    if (http_stream_begin(r, 200, bytes_type) == 0 && len > 0)
        http_stream_write(r, data, len);
}

/* -- a process's log ---------------------------------------------------------- */

struct follower {
    struct http_request *request;
    struct child_follower follow;
    int number;
};

static void follower_end(struct follower *f)
{
    child_unfollow(&f->follow);
    free(f);
}

/* False when the reader has fallen behind: it has been told so, and is gone. */
static bool pass_on(struct http_request *r, const char *data, size_t len)
{
    if (http_stream_write(r, data, len) != -ENOBUFS)
        return true; /* a client that has gone is on_close's business */
    http_stream_write(r, behind, sizeof(behind) - 1);
    http_stream_end(r);
    return false;
}

static void on_output(int number, const char *data, size_t len, void *arg)
{
    struct follower *f = arg;
    if (number == f->number && !pass_on(f->request, data, len))
        follower_end(f);
}

static void on_child_gone(void *arg)
{
    struct follower *f = arg;
    struct http_request *r = f->request;
    follower_end(f);
    http_request_on_close(r, NULL, NULL);
    http_stream_end(r);
}

static void on_hangup(void *arg)
{
    follower_end(arg);
}

/* raw=1: as the process prints it, for those who talk to it; else as the log has it. */
static void follow_child(struct control_call *call, struct child *c, int number, const char *data, size_t len)
{
    struct follower *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    f->request = call->request;
    f->number = number;
    f->follow = (struct child_follower){ .output = on_output, .gone = on_child_gone, .arg = f };
    f->follow.raw = control_number(call->request, "raw", 0) != 0;
    child_follow(c, &f->follow);
    http_request_on_close(call->request, on_hangup, f);
    stream_begin(call->request, data, len);
}

/* -- files that others write ---------------------------------------------------- */

struct file_follower {
    struct http_request *request;
    struct loop *loop;
    struct loop_timer timer;
    struct child_follower follow; /* for the end of the process's record alone */
    char *path;                   /* NULL: the daemon's own log, wherever that is by then */
    off_t offset;
    ino_t ino;
};

static void file_follower_end(struct file_follower *f)
{
    loop_timer_clear(&f->timer);
    child_unfollow(&f->follow);
    free(f->path);
    free(f);
}

static void on_look(void *arg);

static void look_again(struct file_follower *f, usec_t wait)
{
    loop_timer_set(f->loop, &f->timer, loop_now(f->loop) + wait, on_look, f);
}

static void on_look(void *arg)
{
    struct file_follower *f = arg;
    char data[32 * 1024];
    struct stat st;
    const char *path = f->path != NULL ? f->path : log_path();
    look_again(f, LOOK_EVERY);
    _cleanup_close_ int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    if (st.st_ino != f->ino || st.st_size < f->offset) /* rotated */
        f->offset = 0;
    f->ino = st.st_ino;
    ssize_t n = pread(fd, data, sizeof(data), f->offset);
    if (n <= 0)
        return;
    f->offset += n;
    if (!pass_on(f->request, data, (size_t)n))
        file_follower_end(f);
    else if (n == sizeof(data))
        look_again(f, USEC_PER_MSEC); /* there is more */
}

static void on_file_hangup(void *arg)
{
    file_follower_end(arg);
}

static void on_file_output(int number, const char *data, size_t len, void *arg)
{
    (void)number, (void)data, (void)len, (void)arg;
}

static void on_file_gone(void *arg)
{
    struct file_follower *f = arg;
    struct http_request *r = f->request;
    file_follower_end(f);
    http_request_on_close(r, NULL, NULL);
    http_stream_end(r);
}

/* From `end` on; of a process's log, or, without one, of the daemon's. */
static void follow_file(struct control_call *call, struct child *c, const char *path, const char *data, size_t len,
                        off_t end)
{
    struct file_follower *f = calloc(1, sizeof(*f));
    struct stat st;
    if (f == NULL || (c != NULL && (f->path = strdup(path)) == NULL)) {
        free(f);
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    f->request = call->request;
    f->loop = call->control->supervisor->loop;
    f->offset = end;
    f->ino = stat(path, &st) == 0 ? st.st_ino : 0;
    f->follow = (struct child_follower){ .output = on_file_output, .gone = on_file_gone, .arg = f };
    if (c != NULL)
        child_follow(c, &f->follow);
    http_request_on_close(call->request, on_file_hangup, f);
    look_again(f, LOOK_EVERY);
    stream_begin(call->request, data, len);
}

/* ?stream=stderr or ?fd=N: the descriptor that is meant, 1 when nothing is said; -1. */
static int log_number(struct http_request *r)
{
    const char *stream = http_request_query(r, "stream", 0);
    long long fd = control_number(r, "fd", 1);
    if (stream != NULL)
        return strcmp(stream, "stdout") == 0 ? 1 : strcmp(stream, "stderr") == 0 ? 2 : -1;
    return fd > 0 && fd < STDIO_MAX ? (int)fd : -1;
}

/* A pipe of the process's own has no file: what came last is in memory. */
static void log_duplex(struct control_call *call, struct child *c, int number)
{
    const struct duplex *d = duplex_find(c->duplexes, number);
    if (stdio_entry(c->process.program->stdio, (unsigned)number).kind != STDIO_PIPE) {
        control_fail(call->request, FAULT_NO_LOG_FILE, call->name, NULL);
        return;
    }
    size_t kept = d != NULL ? d->kept.len : 0;
    struct range range = make_range(call->request, (off_t)kept);
    const char *data = kept > 0 ? d->kept.data + range.from : "";
    if (control_number(call->request, "follow", 0) != 0)
        follow_child(call, c, number, data, range.length);
    else
        http_reply(call->request, 200, bytes_type, data, range.length);
}

static off_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void log_process(struct control_call *call)
{
    struct selection sel;
    int number = log_number(call->request);
    if (number < 0) {
        control_fail(call->request, FAULT_BAD_ARGUMENTS, call->name, "stream is stdout or stderr, fd from 1 to 63");
        return;
    }
    enum fault f = select_processes(call->control->supervisor, call->name, SELECT_LEXICAL, &sel);
    struct child *c = f == FAULT_NONE && sel.n == 1 ? sel.list[0] : NULL;
    if (f == FAULT_NONE)
        selection_done(&sel);
    if (c == NULL) {
        control_fail(call->request, f == FAULT_NONE ? FAULT_BAD_NAME : f, call->name, NULL);
        return;
    }
    if (number > 2) {
        log_duplex(call, c, number);
        return;
    }
    bool follow = control_number(call->request, "follow", 0) != 0;
    bool live_only =
        follow && control_number(call->request, "offset", -1) == 0 && control_number(call->request, "live", 0) != 0;
    const char *path = child_log_path(c, number);
    _cleanup_free_ char *data = NULL;
    char header[64];
    size_t len = 0;
    off_t end = 0;
    if (!live_only && (path == NULL || read_part(path, call->request, &data, &len, &end, header) < 0)) {
        control_fail(call->request, FAULT_NO_LOG_FILE, call->name, NULL);
        return;
    }
    if (follow && stdio_entry(c->process.program->stdio, (unsigned)number).kind == STDIO_LOG && path != NULL)
        follow_file(call, c, path, data, len, live_only ? file_size(path) : end);
    else if (follow)
        follow_child(call, c, number, data, len);
    else
        http_reply(call->request, 200, bytes_type, data != NULL ? data : "", len);
}

/* -- the daemon's log --------------------------------------------------------- */

static void log_daemon(struct control_call *call)
{
    const char *path = log_path();
    _cleanup_free_ char *data = NULL;
    char header[64];
    size_t len = 0;
    off_t end = 0;
    if (path == NULL || read_part(path, call->request, &data, &len, &end, header) < 0)
        control_fail(call->request, FAULT_NO_LOG_FILE, NULL, NULL);
    else if (control_number(call->request, "follow", 0) != 0)
        follow_file(call, NULL, path, data, len, end);
    else
        http_reply(call->request, 200, bytes_type, data, len);
}

static void log_daemon_clear(struct control_call *call)
{
    const char *path = log_path();
    if (path == NULL)
        control_fail(call->request, FAULT_NO_LOG_FILE, NULL, NULL);
    else if (truncate(path, 0) < 0 || log_reopen() < 0)
        control_fail(call->request, FAULT_FAILED, NULL, strerror(errno));
    else
        control_ok(call->request);
}

/* -- all of them -------------------------------------------------------------- */

/* What SIGUSR2 does, with an answer. */
static void logs_reopen(struct control_call *call)
{
    int own = log_reopen();
    int failed = supervisor_reopen_logs(call->control->supervisor) + (own < 0);
    char text[128];
    log_info("log reopen request: %d failed", failed);
    if (failed == 0) {
        control_ok(call->request);
        return;
    }
    snprintf(text, sizeof(text), "%d log%s could not be opened again under %s name", failed, failed == 1 ? "" : "s",
             failed == 1 ? "its" : "their");
    control_fail(call->request, FAULT_FAILED, NULL, text);
}
