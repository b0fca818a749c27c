/* pidfd.c - see pidfd.h.  Owns no descriptor. */
#include "os/pidfd.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

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

/* waitid(2) splits the status into si_code and si_status; put together again as
 * wait(2) would have given it, since that is what everybody reads. */
static int wait_status(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

int pidfd_reap(int pidfd, int *status, struct rusage *usage)
{
    siginfo_t info = { .si_pid = 0 };
    /* the raw call, since glibc's waitid has no rusage */
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, usage) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *status = wait_status(&info);
    return 1;
}
