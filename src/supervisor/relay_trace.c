/* relay_trace.c - those who watch messages pass; see relay.h.
 *
 * Owns nothing: tracers are nodes of their owners', and while there are none all this
 * costs is a look at a pointer. */
#include <string.h>

#include "supervisor/relay_internal.h"

void relay_trace_begin(struct relay *r, struct relay_tracer *t)
{
    t->next = r->tracers;
    t->at = &r->tracers;
    if (t->next != NULL)
        t->next->at = &t->next;
    r->tracers = t;
}

void relay_trace_end(struct relay_tracer *t)
{
    if (t->at == NULL)
        return;
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    t->at = NULL;
}

/* A tracer may end itself while it is told. */
static void tell(struct relay *r, const struct relay_trace *what)
{
    struct relay_tracer *next;
    for (struct relay_tracer *t = r->tracers; t != NULL; t = next) {
        next = t->next;
        t->fn(what, t->arg);
    }
}

void relay_tell_tracers(const struct relay_port *p, const struct parcel *parcel, const char *to, size_t to_len,
                        int error)
{
    const struct envelope *e = &parcel->e;
    if (p->lane->relay->tracers == NULL)
        return;
    tell(p->lane->relay, &(struct relay_trace){ .from = p->lane->member.name,
                                                .to = to,
                                                .to_len = to_len,
                                                .bytes = e->msg.len,
                                                .id = e->id,
                                                .re = e->re,
                                                .has_id = e->has_id,
                                                .has_re = e->has_re,
                                                .handle = parcel->with_handle,
                                                .error = error });
}

void relay_tell_end(struct relay *r, const struct request_end *e)
{
    if (r->tracers == NULL)
        return;
    tell(r, &(struct relay_trace){ .from = e->sender->name,
                                   .to = e->receiver->name,
                                   .to_len = strlen(e->receiver->name),
                                   .id = e->id,
                                   .has_id = true,
                                   .error = e->error });
}
