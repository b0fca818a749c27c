/* pollset.c - an epoll set.
 *
 * Owns the epoll descriptor; the descriptors in it are their owners', and so is
 * what `arg` points to.  Never waits: whoever has a loop waits for pollset_fd(). */
#include "os/pollset.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The kernel begins the next call behind what it told last, so nobody starves. */
#define COLLECT_MAX 512

struct pollset {
    int fd;
    struct epoll_event events[COLLECT_MAX];
};

int pollset_new(struct pollset **ret)
{
    struct pollset *s = malloc(sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
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
    free(s);
}

int pollset_fd(const struct pollset *s)
{
    return s->fd;
}

int pollset_change(struct pollset *s, int fd, unsigned before, unsigned now, void *arg)
{
    if (before == now)
        return 0;
    struct epoll_event e = { .data.ptr = arg };
    e.events |= now & POLLSET_READ ? EPOLLIN : 0;
    e.events |= now & POLLSET_WRITE ? EPOLLOUT : 0;
    int op = before == 0 ? EPOLL_CTL_ADD : now == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    return epoll_ctl(s->fd, op, fd, &e) < 0 ? -errno : 0;
}

static unsigned ready_of(uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR))
        return POLLSET_READ | POLLSET_WRITE;
    return (events & EPOLLIN ? (unsigned)POLLSET_READ : 0U) | (events & EPOLLOUT ? (unsigned)POLLSET_WRITE : 0U);
}

bool pollset_collect(struct pollset *s, void (*fn)(void *arg, unsigned ready))
{
    int n = epoll_wait(s->fd, s->events, COLLECT_MAX, 0);
    for (int i = 0; i < n; i++)
        fn(s->events[i].data.ptr, ready_of(s->events[i].events));
    return n > 0;
}
