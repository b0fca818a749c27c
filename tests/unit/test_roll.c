/* The guardian's tables: names and descriptors, pids and tags; full, empty, and against a plain list. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guardian/roll.h"

static struct roll roll;

static int set_up(void **state)
{
    (void)state;
    memset(&roll, 0, sizeof(roll));
    return 0;
}

static uint64_t name_of(unsigned i)
{
    char text[16];
    snprintf(text, sizeof(text), "%c%u", "oeip"[i % 4], i / 4);
    return roll_name(text);
}

static void test_names(void **state)
{
    (void)state;
    char text[ROLL_NAME_MAX + 1];
    assert_int_equal(roll_name(""), 0);
    assert_int_equal(roll_name("ninechars"), 0);
    assert_string_equal(roll_name_text(roll_name("a"), text), "a");
    assert_string_equal(roll_name_text(roll_name("eightchr"), text), "eightchr");
    assert_int_not_equal(roll_name("o1"), roll_name("o10"));
}

static void test_a_name_is_held_once(void **state)
{
    (void)state;
    int before = 0;
    assert_int_equal(roll_held(&roll, roll_name("lock")), -1);
    assert_int_equal(roll_hold(&roll, roll_name("lock"), 7, &before), 0);
    assert_int_equal(before, -1);
    assert_int_equal(roll_hold(&roll, roll_name("lock"), 8, &before), 0);
    assert_int_equal(before, 7);
    assert_int_equal(roll.n_held, 1);
    assert_int_equal(roll_drop(&roll, roll_name("lock")), 8);
    assert_int_equal(roll_drop(&roll, roll_name("lock")), -1);
    assert_int_equal(roll_hold(&roll, 0, 7, &before), -EINVAL);
    assert_int_equal(roll_drop(&roll, 0), -1);
}

static void test_a_full_table_refuses_what_is_new_and_takes_what_it_has(void **state)
{
    (void)state;
    int before;
    for (unsigned i = 0; i < ROLL_HELD_MAX; i++)
        assert_int_equal(roll_hold(&roll, name_of(i), (int)i, &before), 0);
    assert_int_equal(roll_hold(&roll, roll_name("more"), 1, &before), -ENOSPC);
    assert_int_equal(roll_held(&roll, roll_name("more")), -1);
    assert_int_equal(roll_hold(&roll, name_of(5), 99999, &before), 0);
    assert_int_equal(before, 5);
    assert_int_equal(roll_drop(&roll, name_of(0)), 0);
    assert_int_equal(roll_hold(&roll, roll_name("more"), 1, &before), 0);
    for (unsigned i = 1; i < ROLL_HELD_MAX; i++)
        assert_int_equal(roll_held(&roll, name_of(i)), i == 5 ? 99999 : (int)i);
}

/* The same done to an array in which the place is the name. */
static void test_against_a_plain_list(void **state)
{
    (void)state;
    enum { NAMES = 3000, STEPS = 200000 };
    static int plain[NAMES];
    unsigned n = 0;
    memset(plain, 0xff, sizeof(plain));
    srand(1);
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % NAMES;
        int before = -1;
        if (rand() % 2 == 0) {
            assert_int_equal(roll_hold(&roll, name_of(i), step, &before), 0);
            assert_int_equal(before, plain[i]);
            n += plain[i] < 0;
            plain[i] = step;
        } else {
            assert_int_equal(roll_drop(&roll, name_of(i)), plain[i]);
            n -= plain[i] >= 0;
            plain[i] = -1;
        }
        assert_int_equal(roll.n_held, n);
    }
    for (unsigned i = 0; i < NAMES; i++)
        assert_int_equal(roll_held(&roll, name_of(i)), plain[i]);
}

static void test_children_are_forgotten_by_pid_and_tag(void **state)
{
    (void)state;
    assert_int_equal(roll_add(&roll, 10, 1), 0);
    assert_int_equal(roll_add(&roll, 11, 2), 0);
    assert_false(roll_forget(&roll, 10, 2));
    assert_int_equal(roll_count_live(&roll), 2);
    assert_true(roll_forget(&roll, 10, 1));
    assert_false(roll_forget(&roll, 10, 1));
    assert_null(roll_live(&roll, 10));
    assert_int_equal(roll_live(&roll, 11)->tag, 2);
}

/* The supervisor has reaped the one and not yet said so: the other may not be taken for it. */
static void test_a_pid_that_is_given_away_again(void **state)
{
    (void)state;
    assert_int_equal(roll_add(&roll, 10, 1), 0);
    assert_int_equal(roll_add(&roll, 10, 2), 0);
    assert_int_equal(roll_live(&roll, 10)->tag, 2);
    assert_int_equal(roll_count_live(&roll), 1);
    assert_true(roll_forget(&roll, 10, 1));
    assert_int_equal(roll_live(&roll, 10)->tag, 2);
}

static void test_a_full_roll(void **state)
{
    (void)state;
    for (int i = 0; i < ROLL_BORN_MAX; i++)
        assert_int_equal(roll_add(&roll, 1 + i, 1), 0);
    assert_int_equal(roll_add(&roll, 100000, 1), -ENOSPC);
    assert_true(roll_forget(&roll, 1, 1));
    assert_int_equal(roll_add(&roll, 100000, 1), 0);
    assert_int_equal(roll_count_live(&roll), ROLL_BORN_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_names, set_up),
        cmocka_unit_test_setup(test_a_name_is_held_once, set_up),
        cmocka_unit_test_setup(test_a_full_table_refuses_what_is_new_and_takes_what_it_has, set_up),
        cmocka_unit_test_setup(test_against_a_plain_list, set_up),
        cmocka_unit_test_setup(test_children_are_forgotten_by_pid_and_tag, set_up),
        cmocka_unit_test_setup(test_a_pid_that_is_given_away_again, set_up),
        cmocka_unit_test_setup(test_a_full_roll, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
