/* upgrade.c - see upgrade.h.
 *
 * The file's number is in the environment variable DROVER_STATE.  Its format has a
 * number that changes with struct state, struct roll_child, what they mean, and what
 * lies in the memory that is held under a name; the journal has its own.  What
 * is read is checked as if somebody else had written it, since a program that
 * begins with wrong tables loses every job. */
#include "guardian/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/store.h"
#include "os/journal.h"

#define FORMAT 3
#define MAGIC "drover/g"
#define VARIABLE "DROVER_STATE"
#define ARGUMENTS_MAX 64

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* At the beginning of the file; behind it each name with its number, and the children. */
struct state {
    char magic[8];
    uint32_t format, size, journal;
    char version[32];
    uint64_t mask_before, asked, pending;
    struct holder holder; /* its pointers mean nothing */
    struct sdnotify manager;
    struct store store;
    uint32_t settled, n_held, n_born;
};

static char variable[] = VARIABLE "=          ";

static bool put(int fd, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool take(int fd, void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (char *)data + done, len - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* A new file with all of it, whose number is in the variable; or -1. */
static int save(const struct guardian *g)
{
    struct state s = {
        .magic = MAGIC, .format = FORMAT, .size = sizeof(s), .journal = JOURNAL_VERSION, .version = DROVER_VERSION
    };
    s.asked = g->asked;
    s.pending = g->pending;
    s.holder = g->holder;
    s.manager = g->manager;
    s.store = g->store;
    s.settled = g->settled;
    s.n_held = g->roll.n_held;
    s.n_born = g->roll.n_born;
    memcpy(&s.mask_before, &g->mask_before, sizeof(s.mask_before));
    int fd = memfd_create("drover", MFD_CLOEXEC);
    bool good = fd >= 0 && put(fd, &s, sizeof(s));
    for (uint32_t i = 0; good && i < s.n_held; i++)
        good = put(fd, &g->roll.names[i], sizeof(uint64_t)) && put(fd, &g->roll.fds[i], sizeof(int));
    good = good && put(fd, g->roll.born, s.n_born * sizeof(g->roll.born[0])) && lseek(fd, 0, SEEK_SET) == 0;
    if (!good)
        cleanup_close(&fd);
    else
        snprintf(variable, sizeof(variable), VARIABLE "=%d", fd);
    return fd;
}

/* -- asking, and doing it ---------------------------------------------------------- */

static void keep_open(const struct guardian *g, bool keep)
{
    for (uint32_t i = 0; i < g->roll.n_held; i++)
        fcntl(g->roll.fds[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
    for (int fd = 3; fd < 64; fd++) /* what our starter gave us, for the new one to give */
        if ((g->holder.given_fds >> fd & 1) != 0)
            fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static _Noreturn void be_asked(const struct guardian *g, int state)
{
    char *argv[ARGUMENTS_MAX + 2];
    int n = 0;
    for (; n < ARGUMENTS_MAX && g->argv[n] != NULL; n++)
        argv[n] = g->argv[n];
    argv[n++] = (char[]){ "--check-state" };
    argv[n] = NULL;
    putenv(variable);
    fcntl(state, F_SETFD, 0);
    keep_open(g, true); /* our own copies: what it is to go on with is looked at, too */
    sigprocmask(SIG_SETMASK, &g->mask_before, NULL);
    syscall(SYS_execveat, g->fresh, "", argv, environ, AT_EMPTY_PATH);
    _exit(127);
}

void upgrade_ask(struct guardian *g)
{
    int fd = save(g);
    pid_t pid = fd >= 0 ? fork() : -1;
    if (pid == 0)
        be_asked(g, fd);
    cleanup_close(&fd);
    g->asking = pid;
    g->ask_by = usec_now(CLOCK_MONOTONIC) + UPGRADE_ASK_WAIT;
}

int upgrade_exec(struct guardian *g)
{
    int fd = save(g);
    if (fd < 0)
        return -ENOMEM;
    keep_open(g, true);
    fcntl(fd, F_SETFD, 0);
    if (putenv(variable) == 0)
        syscall(SYS_execveat, g->fresh, "", g->argv, environ, AT_EMPTY_PATH);
    int error = errno;
    unsetenv(VARIABLE);
    keep_open(g, false);
    close(fd);
    return -error;
}

/* -- in the new program -------------------------------------------------------------- */

/* The file's descriptor, or -1; the variable is nobody else's. */
static int passed(void)
{
    const char *text = getenv(VARIABLE);
    char *end = NULL;
    long fd = text != NULL ? strtol(text, &end, 10) : -1;
    bool good = text != NULL && end != text && *end == '\0' && fd > 2 && fd < 1 << 20 && fcntl((int)fd, F_GETFD) >= 0;
    unsetenv(VARIABLE);
    return good ? (int)fd : -1;
}

static bool is_whole(const struct state *s, int fd)
{
    struct stat st;
    return memcmp(s->magic, MAGIC, sizeof(s->magic)) == 0 && s->format == FORMAT && s->size == sizeof(*s) &&
           s->journal == JOURNAL_VERSION && memchr(s->version, '\0', sizeof(s->version)) != NULL &&
           store_is_whole(&s->store) && s->n_held <= ROLL_HELD_MAX && s->n_born <= ROLL_BORN_MAX &&
           fstat(fd, &st) == 0 &&
           (uint64_t)st.st_size ==
               sizeof(*s) + s->n_held * (sizeof(uint64_t) + sizeof(int)) + s->n_born * sizeof(struct roll_child);
}

static bool take_roll(struct roll *r, const struct state *s, int fd)
{
    for (uint32_t i = 0; i < s->n_held; i++) {
        uint64_t name;
        int held, before;
        if (!take(fd, &name, sizeof(name)) || !take(fd, &held, sizeof(held)) || held < 3 ||
            roll_hold(r, name, held, &before) < 0 || before >= 0)
            return false;
    }
    r->n_born = s->n_born;
    return take(fd, r->born, s->n_born * sizeof(r->born[0]));
}

static int load(struct guardian *g, struct state *s, int fd)
{
    if (!take(fd, s, sizeof(*s)) || !is_whole(s, fd) || !take_roll(&g->roll, s, fd))
        return -EBADMSG;
    return 0;
}

int upgrade_resume(struct guardian *g)
{
    struct state s;
    _cleanup_close_ int fd = passed();
    if (fd < 0)
        return 0;
    int r = load(g, &s, fd);
    if (r < 0)
        return r;
    g->asked = s.asked;
    g->pending = s.pending;
    g->holder = s.holder;
    g->holder.queue = NULL;
    g->holder.roll = NULL;
    g->holder.last_upgraded = true;
    g->manager = s.manager;
    g->manager.fd = g->holder.notify ? sdnotify_socket() : -1;
    g->store = s.store;
    g->settled = s.settled != 0;
    memcpy(&g->mask_before, &s.mask_before, sizeof(s.mask_before));
    return 1;
}

/* Our version against the other's: numbers with dots. */
static bool is_older(const char *ours, const char *theirs)
{
    return strverscmp(ours, theirs) < 0;
}

enum upgrade_answer upgrade_check(const char *version, struct roll **ret)
{
    static struct guardian g; /* large, and of no further use */
    struct state s;
    _cleanup_close_ int fd = passed();
    if (fd < 0 || load(&g, &s, fd) < 0)
        return UPGRADE_UNREADABLE;
    *ret = &g.roll;
    return is_older(version, s.version) ? UPGRADE_OLDER : UPGRADE_FITS;
}
