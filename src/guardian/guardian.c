/* guardian.c - holds descriptors, reaps, and starts the supervisor again.
 *
 * It is to be read in one sitting, since it must not fail: after its start it
 * allocates nothing, waits for nothing but poll(2), and reads nothing that a job
 * can write.  All it owns is in one static value: the descriptors of the roll, its
 * end of the pair to the supervisor, a signalfd.  All its signals are blocked.
 *
 * Three orders of things matter.  A child's last word before exec (BORN) was sent
 * before it died, so the messages are read between seeing that somebody has ended
 * and taking the status.  When the supervisor has ended, its pair is shut first and
 * emptied then: whose BORN came through will run and is on the roll, and nobody
 * else will (see holder_born()).  And a new supervisor is forked when all that is
 * done, so that the tables it inherits are complete. */
#include "guardian/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/message.h"
#include "os/daemonize.h"
#include "os/sdnotify.h"

#define HELD_FROM 256       /* numbers below are for what comes and goes, see os/spawn.h */
#define EARLY_DEATHS_MAX 16 /* of a supervisor that never came so far as to say hello, with nothing to lose */
#define DELAY_FIRST (100 * USEC_PER_MSEC)
#define DELAY_MAX (5 * USEC_PER_SEC)

static struct guardian {
    int (*supervise)(struct holder *h, void *arg);
    void *arg;
    struct roll roll;
    struct holder holder; /* what each supervisor begins with */
    struct sdnotify manager;
    sigset_t mask_before;
    int signals;      /* signalfd */
    int socket;       /* to the supervisor; -1: none, or it has closed its end */
    int let_go;       /* a byte to the one who waits for us to be in the background; -1 */
    pid_t supervisor; /* 0: none now */
    int status;       /* of the supervisor that has ended */
    bool hello, bye, to_background, settled;
    int bye_status;
    bool untold;      /* the supervisor has not yet taken all we have to say */
    uint64_t pending; /* signals to pass on at hello; bit: number */
    uint64_t asked;   /* signals of those that end us which came */
    unsigned early_deaths;
    usec_t start_at; /* of the next supervisor */
} g;

static const int forwarded[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2 };

static usec_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* -- telling the supervisor ----------------------------------------------------- */

static bool tell(struct message_op op, const void *data, size_t len)
{
    struct iovec iov[2] = { { &op, sizeof(op) }, { (void *)(uintptr_t)data, len } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    return g.socket >= 0 && sendmsg(g.socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* What it does not take now is told when it has room.  Of a stranger nobody will
 * ask again. */
static void tell_ends(void)
{
    g.untold = false;
    for (uint32_t i = g.roll.n_born; i-- > 0 && !g.untold;) { /* from behind: the last one fills a gap */
        struct roll_child *c = &g.roll.born[i];
        if (c->state == ROLL_LIVE || c->told)
            continue;
        c->told = tell((struct message_op){ .kind = MESSAGE_ENDED }, c, sizeof(*c));
        g.untold = !c->told && g.socket >= 0;
        if (c->told && c->tag == ROLL_STRANGER)
            roll_forget(&g.roll, c->pid, c->tag);
    }
}

/* -- what the supervisor says --------------------------------------------------- */

/* Takes fd; children of later supervisors need the low numbers to themselves. */
static void hold(uint64_t name, int fd)
{
    int before = -1, high = fcntl(fd, F_DUPFD_CLOEXEC, HELD_FROM);
    if (high >= 0) {
        close(fd);
        fd = high;
    }
    if (roll_hold(&g.roll, name, fd, &before) < 0) {
        close(fd);
        tell((struct message_op){ .kind = MESSAGE_REFUSED, .value = name }, NULL, 0);
    }
    cleanup_close(&before);
}

static void drop(uint64_t name)
{
    int fd = roll_drop(&g.roll, name);
    cleanup_close(&fd);
}

/* What cannot be put on record must not run. */
static void born(pid_t pid, uint64_t tag)
{
    if (roll_add(&g.roll, pid, tag) < 0)
        kill(pid, SIGKILL);
}

/* The lines that a service manager may be told; a job's words are in none. */
static bool may_pass(const char *text, size_t len)
{
    static const char *const known[] = { "READY=1",         "RELOADING=1", "STOPPING=1",          "WATCHDOG=1",
                                         "MONOTONIC_USEC=", "STATUS=",     "EXTEND_TIMEOUT_USEC=" };
    for (size_t line = 0; line < len;) {
        bool found = false;
        for (size_t i = 0; i < ELEMENTS(known) && !found; i++)
            found = len - line >= strlen(known[i]) && memcmp(text + line, known[i], strlen(known[i])) == 0;
        if (!found)
            return false;
        const char *end = memchr(text + line, '\n', len - line);
        line = end != NULL ? (size_t)(end - text) + 1 : len;
    }
    return len > 0;
}

static void notify(char *text, size_t len)
{
    const struct buf lines = { .data = text, .len = len };
    if (may_pass(text, len))
        sdnotify_send(&g.manager, &lines);
}

/* What it has become, we become: a held descriptor of root's and root's rights to
 * signal are more than a daemon with `user` is to have. */
static void settle(const struct message_settle *s, size_t len)
{
    if (g.settled || len < offsetof(struct message_settle, groups) || s->n_groups > MESSAGE_GROUPS ||
        len < offsetof(struct message_settle, groups) + s->n_groups * sizeof(s->groups[0]))
        return;
    g.settled = true;
    struct rlimit nofile = { .rlim_cur = s->nofile_soft, .rlim_max = s->nofile_hard };
    setrlimit(RLIMIT_NOFILE, &nofile);
    if (geteuid() == 0 && s->uid != 0 &&
        (setgroups(s->n_groups, s->groups) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
         setresuid(s->uid, s->uid, s->uid) < 0))
        g.settled = false; /* it will be asked again by the next */
    if (g.let_go < 0)
        return;
    daemonize_leave_terminal();
    (void)!write(g.let_go, "", 1);
    cleanup_close(&g.let_go);
}

static void pass_on(int signal)
{
    if (g.supervisor > 0 && (g.hello || roll_count_live(&g.roll) == 0))
        kill(g.supervisor, signal);
    else /* it would die of it, and the next one would not know why */
        g.pending |= UINT64_C(1) << signal;
}

static void on_hello(void)
{
    g.hello = true;
    g.early_deaths = 0;
    for (size_t i = 0; i < ELEMENTS(forwarded); i++)
        if (g.pending >> forwarded[i] & 1)
            kill(g.supervisor, forwarded[i]);
    g.pending = 0;
}

/* One operation; *fds is moved on behind what it takes. */
static void carry_out(const struct message_op *op, int **fds)
{
    switch ((enum message_kind)op->kind) {
    case MESSAGE_PUT:
        hold(op->value, *(*fds)++);
        break;
    case MESSAGE_DROP:
        drop(op->value);
        break;
    case MESSAGE_FORGET:
        roll_forget(&g.roll, op->number, op->value);
        break;
    case MESSAGE_HELLO:
        on_hello();
        break;
    case MESSAGE_BYE:
        g.bye = true;
        g.bye_status = op->number;
        break;
    case MESSAGE_BACKGROUND:
        g.to_background = true;
        break;
    default:
        break;
    }
}

static size_t count_puts(const struct message_op *ops, size_t n)
{
    size_t puts = 0;
    for (size_t i = 0; i < n; i++)
        puts += ops[i].kind == MESSAGE_PUT;
    return puts;
}

/* True when the descriptors are taken. */
static bool on_message(pid_t sender, struct message_op *ops, size_t len, int *fds, size_t n_fds)
{
    if (len < sizeof(*ops))
        return false;
    if (sender != g.supervisor) { /* a child of its, that may say one thing */
        if (ops->kind == MESSAGE_BORN && ops->value != ROLL_STRANGER && len == sizeof(*ops) && n_fds == 0)
            born(sender, ops->value);
        return false;
    }
    if (ops->kind == MESSAGE_SETTLE || ops->kind == MESSAGE_NOTIFY) {
        if (ops->kind == MESSAGE_SETTLE)
            settle((const struct message_settle *)(ops + 1), len - sizeof(*ops));
        else
            notify((char *)(ops + 1), len - sizeof(*ops));
        return false;
    }
    size_t n = len / sizeof(*ops);
    if (len % sizeof(*ops) != 0 || count_puts(ops, n) != n_fds)
        return false;
    for (size_t i = 0; i < n; i++)
        carry_out(&ops[i], &fds);
    return true;
}

/* One message; false: there is none now. */
static bool receive(void)
{
    static _Alignas(struct message_op) char bytes[MESSAGE_BYTES];
    static _Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct msghdr m = { .msg_iov = &(struct iovec){ bytes, sizeof(bytes) },
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control) };
    ssize_t n = g.socket >= 0 ? recvmsg(g.socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
    if (n < 0)
        return g.socket >= 0 && errno == EINTR;
    int none = 0, *fds = &none;
    size_t n_fds = 0;
    struct ucred sender = { 0 };
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&sender, CMSG_DATA(c), sizeof(sender));
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            fds = (int *)(void *)CMSG_DATA(c);
            n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        }
    }
    if (n == 0 && sender.pid == 0) { /* the end: it has closed the pair, and SIGCHLD will follow */
        cleanup_close(&g.socket);
        return false;
    }
    bool whole = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (!whole || !on_message(sender.pid, (struct message_op *)(void *)bytes, (size_t)n, fds, n_fds))
        for (size_t i = 0; i < n_fds; i++)
            close(fds[i]);
    return true;
}

/* -- those who end -------------------------------------------------------------- */

static void on_end_of_child(pid_t pid, int status, const struct rusage *u)
{
    struct roll_child *c = roll_live(&g.roll, pid);
    if (c == NULL && roll_add(&g.roll, pid, ROLL_STRANGER) == 0)
        c = roll_live(&g.roll, pid);
    if (c == NULL)
        return;
    c->state = ROLL_DEAD;
    c->status = status;
    c->user_ms = (uint32_t)(u->ru_utime.tv_sec * 1000 + u->ru_utime.tv_usec / 1000);
    c->system_ms = (uint32_t)(u->ru_stime.tv_sec * 1000 + u->ru_stime.tv_usec / 1000);
    c->maxrss_kib = (uint32_t)u->ru_maxrss;
}

static void on_end_of_supervisor(int status)
{
    if (g.socket >= 0)
        shutdown(g.socket, SHUT_RD);
    while (receive())
        continue;
    cleanup_close(&g.socket);
    g.supervisor = 0;
    g.status = status;
}

static void reap(void)
{
    siginfo_t info = { .si_pid = 0 };
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        int status = 0;
        struct rusage usage;
        while (receive())
            continue;
        if (wait4(info.si_pid, &status, WNOHANG, &usage) != info.si_pid)
            break;
        if (info.si_pid == g.supervisor)
            on_end_of_supervisor(status);
        else
            on_end_of_child(info.si_pid, status, &usage);
        info.si_pid = 0;
    }
    tell_ends();
}

/* Those who are on the roll, but neither ours nor a supervisor's any more. */
static void find_gone(void)
{
    for (uint32_t i = 0; i < g.roll.n_born; i++) {
        struct roll_child *c = &g.roll.born[i];
        siginfo_t info;
        if (c->state == ROLL_LIVE && waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
            c->state = ROLL_GONE;
        c->told = c->state != ROLL_LIVE && c->tag != ROLL_STRANGER; /* the next one finds it in the table */
    }
}

static void take_signals(void)
{
    struct signalfd_siginfo s;
    while (read(g.signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
        if (s.ssi_signo == SIGCHLD)
            continue;
        if (s.ssi_signo != SIGHUP && s.ssi_signo != SIGUSR2)
            g.asked |= UINT64_C(1) << s.ssi_signo;
        if (s.ssi_code != SI_KERNEL) /* the terminal's go to the whole group, and the supervisor is in it */
            pass_on((int)s.ssi_signo);
    }
    reap();
}

/* -- supervisors ---------------------------------------------------------------- */

static _Noreturn void be_supervisor(int socket)
{
    struct holder h = g.holder;
    close(g.signals);
    sdnotify_close(&g.manager);
    cleanup_close(&g.let_go);
    h.fd = socket;
    h.roll = &g.roll;
    h.last_status = g.status;
    holder_bind(&h);
    sigprocmask(SIG_SETMASK, &g.mask_before, NULL);
    int status = g.supervise(&h, g.arg);
    holder_done(&h);
    exit(status);
}

static int start_supervisor(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
    g.holder.generation++;
    g.hello = g.bye = g.to_background = false;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        be_supervisor(pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        g.holder.generation--;
        close(pair[0]);
        return -EAGAIN;
    }
    g.socket = pair[0];
    g.supervisor = pid;
    return 0;
}

static void start_or_wait(void)
{
    if (start_supervisor() < 0)
        g.start_at = now() + DELAY_FIRST;
}

/* Dies as the supervisor died, so that whoever has started us sees what happened. */
static int end_like(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, WTERMSIG(status));
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    return 128 + WTERMSIG(status); /* PID 1 does not die of signals */
}

/* True when the end of the supervisor is the end of us, with *status. */
static bool is_over(int *status)
{
    bool exited = WIFEXITED(g.status), careless = roll_count_live(&g.roll) == 0;
    bool as_asked = !exited && (g.asked >> WTERMSIG(g.status) & 1) != 0;
    if (g.bye)
        *status = exited ? WEXITSTATUS(g.status) : g.bye_status;
    else if (!g.hello && careless &&
             (exited || as_asked || g.holder.generation == 1 || g.early_deaths >= EARLY_DEATHS_MAX))
        *status = end_like(g.status); /* it could not even begin */
    else
        return false;
    return true;
}

/* Goes on in a child, which is the guardian from now on; what was started waits
 * until that can no longer be refused anything. */
static int go_to_background(void)
{
    int fds[2], status = 0;
    char byte;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        setsid();
        g.let_go = fds[1];
        return 0;
    }
    close(fds[1]);
    sigprocmask(SIG_SETMASK, &g.mask_before, NULL);
    if (pid < 0)
        _exit(EXIT_FAILURE);
    if (read(fds[0], &byte, 1) == 1)
        _exit(EXIT_SUCCESS);
    waitpid(pid, &status, 0);
    _exit(end_like(status));
}

/* Before each process that is the guardian: what a fork does not hand on. */
static void take_office(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#ifdef SYS_mlock2 /* as they are touched; more than the limit allows is no reason not to start */
    syscall(SYS_mlock2, &g, sizeof(g), 1 /* MLOCK_ONFAULT */);
#endif
    g.holder.guardian = getpid();
}

/* The supervisor has ended; true when that is the end. */
static bool on_no_supervisor(int *status)
{
    find_gone();
    if (g.to_background && !g.holder.background && go_to_background() == 0) {
        g.holder.background = true;
        g.holder.generation = 0;
        take_office();
        start_or_wait();
        return false;
    }
    if (is_over(status))
        return true;
    usec_t delay = g.early_deaths == 0 ? 0 : DELAY_FIRST << (g.early_deaths < 10 ? g.early_deaths - 1 : 9);
    g.early_deaths += !g.hello;
    g.start_at = now() + (delay < DELAY_MAX ? delay : DELAY_MAX);
    if (delay == 0)
        start_or_wait();
    return false;
}

static int serve(void)
{
    int status = EXIT_FAILURE;
    start_or_wait();
    for (;;) {
        struct pollfd p[2] = { { .fd = g.signals, .events = POLLIN },
                               { .fd = g.socket, .events = (short)(POLLIN | (g.untold ? POLLOUT : 0)) } };
        int wait = g.supervisor > 0 ? -1 : (int)(usec_sub(g.start_at, now()) / USEC_PER_MSEC) + 1;
        bool alive = g.supervisor > 0;
        poll(p, ELEMENTS(p), wait);
        while (p[1].revents != 0 && receive())
            continue;
        if (g.untold && (p[1].revents & POLLOUT) != 0)
            tell_ends();
        take_signals();
        if (alive && g.supervisor == 0 && on_no_supervisor(&status))
            return status;
        if (!alive && now() >= g.start_at)
            start_or_wait();
    }
}

int guardian_run(int (*supervise)(struct holder *h, void *arg), void *arg)
{
    g.supervise = supervise;
    g.arg = arg;
    g.socket = g.let_go = -1;
    if (daemonize_keep_standard_fds() < 0)
        return EXIT_FAILURE;
    g.holder = (struct holder){ .given_fds = daemonize_seal_fds(), .starter = getpid() };
    getrlimit(RLIMIT_NOFILE, &g.holder.nofile);
    getrlimit(RLIMIT_NPROC, &g.holder.nproc);
    g.manager = SDNOTIFY_INIT;
    sdnotify_open(&g.manager); /* one that cannot be spoken to is none */
    g.holder.notify = g.manager.fd >= 0;
    g.holder.watchdog = g.manager.watchdog;
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGCHLD);
    for (size_t i = 0; i < ELEMENTS(forwarded); i++)
        sigaddset(&mine, forwarded[i]);
    sigprocmask(SIG_BLOCK, &mine, &g.mask_before);
    g.signals = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g.signals < 0)
        return EXIT_FAILURE;
    take_office();
    return serve();
}
