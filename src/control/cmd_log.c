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
#include "control/log_files.h"
#include "control/log_place.h"
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
    struct range range = { .from = offset >= 0 ? offset : offset > -size ? size + offset : 0 };
    if (range.from > size)
        range.from = size;
    off_t rest = size - range.from;
    range.length = length > 0 && length < rest ? (size_t)length : (size_t)rest;
    if (range.length > LENGTH_MAX)
        range.length = LENGTH_MAX;
    return range;
}

enum how {
    HOW_PAST,   /* what is there */
    HOW_FOLLOW, /* and what comes */
    HOW_LIVE,   /* what comes alone */
};

/* A part of a file: what was asked for, as much of it as goes into one answer. */
struct part {
    char *data; /* malloc'd */
    size_t len;
    bool more;               /* there is more than that before what is still to come: to be asked for next */
    char header[200];        /* which lines of the head say so; lives as long as the request is being answered */
    char end[LOG_PLACE_MAX]; /* where one can go on */
};

static void part_done(struct part *p)
{
    free(p->data);
}

/* ?from=PLACE: where an earlier answer ended, perhaps in a file that was rotated since. */
static int find_place(struct http_request *r, const char *path, struct log_found *ret)
{
    const char *from = http_request_query(r, "from", 0);
    struct stat st;
    if (from != NULL)
        return log_place_find(path, from, ret);
    int fd = log_files_open(r, path, &st);
    if (fd < 0)
        return fd;
    *ret = (struct log_found){ .fd = fd, .size = st.st_size };
    return 0;
}

/* A follower is given no more of the past than a slow reader may leave unread: the last
 * of it, or, if it goes on from somewhere, an answer that ends, to be asked again. */
static struct range choose(struct http_request *r, const struct log_found *found, enum how how, struct part *p)
{
    if (how == HOW_LIVE)
        return (struct range){ .from = found->size };
    bool follow = how == HOW_FOLLOW;
    const size_t most = HTTP_UNREAD_MAX / 2;
    struct range range = make_range(r, found->size);
    bool goes_on = http_request_query(r, "from", 0) != NULL;
    if (goes_on)
        range = (struct range){ found->offset, (size_t)(found->size - found->offset) };
    p->more = goes_on && (found->older || (follow && range.length > most));
    if (range.length > LENGTH_MAX)
        range.length = LENGTH_MAX;
    if (follow && !goes_on && range.length > most) {
        range.from += (off_t)(range.length - most);
        range.length = most;
    }
    return range;
}

/* countable: what a follower is given is what the file gets, byte for byte. */
static void add_headers(struct http_request *r, const struct log_found *found, off_t from, bool countable,
                        struct part *p)
{
    char place[LOG_PLACE_MAX] = "";
    if (countable)
        log_place_text(found->fd, from, place);
    snprintf(p->header, sizeof(p->header), "X-Drover-Size: %lld%s%s%s%s", (long long)found->size,
             place[0] != '\0' ? "\r\nX-Drover-Position: " : "", place, p->more ? "\r\nX-Drover-More: 1" : "",
             found->missed ? "\r\nX-Drover-Missed: 1" : "");
    http_request_add_header(r, p->header);
}

/* 0, -ENOENT and other errors of the file, -EINVAL, -ENOMEM. */
static int read_part(const char *path, struct http_request *r, enum how how, bool countable, struct part *p)
{
    struct log_found found;
    int e = find_place(r, path, &found);
    if (e < 0)
        return e;
    _cleanup_close_ int fd = found.fd;
    struct range range = choose(r, &found, how, p);
    p->data = malloc(range.length + 1);
    if (p->data == NULL)
        return -ENOMEM;
    ssize_t n = pread(fd, p->data, range.length, range.from);
    p->len = n > 0 ? (size_t)n : 0;
    log_place_text(fd, range.from + (off_t)p->len, p->end);
    add_headers(r, &found, range.from, countable, p);
    return 0;
}

static void fail_part(struct control_call *call, const char *name, int error)
{
    if (error == -EINVAL)
        control_fail(call->request, FAULT_BAD_ARGUMENTS, name, "from is X-Drover-Position of an earlier answer");
    else
        control_fail(call->request, FAULT_NO_LOG_FILE, name, NULL);
}

static void stream_begin(struct http_request *r, const char *data, size_t len)
{
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
    char place[LOG_PLACE_MAX];    /* how far it has come */
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
    struct log_found found;
    const char *path = f->path != NULL ? f->path : log_path();
    look_again(f, LOOK_EVERY);
    if (path == NULL || log_place_find(path, f->place, &found) < 0)
        return;
    _cleanup_close_ int fd = found.fd;
    if (found.missed) /* it was emptied, or begun anew: all that is there has just come */
        found.offset = 0;
    ssize_t n = pread(fd, data, sizeof(data), found.offset);
    log_place_text(fd, found.offset + (n > 0 ? n : 0), f->place);
    if (n <= 0)
        return;
    if (!pass_on(f->request, data, (size_t)n))
        file_follower_end(f);
    else if (n == sizeof(data) || found.older)
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

/* From the end of the part on; of a process's log, or, without one, of the daemon's. */
static void follow_file(struct control_call *call, struct child *c, const char *path, const struct part *p)
{
    struct file_follower *f = calloc(1, sizeof(*f));
    if (f == NULL || (c != NULL && (f->path = strdup(path)) == NULL)) {
        free(f);
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    f->request = call->request;
    f->loop = call->control->supervisor->loop;
    memcpy(f->place, p->end, sizeof(f->place));
    f->follow = (struct child_follower){ .output = on_file_output, .gone = on_file_gone, .arg = f };
    if (c != NULL)
        child_follow(c, &f->follow);
    http_request_on_close(call->request, on_file_hangup, f);
    look_again(f, LOOK_EVERY);
    stream_begin(call->request, p->data, p->len);
}

/* ?stream=stderr or ?fd=N: the descriptor that is meant, 1 when nothing is said; -1. */
static int log_number(struct http_request *r)
{
    const char *stream = http_request_query(r, "stream", 0);
    int fd = control_descriptor(r, 1);
    if (stream != NULL)
        return strcmp(stream, "stdout") == 0 ? 1 : strcmp(stream, "stderr") == 0 ? 2 : -1;
    return fd > 0 ? fd : -1;
}

/* A pipe of the process's own has no file: what came last is in memory, and dies with
 * it.  Whoever goes on after that has seen nothing of what is there now. */
static void log_duplex(struct control_call *call, struct child *c, int number)
{
    const struct duplex *d = duplex_find(c->duplexes, number);
    const char *from = http_request_query(call->request, "from", 0);
    char header[96], place[24];
    if (stdio_entry(c->process.program->stdio, (unsigned)number).kind != STDIO_PIPE) {
        log_files_none(call, c, number);
        return;
    }
    size_t kept = d != NULL ? d->kept.len : 0;
    struct range range = make_range(call->request, (off_t)kept);
    snprintf(place, sizeof(place), "%016llx", (unsigned long long)c->supervisor->started_wall);
    if (from != NULL) {
        bool same = strncmp(from, place, strlen(place)) == 0;
        range = (struct range){ .from = same ? (off_t)kept : 0, .length = same ? 0 : kept };
    }
    snprintf(header, sizeof(header), "X-Drover-Position: %s:0%s", place, from != NULL ? "\r\nX-Drover-Missed: 1" : "");
    http_request_add_header(call->request, header);
    const char *data = kept > 0 ? d->kept.data + range.from : "";
    if (control_number(call->request, "follow", 0) != 0)
        follow_child(call, c, number, data, range.length);
    else
        http_reply(call->request, 200, bytes_type, data, range.length);
}

/* Does anything else write to that file?  Then nobody can count its bytes. */
static bool is_shared(const struct supervisor *s, const struct child *c, int number, const char *path)
{
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            for (int n = 1; n <= 2; n++) {
                const struct child *other = s->groups[i]->children[k];
                const char *its = other == c && n == number ? NULL : child_log_path(other, n);
                if (its != NULL && strcmp(its, path) == 0)
                    return true;
            }
    return false;
}

/* Is a follower given byte for byte what the file gets? */
static bool is_countable(const struct control_call *call, const struct child *c, int number, const char *path)
{
    bool raw = control_number(call->request, "raw", 0) != 0;
    return (!raw ||
            (c->process.program->common->log_format == LOG_FORMAT_RAW && !c->supervisor->config->daemon.strip_ansi)) &&
           !is_shared(call->control->supervisor, c, number, path);
}

static enum how how_of(struct http_request *r)
{
    if (control_number(r, "follow", 0) == 0)
        return HOW_PAST;
    bool live = control_number(r, "offset", -1) == 0 && control_number(r, "live", 0) != 0;
    return live ? HOW_LIVE : HOW_FOLLOW;
}

static void log_file(struct control_call *call, struct child *c, int number)
{
    _cleanup_(part_done) struct part p = { 0 };
    enum how how = how_of(call->request);
    const char *path = child_log_path(c, number);
    int e = -ENOENT;
    if (path != NULL)
        e = read_part(path, call->request, how, how == HOW_PAST || is_countable(call, c, number, path), &p);
    if (e == -ENOENT && how != HOW_LIVE)
        log_files_none(call, c, number);
    else if (e < 0 && how != HOW_LIVE)
        fail_part(call, call->name, e);
    else if (how == HOW_PAST || p.more)
        http_reply(call->request, 200, bytes_type, p.data, p.len);
    else if (stdio_entry(c->process.program->stdio, (unsigned)number).kind == STDIO_LOG && path != NULL)
        follow_file(call, c, path, &p);
    else
        follow_child(call, c, number, p.data, p.len);
}

static void log_list(struct control_call *call, const struct child *c, int number)
{
    const char *path = child_log_path(c, number);
    if (path != NULL)
        log_files_list(call, path);
    else
        log_files_none(call, c, number);
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
    if (c == NULL)
        control_fail(call->request, f == FAULT_NONE ? FAULT_BAD_NAME : f, call->name, NULL);
    else if (number > 2)
        log_duplex(call, c, number);
    else if (control_number(call->request, "files", 0) != 0)
        log_list(call, c, number);
    else
        log_file(call, c, number);
}

/* -- the daemon's log --------------------------------------------------------- */

static void log_daemon(struct control_call *call)
{
    _cleanup_(part_done) struct part p = { 0 };
    const char *path = log_path();
    enum how how = how_of(call->request);
    int e = path == NULL ? -ENOENT : read_part(path, call->request, how, true, &p);
    if (e < 0)
        fail_part(call, NULL, e);
    else if (how != HOW_PAST && !p.more)
        follow_file(call, NULL, path, &p);
    else
        http_reply(call->request, 200, bytes_type, p.data, p.len);
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
