/* restart.c - see restart.h.  No clock, no random numbers of its own: both come
 * as arguments, so that every decision can be repeated. */
#include "core/restart.h"

/* 31,000 years: what stands for "no limit" must still fit into a usec_t as a double. */
#define LONGEST (1000000000000ULL * USEC_PER_SEC)

bool restart_wanted(const struct program *p, const struct exit_cause *c)
{
    switch (p->autorestart) {
    case RESTART_NEVER:
        return false;
    case RESTART_ALWAYS:
        return true;
    case RESTART_UNEXPECTED:
    case RESTART_ON_FAILURE:
        return !exit_cause_expected(c, p);
    case RESTART_ON_EXIT:
        return c->kind == EXIT_STATUS;
    case RESTART_ON_SIGNAL:
        return c->kind == EXIT_SIGNAL;
    }
    return false;
}

bool restart_tries_left(const struct program *p, uint32_t tries)
{
    return p->startretries == STARTRETRIES_INFINITY || tries <= p->startretries;
}

usec_t restart_delay(const struct program *p, uint32_t tries, uint32_t random)
{
    const struct program_common *c = p->common;
    double delay = (double)c->restart_delay;
    double cap =
        c->restart_delay_max > 0 && c->restart_delay_max < LONGEST ? (double)c->restart_delay_max : (double)LONGEST;
    if (c->restart_factor <= 0)
        delay *= tries;
    else
        for (uint32_t i = 1; i < tries && delay < cap; i++) {
            double next = delay * c->restart_factor;
            if (next == delay) /* a factor of 1, a delay of 0: tries may be many */
                break;
            delay = next;
        }
    if (delay > cap)
        delay = cap;
    delay += delay * c->restart_jitter * ((double)random / (double)UINT32_MAX);
    return delay < (double)LONGEST ? (usec_t)delay : LONGEST;
}
