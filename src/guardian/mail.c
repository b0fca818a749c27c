/* mail.c - what the supervisor says and is told; see mail.h.
 *
 * Part of the guardian: allocates nothing, waits for nothing.  A message that is
 * not whole, or not what its sender may say, is dropped with all that came in it;
 * the kernel names the sender.  Descriptors are the roll's once they are held. */
#include "guardian/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/message.h"
#include "guardian/store.h"
#include "os/daemonize.h"

#define FINISH_WAIT (5 * USEC_PER_SEC)
#define HELD_FROM 256 /* numbers below are for what comes and goes, see os/spawn.h */

/* -- telling the supervisor ----------------------------------------------------- */

bool mail_tell(const struct guardian *g, struct message_op op, const void *data, size_t len)
{
    struct iovec iov[2] = { { &op, sizeof(op) }, { (void *)(uintptr_t)data, len } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    return g->socket >= 0 && sendmsg(g->socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* What it does not take now is told when it has room.  Of a stranger nobody will
 * ask again. */
void mail_tell_ends(struct guardian *g)
{
    g->untold = false;
    for (uint32_t i = g->roll.n_born; i-- > 0 && !g->untold;) { /* from behind: the last one fills a gap */
        struct roll_child *c = &g->roll.born[i];
        if (c->state == ROLL_LIVE || c->told)
            continue;
        c->told = mail_tell(g, (struct message_op){ .kind = MESSAGE_ENDED }, c, sizeof(*c));
        g->untold = !c->told && g->socket >= 0;
        if (c->told && c->tag == ROLL_STRANGER)
            roll_forget(&g->roll, c->pid, c->tag);
    }
}

/* -- what the supervisor says --------------------------------------------------- */

/* Takes fd; children of later supervisors need the low numbers to themselves. */
static void hold(struct guardian *g, uint64_t name, int fd)
{
    int before = -1, high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, HELD_FROM) : -1;
    if (high >= 0) {
        close(fd);
        fd = high;
    }
    if (fd < 0 || roll_hold(&g->roll, name, fd, &before) < 0) {
        cleanup_close(&fd);
        mail_tell(g, (struct message_op){ .kind = MESSAGE_REFUSED, .value = name }, NULL, 0);
    } else {
        store_put(g, name);
    }
    cleanup_close(&before);
}

static void drop(struct guardian *g, uint64_t name)
{
    int fd = roll_drop(&g->roll, name);
    cleanup_close(&fd);
    store_drop(g, name);
}

/* What cannot be put on record must not run. */
static void born(struct guardian *g, pid_t pid, uint64_t tag)
{
    g->gather = true;
    if (roll_add(&g->roll, pid, tag) < 0)
        kill(pid, SIGKILL);
}

/* The lines that a service manager may be told; a job's words are in none. */
static bool may_pass(const char *text, size_t len)
{
    static const char *const known[] = { "READY=1",         "RELOADING=1", "STOPPING=1",
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

static void tell_state(struct guardian *g)
{
    const struct buf lines = { .data = g->owed, .len = g->n_owed };
    if (sdnotify_send(&g->manager, &lines) == -EAGAIN)
        g->owe_at = usec_now(CLOCK_MONOTONIC) + OWE_EVERY;
    else
        g->n_owed = 0;
}

void mail_tell_owed(struct guardian *g)
{
    if (g->n_owed > 0)
        tell_state(g);
    if (g->store.n_owed > 0)
        store_tell(g);
}

bool mail_owes(const struct guardian *g)
{
    return g->n_owed > 0 || g->store.n_owed > 0;
}

void mail_finish(struct guardian *g)
{
    for (usec_t until = usec_now(CLOCK_MONOTONIC) + FINISH_WAIT; mail_owes(g) && usec_now(CLOCK_MONOTONIC) < until;
         mail_tell_owed(g))
        poll(NULL, 0, OWE_EVERY / USEC_PER_MSEC);
}

/* A state that the manager has no room for is told until it has, or until there is a
 * newer one: it may have been waited for (systemctl start).  The next status comes anyhow. */
static void notify(struct guardian *g, const char *text, size_t len)
{
    bool state = len <= sizeof(g->owed) && (len < strlen("STATUS=") || memcmp(text, "STATUS=", strlen("STATUS=")) != 0);
    if (!may_pass(text, len) || (!state && g->n_owed > 0))
        return;
    if (state) {
        memcpy(g->owed, text, g->n_owed = len);
        tell_state(g);
    } else {
        const struct buf lines = { .data = (char *)(uintptr_t)text, .len = len };
        sdnotify_send(&g->manager, &lines);
    }
}

/* What it has become, we become: a held descriptor of root's and root's rights to
 * signal are more than a daemon with `user` is to have. */
static void settle(struct guardian *g, const struct message_settle *s, size_t len)
{
    if (g->settled || len < offsetof(struct message_settle, groups) || s->n_groups > MESSAGE_GROUPS ||
        len < offsetof(struct message_settle, groups) + s->n_groups * sizeof(s->groups[0]))
        return;
    g->settled = true;
    struct rlimit nofile = { .rlim_cur = s->nofile_soft, .rlim_max = s->nofile_hard };
    setrlimit(RLIMIT_NOFILE, &nofile);
    if (geteuid() == 0 && s->uid != 0 &&
        (setgroups(s->n_groups, s->groups) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
         setresuid(s->uid, s->uid, s->uid) < 0))
        g->settled = false; /* it will be asked again by the next */
    if (g->let_go < 0)
        return;
    daemonize_leave_terminal();
    (void)!write(g->let_go, "", 1);
    cleanup_close(&g->let_go);
}

/* Descriptors that came with a message: what we have no room for the kernel leaves out, from behind. */
struct arrived {
    int *next;
    size_t n;
};

static int take(struct arrived *fds)
{
    if (fds->n == 0)
        return -1;
    fds->n--;
    return *fds->next++;
}

static void carry_out(struct guardian *g, const struct message_op *op, struct arrived *fds)
{
    switch ((enum message_kind)op->kind) {
    case MESSAGE_PUT:
        hold(g, op->value, take(fds));
        break;
    case MESSAGE_DROP:
        drop(g, op->value);
        break;
    case MESSAGE_FORGET:
        roll_forget(&g->roll, op->number, op->value);
        break;
    case MESSAGE_HELLO:
        g->hello = true;
        g->holder.early_deaths = 0;
        break;
    case MESSAGE_BEAT:
        g->beat_within = (uint32_t)(op->number > 0 ? op->number : 0) * USEC_PER_MSEC;
        g->beat_by = usec_now(CLOCK_MONOTONIC) + g->beat_within;
        break;
    case MESSAGE_BYE:
        g->bye = true;
        g->beat_within = 0;
        g->bye_status = op->number;
        g->keeping = op->value != 0;
        break;
    case MESSAGE_UPGRADE:
        cleanup_close(&g->fresh);
        g->fresh = take(fds);
        g->ask = true;
        break;
    case MESSAGE_BACKGROUND:
        g->to_background = true;
        break;
    default:
        break;
    }
}

static size_t count_puts(const struct message_op *ops, size_t n)
{
    size_t puts = 0;
    for (size_t i = 0; i < n; i++)
        puts += ops[i].kind == MESSAGE_PUT || ops[i].kind == MESSAGE_UPGRADE;
    return puts;
}

/* True when the descriptors are taken.  cut: there were more of them. */
static bool on_message(struct guardian *g, pid_t sender, struct message_op *ops, size_t len, struct arrived fds,
                       bool cut)
{
    if (len < sizeof(*ops))
        return false;
    if (sender != g->supervisor) { /* a child of its, that may say one thing */
        if (ops->kind == MESSAGE_BORN && ops->value != ROLL_STRANGER && len == sizeof(*ops) && fds.n == 0)
            born(g, sender, ops->value);
        return false;
    }
    if (ops->kind == MESSAGE_SETTLE || ops->kind == MESSAGE_NOTIFY) {
        if (ops->kind == MESSAGE_SETTLE)
            settle(g, (const struct message_settle *)(ops + 1), len - sizeof(*ops));
        else
            notify(g, (char *)(ops + 1), len - sizeof(*ops));
        return false;
    }
    size_t n = len / sizeof(*ops), puts = count_puts(ops, n);
    if (len % sizeof(*ops) != 0 || (cut ? puts <= fds.n : puts != fds.n))
        return false;
    for (size_t i = 0; i < n; i++)
        carry_out(g, &ops[i], &fds);
    return true;
}

bool mail_receive(struct guardian *g)
{
    static _Alignas(struct message_op) char bytes[MESSAGE_BYTES];
    static _Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct msghdr m = { .msg_iov = &(struct iovec){ bytes, sizeof(bytes) },
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control) };
    ssize_t n = g->socket >= 0 ? recvmsg(g->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
    if (n < 0)
        return g->socket >= 0 && (errno == EINTR || errno == ECONNRESET); /* that comes before what is still there */
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
        cleanup_close(&g->socket);
        return false;
    }
    bool whole = (m.msg_flags & MSG_TRUNC) == 0, cut = (m.msg_flags & MSG_CTRUNC) != 0;
    const struct arrived arrived = { fds, n_fds };
    if (!whole || !on_message(g, sender.pid, (struct message_op *)(void *)bytes, (size_t)n, arrived, cut))
        for (size_t i = 0; i < n_fds; i++)
            close(fds[i]);
    return true;
}
