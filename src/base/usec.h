/* usec.h - time as microseconds in 64 bits.
 *
 * Durations and points of CLOCK_MONOTONIC share the type; a point of the wall
 * clock is only ever text or JSON, and is called `wall` where it appears. */
#pragma once

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL
#define USEC_INFINITY UINT64_MAX

static inline usec_t usec_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* later than `t` by `d`, without wrapping round */
static inline usec_t usec_add(usec_t t, usec_t d)
{
    return d > USEC_INFINITY - t ? USEC_INFINITY : t + d;
}

static inline usec_t usec_sub(usec_t a, usec_t b)
{
    return a > b ? a - b : 0;
}
