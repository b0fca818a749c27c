/* fdio.c - see fdio.h.  Never blocks on a descriptor that does not, never raises
 * SIGPIPE.  A channel that carries descriptors must not be read with read(2): the
 * kernel closes those that nobody asked for. */
#include "os/fdio.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void take_fds(struct msghdr *m, struct fdio_received *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret->fds, CMSG_DATA(c), n * sizeof(int)); /* there is one of these at most, no larger than .fds */
        ret->n_fds = (unsigned)n;
    }
    ret->cut = (m->msg_flags & MSG_CTRUNC) != 0;
}

ssize_t fdio_receive(int fd, void *data, size_t len, struct fdio_received *ret)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDIO_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = data, .iov_len = len };
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
    };
    ssize_t n;
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    ret->n_fds = 0;
    take_fds(&m, ret);
    return n;
}

ssize_t fdio_send(int fd, const struct iovec *parts, unsigned n, int pass)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr m = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n };
    if (pass >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof(int));
    }
    ssize_t r;
    do
        r = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}
