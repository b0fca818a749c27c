/* spawn.c - the child half of starting a program.
 *
 * Owns the few descriptors of one start until they are handed over.  All that
 * runs in the child between clone and exec is async-signal-safe and works on
 * data made before (fork(2): after a fork of what may have been a threaded or
 * interrupted program only such calls are allowed; libevent and stdio are off
 * limits there).
 *
 * What a start costs is mostly memory that the kernel copies: see spawn_pack.c for
 * what the child is given.  And since every page of ours that is written after a
 * clone is copied first, several children are made one directly after the other
 * where several are to be made.
 *
 * Order in the child: process group or session, limits, priorities and processors,
 * descriptors, the limit of open files (placing descriptors may need more of them),
 * groups, gid, uid, capabilities, proof that nothing can be regained, directory (as
 * the new user), umask, signal mask, the files that it opens itself, no new
 * privileges, its word to the guardian, exec.  Signals are blocked around the clone,
 * so that no handler of the daemon can run in the child. */
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/spawn_child.h"
#include "os/spawn_pack.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif
#define RAISED 256 /* numbers below are for what comes and goes */

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

int spawn_error_is_shortage(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

_Noreturn void spawn_child_fail(int error_fd, enum spawn_stage stage, int error)
{
    spawn_child_fail_at(error_fd, stage, error, -1);
}

_Noreturn void spawn_child_fail_at(int error_fd, enum spawn_stage stage, int error, int index)
{
    struct spawn_report report = { .stage = stage, .error = error, .index = index };
    ssize_t n = write(error_fd, &report, sizeof(report)); /* whole or not at all: below PIPE_BUF */
    (void)n;
    _exit(127);
}

#define SIGNALS 64

/* Which signals are ignored here; see spawn_learn_signals(). */
static struct {
    bool known;
    uint64_t ignored;
} signals;

void spawn_learn_signals(void)
{
    unsigned long old[8];
    signals.ignored = 0;
    for (int s = 1; s <= SIGNALS; s++)
        if (syscall(SYS_rt_sigaction, s, NULL, old, SIGNALS / 8) == 0 && old[0] == (unsigned long)SIG_IGN)
            signals.ignored |= 1ULL << (s - 1);
    signals.known = true;
}

/* Handlers go to their default; what our starter had us ignore must not be
 * ignored in a job, which may count on SIGPIPE. */
static void child_reset_signals(bool handlers_cleared)
{
    const unsigned long by_default[8] = { 0 }; /* a kernel's struct sigaction: SIG_DFL, no flags, no mask */
    bool all = !handlers_cleared || !signals.known;
    for (int s = 1; s <= SIGNALS; s++)
        if (all || (signals.ignored >> (s - 1) & 1) != 0)
            syscall(SYS_rt_sigaction, s, by_default, NULL, SIGNALS / 8); /* sigaction(3) keeps two for libc */
}

static int child_move_up(int *fd, int n)
{
    int moved = *fd < 0 || *fd >= n ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, n);
    if (moved < 0 && *fd >= 0)
        return -errno;
    *fd = moved;
    return 0;
}

/* Places fds[i] at i for all i.  Sources below n_fds are first moved out of the
 * way, since placing one could overwrite another that is still to come. */
static int child_place_fds(const struct spawn_plan *plan, int *error_fd, int *tell_fd)
{
    int source[SPAWN_FDS_MAX];
    int n = (int)plan->n_fds;
    int r = child_move_up(error_fd, n);
    if (r == 0)
        r = child_move_up(tell_fd, n);
    if (r < 0)
        return r;
    for (int i = 0; i < n; i++) {
        source[i] = plan->fds[i];
        if (source[i] >= 0 && source[i] < n) {
            source[i] = fcntl(source[i], F_DUPFD_CLOEXEC, n);
            if (source[i] < 0)
                return -errno;
        }
    }
    for (int i = 0; i < n; i++) {
        if (source[i] < 0)
            close(i);
        else if (dup2(source[i], i) < 0) /* clears CLOEXEC, as wanted here */
            return -errno;
    }
    return 0;
}

/* Everything of ours is CLOEXEC already; this is for what is not ours: a
 * descriptor that a library opened, or that our starter left us. */
static void child_close_rest(unsigned first, int a, int b)
{
    const int keep[2] = { a < b ? a : b, a < b ? b : a };
    for (int i = 0; i < 2; i++) {
        if (keep[i] < 0)
            continue;
        if ((unsigned)keep[i] > first)
            syscall(SYS_close_range, first, (unsigned)keep[i] - 1, 0);
        first = (unsigned)keep[i] + 1;
    }
    syscall(SYS_close_range, first, ~0U, 0);
}

/* Ends the sharing of the table of descriptors: a copy of what is below the
 * highest number that is needed, nothing above it (close_range(2)).  Nothing may
 * be done to a descriptor before that, since it would be done to the daemon's. */
static void child_own_table(const struct spawn_plan *plan, int error_fd)
{
    int highest = plan->n_tell > 0 && plan->tell_fd > error_fd ? plan->tell_fd : error_fd;
    for (unsigned i = 0; i < plan->n_fds; i++)
        highest = plan->fds[i] > highest ? plan->fds[i] : highest;
    if (syscall(SYS_close_range, (unsigned)highest + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0 && unshare(CLONE_FILES) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_DESCRIPTORS, errno);
    struct spawn_report own = { .stage = SPAWN_STAGE_NONE };
    ssize_t n = write(error_fd, &own, sizeof(own));
    (void)n;
}

/* -- making the child --------------------------------------------------------- */

static _Noreturn void child_main(const struct spawn_plan *plan, bool handlers_cleared, int error_fd)
{
    child_own_table(plan, error_fd);
    child_reset_signals(handlers_cleared);
    if (plan->new_session ? setsid() < 0 : setpgid(0, 0) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_PROCESS_GROUP, errno);
    spawn_child_confine(plan, error_fd);
    int tell_fd = plan->n_tell > 0 ? plan->tell_fd : -1;
    int r = child_place_fds(plan, &error_fd, &tell_fd);
    if (r < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_DESCRIPTORS, -r);
    child_close_rest(plan->n_fds, error_fd, tell_fd);
    spawn_child_limit_files(plan, error_fd);
    spawn_child_become(plan, error_fd);
    if (plan->directory != NULL && chdir(plan->directory) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_DIRECTORY, errno);
    if (plan->umask >= 0)
        umask((mode_t)plan->umask);
    sigset_t none; /* from here on it can be told to end: a FIFO may keep it waiting for ever */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    spawn_child_open(plan, error_fd);
    if (plan->confinement != NULL && plan->confinement->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_NO_NEW_PRIVILEGES, errno);
    if (tell_fd >= 0 && send(tell_fd, plan->tell, plan->n_tell, MSG_NOSIGNAL) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_FORK, errno);
    execve(plan->file, plan->argv, plan->envp);
    spawn_child_fail(error_fd, SPAWN_STAGE_EXEC, errno);
}

/* clone3 without CLONE_VM, or a plain clone where a seccomp filter (older
 * container runtimes) knows no clone3; the pidfd is race-free there too, since
 * nobody but us could reap the child between the two calls.  Never fork(3): its
 * handlers in the child would touch the heap. */
static pid_t clone_with_pidfd(int cgroup_fd, int32_t *born, int *pidfd, bool *handlers_cleared)
{
    *handlers_cleared = true;
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_FILES,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .parent_tid = (uint64_t)(uintptr_t)born,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)cgroup_fd,
    };
    if (born != NULL)
        args.flags |= CLONE_PARENT_SETTID;
    if (cgroup_fd > 0)
        args.flags |= CLONE_INTO_CGROUP;
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0 && cgroup_fd > 0 && errno != ENOSYS && errno != EPERM && !spawn_error_is_shortage(errno)) {
        args.flags &= ~CLONE_INTO_CGROUP; /* better where we are than not at all */
        args.cgroup = 0;
        pid = syscall(SYS_clone3, &args, sizeof(args));
    }
    if (pid >= 0 || (errno != ENOSYS && errno != EPERM))
        return (pid_t)pid;
    *handlers_cleared = false;
    long flags = SIGCHLD | (born != NULL ? CLONE_PARENT_SETTID : 0); /* all that valgrind knows */
    pid_t child = (pid_t)syscall(SYS_clone, flags, 0L, born, 0L, 0L);
    if (child <= 0)
        return child;
    *pidfd = (int)syscall(SYS_pidfd_open, child, 0); /* CLOEXEC by itself */
    if (*pidfd >= 0)
        return child;
    int error = errno;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    errno = error;
    return -1;
}

void spawn_expect_fds(unsigned n)
{
    static unsigned expected = RAISED;
    if (n <= expected)
        return;
    while (expected < n)
        expected *= 2;
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, expected - 1);
    if (fd >= 0)
        close(fd);
}

int spawn_raise_fd(int fd)
{
    int saved = errno; /* where there is none it says why */
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, RAISED);
    errno = saved;
    if (raised < 0)
        return fd;
    close(fd);
    return raised;
}

static int make_error_pipe(struct spawned *s)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    s->error_fd = fds[0];
    s->held_fd = fds[1];
    return 0;
}

static void start_fail(struct spawn_start *start, int error)
{
    start->error = error;
    cleanup_close(&start->made.error_fd);
    cleanup_close(&start->made.held_fd);
}

/* Where there is no clone3 the child goes there by itself, or stays where we are. */
static void enter_cgroup(const struct spawn_plan *plan)
{
    int fd = openat(plan->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? write(fd, "0", 1) : 0;
    (void)n;
    if (fd >= 0)
        close(fd);
}

/* The child may not look into *start, which is heap. */
static void clone_one(struct spawn_start *start)
{
    const struct spawn_plan *packed = start->packed;
    int error_fd = start->made.held_fd;
    bool handlers_cleared;
    pid_t pid = clone_with_pidfd(packed->cgroup_fd, packed->born, &start->made.pidfd, &handlers_cleared);
    if (pid == 0 && !handlers_cleared && packed->cgroup_fd > 0)
        enter_cgroup(packed);
    if (pid == 0)
        child_main(packed, handlers_cleared, error_fd);
    start->made.pid = pid;
    start->error = pid < 0 ? -errno : 0;
}

void spawn_many(struct spawn_start *starts, size_t n)
{
    int r = spawn_pack(starts, n);
    for (size_t i = 0; i < n; i++) {
        starts[i].made = (struct spawned){ .pidfd = -1, .error_fd = -1, .held_fd = -1 };
        starts[i].error = r < 0 ? r : make_error_pipe(&starts[i].made);
    }
    spawn_keep_heap_out();
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < n; i++)
        if (starts[i].error == 0)
            clone_one(&starts[i]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    for (size_t i = 0; i < n; i++) {
        struct spawned *made = &starts[i].made;
        if (starts[i].error < 0) {
            start_fail(&starts[i], starts[i].error);
            continue;
        }
        if (!starts[i].plan->new_session)  /* who leads a group cannot begin a session */
            setpgid(made->pid, made->pid); /* the child does it, too: whoever is first, it exists when we return */
        made->pidfd = spawn_raise_fd(made->pidfd);
    }
}

int spawn(const struct spawn_plan *plan, struct spawned *ret)
{
    struct spawn_start *start = malloc(sizeof(*start)); /* not on the stack: see spawn_many() */
    if (start == NULL)
        return -ENOMEM;
    start->plan = plan;
    spawn_many(start, 1);
    int r = start->error;
    if (r == 0)
        *ret = start->made;
    free(start);
    return r;
}
