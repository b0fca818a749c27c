/* stepper.c - kills a process at its k-th system call from now on, before the kernel sees that call.
 *
 *     stepper PID K [FIRST]
 *
 * FIRST is one that is killed the moment before.
 * Says `ready` when the count has begun and `killed at N` with the number of the call when it is done; told to end
 * before, it leaves the process as it is.  All calls are counted together: what strace counts with when=K is the calls
 * of each kind by themselves, so that most of a process's steps are never the K-th. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define SYSCALL_STOP (SIGTRAP | 0x80) /* by PTRACE_O_TRACESYSGOOD */

static bool say(const char *words)
{
    return puts(words) >= 0 && fflush(stdout) == 0;
}

/* True when it is one that begins; *nr is which. */
static bool begins(pid_t pid, long long *nr)
{
    struct __ptrace_syscall_info info; /* as glibc has it */
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    *nr = (long long)info.entry.nr;
    return true;
}

/* The signal that is to be passed on to it, after it has stopped for that one. */
static long signal_of(int status)
{
    bool ours = status >> 16 != 0 || WSTOPSIG(status) == SYSCALL_STOP; /* a stop of ptrace's own */
    return ours ? 0 : WSTOPSIG(status);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
    long left = strtol(argv[2], NULL, 10);
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0) {
        perror("stepper");
        return 1;
    }
    bool ready = false;
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        long long nr = -1;
        if (WSTOPSIG(status) == SYSCALL_STOP && begins(pid, &nr) && --left == 0) {
            printf("killed at %lld\n", nr);
            fflush(stdout); /* first: whoever sees the end may end us */
            if (argc > 3)
                kill((pid_t)strtol(argv[3], NULL, 10), SIGKILL);
            kill(pid, SIGKILL);
            return 0;
        }
        if (ptrace(PTRACE_SYSCALL, pid, 0, signal_of(status)) < 0 && errno != ESRCH)
            return 1;
        if (!ready)
            ready = say("ready");
    }
    return 0;
}
