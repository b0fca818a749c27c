/* sweep.c - see sweep.h.
 *
 * The kernel's list of a process's children (/proc/PID/task/PID/children) is read
 * again until it has nobody else: whoever dies leaves its own children to the
 * guardian.  Those who are detached, and what they have started, hang below a
 * process that is spared.  Without the list (CONFIG_PROC_CHILDREN) nothing is done. */
#include "daemon/sweep.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define LOOKS 200
#define LOOK_EVERY 5 /* milliseconds, for the dead to be reaped */

static bool is_known(const struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            if (s->groups[i]->children[k]->process.pid == pid)
                return true;
    return pid == getpid();
}

/* How many were there. */
static unsigned kill_all(const struct supervisor *s, const char *path)
{
    unsigned n = 0;
    int pid;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &pid) == 1) {
        if (pid <= 1 || is_known(s, pid))
            continue;
        kill(pid, SIGKILL);
        n++;
    }
    return n;
}

void sweep_strays(const struct supervisor *s, pid_t guardian)
{
    char path[64];
    unsigned most = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", guardian, guardian);
    for (int i = 0; i < LOOKS; i++) {
        unsigned n = kill_all(s, path);
        most = n > most ? n : most;
        if (n == 0)
            break;
        poll(NULL, 0, LOOK_EVERY);
    }
    if (most > 0)
        log_info("ended what programs have left behind: %u process%s", most, most == 1 ? "" : "es");
}
