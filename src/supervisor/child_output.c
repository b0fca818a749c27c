/* child_output.c - what a process prints, and who hears of it.
 *
 * Owns, for each process: the streams of its present run and those of earlier
 * runs that somebody still writes to, and the names of its AUTO logs.  Followers
 * and watchers are nodes of their own owners; they are told and never freed. */
#include "supervisor/child_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/logdirect.h"
#include "os/syslogger.h"
#include "supervisor/child_ipc.h"
#include "supervisor/supervisor.h"

/* A daemonising program leaves a grandchild with our pipe at each of its starts;
 * more than this many of one process are not kept.  Where their log takes nothing
 * they are, since nothing is lost, and it is the next start that waits. */
#define LINGERING_MAX 16

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
    enum stdio_kind kind = stdio_entry(c->process.program->stdio, (unsigned)number).kind;
    if (kind != STDIO_PIPE && kind != STDIO_LOG)
        return NULL;
    if (l->target == LOG_TARGET_AUTO)
        return c->auto_log[number - 1];
    return l->target == LOG_TARGET_FILE ? l->path : NULL;
}

static char *auto_log_name(const struct child *c, int number, const char *unique)
{
    const struct config_daemon *d = &c->supervisor->config->daemon;
    char *path;
    int n = asprintf(&path, "%s/%s-%s---%s-%s.log", d->childlogdir, c->process.program->name,
                     number == 1 ? "stdout" : "stderr", d->identifier, unique);
    return n < 0 ? NULL : path;
}

void child_auto_log_again(struct child *c, int number, const char *unique)
{
    char **name = &c->auto_log[number - 1];
    if (*name == NULL && strchr(unique, '/') == NULL)
        *name = auto_log_name(c, number, unique);
    if (*name != NULL && access(*name, F_OK) < 0)
        free(TAKE_PTR(*name));
}

/* The name is made once for each process and stays with it over its restarts. */
static int make_auto_log(struct child *c, int number)
{
    char **name = &c->auto_log[number - 1];
    if (*name != NULL)
        return 0;
    _cleanup_free_ char *path = auto_log_name(c, number, "XXXXXX");
    if (path == NULL)
        return -ENOMEM;
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

int child_log_direct(struct child *c, int number)
{
    const struct log_settings *l = log_settings(c, number);
    if (l->target == LOG_TARGET_FILE)
        return log_direct(l->path);
    int r = l->target == LOG_TARGET_AUTO ? make_auto_log(c, number) : -ENOENT;
    return r < 0 ? r : log_direct(c->auto_log[number - 1]);
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
void child_duplex_output(int number, const char *data, size_t len, void *arg)
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

/* Its log has taken something. */
static void look_at_start(struct child *c)
{
    if (c->start_waits && c->process.state == PROCESS_STARTING && c->process.pid == 0)
        start_queue_add(c);
}

static void on_logged(struct stream *s, const char *data, size_t len, void *arg)
{
    tell_followers(arg, false, s->number, data, len);
    look_at_start(arg);
}

/* `close` of a run: it has ended, and nobody writes to its pipes any more. */
void child_tell_closed(struct child *c, pid_t run)
{
    bool open = c->process.pid == run;
    for (int i = 0; i < 2; i++)
        open |= c->streams[i] != NULL && c->streams[i]->run == run;
    for (const struct stream *s = c->lingering; s != NULL; s = s->next)
        open |= s->run == run;
    open |= child_ipc_is_open(c, run);
    if (open)
        return;
    struct event e = { .type = EVENT_CLOSE, .name = c->name, .pid = run };
    events_add(c->supervisor->events, &e);
}

/* Of all runs but the present one. */
static size_t count_stuck(const struct child *c, int *error)
{
    usec_t since;
    size_t n = 0;
    for (const struct stream *s = c->lingering; s != NULL; s = s->next) {
        int r = stream_trouble(s, &since);
        n += r != 0;
        *error = r != 0 ? r : *error;
    }
    return n;
}

bool child_output_holds_start(struct child *c)
{
    int error = 0;
    if (count_stuck(c, &error) < LINGERING_MAX)
        return false;
    if (!c->start_waits)
        log_warn("%s: start waits: its log does not take what earlier runs have printed: %s", c->process.program->name,
                 strerror(-error));
    c->start_waits = true;
    return true;
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
    child_tell_closed(c, run);
    look_at_start(c);
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
    look_at_start(c);
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

const struct stream_owner child_stream_owner = { .watched = on_watched,
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
void child_drain(struct child *c)
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
    for (int n = 0; *at != NULL;) {
        struct stream *s = *at;
        usec_t since;
        if (stream_trouble(s, &since) != 0 || n++ < LINGERING_MAX) {
            at = &s->next;
            continue;
        }
        log_warn("%s: %d earlier runs are still written to by their children; the oldest pipe is closed",
                 c->process.program->name, LINGERING_MAX);
        *at = s->next;
        pid_t run = s->run;
        stream_free(s);
        child_tell_closed(c, run);
    }
}
