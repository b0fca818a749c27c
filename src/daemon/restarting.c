/* restarting.c - see restarting.h.
 *
 * Asks `systemctl list-jobs`, a child of ours for a few milliseconds: a client of
 * D-Bus in here would be larger than all that it could find out.  The unit's name is
 * in our cgroup's.  While a restart waits for the old process to end, its job is
 * called restart; that of a stop, or of a machine that goes down, is not.
 *
 * Owns the child, its pidfd and the pipe that it answers by, while one is asked.
 * Never waits for it: a child that does not answer in time is killed. */
#include "daemon/restarting.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/pidfd.h"

#define ANSWER_WAIT (5 * USEC_PER_SEC)
#define UNIT_MAX 256    /* of a name, with its end */
#define DEATH_WAIT 1000 /* milliseconds for a killed one to be gone */

struct restarting {
    struct loop *loop;
    struct loop_io event;
    struct loop_timer timer;
    int pipe, pidfd; /* -1: nobody is asked */
    char answer[1024];
    size_t len;
    restarting_fn fn;
    void *arg;
};

int restarting_new(struct loop *loop, struct restarting **ret)
{
    struct restarting *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->loop = loop;
    r->pipe = r->pidfd = -1;
    *ret = r;
    return 0;
}

static void put_away(struct restarting *r)
{
    int status;
    loop_io_clear(&r->event);
    loop_timer_clear(&r->timer);
    cleanup_close(&r->pipe);
    if (r->pidfd < 0)
        return;
    pidfd_signal(r->pidfd, SIGKILL); /* it has said what it had to say */
    poll(&(struct pollfd){ .fd = r->pidfd, .events = POLLIN }, 1, DEATH_WAIT);
    pidfd_reap(r->pidfd, &status, NULL);
    cleanup_close(&r->pidfd);
}

void restarting_free(struct restarting *r)
{
    if (r == NULL)
        return;
    put_away(r);
    free(r);
}

/* -- what is read ------------------------------------------------------------------ */

/* The last part of the path that names a service: below it there may be cgroups of
 * its own. */
static bool last_service(const char *path, size_t len, const char **name, size_t *name_len)
{
    static const char suffix[] = ".service";
    const size_t tail = sizeof(suffix) - 1;
    while (len > 0) {
        size_t from = len;
        while (from > 0 && path[from - 1] != '/')
            from--;
        *name = path + from;
        *name_len = len - from;
        if (*name_len > tail && memcmp(path + len - tail, suffix, tail) == 0)
            return true;
        len = from > 0 ? from - 1 : 0;
    }
    return false;
}

/* "NUMBER:CONTROLLERS:PATH"; systemd's own is that of cgroup v2, or a named one. */
static const char *path_of(const char *line)
{
    const char *named = ":name=systemd:";
    if (strncmp(line, "0::", 3) == 0)
        return line + 3;
    line += strspn(line, "0123456789");
    return strncmp(line, named, strlen(named)) == 0 ? line + strlen(named) : NULL;
}

/* The unit whose process has this /proc/self/cgroup, with glob characters escaped;
 * *user: it is of a user's manager.  False: of no service. */
static bool find_unit(const char *cgroup, char unit[2 * UNIT_MAX], bool *user)
{
    for (const char *line = cgroup; *line != '\0';) {
        size_t len = strcspn(line, "\n"), name_len = 0, n = 0;
        const char *path = path_of(line), *name = NULL;
        if (path != NULL && last_service(path, len - (size_t)(path - line), &name, &name_len) && name_len < UNIT_MAX) {
            for (size_t i = 0; i < name_len; i++) {
                if (strchr("\\*?[", name[i]) != NULL)
                    unit[n++] = '\\';
                unit[n++] = name[i];
            }
            unit[n] = '\0';
            const char *manager = strstr(path, "/user@");
            *user = manager != NULL && manager < name;
            return true;
        }
        line += len + (line[len] == '\n');
    }
    return false;
}

/* A line of `systemctl list-jobs`: number, unit, type, state. */
static bool is_restart(const char *line)
{
    char type[32];
    return sscanf(line, "%*s %*s %31s", type) == 1 && strcmp(type, "restart") == 0;
}

static bool own_unit(char unit[2 * UNIT_MAX], bool *user)
{
    char text[8192];
    _cleanup_close_ int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    return find_unit(text, unit, user);
}

/* -- asking ------------------------------------------------------------------------ */

static void answer(struct restarting *r, bool again)
{
    put_away(r);
    r->fn(again, r->arg);
}

static void on_answer(int fd, unsigned what, void *arg)
{
    (void)what;
    struct restarting *r = arg;
    ssize_t n = read(fd, r->answer + r->len, sizeof(r->answer) - 1 - r->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        r->len += (size_t)n;
    r->answer[r->len] = '\0';
    if (n <= 0 || r->len == sizeof(r->answer) - 1)
        answer(r, is_restart(r->answer));
}

static void on_time(void *arg)
{
    log_error("systemctl does not answer whether this is a restart; programs are stopped");
    answer(arg, false);
}

/* As its output alone goes on from here, and no signal is as we have it. */
static int spawn(const char **argv, int out, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t a;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&a);
    posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&a, &none);
    posix_spawnattr_setsigdefault(&a, &all);
    int r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, 0, 2);
    if (r == 0)
        r = posix_spawnp(pid, argv[0], &files, &a, (char **)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&a);
    posix_spawn_file_actions_destroy(&files);
    return -r;
}

static int begin(struct restarting *r)
{
    char unit[2 * UNIT_MAX];
    bool user;
    int fds[2];
    pid_t pid;
    if (!own_unit(unit, &user))
        return -ENOENT;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    r->pipe = fds[0];
    const char *argv[] = {
        "systemctl", user ? "--user" : "--system", "--no-legend", "--no-pager", "--full", "list-jobs", unit, NULL
    };
    int e = spawn(argv, fds[1], &pid);
    close(fds[1]);
    if (e < 0)
        return e;
    r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* without one it is the guardian's to reap */
    r->len = 0;
    e = loop_io_set(r->loop, &r->event, r->pipe, LOOP_READ, LOOP_LIFE, on_answer, r);
    return e < 0 ? e : loop_timer_set(r->loop, &r->timer, loop_now(r->loop) + ANSWER_WAIT, on_time, r);
}

void restarting_ask(struct restarting *r, restarting_fn fn, void *arg)
{
    if (r->pipe >= 0)
        return;
    r->fn = fn;
    r->arg = arg;
    int e = begin(r);
    if (e == 0)
        return;
    log_error("cannot ask systemd whether this is a restart: %s; programs are stopped",
              e == -ENOENT ? "no systemctl, or the daemon is in no service" : strerror(-e));
    answer(r, false);
}
