/* reaper.c - see reaper.h.
 *
 * Such a process reaches us only after the guardian has died, so a record of it is made
 * at its end, and no child carries room for one.  Owns the list at the supervisor. */
#include "supervisor/reaper.h"

#include <errno.h>
#include <stdlib.h>

#include "supervisor/supervisor.h"

#define REAPED_WITHIN (100 * USEC_PER_MSEC) /* by any parent that reaps at all */

struct reaper_wait {
    struct reaper_wait *next;
    struct child *child;
    struct loop_timer timer;
};

static struct reaper_wait **find(struct child *c)
{
    struct reaper_wait **at = &c->supervisor->reaper_waits;
    while (*at != NULL && (*at)->child != c)
        at = &(*at)->next;
    return at;
}

int reaper_await(struct child *c, void (*late)(void *c))
{
    struct supervisor *s = c->supervisor;
    if (*find(c) != NULL)
        return 0;
    struct reaper_wait *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->child = c;
    int r = loop_timer_set(s->loop, &w->timer, loop_now(s->loop) + REAPED_WITHIN, late, c);
    if (r < 0) {
        free(w);
        return r;
    }
    w->next = s->reaper_waits;
    s->reaper_waits = w;
    return 0;
}

void reaper_done(struct child *c)
{
    struct reaper_wait **at = find(c), *w = *at;
    if (w == NULL)
        return;
    *at = w->next;
    loop_timer_clear(&w->timer);
    free(w);
}
