/* begin.c - see begin.h.
 *
 * Everything that can be refused (user, lock, sockets, log, directory) is refused
 * here, while standard error still is that of the one who started the daemon; the
 * guardian passes our exit status on.  A supervisor that follows one which died
 * finds the lock and the sockets with the guardian and takes those.  Owns what is
 * in struct beginning. */
#include "daemon/begin.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/usec.h"
#include "daemon/activation.h"
#include "daemon/state_dir.h"
#include "os/daemonize.h"
#include "os/lockfile.h"

#define LOCK_NAME "lock" /* as the guardian holds it */
#define LOOK_EVERY 10    /* milliseconds */

static int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int refuse(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "droverd: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return -EINVAL;
}

/* A log that goes to standard output anyway is not echoed there a second time. */
static bool is_stdout(const char *path)
{
    struct stat file, out;
    return path != NULL && stat(path, &file) == 0 && fstat(STDOUT_FILENO, &out) == 0 && file.st_dev == out.st_dev &&
           file.st_ino == out.st_ino;
}

void begin_log(const struct config *config)
{
    const struct config_daemon *d = &config->daemon;
    struct log_options o = { .path = d->logfile,
                             .ident = d->identifier,
                             .level = (enum log_level)d->loglevel,
                             .max_bytes = d->logfile_maxbytes,
                             .backups = d->logfile_backups,
                             .echo = d->nodaemon && !d->silent && !is_stdout(d->logfile) };
    int r = log_open(&o);
    if (r < 0)
        log_error("cannot open the log %s: %s", d->logfile, strerror(-r));
}

static void raise_limits(const struct config_daemon *d)
{
    struct rlimit nofile, nproc;
    int r = daemonize_raise_limit(RLIMIT_NOFILE, d->minfds, &nofile);
    if (r < 0)
        log_warn("minfds=%u is out of reach: only %llu descriptors are allowed here; raise LimitNOFILE or ulimit -n",
                 d->minfds, (unsigned long long)nofile.rlim_max);
    r = daemonize_raise_limit(RLIMIT_NPROC, d->minprocs, &nproc);
    if (r < 0)
        log_warn("minprocs=%u is out of reach: only %llu processes are allowed here; raise LimitNPROC or ulimit -u",
                 d->minprocs, (unsigned long long)nproc.rlim_max);
}

static int become_user(const struct beginning *b)
{
    const struct config_daemon *d = &b->config->daemon;
    if (d->user == NULL)
        return 0;
    int r = daemonize_become(d->uid, d->gid, d->user);
    holder_bind(b->holder); /* a change of user undoes that */
    if (r == -EPERM)
        return refuse("[%s] user=%s: only root can become another user; start as root, or take the key out",
                      b->config->kind == CONFIG_NATIVE ? "droverd" : "supervisord", d->user);
    return r < 0 ? refuse("cannot become user %s: %s", d->user, strerror(-r)) : 0;
}

/* Where a file of supervisord leaves no place for a lock, such as a read-only root or
 * the directory of somebody else, supervisord runs; so do we, with a file that nobody
 * else can open in the lock's stead. */
static int do_without_lock(struct beginning *b, int why)
{
    const struct config *c = b->config;
    if (c->kind == CONFIG_NATIVE || c->daemon.state_dir != NULL)
        return refuse("cannot take the lock %s: %s; set state_dir to a directory that can be written", b->lock_path,
                      strerror(-why));
    b->lock_error = why;
    b->lock_fd = memfd_create("lock", MFD_CLOEXEC);
    return b->lock_fd < 0 ? refuse("cannot make a file in memory: %s", strerror(errno)) : 0;
}

/* Who has the lock may be about to let it go: a start right behind a shutdown, or behind
 * a crash of the guardian, is one that succeeds. */
static int take_lock_in_time(struct beginning *b, pid_t *other)
{
    static const struct {
        const char *words;
        usec_t at_most;
    } waits[] = {
        [LOCKFILE_ENDS] = { "is ending", 60 * USEC_PER_SEC },
        [LOCKFILE_DEAD] = { "has died, and what is left of it is about to", 30 * USEC_PER_SEC },
    };
    const usec_t began = usec_now(CLOCK_MONOTONIC);
    for (;;) {
        pid_t before = b->waited_for;
        int r = lockfile_take(b->lock_path, &b->lock_fd, other);
        b->waited = usec_now(CLOCK_MONOTONIC) - began;
        enum lockfile_owner owner = r == -EWOULDBLOCK ? lockfile_owner(b->lock_path, *other) : LOCKFILE_RUNS;
        if (owner == LOCKFILE_RUNS || b->waited >= waits[owner].at_most)
            return r;
        b->waited_for = *other;
        if (before != *other)
            fprintf(stderr, "droverd: the droverd before (pid %d) %s; waiting for it to let go of %s, %u s at most\n",
                    *other, waits[owner].words, b->lock_path, (unsigned)(waits[owner].at_most / USEC_PER_SEC));
        poll(NULL, 0, LOOK_EVERY);
    }
}

static int take_lock(struct beginning *b)
{
    pid_t other;
    int r = state_dir_lock_path(b->config, &b->lock_path);
    if (r < 0)
        return refuse("there is no directory of our own for the lock: %s; set state_dir", strerror(-r));
    b->lock_fd = holder_take(b->holder, LOCK_NAME);
    if (b->lock_fd >= 0) {
        lockfile_update(b->lock_fd, b->holder->guardian); /* from the manager's store it has another's pid */
        return 0;
    }
    r = state_dir_make(b->lock_path);
    if (r == 0)
        r = take_lock_in_time(b, &other);
    if (r == -EWOULDBLOCK)
        return refuse(
            "another droverd (pid %d) runs with this configuration, or has the same state directory; it holds "
            "%s; a configuration of its own needs a state_dir of its own",
            other, b->lock_path);
    if (r < 0)
        r = do_without_lock(b, r);
    if (r < 0)
        return r;
    lockfile_update(b->lock_fd, b->holder->guardian);
    return holder_put(b->holder, LOCK_NAME, b->lock_fd);
}

static int take_place(const struct beginning *b)
{
    const struct config_daemon *d = &b->config->daemon;
    bool change_directory = d->directory != NULL && (b->config->kind == CONFIG_NATIVE || !d->nodaemon);
    if (b->holder->background) {
        int r = daemonize_leave_terminal();
        if (r < 0)
            return refuse("cannot go to the background: %s", strerror(-r));
    }
    if (change_directory && chdir(d->directory) < 0)
        return refuse("cannot change to %s: %s", d->directory, strerror(errno));
    umask((mode_t)d->umask);
    return 0;
}

int begin(struct beginning *b)
{
    char why[512];
    const struct config_daemon *d = &b->config->daemon;
    activation_take(b->holder->starter, &b->passed);
    raise_limits(d);
    int r = become_user(b);
    if (r == 0)
        r = take_lock(b);
    if (r < 0)
        return r;
    r = listeners_open(b->config, &b->passed, b->holder, &b->listeners, why, sizeof(why));
    if (r < 0)
        return refuse("%s", why);
    begin_log(b->config);
    if (b->waited_for > 0)
        log_info("waited %u ms for the droverd before (pid %d) to let go of %s", (unsigned)(b->waited / USEC_PER_MSEC),
                 b->waited_for, b->lock_path);
    if (b->lock_error < 0)
        log_warn("there is no lock %s: %s; nothing keeps a second daemon with this configuration away; set state_dir",
                 b->lock_path, strerror(-b->lock_error));
    activation_complain(&b->passed, b->config);
    r = take_place(b);
    if (r < 0)
        return r;
    r = pidfile_write(d->pidfile, b->holder->guardian);
    if (r < 0)
        log_error("cannot write the pidfile %s: %s", d->pidfile, strerror(-r));
    r = holder_settle(b->holder);
    return r < 0 ? refuse("the guardian does not answer: %s", strerror(-r)) : 0;
}

void begin_ending(const struct beginning *b)
{
    if (b->lock_fd >= 0)
        lockfile_ending(b->lock_fd, b->holder->guardian);
}

void begin_undo(struct beginning *b, const char *pidfile)
{
    listeners_close(&b->listeners);
    activation_done(&b->passed);
    if (b->lock_fd >= 0) {
        pidfile_remove(pidfile, b->holder->guardian);
        lockfile_release(b->lock_path, &b->lock_fd);
    }
    free(b->lock_path);
}
