/* scope.c - see scope.h.  The supervisor owns the table of cgroups, which is made
 * for the first process that is to have one. */
#include "supervisor/scope.h"

#include <string.h>

#include "base/log.h"
#include "os/cgroup.h"
#include "supervisor/supervisor.h"

static bool wants(const struct child *c)
{
    return c->process.program->common->kill_mode == KILL_MODE_CGROUP;
}

int scope_make(struct child *c)
{
    struct supervisor *s = c->supervisor;
    int fd = 0;
    if (!wants(c) || s->no_cgroups)
        return 0;
    int r = s->cgroups == NULL ? cgroups_new(&s->cgroups) : 0;
    if (r == 0)
        r = cgroups_make(s->cgroups, event_name_text(c->name), &fd);
    if (r == 0)
        return fd;
    s->no_cgroups = s->cgroups == NULL;
    log_warn("%s: kill_mode is cgroup, and no cgroup can be made: %s; %s gets KILL as a process group",
             c->process.program->name, strerror(-r), s->no_cgroups ? "every such program" : "it");
    return 0;
}

void scope_note(const struct child *c, pid_t pid)
{
    if (wants(c) && c->supervisor->cgroups == NULL && !c->supervisor->no_cgroups)
        c->supervisor->no_cgroups = cgroups_new(&c->supervisor->cgroups) < 0;
    if (wants(c) && c->supervisor->cgroups != NULL)
        cgroups_note(c->supervisor->cgroups, pid);
}

void scope_kill(const struct child *c, pid_t pid)
{
    struct cgroups *all = c->supervisor->cgroups;
    if (!wants(c) || all == NULL || pid <= 0)
        return;
    if (c->adopted) /* its number may be another's by now */
        cgroups_kill_noted(all, pid);
    else
        cgroups_kill(all, pid);
}

void scope_remove(const struct child *c)
{
    if (wants(c) && c->supervisor->cgroups != NULL)
        cgroups_sweep(c->supervisor->cgroups);
}
