/* loop_bench.h - a loop that runs for a while, or until something is true. */
#pragma once

#include "supervisor/loop.h"

static inline void stop(void *arg)
{
    loop_stop(arg);
}

static inline void run_for(struct loop *l, usec_t d)
{
    struct loop_timer timer = { 0 };
    assert_int_equal(loop_timer_set(l, &timer, loop_now(l) + d, stop, l), 0);
    assert_int_equal(loop_run(l), 0);
    loop_timer_clear(&timer);
}

/* What must come is waited for; a machine may stand still for as long as a test means to run. */
#define RUN_UNTIL(l, condition)                                                                                        \
    do {                                                                                                               \
        for (int tries_ = 0; !(condition); tries_++) {                                                                 \
            if (tries_ == 10000)                                                                                       \
                fail_msg("waited in vain for " #condition);                                                            \
            run_for(l, 2000);                                                                                          \
        }                                                                                                              \
    } while (0)
