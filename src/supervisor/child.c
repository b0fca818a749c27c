/* child.c - the deeds behind a process: pipes, spawn, exit, signals, stdin.
 *
 * Owns, for each process: its pidfd, our end of its stdin, the streams that read
 * its output, its timer's memory, and the pipe on which a failed exec reports.
 * Decides nothing: what happened goes to supervisor_handle(), what is to be done
 * comes from there.  Never blocks; never reads a name service. */
#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/exec_lookup.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "os/syslogger.h"
#include "supervisor/child_plan.h"
#include "supervisor/supervisor.h"

/* A daemonising program leaves a grandchild with our pipe at each of its starts;
 * more than this many of one process are not kept. */
#define LINGERING_MAX 16

/* A child on its way to its program.  What it is to have stays open here until it
 * has a table of descriptors of its own; see os/spawn.h. */
struct starting {
    struct loop_event event;
    int fd;
    struct spawn_report report;
    bool failed;
    unsigned n_held;
    int held[];
};

static void on_exit_event(int fd, unsigned what, void *arg);

/* -- watching and following -------------------------------------------------- */

void child_watch(struct child *c, struct child_watch *w)
{
    w->next = c->watches;
    w->at = &c->watches;
    if (w->next != NULL)
        w->next->at = &w->next;
    c->watches = w;
}

void child_unwatch(struct child_watch *w)
{
    if (w->at == NULL)
        return;
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->at = NULL;
}

void child_follow(struct child *c, struct child_follower *f)
{
    f->next = c->followers;
    f->at = &c->followers;
    if (f->next != NULL)
        f->next->at = &f->next;
    c->followers = f;
}

void child_unfollow(struct child_follower *f)
{
    if (f->at == NULL)
        return;
    *f->at = f->next;
    if (f->next != NULL)
        f->next->at = f->at;
    f->at = NULL;
}

/* -- logs ------------------------------------------------------------------- */

static const struct log_settings *log_settings(const struct child *c, int number)
{
    const struct program *p = c->process.program;
    return number == 1 || p->redirect_stderr ? &p->out : &p->err;
}

const char *child_log_path(const struct child *c, int number)
{
    const struct log_settings *l = log_settings(c, number);
    if (number == 2 && c->process.program->redirect_stderr)
        return NULL; /* supervisord has none then either */
    if (stdio_entry(c->process.program->stdio, (unsigned)number).kind != STDIO_PIPE)
        return NULL;
    if (l->target == LOG_TARGET_AUTO)
        return c->auto_log[number - 1];
    return l->target == LOG_TARGET_FILE ? l->path : NULL;
}

/* The name is made once for each process and stays with it over its restarts. */
static int make_auto_log(struct child *c, int number)
{
    char **name = &c->auto_log[number - 1];
    if (*name != NULL)
        return 0;
    const struct config_daemon *d = &c->supervisor->config->daemon;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/%s-%s---%s-XXXXXX.log", d->childlogdir, c->process.program->name,
                 number == 1 ? "stdout" : "stderr", d->identifier) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int fd = mkostemps(path, 4, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(fd);
    *name = TAKE_PTR(path);
    return 0;
}

int child_log_open(struct child *c, int number, struct logfile **ret)
{
    const struct log_settings *l = log_settings(c, number);
    if (number == 2 && c->process.program->redirect_stderr)
        number = 1;
    const char *path = l->path;
    if (l->target == LOG_TARGET_AUTO) {
        int r = make_auto_log(c, number);
        if (r < 0)
            return r;
        path = c->auto_log[number - 1];
    } else if (l->target != LOG_TARGET_FILE) {
        *ret = NULL;
        return 0;
    }
    return logfile_open(c->supervisor->logs, path, l->max_bytes, l->backups, ret);
}

/* -- streams ---------------------------------------------------------------- */

/* stdout_syslog and its kin; what the system's log does not take is counted, since
 * waiting for it would make the job wait. */
static void feed_syslog(struct child *c, int number, const char *data, size_t len)
{
    const struct log_settings *l = log_settings(c, number);
    if (!l->syslog && l->target != LOG_TARGET_SYSLOG)
        return;
    if (c->syslog == NULL)
        c->syslog = calloc(2, sizeof(*c->syslog));
    struct syslogger_lines *lines = c->syslog != NULL ? &c->syslog[number - 1] : NULL;
    if (lines != NULL)
        c->syslog_lost += syslogger_feed(c->supervisor->syslogger, lines, c->supervisor->config->daemon.identifier,
                                         c->process.program->name, data, len);
}

static void tell_followers(struct child *c, bool raw, int number, const char *data, size_t len)
{
    struct child_follower *next;
    for (struct child_follower *f = c->followers; f != NULL; f = next) {
        next = f->next;
        if (f->raw == raw)
            f->output(number, data, len, f->arg);
    }
}

static bool on_watched(struct stream *s, void *arg)
{
    const struct child *c = arg;
    const struct log_settings *l = log_settings(c, s->number);
    return c->followers != NULL || l->syslog || l->target == LOG_TARGET_SYSLOG || log_get_level() >= LOG_LEVEL_DEBUG;
}

/* What comes from a duplex pipe has no log, and so only one form. */
static void on_duplex(int number, const char *data, size_t len, void *arg)
{
    tell_followers(arg, true, number, data, len);
    tell_followers(arg, false, number, data, len);
}

static void on_output(struct stream *s, const char *data, size_t len, void *arg)
{
    struct child *c = arg;
    feed_syslog(c, s->number, data, len);
    tell_followers(c, true, s->number, data, len);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        log_debug("'%s' %s output: %.*s", c->process.program->name, s->number == 1 ? "stdout" : "stderr",
                  len > 4096 ? 4096 : (int)len, data);
}

static void on_logged(struct stream *s, const char *data, size_t len, void *arg)
{
    tell_followers(arg, false, s->number, data, len);
}

/* `close` of a run: it has ended, and nobody writes to its pipes any more. */
static void tell_closed_if_last(struct child *c, pid_t run)
{
    bool open = c->process.pid == run;
    for (int i = 0; i < 2; i++)
        open |= c->streams[i] != NULL && c->streams[i]->run == run;
    for (const struct stream *s = c->lingering; s != NULL; s = s->next)
        open |= s->run == run;
    if (open)
        return;
    struct event e = { .type = EVENT_CLOSE, .name = c->name, .pid = run };
    events_add(c->supervisor->events, &e);
}

static void on_closed(struct stream *s, void *arg)
{
    struct child *c = arg;
    struct stream **at = &c->lingering;
    pid_t run = s->run;
    if (!s->lingering)
        at = &c->streams[s->number - 1];
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    stream_free(s);
    tell_closed_if_last(c, run);
}

static void on_report(struct stream *s, const struct stream_report *r, void *arg)
{
    struct child *c = arg;
    char bytes[64] = "";
    if (r->bytes > 0)
        snprintf(bytes, sizeof(bytes), " (%llu bytes were dropped)", (unsigned long long)r->bytes);
    if (r->error != 0)
        log_error("%s: %s: log %s: %s%s", c->process.program->name, s->number == 1 ? "stdout" : "stderr", r->reason,
                  strerror(-r->error), bytes);
    else
        log_info("%s: %s: log %s%s", c->process.program->name, s->number == 1 ? "stdout" : "stderr", r->reason, bytes);
    struct event e = { .type = EVENT_LOG,
                       .name = c->name,
                       .text = strdup(r->reason),
                       .stream = s->number,
                       .value = -r->error,
                       .bytes = r->bytes };
    events_add(c->supervisor->events, &e);
}

static void on_dropped(struct stream *s, uint64_t bytes, void *arg)
{
    (void)s;
    struct child *c = arg;
    c->log_dropped += bytes;
}

static const struct stream_owner stream_owner = { .watched = on_watched,
                                                  .output = on_output,
                                                  .logged = on_logged,
                                                  .closed = on_closed,
                                                  .report = on_report,
                                                  .dropped = on_dropped };

static bool look_for_trouble(const struct stream *s, struct child_log_trouble *ret)
{
    int error = s != NULL ? stream_trouble(s, &ret->since) : 0;
    if (error == 0)
        return false;
    ret->error = error;
    ret->number = s->number;
    ret->dropping = s->drops != NULL;
    return true;
}

bool child_log_trouble(const struct child *c, struct child_log_trouble *ret)
{
    for (int i = 0; i < 2; i++)
        if (look_for_trouble(c->streams[i], ret))
            return true;
    for (const struct stream *s = c->lingering; s != NULL; s = s->next)
        if (look_for_trouble(s, ret))
            return true;
    return false;
}

/* After an exit: what the pipes hold goes to the log; a pipe that somebody else
 * still writes to is kept, without holding up the process's next start. */
static void drain_and_detach(struct child *c)
{
    for (int i = 0; i < 2; i++) {
        struct stream *s = TAKE_PTR(c->streams[i]);
        if (s == NULL)
            continue;
        if (stream_drain(s)) {
            stream_free(s);
            continue;
        }
        s->lingering = true;
        s->next = c->lingering;
        c->lingering = s;
    }
    struct stream **at = &c->lingering;
    for (int n = 0; *at != NULL; n++) {
        struct stream *s = *at;
        if (n < LINGERING_MAX) {
            at = &s->next;
            continue;
        }
        log_warn("%s: %d earlier runs are still written to by their children; the oldest pipe is closed",
                 c->process.program->name, LINGERING_MAX);
        *at = s->next;
        pid_t run = s->run;
        stream_free(s);
        tell_closed_if_last(c, run);
    }
}

/* -- spawning --------------------------------------------------------------- */

static void explain(struct child *c, const struct exit_cause *cause, const char *culprit)
{
    const struct program *program = c->process.program;
    _cleanup_(child_plan_done) struct child_plan p;
    struct exit_cause ignored;
    child_plan_init(&p);
    const char *file = program->command;
    if (culprit != NULL && *culprit != '\0')
        file = culprit;
    else if (child_plan_program(c, &p, &ignored) == 0)
        file = p.file;
    else if (p.word != NULL)
        file = p.word;
    char text[1024];
    const char *user = program->account != NULL ? program->account : program->uid_text;
    exec_explain(cause->stage, cause->value, file, program->directory, user, text, sizeof(text));
    const char *path = file;
    if (cause->stage == SPAWN_STAGE_DIRECTORY && program->directory != NULL)
        path = program->directory;
    else if (strncmp(file, "the log ", 8) == 0)
        path = file + 8;
    free(c->detail);
    c->detail = event_error_text(text, path); /* two strings in one block, the other way round */
}

const char *child_failed_path(const struct child *c)
{
    return c->detail != NULL ? c->detail + strlen(c->detail) + 1 : NULL;
}

static void tell_exit(struct child *c, const struct exit_cause *cause)
{
    struct event e = { .name = c->name, .pid = c->process.pid, .value = cause->value };
    if (cause->kind == EXIT_SPAWN) {
        e.type = EVENT_ERROR;
        e.stage = (uint8_t)cause->stage;
        e.text = event_error_text(child_failed_path(c), c->detail);
    } else {
        e.type = EVENT_EXIT;
        e.kind = (uint8_t)cause->kind;
        e.core = cause->core;
        e.timed_out = cause->timed_out;
        e.expected = exit_cause_expected(cause, c->process.program);
        e.cpu_user_ms = c->cpu_user_ms;
        e.cpu_system_ms = c->cpu_system_ms;
        e.maxrss_kib = c->maxrss_kib;
    }
    events_add(c->supervisor->events, &e);
}

static void spawn_failed(struct child *c, struct exit_cause cause, const char *culprit)
{
    if (spawn_error_is_shortage(cause.value) && cause.stage >= SPAWN_STAGE_STDIO) {
        if (!c->start_waits)
            log_warn("%s: start waits: %s: %s", c->process.program->name, spawn_stage_name(cause.stage),
                     strerror(cause.value));
        c->start_waits = true;
        supervisor_handle(c, PROCESS_SPAWN_POSTPONED, 0, cause);
        return;
    }
    c->start_waits = false;
    explain(c, &cause, culprit);
    tell_exit(c, &cause);
    supervisor_handle(c, PROCESS_SPAWN_FAILED, 0, cause);
}

static void starting_let_go(struct starting *st)
{
    for (unsigned i = 0; i < st->n_held; i++)
        cleanup_close(&st->held[i]);
}

static void starting_end(struct child *c)
{
    if (c->starting == NULL)
        return;
    starting_let_go(c->starting);
    loop_io_clear(&c->starting->event);
    cleanup_close(&c->starting->fd);
    free(TAKE_PTR(c->starting));
}

static void starting_done(struct child *c)
{
    starting_end(c);
    struct event e = { .type = EVENT_SPAWN, .name = c->name, .pid = c->process.pid };
    events_add(c->supervisor->events, &e);
    supervisor_handle(c, PROCESS_EXECED, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

/* Takes what the child's error pipe says. */
static void starting_read(struct child *c)
{
    struct starting *st = c->starting;
    ssize_t n;
    while ((n = read(st->fd, &st->report, sizeof(st->report))) > 0) {
        if (st->report.stage == SPAWN_STAGE_NONE) {
            starting_let_go(st);
            continue;
        }
        st->failed = true;
        loop_io_clear(&st->event); /* its exit follows at once and is what counts */
        return;
    }
    if (n == 0)
        starting_done(c);
}

static void on_starting(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    starting_read(arg);
}

static int adopt_duplex(struct child *c, struct child_plan *p, unsigned i)
{
    struct duplex *d;
    int r = duplex_new(c->supervisor->loop, p->ours[i], (int)i, on_duplex, c, &d);
    if (r < 0)
        return r;
    p->ours[i] = -1;
    d->next = c->duplexes;
    c->duplexes = d;
    return 0;
}

/* Hands everything of the start over to the child; what cannot be watched for
 * lack of memory ends the start, and the process is killed and reaped as usual. */
static int adopt(struct child *c, struct child_plan *p, struct spawned *spawned)
{
    struct loop *loop = c->supervisor->loop;
    struct stream_options o = { .strip_ansi = c->supervisor->config->daemon.strip_ansi,
                                .format = c->process.program->log_format,
                                .overflow = c->process.program->log_overflow,
                                .process = event_name_text(c->name) };
    c->pidfd = spawned->pidfd;
    int in = TAKE_FD(p->ours[0]);
    c->in = (struct feed){ .loop = loop, .fd = in };
    duplex_free_all(TAKE_PTR(c->duplexes));
    int r = loop_io_set(loop, &c->exit_event, c->pidfd, LOOP_READ, LOOP_LIFE, on_exit_event, c);
    for (int i = 0; r == 0 && i < 2; i++) {
        if (p->ours[i + 1] < 0)
            continue;
        r = stream_new(loop, p->ours[i + 1], i + 1, p->logs[i], &o, &stream_owner, c, &c->streams[i]);
        if (r == 0) {
            c->streams[i]->run = spawned->pid;
            p->ours[i + 1] = -1;
            p->logs[i] = NULL;
        }
    }
    for (unsigned i = 3; r == 0 && i < p->plan.n_fds; i++)
        if (p->ours[i] >= 0)
            r = adopt_duplex(c, p, i);
    c->starting = calloc(1, sizeof(*c->starting) + (p->plan.n_fds + 1) * sizeof(int));
    if (c->starting == NULL) {
        close(spawned->error_fd);
        close(spawned->held_fd);
        return -ENOMEM;
    }
    c->starting->fd = spawned->error_fd;
    c->starting->n_held = p->plan.n_fds + 1;
    c->starting->held[0] = spawned->held_fd;
    for (unsigned i = 0; i < p->plan.n_fds; i++)
        c->starting->held[i + 1] = TAKE_FD(p->ends[i]);
    int q = loop_io_set(loop, &c->starting->event, c->starting->fd, LOOP_READ, LOOP_LIFE, on_starting, c);
    return r < 0 ? r : q;
}

int child_spawn(struct child *c)
{
    struct exit_cause cause;
    _cleanup_(child_plan_done) struct child_plan p;
    child_plan_init(&p);
    free(TAKE_PTR(c->detail));
    if (child_plan_make(c, &p, &cause) < 0) {
        spawn_failed(c, cause, p.culprit);
        return 0;
    }
    struct spawned spawned;
    int r = spawn(&p.plan, &spawned);
    if (r < 0) {
        spawn_failed(c, exit_cause_from_spawn(SPAWN_STAGE_FORK, -r), NULL);
        return 0;
    }
    c->supervisor->starts++;
    log_info("spawned: '%s' with pid %d", c->process.program->name, spawned.pid);
    c->start_waits = false;
    supervisor_handle(c, PROCESS_SPAWNED, spawned.pid, (struct exit_cause){ .kind = EXIT_NONE });
    r = adopt(c, &p, &spawned);
    if (r < 0) {
        log_error("%s: cannot watch pid %d: %s; it is killed", c->process.program->name, spawned.pid, strerror(-r));
        pidfd_signal(c->pidfd, SIGKILL);
    }
    return 0;
}

/* -- exit ------------------------------------------------------------------- */

static void take_usage(struct child *c, const struct rusage *u)
{
    c->cpu_user_ms = (uint32_t)(u->ru_utime.tv_sec * 1000 + u->ru_utime.tv_usec / 1000);
    c->cpu_system_ms = (uint32_t)(u->ru_stime.tv_sec * 1000 + u->ru_stime.tv_usec / 1000);
    c->maxrss_kib = (uint32_t)u->ru_maxrss;
}

static void on_exit_event(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    child_reap(arg);
}

void child_reap(struct child *c)
{
    int status = 0;
    pid_t run = c->process.pid; /* which it forgets at its exit */
    struct rusage usage = { 0 };
    int r = pidfd_reap(c->pidfd, &status, &usage);
    if (r == 0)
        return;
    struct exit_cause cause = r > 0 ? exit_cause_from_wait(status) : (struct exit_cause){ .kind = EXIT_UNKNOWN };
    cause.timed_out = c->process.timed_out > 0;
    if (c->starting != NULL && !c->starting->failed) {
        starting_let_go(c->starting);
        starting_read(c);
        /* Without a word of failure it has run.  The end of the pipe may come late:
         * another child on its way to exec still has a copy of its other end. */
        if (c->starting != NULL && !c->starting->failed)
            starting_done(c);
    }
    if (c->starting != NULL && c->starting->failed) {
        const struct spawn_report *report = &c->starting->report;
        cause = exit_cause_from_spawn(report->stage, report->error);
        const char *path = NULL;
        if (report->stage == SPAWN_STAGE_STDIO)
            path = stdio_entry(c->process.program->stdio, (unsigned)report->index).path;
        explain(c, &cause, path);
    }
    starting_end(c);
    take_usage(c, &usage);
    loop_io_clear(&c->exit_event);
    cleanup_close(&c->pidfd);
    feed_end(&c->in);
    for (struct duplex *d = c->duplexes; d != NULL; d = d->next)
        duplex_drain(d);
    drain_and_detach(c);
    tell_exit(c, &cause);
    supervisor_handle(c, PROCESS_EXITED_EVENT, 0, cause);
    tell_closed_if_last(c, run);
}

int child_signal(struct child *c, int signal, bool as_group)
{
    if (c->pidfd < 0)
        return -ESRCH;
    /* the pid cannot have been given away: nobody but on_exit_event reaps it */
    return as_group ? pidfd_signal_group(c->process.pid, signal) : pidfd_signal(c->pidfd, signal);
}

/* -- what it is told through its descriptors -------------------------------------- */

static struct feed *feed_of(struct child *c, int number)
{
    struct duplex *d = number != 0 ? duplex_find(c->duplexes, number) : NULL;
    return number == 0 ? &c->in : d != NULL ? &d->feed : NULL;
}

int child_write(struct child *c, int number, const void *data, size_t len)
{
    struct feed *f = feed_of(c, number);
    if (c->process.pid == 0)
        return -ESRCH;
    return f != NULL ? feed_write(f, data, len) : -EBADF;
}

void child_write_end(struct child *c, int number)
{
    struct feed *f = feed_of(c, number);
    if (f != NULL)
        feed_close(f);
}

/* -- birth and end of the record -------------------------------------------- */

int child_new(struct supervisor *s, struct member_group *g, const struct program *p, uint32_t order, struct child **ret)
{
    struct child *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->name = event_name_new(g->group->name, p->name);
    if (c->name == NULL) {
        free(c);
        return -ENOMEM;
    }
    process_init(&c->process, p);
    c->supervisor = s;
    c->group = g;
    c->pidfd = -1;
    c->in.fd = -1;
    c->order = order;
    *ret = c;
    return 0;
}

void child_free(struct child *c)
{
    if (c == NULL)
        return;
    while (c->followers != NULL) {
        struct child_follower *f = c->followers;
        child_unfollow(f);
        f->gone(f->arg);
    }
    while (c->watches != NULL) {
        struct child_watch *w = c->watches;
        child_unwatch(w);
        if (w->gone != NULL)
            w->gone(w->arg);
    }
    starting_end(c);
    loop_io_clear(&c->exit_event);
    cleanup_close(&c->pidfd);
    feed_end(&c->in);
    duplex_free_all(c->duplexes);
    if (c->timer != NULL)
        loop_timer_clear(c->timer);
    free(c->timer);
    for (int i = 0; i < 2; i++) {
        stream_free(c->streams[i]);
        free(c->auto_log[i]);
    }
    while (c->lingering != NULL) {
        struct stream *s = c->lingering;
        c->lingering = s->next;
        stream_free(s);
    }
    free(c->detail);
    free(c->syslog);
    event_name_unref(c->name);
    free(c);
}
