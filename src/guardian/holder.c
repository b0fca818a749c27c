/* holder.c - the supervisor's side; see holder.h.
 *
 * Owns the queue; the descriptors in it are the caller's.  Single messages that
 * must not wait in a queue (SETTLE, NOTIFY) are sent after what is queued, or not
 * at all: what the guardian sees is in the order in which it was told. */
#include "guardian/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guardian/message.h"

#define QUEUE_MAX 65536 /* what a guardian that is stopped can make us keep */

struct holder_item {
    struct message_op op;
    int fd; /* of a PUT or an UPGRADE */
};

_Static_assert(sizeof(struct message_op) == HOLDER_BORN_SIZE, "a child sends one operation");

/* -- the queue --------------------------------------------------------------- */

static int queue_grow(struct holder *h)
{
    size_t capacity = h->capacity == 0 ? 64 : h->capacity * 2;
    if (capacity > QUEUE_MAX)
        return -ENOBUFS;
    struct holder_item *bigger = realloc(h->queue, capacity * sizeof(*bigger));
    if (bigger == NULL)
        return -ENOMEM;
    h->queue = bigger;
    h->capacity = capacity;
    return 0;
}

static int queue_add(struct holder *h, struct message_op op, int fd)
{
    if (h->fd < 0)
        return 0;
    int r = h->n == h->capacity ? queue_grow(h) : 0;
    if (r == 0)
        h->queue[h->n++] = (struct holder_item){ .op = op, .fd = fd };
    return r;
}

static int queue_name(struct holder *h, uint32_t kind, const char *name, int fd)
{
    uint64_t value = roll_name(name);
    if (value == 0)
        return -EINVAL;
    for (size_t i = 0; i < h->n; i++) {
        struct holder_item *item = &h->queue[i];
        if (item->op.value == value && (item->op.kind == MESSAGE_PUT || item->op.kind == MESSAGE_DROP)) {
            *item = (struct holder_item){ .op = { .kind = kind, .value = value }, .fd = fd };
            return 0;
        }
    }
    return queue_add(h, (struct message_op){ .kind = kind, .value = value }, fd);
}

int holder_put(struct holder *h, const char *name, int fd)
{
    return queue_name(h, MESSAGE_PUT, name, fd);
}

int holder_drop(struct holder *h, const char *name)
{
    return queue_name(h, MESSAGE_DROP, name, -1);
}

int holder_forget(struct holder *h, pid_t pid, uint64_t tag)
{
    return queue_add(h, (struct message_op){ .kind = MESSAGE_FORGET, .number = pid, .value = tag }, -1);
}

int holder_take(struct holder *h, const char *name)
{
    return roll_drop(h->roll, roll_name(name));
}

/* Zeroes are what an empty table is made of; whole pages of them cost nothing. */
static void empty(struct roll *r)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)r + page - 1) & ~(page - 1), to = (uintptr_t)(r + 1) & ~(page - 1);
    if (to <= from || madvise((void *)from, to - from, MADV_DONTNEED) < 0)
        from = to = (uintptr_t)(r + 1);
    memset(r, 0, from - (uintptr_t)r);
    memset((void *)to, 0, (uintptr_t)(r + 1) - to);
}

void holder_end_of_taking(struct holder *h)
{
    char name[ROLL_NAME_MAX + 1];
    for (uint32_t i = 0; i < h->roll->n_held; i++) {
        close(h->roll->fds[i]);
        holder_drop(h, roll_name_text(h->roll->names[i], name));
    }
    empty(h->roll);
}

void holder_done(struct holder *h)
{
    free(h->queue);
    h->queue = NULL;
    h->n = h->capacity = 0;
}

/* -- sending ----------------------------------------------------------------- */

static int send_message(const struct holder *h, struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(MESSAGE_OPS * sizeof(int))];
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = n_iov };
    if (n_fds > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        memset(control, 0, m.msg_controllen);
        struct cmsghdr *c = (struct cmsghdr *)(void *)control;
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    if (sendmsg(h->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    switch (errno) {
    case ECONNRESET:
    case ENOTCONN:
        return -EPIPE;
    case ENOBUFS:
    case ENOMEM:
    case ETOOMANYREFS: /* in flight; the guardian will have taken them out soon */
        return -EAGAIN;
    default:
        return -errno;
    }
}

static int send_items(const struct holder *h, size_t from, size_t n)
{
    struct message_op ops[MESSAGE_OPS];
    int fds[MESSAGE_OPS];
    size_t n_fds = 0;
    for (size_t i = 0; i < n; i++) {
        ops[i] = h->queue[from + i].op;
        if (ops[i].kind == MESSAGE_PUT || ops[i].kind == MESSAGE_UPGRADE)
            fds[n_fds++] = h->queue[from + i].fd;
    }
    return send_message(h, &(struct iovec){ ops, n * sizeof(*ops) }, 1, fds, n_fds);
}

/* A descriptor that was closed without a word spoils its whole message, so the
 * rest is sent one by one. */
static int send_next(const struct holder *h, size_t from, size_t *n)
{
    int r = send_items(h, from, *n);
    if (r != -EBADF)
        return r;
    *n = 1;
    r = send_items(h, from, 1);
    return r == -EBADF ? 0 : r;
}

int holder_flush(struct holder *h)
{
    size_t done = 0;
    int r = 0;
    if (h->fd < 0)
        h->n = 0;
    while (r == 0 && done < h->n) {
        size_t n = h->n - done < MESSAGE_OPS ? h->n - done : MESSAGE_OPS;
        r = send_next(h, done, &n);
        done += r == 0 ? n : 0;
    }
    if (r == -EPIPE)
        done = h->n;
    h->n -= done;
    if (done > 0 && h->n > 0)
        memmove(h->queue, h->queue + done, h->n * sizeof(*h->queue));
    return r;
}

/* Writable is said of a socket that has three quarters of its buffer free. */
bool holder_has_room(const struct holder *h)
{
    struct pollfd p = { .fd = h->fd, .events = POLLOUT };
    return h->fd < 0 || poll(&p, 1, 0) != 0;
}

static int send_now(struct holder *h, struct message_op op, const void *data, size_t len)
{
    int r = holder_flush(h);
    struct iovec iov[2] = { { &op, sizeof(op) }, { (void *)(uintptr_t)data, len } };
    return r < 0 || h->fd < 0 ? r : send_message(h, iov, 2, NULL, 0);
}

void holder_born(uint64_t tag, unsigned char message[HOLDER_BORN_SIZE])
{
    struct message_op op = { .kind = MESSAGE_BORN, .value = tag };
    memcpy(message, &op, sizeof(op));
}

static int queue_and_flush(struct holder *h, struct message_op op)
{
    int r = queue_add(h, op, -1);
    return r < 0 ? r : holder_flush(h);
}

int holder_hello(struct holder *h)
{
    return queue_and_flush(h, (struct message_op){ .kind = MESSAGE_HELLO });
}

int holder_beat(struct holder *h, unsigned milliseconds)
{
    return queue_and_flush(h, (struct message_op){ .kind = MESSAGE_BEAT, .number = (int32_t)milliseconds });
}

int holder_upgrade(struct holder *h, int fd)
{
    int r = queue_add(h, (struct message_op){ .kind = MESSAGE_UPGRADE }, fd);
    return r < 0 ? r : holder_flush(h);
}

uint32_t holder_hups_came(const struct holder *h)
{
    return h->hups != NULL ? h->hups->came : 0;
}

void holder_hups_heeded(const struct holder *h, uint32_t came)
{
    if (h->hups != NULL)
        h->hups->heeded = came;
}

int holder_bye(struct holder *h, int status)
{
    return queue_and_flush(h, (struct message_op){ .kind = MESSAGE_BYE, .number = status });
}

int holder_leave(struct holder *h)
{
    return queue_and_flush(h, (struct message_op){ .kind = MESSAGE_BYE, .value = 1 });
}

int holder_background(struct holder *h)
{
    return queue_and_flush(h, (struct message_op){ .kind = MESSAGE_BACKGROUND });
}

int holder_notify(struct holder *h, const char *lines, size_t len)
{
    return send_now(h, (struct message_op){ .kind = MESSAGE_NOTIFY }, lines, len);
}

int holder_settle(struct holder *h)
{
    struct message_settle s = { .uid = geteuid(), .gid = getegid() };
    struct rlimit nofile;
    int n = getgroups(MESSAGE_GROUPS, s.groups);
    if (n < 0 || getrlimit(RLIMIT_NOFILE, &nofile) < 0)
        return -errno;
    s.n_groups = (uint32_t)n;
    s.nofile_soft = nofile.rlim_cur;
    s.nofile_hard = nofile.rlim_max;
    size_t len = offsetof(struct message_settle, groups) + (size_t)n * sizeof(*s.groups);
    return send_now(h, (struct message_op){ .kind = MESSAGE_SETTLE }, &s, len);
}

void holder_bind(const struct holder *h)
{
    if (h->fd < 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != h->guardian) /* it was quicker */
        _exit(EXIT_FAILURE);
}

/* -- hearing ----------------------------------------------------------------- */

static void tell(const struct holder_events *e, const struct message_op *op, const struct roll_child *child, size_t len)
{
    char name[ROLL_NAME_MAX + 1];
    if (op->kind == MESSAGE_ENDED && len == sizeof(*child))
        (child->tag == ROLL_STRANGER ? e->stranger : e->ended)(child, e->arg);
    else if (op->kind == MESSAGE_ANSWER)
        e->answer(op->number, e->arg);
    else if (op->kind == MESSAGE_REFUSED)
        e->refused(roll_name_text(op->value, name), e->arg);
}

int holder_receive(struct holder *h, const struct holder_events *e)
{
    struct message_op op;
    struct roll_child child;
    struct iovec iov[2] = { { &op, sizeof(op) }, { &child, sizeof(child) } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    for (int i = 0; i < MESSAGE_OPS; i++) { /* a turn's share */
        ssize_t n = recvmsg(h->fd, &m, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
        if (n == 0)
            return -EPIPE;
        if ((size_t)n >= sizeof(op))
            tell(e, &op, &child, (size_t)n - sizeof(op));
    }
    return 0;
}
