/* gap.c - see gap.h.
 *
 * The socket is the guardian's as well, so whoever connects in between waits in its
 * queue and is served by the next supervisor; a pause is for the case that the guardian
 * has gone, too, and somebody starts it again.  Owns nothing. */
#include "ctl/gap.h"

#include <errno.h>
#include <poll.h>

#include "ctl/client.h"

#define PAUSE_FIRST (5 * USEC_PER_MSEC)
#define PAUSE_MOST (200 * USEC_PER_MSEC)

bool gap_is_cut(int error)
{
    return error == -ECONNRESET || error == -ECONNABORTED || error == -EPIPE;
}

bool gap_is_possible(int error)
{
    return gap_is_cut(error) || error == -ENOENT || error == -ECONNREFUSED || error == -ETIMEDOUT;
}

usec_t gap_next(struct gap *g, int error)
{
    usec_t now = client_now();
    if (!gap_is_cut(error) && (!gap_is_possible(error) || g->since == 0))
        return 0;
    if (g->since == 0) {
        *g = (struct gap){ .since = now, .pause = PAUSE_FIRST };
        return now;
    }
    usec_t next = now + g->pause;
    g->pause = g->pause * 2 < PAUSE_MOST ? g->pause * 2 : PAUSE_MOST;
    return next < g->since + GAP_MAX ? next : 0;
}

bool gap_wait(struct gap *g, int interrupt_fd, int error)
{
    usec_t next = gap_next(g, error);
    if (next == 0)
        return false;
    struct pollfd p = { .fd = interrupt_fd, .events = POLLIN };
    int limit = (int)((usec_sub(next, client_now()) + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
    return poll(&p, 1, limit) <= 0;
}

void gap_over(struct gap *g)
{
    g->since = 0;
}
