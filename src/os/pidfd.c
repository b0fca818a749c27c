/* pidfd.c - see pidfd.h.  Owns no descriptor. */
#include "os/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define SIGNAL_PROCESS_GROUP 4U

/* As Linux 6.15 has it (linux/pidfd.h, which may be older here). */
struct info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)
#define INFO_EXIT (1U << 3)

int pidfd_signal(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int pidfd_signal_group(pid_t leader, int signal)
{
    if (leader <= 1) /* to kill(2), -0 is our own group and -1 everybody */
        return -ESRCH;
    return kill(-leader, signal) < 0 ? -errno : 0;
}

int pidfd_signal_group_of(int pidfd, pid_t leader, int signal)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, SIGNAL_PROCESS_GROUP) == 0)
        return 0;
    if (errno != EINVAL) /* Linux before 6.9 */
        return -errno;
    int r = pidfd_signal(pidfd, 0);
    return r < 0 ? r : pidfd_signal_group(leader, signal);
}

/* waitid(2) splits the status into si_code and si_status; put together again as
 * wait(2) would have given it, since that is what everybody reads. */
static int wait_status(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static int wait_for(int pidfd, int options, int *status, struct rusage *usage)
{
    siginfo_t info = { .si_pid = 0 };
    /* the raw call, since glibc's waitid has no rusage */
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, options, usage) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *status = wait_status(&info);
    return 1;
}

int pidfd_reap(int pidfd, int *status, struct rusage *usage)
{
    return wait_for(pidfd, WEXITED | WNOHANG, status, usage);
}

int pidfd_look(int pidfd, int *status, struct rusage *usage)
{
    return wait_for(pidfd, WEXITED | WNOHANG | WNOWAIT, status, usage);
}

int pidfd_status_of_other(int pidfd, int *status)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    struct info info = { .mask = INFO_EXIT };
    if (poll(&p, 1, 0) < 0)
        return -errno;
    if (p.revents == 0)
        return 0;
    if (ioctl(pidfd, GET_INFO, &info) < 0)
        return errno == ESRCH || errno == EINVAL || errno == ENOTTY ? -ENODATA : -errno;
    if ((info.mask & INFO_EXIT) == 0)
        return p.revents & POLLHUP ? -ENODATA : -EAGAIN;
    *status = info.exit_code;
    return 1;
}
