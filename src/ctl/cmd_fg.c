/* cmd_fg.c - `fg`: a process's output on our terminal, our input on its stdin.
 *
 * Three streams are followed: stdout, stderr, and the events of the process,
 * which say at once when it has ended.  Input goes as it is typed, in pieces
 * that the daemon takes. */
#include "ctl/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/follow.h"
#include "ctl/hint.h"
#include "ctl/lines.h"
#include "ctl/names.h"
#include "ctl/render.h"

static void fg_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_fg = {
    .name = "fg",
    .args = "NAME",
    .summary = "shows what a process prints, and sends what is typed to its stdin",
    .help = "    Ctrl-C or the end of the input leaves; the process stays as it is\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS,
    .fn = fg_run,
};

#define FG_RUNNING 20
#define FG_PIECE (16 * 1024)

enum { FG_LEAVE = 1, FG_KILLED = 2 };

struct fg {
    struct ctl *ctl;
    const char *name;
    struct render out;
    struct lines events;
    long long pid;
    struct follow follow;
    struct source sources[3]; /* stdout, stderr, events */
    char *paths[3];
};

static int fg_output(void *arg, const char *data, size_t len)
{
    struct fg *f = arg;
    render_bytes(&f->out, data, len);
    return fflush(stdout) != 0 ? -EPIPE : 0;
}

/* Events were missed: is it still the same process? */
static bool fg_is_there(struct fg *f)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", f->name, "");
    _cleanup_answer_ struct answer a = { 0 };
    return path.error < 0 || ask(f->ctl, "GET", path.data, NULL, 0, &a) < 0 || a.status != 200 ||
           ask_integer(a.json, "pid", 0) == f->pid;
}

static void fg_event(void *arg, const char *line, size_t len)
{
    struct fg *f = arg;
    json_t *event = ask_parse(line, len);
    f->sources[2].at = ask_integer(event, "seq", f->sources[2].at);
    if (strcmp(ask_string(event, "event", ""), "exit") == 0 && ask_integer(event, "pid", -1) == f->pid)
        f->follow.leave = true;
    if (strcmp(ask_string(event, "event", ""), "gap") == 0 && !fg_is_there(f))
        f->follow.leave = true;
    json_decref(event);
}

static void fg_anew(void *arg)
{
    struct fg *f = arg;
    buf_reset(&f->events.rest);
}

static int fg_events(void *arg, const char *data, size_t len)
{
    struct fg *f = arg;
    return lines_add(&f->events, data, len);
}

/* What was typed: to the process, FG_LEAVE at the end of it, FG_KILLED when nobody reads any more. */
static int fg_input(void *arg)
{
    struct fg *f = arg;
    char data[FG_PIECE];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : FG_LEAVE;
    if (n == 0)
        return FG_LEAVE;
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", f->name, "/stdin");
    struct client_request q = {
        .method = "POST", .path = path.data, .body = data, .len = (size_t)n, .patience = CLIENT_PATIENCE
    };
    _cleanup_answer_ struct answer a = { 0 };
    int e = path.error < 0 ? path.error : ask_raw(f->ctl, &q, &a);
    if (e < 0)
        return e;
    if (a.status == 200)
        return 0;
    const char *fault = answer_fault(&a);
    if (strcmp(fault, "NOT_RUNNING") == 0)
        return FG_KILLED;
    ctl_fail(f->ctl, "ERROR: %s",
             strcmp(fault, "NO_FILE") == 0 ? "it does not read its standard input" : answer_message(&a));
    return FG_LEAVE;
}

static int fg_follow(struct fg *f, size_t i, const char *prefix, const char *suffix, const char *first)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    bool events = *suffix == '\0';
    ask_path(&path, prefix, f->name, suffix);
    f->paths[i] = path.error == 0 ? buf_steal(&path) : NULL;
    if (f->paths[i] == NULL)
        return -ENOMEM;
    f->sources[i] = (struct source){ .ctl = f->ctl, .what = f->name, .path = f->paths[i], .first = first, .arg = f };
    f->sources[i].sink = events ? fg_events : fg_output;
    f->sources[i].anew = events ? fg_anew : NULL;
    f->sources[i].blind = events ? "" : "&offset=0&live=1";
    f->sources[i].follow = true;
    return follow_add(&f->follow, &f->sources[i]);
}

static int fg_streams(struct fg *f)
{
    static const char log[] = "/log?length=0&follow=1&raw=1&stream=";
    static const char *const streams[] = { "stdout", "stderr" };
    int e = 0;
    for (size_t i = 0; i < 2 && e == 0; i++) {
        char suffix[64];
        snprintf(suffix, sizeof(suffix), "%s%s", log, streams[i]);
        e = fg_follow(f, i, "/v1/processes/", suffix, "&offset=-1024");
    }
    return e == 0 ? fg_follow(f, 2, "/v1/events?follow=1&match=", "", "") : e;
}

static void fg_connect(struct fg *f)
{
    ctl_catch_interrupt(f->ctl);
    int e = fg_streams(f);
    if (e == 0)
        e = follow_run(&f->follow, STDIN_FILENO, fg_input, f);
    render_end(&f->out);
    lines_end(&f->events);
    if (f->follow.leave || e == FG_KILLED)
        ctl_fail(f->ctl, "Process got killed");
    ctl_fail(f->ctl, "Exiting foreground");
}

/* Is there a running process of this name?  Else the user was told. */
static bool fg_running(struct ctl *c, const char *name, long long *pid)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", name, "");
    _cleanup_answer_ struct answer a = { 0 };
    bool single = !name_is_group(name) && !name_is_glob(name);
    if (single && (path.error < 0 || ask(c, "GET", path.data, NULL, 0, &a) < 0))
        return false;
    *pid = ask_integer(a.json, "pid", 0);
    if (single && ask_integer(a.json, "state", -1) == FG_RUNNING)
        return true;
    bool unknown = !single || strcmp(answer_fault(&a), "BAD_NAME") == 0;
    if (unknown)
        ctl_fail(c, "ERROR: bad process name supplied");
    else if (a.status == 200)
        ctl_fail(c, "ERROR: process not running");
    else
        answer_complain(c, &a, name);
    ctl_status(c, CTL_GENERIC);
    if (unknown)
        hint_name(c, name);
    return false;
}

static void fg_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_GENERIC, "ERROR: no process name supplied");
        return;
    }
    if (words->n > 1) {
        ctl_fail(c, "ERROR: too many process names supplied");
        ctl_status(c, CTL_GENERIC);
        return;
    }
    struct fg *f = calloc(1, sizeof(*f));
    if (f != NULL && fg_running(c, words->list[0], &f->pid)) {
        f->ctl = f->follow.ctl = c;
        f->name = words->list[0];
        render_init(&f->out, stdout, c->terminal);
        lines_init(&f->events, fg_event, f);
        ctl_fail(c, "==> Press Ctrl-C to exit <==");
        fflush(stdout);
        fg_connect(f);
        follow_done(&f->follow);
        for (size_t i = 0; i < 3; i++)
            free(f->paths[i]);
    }
    free(f);
}
