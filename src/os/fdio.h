/* fdio.h - bytes together with descriptors, over a unix socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FDIO_FDS_MAX 64 /* of one read; the kernel throws away what is more */

struct fdio_received {
    int fds[FDIO_FDS_MAX]; /* the caller's, all CLOEXEC */
    unsigned n_fds;
    bool cut; /* there were more, or no free number for one: those are lost */
};

/* In both: the kernel itself leaves the number of bytes in note->msg_len, which was 0,
 * before the call is over.  Where that is memory which outlives a process that is
 * killed within the call, it says what became of the call.  NULL: nobody wants to know. */

/* Bytes read, 0 at the end, or a negative errno; *ret is filled in whenever bytes came. */
ssize_t fdio_receive(int fd, void *data, size_t len, struct fdio_received *ret, struct mmsghdr *note);

/* The same, and all of it stays there; descriptors are duplicates. */
ssize_t fdio_look(int fd, void *data, size_t len, struct fdio_received *ret);

/* Bytes taken, or a negative errno.  `pass` goes with the first of them, -1: none;
 * it remains the caller's, and has been passed whenever a byte was taken. */
ssize_t fdio_send(int fd, const struct iovec *parts, unsigned n, int pass, struct mmsghdr *note);
