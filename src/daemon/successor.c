/* successor.c - see successor.h.
 *
 * Asking, and executing the other program, is the guardian's; this finds the file,
 * has words for the answer, and leaves when the client has heard it.  Leaving is
 * nothing special: a supervisor may end at any instruction, and the next one,
 * whichever program that is, takes over.  Owns the descriptor of the file. */
#include "daemon/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/upgrade.h"

#define LOOK_EVERY (5 * USEC_PER_MSEC)
#define LOOKS 200 /* at whether the client has read its answer */

struct successor {
    struct loop *loop;
    struct holder *holder;
    struct http_server *http;
    struct loop_timer timer;
    unsigned looks;
    int fd; /* -1: nobody is asked */
    void (*done)(const char *why, void *arg);
    void *arg;
};

int successor_new(struct loop *loop, struct holder *h, struct http_server *http, struct successor **ret)
{
    struct successor *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    *s = (struct successor){ .loop = loop, .holder = h, .http = http, .fd = -1 };
    *ret = s;
    return 0;
}

void successor_free(struct successor *s)
{
    if (s == NULL)
        return;
    loop_timer_clear(&s->timer);
    cleanup_close(&s->fd);
    free(s);
}

/* Where this program was, even when another file has that name now. */
static int own_path(char path[PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n < 0)
        return -errno;
    path[n] = '\0';
    size_t len = (size_t)n, tail = sizeof(deleted) - 1;
    if (len > tail && strcmp(path + len - tail, deleted) == 0)
        path[len - tail] = '\0';
    return 0;
}

static int open_program(const char *path, int *ret)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return -EACCES;
    *ret = TAKE_FD(fd);
    return 0;
}

int successor_ask(struct successor *s, const char *path, void (*done)(const char *why, void *arg), void *arg)
{
    char own[PATH_MAX];
    if (s->fd >= 0)
        return -EBUSY;
    int r = path == NULL ? own_path(own) : 0;
    if (r == 0)
        r = open_program(path != NULL ? path : own, &s->fd);
    if (r == 0)
        r = holder_upgrade(s->holder, s->fd);
    if (r < 0 && r != -EAGAIN) {
        cleanup_close(&s->fd);
        return r;
    }
    s->done = done;
    s->arg = arg;
    log_info("upgrade: asking %s", path != NULL ? path : own);
    return 0;
}

static void leave_when_read(void *arg)
{
    struct successor *s = arg;
    if (++s->looks > LOOKS || http_server_idle(s->http)) {
        log_info("upgrade: this supervisor makes room for the next");
        log_flush();
        if (holder_flush(s->holder) == 0)
            _exit(EXIT_SUCCESS);
    }
    loop_timer_set(s->loop, &s->timer, loop_now(s->loop) + LOOK_EVERY, leave_when_read, s);
}

/* NULL: it fits. */
static const char *words_of(int status, char *room, size_t size)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return "it did not answer in time";
    if (WIFSIGNALED(status)) {
        snprintf(room, size, "it was ended by signal %d", WTERMSIG(status));
        return room;
    }
    switch (WEXITSTATUS(status)) {
    case UPGRADE_FITS:
        return NULL;
    case UPGRADE_UNREADABLE:
        return "it cannot read the state of this one";
    case UPGRADE_OLDER:
        return "it is older than this one";
    case 2:
        return "it does not know --check-state, or does not take the configuration; see the output of the daemon";
    case 127:
        return "it cannot be executed";
    default:
        snprintf(room, size, "it answered with exit status %d", WEXITSTATUS(status));
        return room;
    }
}

void successor_answered(int status, void *arg)
{
    struct successor *s = arg;
    char room[64];
    if (s->fd < 0)
        return;
    cleanup_close(&s->fd);
    const char *why = words_of(status, room, sizeof(room));
    if (why != NULL)
        log_error("upgrade refused: %s", why);
    s->done(why, s->arg);
    if (why == NULL)
        leave_when_read(s);
}
