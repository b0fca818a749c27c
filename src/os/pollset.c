/* pollset.c - an epoll set.
 *
 * Owns the epoll descriptor; the descriptors in it are their owners', and so is
 * what `arg` points to.  Whoever has a loop waits for pollset_fd().
 * Those that the kernel has no room for (memory, max_user_watches) are in a list
 * here, until there is: poll(2), which needs none, looks at them. */
#include "os/pollset.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The kernel begins the next call behind what it told last, so nobody starves. */
#define COLLECT_MAX 512
#define LATE_MAX 64 /* looked at with one call */

struct late {
    int fd;
    unsigned what;
    void *arg;
};

struct pollset {
    int fd;
    struct late *late;
    size_t n_late;
    struct epoll_event events[COLLECT_MAX];
};

int pollset_new(struct pollset **ret)
{
    struct pollset *s = malloc(sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->late = NULL;
    s->n_late = 0;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd < 0) {
        int r = -errno;
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void pollset_free(struct pollset *s)
{
    if (s == NULL)
        return;
    close(s->fd);
    free(s->late);
    free(s);
}

int pollset_fd(const struct pollset *s)
{
    return s->fd;
}

static uint32_t events_of(unsigned what)
{
    return (what & POLLSET_READ ? (uint32_t)EPOLLIN : 0) | (what & POLLSET_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static int set(const struct pollset *s, int fd, unsigned before, unsigned now, void *arg)
{
    struct epoll_event e = { .events = events_of(now), .data.ptr = arg };
    int op = before == 0 ? EPOLL_CTL_ADD : now == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    return epoll_ctl(s->fd, op, fd, &e) < 0 ? -errno : 0;
}

/* -- what the kernel has no room for -------------------------------------------- */

static int delay(struct pollset *s, int fd, unsigned what, void *arg)
{
    struct late *list = reallocarray(s->late, s->n_late + 1, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    list[s->n_late++] = (struct late){ .fd = fd, .what = what, .arg = arg };
    s->late = list;
    return 0;
}

/* True: it was in the list. */
static bool hurry(struct pollset *s, int fd)
{
    size_t i = 0;
    while (i < s->n_late && s->late[i].fd != fd)
        i++;
    if (i == s->n_late)
        return false;
    memmove(&s->late[i], &s->late[i + 1], (--s->n_late - i) * sizeof(*s->late));
    return true;
}

size_t pollset_retry(struct pollset *s)
{
    while (s->n_late > 0 && set(s, s->late->fd, 0, s->late->what, s->late->arg) == 0)
        hurry(s, s->late->fd);
    return s->n_late;
}

size_t pollset_late(const struct pollset *s)
{
    return s->n_late;
}

int pollset_change(struct pollset *s, int fd, unsigned before, unsigned now, void *arg)
{
    if (before == now)
        return 0;
    if (hurry(s, fd))
        before = 0;
    if (before == now)
        return 0;
    int r = set(s, fd, before, now, arg);
    if ((r != -ENOMEM && r != -ENOSPC) || now == 0)
        return r;
    if (before != 0)
        set(s, fd, before, 0, arg);
    return delay(s, fd, now, arg);
}

static unsigned ready_of(uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR))
        return POLLSET_READ | POLLSET_WRITE;
    return (events & EPOLLIN ? (unsigned)POLLSET_READ : 0U) | (events & EPOLLOUT ? (unsigned)POLLSET_WRITE : 0U);
}

bool pollset_collect(struct pollset *s, int wait, void (*fn)(void *arg, unsigned ready))
{
    int n = epoll_wait(s->fd, s->events, COLLECT_MAX, wait);
    for (int i = 0; i < n; i++)
        fn(s->events[i].data.ptr, ready_of(s->events[i].events));
    return n > 0;
}

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLHUP == POLLHUP && EPOLLERR == POLLERR, "as ready_of()");

void pollset_collect_late(const struct pollset *s, void (*fn)(void *arg, unsigned ready))
{
    struct pollfd p[LATE_MAX];
    for (size_t from = 0; from < s->n_late; from += LATE_MAX) {
        const struct late *late = s->late + from;
        size_t n = s->n_late - from < LATE_MAX ? s->n_late - from : LATE_MAX;
        for (size_t i = 0; i < n; i++)
            p[i] = (struct pollfd){ .fd = late[i].fd, .events = (short)events_of(late[i].what) };
        int ready = poll(p, n, 0);
        for (size_t i = 0; ready > 0 && i < n; i++)
            if (p[i].revents != 0)
                fn(late[i].arg, ready_of((uint32_t)p[i].revents));
    }
}
