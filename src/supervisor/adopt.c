/* adopt.c - see adopt.h.
 *
 * Owns nothing beyond a call.  Trusts a number in the journal only with the identity
 * that is stored beside it, so the worst that a damaged slot can do is that a process
 * is not found. */
#include "supervisor/adopt.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "os/pidfd.h"
#include "supervisor/record.h"
#include "supervisor/scope.h"

static bool has_child(enum process_state state)
{
    return state == PROCESS_RUNNING || state == PROCESS_STOPPING || state == PROCESS_UNKNOWN;
}

/* Makes the process that `pidfd` holds (and takes over) the child of this record, as
 * the slot knows it: with its start, tallies and what was under way.  Its pipes are not
 * touched.  0 or a negative errno, then the pidfd is closed. */
static int adopt_process(struct child *c, int pidfd, const struct journal_slot *was)
{
    const struct process as = record_read(was, c->process.program);
    if (c->process.state != PROCESS_STOPPED || as.pid <= 0 || !(has_child(as.state) || as.state == PROCESS_STARTING)) {
        close(pidfd);
        return -EINVAL;
    }
    journal_commit(c->supervisor->options.journal, c->slot, was); /* it may come from another slot, or from elsewhere */
    c->cpu_user_ms = was->cpu_user_ms;
    c->cpu_system_ms = was->cpu_system_ms;
    c->maxrss_kib = was->maxrss_kib;
    scope_note(c, as.pid);
    int r = child_hold(c, pidfd); /* first: what goes on may be a signal that is due */
    supervisor_restore(c, &as);
    if (as.state == PROCESS_STARTING && !as.execed) /* whoever would have heard of a failure is gone */
        supervisor_handle(c, PROCESS_EXECED, 0, (struct exit_cause){ .kind = EXIT_NONE });
    if (r < 0) {
        log_error("%s: cannot watch pid %d: %s; it is killed", c->process.program->name, c->process.pid, strerror(-r));
        pidfd_signal(c->pidfd, SIGKILL);
    }
    return r;
}

/* Refused slots are looked at once: by what can still be read of one, its process is
 * found or it is not, and then the slot is given away. */
static void adopt_damaged(struct supervisor *s)
{
    struct journal *j = s->options.journal;
    char name[JOURNAL_NAME_MAX + 1];
    for (uint32_t i = 0; journal_next_damaged(j, &i); i++) {
        const struct journal_slot *slot = journal_get(j, i);
        journal_name(j, i, name);
        int pidfd = slot != NULL ? record_find(slot) : -ESRCH;
        char *colon = strchr(name, ':');
        struct child *c = NULL;
        if (colon != NULL) {
            *colon = '\0';
            c = supervisor_child(s, name, colon + 1);
            *colon = ':';
        }
        log_error("journal: slot %u (%s) is damaged; %s", i, name[0] != '\0' ? name : "of an unknown process",
                  pidfd < 0 ? "no process is known by it" : "its process runs");
        if (pidfd >= 0 && c != NULL && c->process.pid == 0) {
            struct journal_slot was = *slot;
            adopt_process(c, pidfd, &was);
        } else if (pidfd >= 0) {
            log_error("pid %d is left alone", slot->pid);
            close(pidfd);
        }
        journal_remove(j, i);
    }
}

/* A slot that no record has taken is of a program that is no longer configured.  It
 * stays for as long as its process does, should the program come back. */
static void report_strays(struct supervisor *s, const bool *taken)
{
    struct journal *j = s->options.journal;
    char name[JOURNAL_NAME_MAX + 1];
    for (uint32_t i = 0; journal_next(j, &i); i++) {
        if (taken[i])
            continue;
        const struct journal_slot *slot = journal_get(j, i);
        int pidfd = record_find(slot);
        if (pidfd < 0) {
            journal_remove(j, i);
            continue;
        }
        close(pidfd);
        journal_name(j, i, name);
        log_warn("%s is no longer configured; its process %d runs on and is left alone", name, slot->pid);
    }
}

void adopt_survivors(struct supervisor *s)
{
    struct journal *j = s->options.journal;
    uint32_t last = 0;
    for (uint32_t i = 0; journal_next(j, &i); i++)
        last = i + 1;
    _cleanup_free_ bool *taken = calloc((size_t)last + 1, sizeof(bool));
    if (taken == NULL)
        return;
    adopt_damaged(s);
    for (size_t i = 0; i < s->n_groups; i++) {
        for (size_t k = 0; k < s->groups[i]->n_children; k++) {
            struct child *c = s->groups[i]->children[k];
            if (c->slot < last)
                taken[c->slot] = true;
        }
    }
    report_strays(s, taken);
}
