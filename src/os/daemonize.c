/* daemonize.c - see daemonize.h.  Runs once, at the start, before anything else lives. */
#include "os/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

int daemonize_leave_terminal(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    return 0;
}

int daemonize_keep_standard_fds(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return -errno;
    } while (fd < 3);
    close(fd);
    for (int i = 0; i < 3; i++) { /* those three are meant to be inherited */
        int flags = fcntl(i, F_GETFD);
        if (flags >= 0)
            fcntl(i, F_SETFD, flags & ~FD_CLOEXEC);
    }
    return 0;
}

/* Those that whoever started us meant us to have. */
static uint64_t given_fds(void)
{
    uint64_t given = 7;
    for (int fd = 3; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            given |= UINT64_C(1) << fd;
    }
    return given;
}

uint64_t daemonize_seal_fds(void)
{
    uint64_t given = given_fds();
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return given;
    for (int fd = 3; fd < 4096; fd++) { /* before Linux 5.11; EBADF for most is fine */
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
    return given;
}

int daemonize_raise_limit(int resource, rlim_t least, struct rlimit *before)
{
    struct rlimit l;
    if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
        return -errno;
    *before = l;
    if (l.rlim_max != RLIM_INFINITY && l.rlim_max < least) {
        struct rlimit more = { .rlim_cur = least, .rlim_max = least };
        if (setrlimit((__rlimit_resource_t)resource, &more) == 0)
            return 0;
    }
    l.rlim_cur = l.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &l) < 0)
        return -errno;
    return l.rlim_max != RLIM_INFINITY && l.rlim_max < least ? -EPERM : 0;
}

int daemonize_become(uid_t uid, gid_t gid, const char *user)
{
    if (geteuid() == uid)
        return 0;
    if (geteuid() != 0)
        return -EPERM;
    if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return setresuid((uid_t)-1, 0, (uid_t)-1) == 0 ? -EPERM : 0; /* must not work any more */
}
