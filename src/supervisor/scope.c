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

int scope_make_for(struct supervisor *s, const char *name)
{
    int fd = 0;
    if (s->no_cgroups)
        return 0;
    int r = s->cgroups == NULL ? cgroups_new(&s->cgroups) : 0;
    if (r == 0)
        r = cgroups_make(s->cgroups, name, &fd);
    if (r == 0)
        return fd;
    s->no_cgroups = s->cgroups == NULL;
    log_warn("%s: kill_mode is cgroup, and no cgroup can be made: %s; %s gets KILL as a process group", name,
             strerror(-r), s->no_cgroups ? "every such program" : "it");
    return 0;
}

int scope_make(struct child *c)
{
    return wants(c) ? scope_make_for(c->supervisor, event_name_text(c->name)) : 0;
}

void scope_note_pid(struct supervisor *s, pid_t pid)
{
    if (s->cgroups == NULL && !s->no_cgroups)
        s->no_cgroups = cgroups_new(&s->cgroups) < 0;
    if (s->cgroups != NULL)
        cgroups_note(s->cgroups, pid);
}

void scope_note(const struct child *c, pid_t pid)
{
    if (wants(c))
        scope_note_pid(c->supervisor, pid);
}

/* The number of one that somebody else reaps may be another's by now. */
void scope_kill_pid(struct supervisor *s, pid_t pid, bool adopted)
{
    if (s->cgroups == NULL || pid <= 0)
        return;
    if (adopted)
        cgroups_kill_noted(s->cgroups, pid);
    else
        cgroups_kill(s->cgroups, pid);
}

void scope_kill(const struct child *c, pid_t pid)
{
    if (wants(c))
        scope_kill_pid(c->supervisor, pid, c->adopted);
}

void scope_sweep(struct supervisor *s)
{
    if (s->cgroups != NULL)
        cgroups_sweep(s->cgroups);
}

void scope_remove(const struct child *c)
{
    if (wants(c))
        scope_sweep(c->supervisor);
}
