/* guardian.c - holds descriptors, reaps, and starts the supervisor again.
 *
 * It is to be read in one sitting, since it must not fail: after its start it
 * allocates nothing (but a variable, when it becomes another program), waits for
 * nothing but poll(2), and reads nothing that a job can write.  All it owns is in one static value: the descriptors of
 * the roll, its end of the pair to the supervisor, a signalfd.  All its signals are blocked.
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
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/mail.h"
#include "guardian/store.h"
#include "guardian/upgrade.h"
#include "os/daemonize.h"

#define EARLY_DEATHS_MAX 16 /* of a supervisor that never came so far as to say hello, with nothing to lose */
#define GATHER 2            /* milliseconds */
#define DELAY_FIRST (100 * USEC_PER_MSEC)
#define DELAY_MAX (5 * USEC_PER_SEC)

static struct guardian g;

static const int forwarded[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2 };

/* -- signals ---------------------------------------------------------------------- */

static bool ends_us(uint32_t signal)
{
    return signal != SIGHUP && signal != SIGUSR2;
}

/* Before it says hello it would die of it: that is meant by some, as long as there is
 * nothing to lose; else the next one would not know why. */
static void pass_on(uint32_t signal)
{
    if (signal == SIGHUP && g.holder.hups != NULL)
        g.holder.hups->came++;
    if (g.supervisor > 0 && (g.hello || (ends_us(signal) && roll_count_live(&g.roll) == 0)))
        kill(g.supervisor, (int)signal);
    else
        g.pending |= UINT64_C(1) << signal;
}

/* What came before the supervisor could take it.  That we are to end is told to
 * each: the one before may have been dead when it came. */
static void pass_on_pending(void)
{
    if (g.supervisor <= 0 || !g.hello || g.pending == 0)
        return;
    for (size_t i = 0; i < ELEMENTS(forwarded); i++)
        if (g.pending >> forwarded[i] & 1)
            kill(g.supervisor, forwarded[i]);
    g.pending = 0;
}

/* The supervisor has ended, or we become another program: a HUP that it was told of, but
 * did not come to heed, is for the next one. */
static void recall_hup(void)
{
    if (g.holder.hups != NULL && g.holder.hups->came != g.holder.hups->heeded)
        g.pending |= UINT64_C(1) << SIGHUP;
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
    while (mail_receive(&g))
        continue;
    cleanup_close(&g.socket);
    g.supervisor = 0;
    g.status = status;
}

/* What the program that we are to become says to our state. */
static void on_answer(int status)
{
    g.asking = 0;
    if (g.ask) /* by now another is to be asked, by another supervisor */
        return;
    g.fits = status == 0 && g.fresh >= 0;
    if (!g.fits)
        cleanup_close(&g.fresh);
    mail_tell(&g, (struct message_op){ .kind = MESSAGE_ANSWER, .number = status }, NULL, 0);
}

static void reap(void)
{
    siginfo_t info = { .si_pid = 0 };
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        int status = 0;
        struct rusage usage;
        while (mail_receive(&g))
            continue;
        if (wait4(info.si_pid, &status, WNOHANG, &usage) != info.si_pid)
            break;
        if (info.si_pid == g.supervisor)
            on_end_of_supervisor(status);
        else if (info.si_pid == g.asking)
            on_answer(status);
        else
            on_end_of_child(info.si_pid, status, &usage);
        info.si_pid = 0;
    }
    mail_tell_ends(&g);
}

/* Those who are on the roll, but neither ours nor a supervisor's any more. */
static void find_gone(void)
{
    for (uint32_t i = 0; i < g.roll.n_born; i++) {
        struct roll_child *c = &g.roll.born[i];
        siginfo_t info;
        if (c->state == ROLL_LIVE && !c->ours) {
            c->ours = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
            c->state = c->ours ? ROLL_LIVE : ROLL_GONE;
        }
        c->told = c->state != ROLL_LIVE && c->tag != ROLL_STRANGER; /* the next one finds it in the table */
    }
}

static void take_signals(void)
{
    struct signalfd_siginfo s;
    while (read(g.signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
        if (s.ssi_signo == SIGCHLD)
            continue;
        if (ends_us(s.ssi_signo))
            g.asked |= UINT64_C(1) << s.ssi_signo;
        if (s.ssi_code != SI_KERNEL) /* the terminal's go to the whole group, and the supervisor is in it */
            pass_on(s.ssi_signo);
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
    g.hello = g.bye = g.to_background = g.fits = g.ask = false;
    cleanup_close(&g.fresh);
    g.beat_within = 0;
    g.pending |= g.asked;
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
    g.holder.last_hung = g.holder.last_upgraded = false;
    g.holder.upgrade_error = 0;
    return 0;
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
    if (g.bye) {
        if (!g.keeping)
            store_clear(&g);
        mail_finish(&g);
        *status = exited ? WEXITSTATUS(g.status) : g.bye_status;
    } else if (!g.hello && careless &&
               (exited || as_asked || g.holder.generation == 1 || g.holder.early_deaths >= EARLY_DEATHS_MAX))
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

static void share_hups(void)
{
    void *p = mmap(NULL, sizeof(*g.holder.hups), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g.holder.hups = p != MAP_FAILED ? p : NULL;
    if (g.holder.hups != NULL)
        g.holder.hups->came = g.pending >> SIGHUP & 1; /* that of the program before us */
}

/* The supervisor has ended; true when that is the end. */
static bool on_no_supervisor(int *status)
{
    find_gone();
    recall_hup();
    if (g.fits && !g.bye) { /* its client may have been told so: it does not matter how the supervisor ended */
        g.holder.upgrades++;
        g.holder.upgrade_error = -upgrade_exec(&g);
        g.holder.upgrades--;
        return false; /* and the old program goes on */
    }
    if (g.to_background && !g.holder.background && go_to_background() == 0) {
        g.holder.background = true;
        g.holder.generation = 0;
        take_office();
        return false;
    }
    if (is_over(status))
        return true;
    usec_t delay =
        g.holder.early_deaths == 0 ? 0 : DELAY_FIRST << (g.holder.early_deaths < 10 ? g.holder.early_deaths - 1 : 9);
    g.holder.early_deaths += !g.hello;
    g.holder.recoveries++;
    g.start_at = usec_now(CLOCK_MONOTONIC) + (delay < DELAY_MAX ? delay : DELAY_MAX);
    return false;
}

/* -- the clock ------------------------------------------------------------------ */

/* Nothing is waited for, and nobody woken, that was not asked for. */
static int time_to_sleep(void)
{
    usec_t next = USEC_INFINITY;
    if (g.manager.watchdog > 0)
        next = g.feed_at;
    if (g.supervisor > 0 && g.beat_within > 0 && g.beat_by < next)
        next = g.beat_by;
    if (g.supervisor == 0 && g.start_at < next)
        next = g.start_at;
    if (g.asking > 0 && g.ask_by < next)
        next = g.ask_by;
    if (mail_owes(&g) && g.owe_at < next)
        next = g.owe_at;
    return next == USEC_INFINITY ? -1 : (int)(usec_sub(next, usec_now(CLOCK_MONOTONIC)) / USEC_PER_MSEC) + 1;
}

/* Its loop has stopped.  When we ourselves come late, the machine has stopped, and
 * it gets its time again. */
static void on_no_beat(usec_t late)
{
    if (late > g.beat_within / 2) {
        g.beat_by = usec_now(CLOCK_MONOTONIC) + g.beat_within;
        return;
    }
    g.beat_within = 0;
    g.holder.last_hung = true;
    kill(g.supervisor, SIGKILL);
}

static void look_at_the_clock(void)
{
    static char alive[] = "WATCHDOG=1\n";
    const struct buf line = { .data = alive, .len = sizeof(alive) - 1 };
    usec_t t = usec_now(CLOCK_MONOTONIC);
    if (g.manager.watchdog > 0 && t >= g.feed_at) {
        bool fed = sdnotify_send(&g.manager, &line) != -EAGAIN;
        g.feed_at = t + (fed || g.manager.watchdog / 2 < OWE_EVERY ? g.manager.watchdog / 2 : OWE_EVERY);
    }
    if (mail_owes(&g) && t >= g.owe_at)
        mail_tell_owed(&g);
    if (g.supervisor > 0 && g.beat_within > 0 && t >= g.beat_by)
        on_no_beat(t - g.beat_by);
    if (g.asking > 0 && t >= g.ask_by) {
        kill(g.asking, SIGKILL);
        g.ask_by = USEC_INFINITY;
    }
    if (g.supervisor == 0 && t >= g.start_at && start_supervisor() < 0)
        g.start_at = t + DELAY_FIRST;
}

static int serve(void)
{
    int status = EXIT_FAILURE;
    for (;;) {
        look_at_the_clock();
        struct pollfd p[2] = { { .fd = g.signals, .events = POLLIN },
                               { .fd = g.socket, .events = (short)(POLLIN | (g.untold ? POLLOUT : 0)) } };
        bool alive = g.supervisor > 0;
        if (g.gather) /* births come in swarms: one wake-up for many leaves the processors to them */
            poll(p, 1, GATHER);
        g.gather = false;
        poll(p, ELEMENTS(p), time_to_sleep());
        while (p[1].revents != 0 && mail_receive(&g))
            continue;
        if (g.untold && (p[1].revents & POLLOUT) != 0)
            mail_tell_ends(&g);
        take_signals();
        pass_on_pending();
        if (g.ask && g.asking == 0) {
            g.ask = false;
            upgrade_ask(&g);
            if (g.asking < 0)
                on_answer(UPGRADE_UNREADABLE << 8);
        }
        if (alive && g.supervisor == 0 && on_no_supervisor(&status))
            return status;
    }
}

/* What only the first knows; a new program has it from the one before. */
static void look_around(void)
{
    g.holder = (struct holder){ .starter = getpid() };
    getrlimit(RLIMIT_NOFILE, &g.holder.nofile);
    getrlimit(RLIMIT_NPROC, &g.holder.nproc);
    g.manager = SDNOTIFY_INIT;
    sdnotify_open(&g.manager); /* one that cannot be spoken to is none */
    g.holder.notify = g.manager.fd >= 0;
    g.holder.watchdog = g.manager.watchdog;
    store_open(&g);
    g.holder.given_fds = daemonize_seal_fds();
    sigprocmask(SIG_BLOCK, NULL, &g.mask_before);
}

int guardian_run(char **argv, int (*supervise)(struct holder *h, void *arg), void *arg)
{
    g.supervise = supervise;
    g.arg = arg;
    g.argv = argv;
    g.socket = g.let_go = g.fresh = -1;
    int r = upgrade_resume(&g);
    if (r < 0 || daemonize_keep_standard_fds() < 0)
        return EXIT_FAILURE;
    if (r == 0)
        look_around();
    else
        daemonize_seal_fds();
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGCHLD);
    for (size_t i = 0; i < ELEMENTS(forwarded); i++)
        sigaddset(&mine, forwarded[i]);
    sigprocmask(SIG_BLOCK, &mine, NULL);
    g.signals = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g.signals < 0)
        return EXIT_FAILURE;
    prctl(PR_SET_NAME, "droverd", 0, 0, 0); /* executed by its descriptor it would be called by a number */
    share_hups();
    take_office();
    return serve();
}
