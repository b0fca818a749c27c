/* exit_with.c - see exit_with.h.
 *
 * Looks only; the daemon ends itself.  An end is one for good when the process is
 * not to be started again: while autorestart goes on trying, so does the daemon. */
#include "daemon/exit_with.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int status_of(const struct exit_cause *c)
{
    switch (c->kind) {
    case EXIT_STATUS:
        return c->value;
    case EXIT_SIGNAL:
        return 128 + c->value;
    case EXIT_SPAWN:
        return c->value == ENOENT ? 127 : 126; /* as shells do */
    default:
        return EXIT_FAILURE;
    }
}

static struct child *find(const struct supervisor *s, const char *full_name)
{
    char group[256], name[256];
    snprintf(group, sizeof(group), "%s", full_name);
    char *colon = strchr(group, ':');
    if (colon == NULL)
        return NULL;
    *colon = '\0';
    snprintf(name, sizeof(name), "%s", colon + 1);
    return supervisor_child(s, group, name);
}

bool exit_with_met(const struct supervisor *s, const char *wanted, const struct event *e, int *status)
{
    if (wanted == NULL || e->type != EVENT_STATE || (e->to != PROCESS_EXITED && e->to != PROCESS_FATAL))
        return false;
    const char *full_name = event_name_text(e->name);
    const struct child *c = find(s, full_name);
    if (c == NULL || c->process.wanted) /* it is to be started again */
        return false;
    if (strcmp(wanted, full_name) != 0 && strcmp(wanted, c->process.program->section) != 0)
        return false;
    *status = status_of(&c->process.cause);
    return true;
}
