/* test_restart.c - whether and when to start again, as numbers. */
#include "cmocka_all.h"

#include <sys/time.h>

#include "base/cleanup.h"
#include "core/restart.h"

#define S USEC_PER_SEC

static void test_tries_left(void **state)
{
    (void)state;
    struct program p = { .startretries = 3 };
    assert_true(restart_tries_left(&p, 0));
    assert_true(restart_tries_left(&p, 3));
    assert_false(restart_tries_left(&p, 4));
    p.startretries = 0;
    assert_true(restart_tries_left(&p, 0));
    assert_false(restart_tries_left(&p, 1));
    p.startretries = STARTRETRIES_INFINITY;
    assert_true(restart_tries_left(&p, UINT32_MAX));
}

static void test_delay(void **state)
{
    (void)state;
    static const struct {
        usec_t delay, max;
        double factor;
        uint32_t tries;
        usec_t expected;
    } cases[] = {
        { S, 0, 0, 1, S },
        { S, 0, 0, 7, 7 * S }, /* supervisord's */
        { S, 5 * S, 0, 7, 5 * S },
        { S, 0, 2, 1, S },
        { S, 0, 2, 2, 2 * S },
        { S, 0, 2, 6, 32 * S },
        { S, 20 * S, 2, 5, 16 * S },
        { S, 20 * S, 2, 6, 20 * S },
        { S, 20 * S, 2, UINT32_MAX, 20 * S },
        { S / 2, 0, 1.5, 3, 1125 * USEC_PER_MSEC },
        { S, 0, 1, UINT32_MAX, S }, /* and not by four thousand million multiplications */
        { 0, 0, 2, UINT32_MAX, 0 },
        { 30 * S, 10 * S, 2, 1, 10 * S },
    };
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){ .it_value = { .tv_sec = 2 } }, NULL); /* of its own */
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const struct program_common c = { .restart_delay = cases[i].delay,
                                          .restart_delay_max = cases[i].max,
                                          .restart_factor = cases[i].factor };
        const struct program p = { .common = &c };
        assert_int_equal(restart_delay(&p, cases[i].tries, UINT32_MAX), cases[i].expected);
    }
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){ 0 }, NULL);
}

static void test_delay_stays_a_time(void **state)
{
    (void)state;
    static const usec_t limits[] = { 0, USEC_INFINITY };
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        struct program_common c = { .restart_delay = USEC_INFINITY,
                                    .restart_delay_max = limits[i],
                                    .restart_jitter = 10 };
        const struct program p = { .common = &c };
        for (c.restart_factor = 0; c.restart_factor <= 1000; c.restart_factor += 250) {
            usec_t d = restart_delay(&p, UINT32_MAX, UINT32_MAX);
            assert_true(d >= 1000000000ULL * S); /* long, and neither wrapped round nor negative */
            assert_true(d < (1ULL << 63));
        }
    }
}

static void test_jitter(void **state)
{
    (void)state;
    struct program_common c = { .restart_delay = 10 * S, .restart_jitter = 0.1 };
    const struct program p = { .common = &c };
    assert_int_equal(restart_delay(&p, 1, 0), 10 * S);
    assert_int_equal(restart_delay(&p, 1, UINT32_MAX), 11 * S);
    usec_t half = restart_delay(&p, 1, UINT32_MAX / 2);
    assert_in_range(half, 10499 * USEC_PER_MSEC, 10501 * USEC_PER_MSEC);
    c.restart_delay_max = 10 * S; /* jitter comes on top: a fleet must not wake up as one */
    assert_int_equal(restart_delay(&p, 100, UINT32_MAX), 11 * S);
}

static void test_wanted_without_codes(void **state)
{
    (void)state;
    struct program p = { .autorestart = RESTART_UNEXPECTED };
    struct exit_cause zero = { .kind = EXIT_STATUS };
    assert_true(restart_wanted(&p, &zero)); /* an empty list expects nothing */
    p.autorestart = (enum restart_policy)99;
    assert_false(restart_wanted(&p, &zero));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tries_left),           cmocka_unit_test(test_delay),
        cmocka_unit_test(test_delay_stays_a_time),   cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_wanted_without_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
