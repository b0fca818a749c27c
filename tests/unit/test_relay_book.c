/* The book of what senders are owed: what is in it is there for whoever goes on. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "supervisor/relay_book.h"

static int memory;
static struct relay_book *b;

static int setup(void **state)
{
    (void)state;
    memory = memfd_create("book", MFD_CLOEXEC);
    return relay_book_new(dup(memory), &b);
}

static int teardown(void **state)
{
    (void)state;
    relay_book_free(b);
    b = NULL;
    return close(memory);
}

/* Another one opens the same memory. */
static void go_on(void)
{
    relay_book_free(b);
    assert_int_equal(relay_book_new(dup(memory), &b), 0);
}

static uint32_t add(uint64_t asker, uint64_t answerer, uint64_t given_at)
{
    return relay_book_add(b,
                          &(struct relay_book_entry){
                              .asker = asker, .answerer = answerer, .given_at = given_at, .state = RELAY_BOOK_OPEN });
}

static void test_it_is_there_afterwards(void **state)
{
    (void)state;
    uint32_t one = add(1, 2, 7), two = add(1, 3, 8);
    relay_book_end(b, two, 5, 6, -ENOENT);
    relay_book_drop(b, add(1, 2, 9));
    go_on();
    assert_int_equal(relay_book_at(b, one)->given_at, 7);
    assert_int_equal(relay_book_at(b, one)->state, RELAY_BOOK_OPEN);
    assert_int_equal(relay_book_at(b, two)->ended_at, 5);
    assert_int_equal(relay_book_at(b, two)->ended_by, 6);
    assert_int_equal(relay_book_at(b, two)->error, -ENOENT);
    assert_int_equal(relay_book_at(b, two)->state, RELAY_BOOK_ENDED);
    assert_int_equal(relay_book_used(b), 3);
    assert_int_equal(add(4, 5, 1), 3); /* what is free is used again */
    assert_int_equal(add(4, 5, 1), 4);
}

static void test_it_is_bounded(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= RELAY_BOOK_MOST; n++)
        assert_int_equal(add(1, 2, n), n);
    assert_true(relay_book_is_whole(b));
    assert_int_equal(add(1, 2, 3), 0);
    assert_false(relay_book_is_whole(b));
    go_on();
    assert_false(relay_book_is_whole(b));
    assert_int_equal(relay_book_at(b, RELAY_BOOK_MOST)->given_at, RELAY_BOOK_MOST);
    relay_book_forget(b, 1);
    assert_int_not_equal(add(1, 2, 3), 0);
}

static void test_ends_that_were_taken_are_dropped(void **state)
{
    (void)state;
    struct relay_book_queue q = { 0 };
    uint32_t notes[3];
    for (unsigned i = 0; i < 3; i++) {
        notes[i] = add(1, 2, i + 1);
        relay_book_end(b, notes[i], 10 + i, 0, 0);
        relay_book_enqueue(b, &q, notes[i]);
    }
    relay_book_clear(b, &q, 9);
    assert_int_equal(relay_book_at(b, notes[0])->state, RELAY_BOOK_ENDED);
    relay_book_clear(b, &q, 11);
    assert_int_equal(relay_book_at(b, notes[0])->state, RELAY_BOOK_FREE);
    assert_int_equal(relay_book_at(b, notes[1])->state, RELAY_BOOK_FREE);
    assert_int_equal(relay_book_at(b, notes[2])->state, RELAY_BOOK_ENDED);
    relay_book_clear(b, &q, 12);
    assert_int_equal(q.first + q.last, 0);
}

static void test_gaps_are_closed(void **state)
{
    (void)state;
    static const uint64_t gaps[] = { 3, 5, 6 };
    uint32_t before = add(1, 2, 2), between = add(1, 2, 4), behind = add(1, 2, 9), other = add(1, 3, 9);
    uint32_t end = add(2, 1, 0);
    relay_book_end(b, end, 7, 1, 0); /* goes to the same channel */
    relay_book_close_gaps(b, 2, gaps, 3);
    assert_int_equal(relay_book_at(b, before)->given_at, 2);
    assert_int_equal(relay_book_at(b, between)->given_at, 3);
    assert_int_equal(relay_book_at(b, behind)->given_at, 6);
    assert_int_equal(relay_book_at(b, other)->given_at, 9);
    assert_int_equal(relay_book_at(b, end)->ended_at, 4);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    uint32_t n = add(1, 2, 3);
    relay_book_free(b);
    uint32_t used = 1U << 30;
    assert_int_equal(pwrite(memory, &used, sizeof(used), 4), sizeof(used));
    assert_int_equal(relay_book_new(dup(memory), &b), 0);
    assert_int_equal(relay_book_used(b), 0);
    assert_null(relay_book_at(b, n));
    relay_book_had_predecessor(b); /* of whom nothing is known */
    assert_false(relay_book_is_whole(b));
    relay_book_free(b);
    assert_int_equal(relay_book_new(-1, &b), 0); /* no guardian */
    assert_null(b);
    assert_int_equal(add(1, 2, 3), 0);
    relay_book_drop(b, 1);
    relay_book_forget(b, 1);
    assert_false(relay_book_is_whole(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_is_there_afterwards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_that_were_taken_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gaps_are_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
