/* faulty.c - a libc that fails on demand, for LD_PRELOAD; only in droverd.
 *
 * What is to fail is in the file FAULTY, which whoever injects writes to at any time:
 * each k-th allocation (0: none), each k-th descriptor to be watched, and how many bytes at most a read or a write of a
 * pipe, a stream socket or a file takes (0: all).  Packets stay whole, and so do
 * writes to a channel of up to 32 KiB, which the kernel never cuts. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define WHOLE (32 * 1024)

struct faults {
    uint32_t malloc_every, epoll_every, bytes; /* what is asked for */
    uint32_t mallocs, epolls, refused, cut;
};

static struct faults none, *faults = &none;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTY");
    if (path == NULL || strcmp(program_invocation_short_name, "droverd") != 0)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *p = fd >= 0 ? mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (p != MAP_FAILED)
        faults = p;
}

/* -- memory ---------------------------------------------------------------------- */

static int refuses(void)
{
    uint32_t every = __atomic_load_n(&faults->malloc_every, __ATOMIC_RELAXED);
    if (every == 0 || ++faults->mallocs % every != 0)
        return 0;
    faults->refused++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return refuses() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refuses() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return refuses() ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, n * size);
}

/* -- descriptors ----------------------------------------------------------------- */

/* To take one out of a set needs no room, and never fails. */
int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    uint32_t every = __atomic_load_n(&faults->epoll_every, __ATOMIC_RELAXED);
    if (every == 0 || op == EPOLL_CTL_DEL || ++faults->epolls % every != 0)
        return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
    faults->refused++;
    errno = faults->refused % 2 == 0 ? ENOSPC : ENOMEM;
    return -1;
}

/* -- bytes ----------------------------------------------------------------------- */

/* Is it one whose reads and writes the kernel may cut? */
static int is_stream(int fd)
{
    struct stat st;
    int type = 0;
    socklen_t len = sizeof(type);
    if (fstat(fd, &st) < 0)
        return 0;
    if (S_ISSOCK(st.st_mode))
        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
    return S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode);
}

static size_t cut(int fd, size_t len)
{
    int error = errno;
    uint32_t bytes = __atomic_load_n(&faults->bytes, __ATOMIC_RELAXED);
    if (bytes == 0 || len <= bytes || !is_stream(fd))
        return len;
    errno = error;
    faults->cut++;
    return bytes;
}

ssize_t read(int fd, void *data, size_t len)
{
    return syscall(SYS_read, fd, data, cut(fd, len));
}

ssize_t write(int fd, const void *data, size_t len)
{
    return syscall(SYS_write, fd, data, cut(fd, len));
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    return syscall(SYS_sendto, fd, data, cut(fd, len), flags, NULL, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    size_t first = 0;
    for (int i = 0; i < n && first == 0; i++) {
        first = parts[i].iov_len;
        if (first != 0 && cut(fd, first) < first)
            return syscall(SYS_write, fd, parts[i].iov_base, cut(fd, first));
    }
    return syscall(SYS_writev, fd, parts, n);
}

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
    return syscall(SYS_splice, in, in_at, out, out_at, cut(in, len), flags);
}

int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
    struct iovec *part = m->msg_hdr.msg_iov;
    part->iov_len = cut(fd, part->iov_len);
    return (int)syscall(SYS_recvmmsg, fd, m, n, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    struct iovec *part = m->msg_hdr.msg_iov, mine = *part;
    uint32_t bytes = faults->bytes;
    if (bytes == 0 || m->msg_hdr.msg_iovlen != 1 || part->iov_len <= WHOLE)
        return (int)syscall(SYS_sendmmsg, fd, m, n, flags);
    mine.iov_len = WHOLE + bytes;
    mine.iov_len = mine.iov_len < part->iov_len ? mine.iov_len : part->iov_len;
    m->msg_hdr.msg_iov = &mine;
    faults->cut++;
    int r = (int)syscall(SYS_sendmmsg, fd, m, n, flags);
    m->msg_hdr.msg_iov = part;
    return r;
}
