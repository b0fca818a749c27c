/* adopt.c - see adopt.h.
 *
 * Owns nothing beyond a call.  Trusts a number in the journal only with the identity
 * that is stored beside it. */
#include "supervisor/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/record.h"

/* Refused slots that no record has mended are looked at once, and then given away. */
static void report_damaged(struct supervisor *s)
{
    struct journal *j = s->options.journal;
    char name[JOURNAL_NAME_MAX + 1];
    for (uint32_t i = 0; journal_next_damaged(j, &i); i++) {
        const struct journal_slot *slot = journal_get(j, i);
        journal_name(j, i, name);
        _cleanup_close_ int pidfd = slot != NULL ? record_find(slot) : -ESRCH;
        log_error("journal: slot %u (%s) is damaged; %s", i, name[0] != '\0' ? name : "of an unknown process",
                  pidfd < 0 ? "no process is known by it" : "its process runs");
        if (pidfd >= 0)
            log_error("pid %d is left alone", slot->pid);
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

void adopt_report(struct supervisor *s)
{
    struct journal *j = s->options.journal;
    uint32_t last = 0;
    for (uint32_t i = 0; journal_next(j, &i); i++)
        last = i + 1;
    _cleanup_free_ bool *taken = calloc((size_t)last + 1, sizeof(bool));
    if (taken == NULL)
        return;
    report_damaged(s);
    for (size_t i = 0; i < s->n_groups; i++) {
        for (size_t k = 0; k < s->groups[i]->n_children; k++) {
            struct child *c = s->groups[i]->children[k];
            if (c->slot < last)
                taken[c->slot] = true;
        }
    }
    report_strays(s, taken);
}
