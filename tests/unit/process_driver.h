/* process_driver.h - one process under test, its events given by hand and checked
 * against the laws at every step. */
#pragma once

#include "cmocka_all.h"

#include <errno.h>

#include "process_random.h"

#define S USEC_PER_SEC
#define PID 4711

static const struct exit_code only_zero[] = { { 0, false } };

static const struct program_common plain_common = { .restart_delay = S };
static const struct program plain = {
    .name = "web",
    .command = "/bin/web --serve",
    .startsecs = S,
    .startretries = 3,
    .autorestart = RESTART_UNEXPECTED,
    .exitcodes = only_zero,
    .n_exitcodes = 1,
    .common = &plain_common,
    .ladder = (const struct stop_step[]){ { SIGTERM, 10 * S }, { SIGKILL, 0 } },
    .n_ladder = 2,
};

static inline void born(struct watched *w, const struct program *program)
{
    memset(w, 0, sizeof(*w));
    w->program = *program;
    w->now = 1000 * S;
    process_init(&w->p, &w->program);
}

static inline void feed(struct watched *w, struct process_input in)
{
    in.now = w->now;
    in.wall = w->now + 1;
    const char *broken = handle_checked(w, &in, true);
    if (broken != NULL)
        fail_msg("%s, after event %d, in %s", broken, (int)in.event, process_state_name(w->p.state));
}

static inline void give(struct watched *w, enum process_event event)
{
    struct exit_cause cause = { .kind = EXIT_NONE };
    if (event == PROCESS_SPAWN_FAILED)
        cause = exit_cause_from_spawn(SPAWN_STAGE_LOOKUP, ENOENT);
    if (event == PROCESS_TIMER && w->timer > w->now)
        w->now = w->timer;
    feed(w, (struct process_input){ .event = event, .pid = event == PROCESS_SPAWNED ? PID : 0, .cause = cause });
}

static inline void dies(struct watched *w, int status)
{
    feed(w, (struct process_input){ .event = PROCESS_EXITED_EVENT, .cause = { .kind = EXIT_STATUS, .value = status } });
}

static inline void runs(struct watched *w) /* from an asked start to its program running */
{
    give(w, PROCESS_SPAWNED);
    give(w, PROCESS_EXECED);
}

static inline void starts(struct watched *w) /* ... and RUNNING */
{
    give(w, PROCESS_START);
    runs(w);
    if (w->p.state == PROCESS_STARTING)
        give(w, PROCESS_TIMER);
    assert_int_equal(w->p.state, PROCESS_RUNNING);
}

static const struct effect *effect_of(const struct watched *w, enum effect_kind kind)
{
    for (unsigned i = 0; i < w->last.n; i++)
        if (w->last.list[i].kind == kind)
            return &w->last.list[i];
    return NULL;
}

#define assert_state(w, s) assert_string_equal(process_state_name((w)->p.state), process_state_name(s))

enum place { STOPPED, ASKED, POSTPONED, BORN, UP, RUNNING, BACKOFF, STOPPING, EXITED, WAITING, FATAL, UNKNOWN, PLACES };

static inline void fails_until_fatal(struct watched *w)
{
    give(w, PROCESS_START);
    while (w->p.state != PROCESS_FATAL) {
        give(w, PROCESS_SPAWN_FAILED);
        if (w->p.state == PROCESS_BACKOFF)
            give(w, PROCESS_TIMER);
    }
}

/* Real events only: no field is set by hand. */
static inline void go_to(struct watched *w, enum place place)
{
    static const struct program_common apart = { .restart_delay = S, .restart_interval = 100 * S };
    struct program program = plain;
    if (place == WAITING)
        program.common = &apart;
    born(w, &program);
    if (place >= ASKED && place <= UP)
        give(w, PROCESS_START);
    if (place == POSTPONED)
        give(w, PROCESS_SPAWN_POSTPONED);
    if (place == BORN || place == UP)
        give(w, PROCESS_SPAWNED);
    if (place == UP)
        give(w, PROCESS_EXECED);
    if (place == BACKOFF) {
        give(w, PROCESS_START);
        give(w, PROCESS_SPAWN_FAILED);
    }
    if (place == RUNNING || place == STOPPING || place == EXITED || place == WAITING || place == UNKNOWN)
        starts(w);
    if (place == STOPPING || place == UNKNOWN)
        give(w, PROCESS_STOP);
    if (place == UNKNOWN)
        give(w, PROCESS_SIGNAL_FAILED);
    if (place == EXITED)
        dies(w, 0);
    if (place == WAITING) {
        dies(w, 1);
        runs(w);
        give(w, PROCESS_TIMER);
        dies(w, 1);
    }
    if (place == FATAL)
        fails_until_fatal(w);
}
