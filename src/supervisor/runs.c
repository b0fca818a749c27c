/* runs.c - the table of transient processes: how many there may be, which is which,
 * and what concerns them all.
 *
 * Owns the records until run.c says that one is over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/run_internal.h"
#include "supervisor/supervisor.h"

void runs_forget(struct run *r)
{
    struct runs *all = r->supervisor->runs;
    for (struct run **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
    all->n--;
    all->n_attached -= r->attached;
}

static int admit(struct supervisor *s, const struct run_order *o)
{
    if (s->runs == NULL)
        s->runs = calloc(1, sizeof(*s->runs));
    if (s->runs == NULL)
        return -ENOMEM;
    return s->runs->n >= RUNS_MAX || (!o->detached && s->runs->n_attached >= RUNS_ATTACHED_MAX) ? -EBUSY : 0;
}

int run_start(struct supervisor *s, const struct run_order *o, struct run **ret)
{
    char name[32];
    int q = admit(s, o);
    struct run *r = q == 0 ? calloc(1, sizeof(*r)) : NULL;
    if (r == NULL)
        return q < 0 ? q : -ENOMEM;
    struct runs *all = s->runs;
    *r = (struct run){ .supervisor = s,
                       .config = config_ref(o->config),
                       .program = &o->config->groups[0].programs[0],
                       .client = o->client,
                       .number = ++all->last,
                       .max_buffer = o->max_buffer,
                       .owner = o->owner,
                       .pidfd = -1,
                       .detached = o->detached,
                       .attached = !o->detached };
    snprintf(name, sizeof(name), "%" PRIu64, r->number);
    r->name = event_name_new("run", name);
    if (r->name == NULL) {
        run_free(r);
        return -ENOMEM;
    }
    r->next = all->first;
    all->first = r;
    all->n++;
    all->n_attached += r->attached;
    run_spawn(r, o);
    *ret = r;
    return 0;
}

/* -- asking ------------------------------------------------------------------------- */

struct run *run_find(const struct supervisor *s, uint64_t number)
{
    struct run *r = s->runs != NULL ? s->runs->first : NULL;
    while (r != NULL && r->number != number)
        r = r->next;
    return r != NULL && !r->ended ? r : NULL;
}

uint64_t run_number(const struct run *r)
{
    return r->number;
}

uid_t run_owner(const struct run *r)
{
    return r->owner;
}

uint64_t run_pipes(const struct run *r)
{
    uint64_t pipes = 0;
    for (unsigned i = 0; i < stdio_length(r->program->stdio); i++)
        if (stdio_entry(r->program->stdio, i).kind == STDIO_PIPE)
            pipes |= UINT64_C(1) << i;
    return pipes;
}

static struct run_feed *find_feed(const struct run *r, int number)
{
    struct run_feed *f = r->feeds;
    while (f != NULL && f->number != number)
        f = f->next;
    return f;
}

int run_write(struct run *r, int number, const void *data, size_t len, bool eof, void (*done)(int result, void *arg),
              void *arg)
{
    struct run_feed *f = find_feed(r, number);
    return f != NULL ? run_feed_write(f, data, len, eof, done, arg) : -EBADF;
}

void run_write_cancel(struct run *r, int number)
{
    struct run_feed *f = find_feed(r, number);
    if (f != NULL)
        run_feed_cancel(f);
}

/* -- all together --------------------------------------------------------------------- */

void runs_stop(struct supervisor *s)
{
    struct run *next;
    for (struct run *r = s->runs != NULL ? s->runs->first : NULL; r != NULL; r = next) {
        next = r->next;
        if (r->detached)
            continue;
        r->hurried = true; /* no client may hold up the end of the daemon */
        run_tell_to_end(r, ESHUTDOWN);
        run_look(r);
    }
}

bool runs_are_down(const struct supervisor *s)
{
    const struct run *r = s->runs != NULL ? s->runs->first : NULL;
    while (r != NULL && r->detached)
        r = r->next;
    return r == NULL;
}

void runs_free(struct runs *runs)
{
    while (runs != NULL && runs->first != NULL) {
        struct run *r = runs->first;
        runs_forget(r);
        run_free(r);
    }
    free(runs);
}
