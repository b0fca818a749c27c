/* orphans.c - see orphans.h.
 *
 * Looks at who has ended before taking anybody's status (WNOWAIT), since those
 * that we have started are reaped through their pidfds, and a status can be taken
 * only once.  One SIGCHLD may stand for many deaths, so it looks until nobody is
 * left, a bounded number a turn. */
#include "supervisor/orphans.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define PER_TURN 256

struct orphans {
    struct supervisor *supervisor;
    struct loop_signal signal;
    struct loop_work work;
};

static bool can_come(void)
{
    int subreaper = 0;
    siginfo_t info = { .si_pid = 0 };
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0) ||
           waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0; /* ECHILD: no child at all */
}

static struct child *find(const struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++)
            if (s->groups[i]->children[k]->process.pid == pid)
                return s->groups[i]->children[k];
    return NULL;
}

static void reap_orphan(pid_t pid)
{
    int status;
    char words[128];
    if (waitpid(pid, &status, WNOHANG) != pid)
        return;
    struct exit_cause cause = exit_cause_from_wait(status);
    exit_cause_words(&cause, words, sizeof(words));
    log_info("reaped unknown pid %d (%s)", pid, words);
}

static void look(void *arg)
{
    struct orphans *o = arg;
    for (int i = 0; i < PER_TURN; i++) {
        siginfo_t info = { .si_pid = 0 };
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        struct child *c = find(o->supervisor, info.si_pid);
        if (c != NULL)
            child_reap(c);
        else
            reap_orphan(info.si_pid);
    }
    loop_defer(o->supervisor->loop, &o->work, look, o);
}

static void on_sigchld(int signal, void *arg)
{
    (void)signal;
    look(arg);
}

int orphans_watch(struct supervisor *s, struct orphans **ret)
{
    *ret = NULL;
    if (!can_come())
        return 0;
    struct orphans *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return -ENOMEM;
    o->supervisor = s;
    int r = loop_signal_set(s->loop, &o->signal, SIGCHLD, on_sigchld, o);
    if (r < 0) {
        free(o);
        return r;
    }
    loop_defer(s->loop, &o->work, look, o); /* some may have ended already */
    *ret = o;
    return 0;
}

void orphans_free(struct orphans *o)
{
    if (o == NULL)
        return;
    loop_signal_clear(&o->signal);
    loop_undefer(o->supervisor->loop, &o->work);
    free(o);
}
