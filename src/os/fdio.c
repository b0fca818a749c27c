/* fdio.c - see fdio.h.  Never blocks on a descriptor that does not, never raises
 * SIGPIPE.  A channel that carries descriptors must not be read with read(2): the
 * kernel closes those that nobody asked for.
 *
 * Messages go one by one, and yet by sendmmsg(2) and recvmmsg(2): these write how many
 * bytes went into memory of the caller's before they return, where it is still known
 * when the caller is killed within the call. */
#include "os/fdio.h"

#include <errno.h>
#include <string.h>

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

static ssize_t receive(int fd, void *data, size_t len, struct fdio_received *ret, struct mmsghdr *note, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDIO_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = data, .iov_len = len };
    struct mmsghdr own = { .msg_len = 0 };
    bool was_reset = false;
    int r;
    note = note != NULL ? note : &own;
    note->msg_hdr = (struct msghdr){
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
    };
    do {
        r = recvmmsg(fd, note, 1, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | flags, NULL);
        /* recvmmsg(2) tells of a peer that has gone before what that had sent; once */
    } while (r < 0 && (errno == EINTR || (errno == ECONNRESET && !was_reset && (was_reset = true))));
    if (r < 0)
        return -errno;
    ret->n_fds = 0;
    take_fds(&note->msg_hdr, ret);
    return (ssize_t)note->msg_len;
}

ssize_t fdio_receive(int fd, void *data, size_t len, struct fdio_received *ret, struct mmsghdr *note)
{
    return receive(fd, data, len, ret, note, 0);
}

ssize_t fdio_look(int fd, void *data, size_t len, struct fdio_received *ret)
{
    return receive(fd, data, len, ret, NULL, MSG_PEEK);
}

ssize_t fdio_send(int fd, const struct iovec *parts, unsigned n, int pass, struct mmsghdr *note)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct mmsghdr own = { .msg_len = 0 };
    note = note != NULL ? note : &own;
    struct msghdr *m = &note->msg_hdr;
    *m = (struct msghdr){ .msg_iov = (struct iovec *)parts, .msg_iovlen = n };
    if (pass >= 0) {
        m->msg_control = control.bytes;
        m->msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof(int));
    }
    int r;
    do
        r = sendmmsg(fd, note, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : (ssize_t)note->msg_len;
}
