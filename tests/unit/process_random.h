/* process_random.h - a program and a life for it out of arbitrary bytes: for the
 * fuzzer, and for a fixed number of random lives in the unit test. */
#pragma once

#include <stdint.h>

#include "process_laws.h"

struct dice {
    const uint8_t *data;
    size_t left;
};

static inline unsigned roll(struct dice *d, unsigned sides)
{
    if (d->left == 0)
        return 0;
    d->left--;
    return *d->data++ % sides;
}

static inline void random_program(struct program *p, struct dice *d)
{
    static const usec_t times[] = { 0, 1, USEC_PER_MSEC, USEC_PER_SEC, 60 * USEC_PER_SEC, USEC_INFINITY };
    static const uint32_t retries[] = { 0, 1, 3, STARTRETRIES_INFINITY };
    static const double factors[] = { 0, 1, 2, 1000 };
    static const struct exit_code codes[] = { { 0, false }, { 2, false }, { SIGTERM, true } };
    *p = (struct program){ .name = "random", .command = "/bin/random", .exitcodes = codes };
    p->n_exitcodes = (uint16_t)roll(d, ELEMENTS(codes) + 1);
    p->startsecs = times[roll(d, ELEMENTS(times))];
    p->startretries = retries[roll(d, ELEMENTS(retries))];
    p->autorestart = (enum restart_policy)roll(d, RESTART_ON_FAILURE + 1);
    static struct program_common c;
    p->common = &c;
    c.restart_delay = times[roll(d, ELEMENTS(times))];
    c.restart_delay_max = times[roll(d, ELEMENTS(times))];
    c.restart_factor = factors[roll(d, ELEMENTS(factors))];
    c.restart_jitter = roll(d, 11);
    c.restart_reset = times[roll(d, ELEMENTS(times))];
    c.restart_interval = times[roll(d, ELEMENTS(times))];
    p->stopasgroup = roll(d, 2) != 0;
    p->killasgroup = roll(d, 2) != 0;
    p->n_ladder = (uint16_t)(1 + roll(d, STOP_LADDER_MAX));
    static struct stop_step ladder[STOP_LADDER_MAX];
    p->ladder = ladder;
    for (unsigned i = 0; i < p->n_ladder; i++)
        ladder[i] = (struct stop_step){ i + 1 < p->n_ladder ? SIGTERM : SIGKILL, times[roll(d, ELEMENTS(times))] };
    c.timeout = times[roll(d, ELEMENTS(times))];
    c.timeout_signal = SIGINT;
    c.stopwaitsecs = times[roll(d, ELEMENTS(times))];
}

static inline struct exit_cause random_cause(struct dice *d, bool execed)
{
    switch (roll(d, execed ? 3 : 4)) {
    case 0:
        return (struct exit_cause){ .kind = EXIT_STATUS, .value = (int)roll(d, 4) };
    case 1:
        return (struct exit_cause){ .kind = EXIT_SIGNAL, .value = roll(d, 2) != 0 ? SIGTERM : SIGSEGV };
    case 2:
        return (struct exit_cause){ .kind = EXIT_UNKNOWN };
    default:
        return exit_cause_from_spawn(SPAWN_STAGE_EXEC, 2);
    }
}

/* Could this happen now, to a process in this world? */
static inline bool is_honest(const struct watched *w, enum process_event event)
{
    switch (event) {
    case PROCESS_SPAWNED:
    case PROCESS_SPAWN_FAILED:
    case PROCESS_SPAWN_POSTPONED:
        return w->spawn_asked;
    case PROCESS_EXECED:
        return w->p.pid != 0 && !w->p.execed;
    case PROCESS_EXITED_EVENT:
        return w->p.pid != 0;
    case PROCESS_TIMER:
        return w->timer != 0;
    case PROCESS_SIGNAL_FAILED: /* right after a signal */
        return w->last.n >= 2 && w->last.list[w->last.n - 2].kind == EFFECT_SIGNAL;
    case PROCESS_START:
    case PROCESS_STOP:
    case PROCESS_RECOVERED:
    case PROCESS_EVENTS:
        break;
    }
    return true;
}

/* Lives until the bytes are used up.  An event that does not fit is skipped, or
 * in a wild life happens all the same.  The broken law, or NULL. */
static inline const char *random_life(struct watched *w, struct dice *d)
{
    static const usec_t steps[] = { 0, 1, USEC_PER_MSEC, USEC_PER_SEC / 2, USEC_PER_SEC, 100 * USEC_PER_SEC };
    memset(w, 0, sizeof(*w));
    w->now = USEC_PER_SEC;
    random_program(&w->program, d);
    process_init(&w->p, &w->program);
    bool wild = roll(d, 4) == 3;
    while (d->left > 0) {
        struct process_input in = { .event = (enum process_event)roll(d, PROCESS_EVENTS),
                                    .random = roll(d, 256) << 24 };
        if (in.event == PROCESS_TIMER && w->timer == USEC_INFINITY)
            continue; /* never comes */
        usec_t step = steps[roll(d, ELEMENTS(steps))];
        bool honest = is_honest(w, in.event) || !process_event_legal(w->p.state, in.event);
        if (!honest && !wild)
            continue;
        w->now = in.event == PROCESS_TIMER && w->timer > w->now ? w->timer : w->now;
        if (w->timer == 0 || w->timer > w->now + step) /* timers are never late here */
            w->now += in.event == PROCESS_TIMER ? 0 : step;
        in.now = in.wall = w->now;
        in.pid = in.event == PROCESS_SPAWNED ? 4711 : 0;
        in.cause = random_cause(d, w->p.execed);
        const char *broken = handle_checked(w, &in, !wild);
        if (broken != NULL)
            return broken;
    }
    return NULL;
}
