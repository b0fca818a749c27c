/* test_buf.c - the bounded buffer: bounds, sticking errors, consuming, stealing. */
#include "cmocka_all.h"

#include <errno.h>

#include "base/buf.h"

static void test_append(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(1000);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_int_equal(buf_putc(&b, 'd'), 0);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
    assert_int_equal(buf_add(&b, "\0z", 2), 0);
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    assert_int_equal(b.len, 10);
    assert_memory_equal(b.data, "abcd42-x\0z", 11);
}

static void test_bound(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(5);
    assert_int_equal(buf_puts(&b, "12345"), 0);
    assert_int_equal(buf_putc(&b, '6'), -ENOBUFS);
    assert_string_equal(b.data, "12345"); /* as it was */
    assert_int_equal(b.error, -ENOBUFS);
    buf_consume(&b, 5);
    assert_int_equal(buf_putc(&b, '6'), -ENOBUFS); /* the error sticks */
    buf_reset(&b);
    assert_int_equal(buf_putc(&b, '6'), 0);
    assert_int_equal(buf_add(&b, "x", SIZE_MAX), -ENOBUFS);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 1), -ENOBUFS);
}

static void test_consume(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(100);
    buf_consume(&b, 3);
    buf_puts(&b, "hello world");
    buf_consume(&b, 6);
    assert_string_equal(b.data, "world");
    buf_consume(&b, 0);
    assert_int_equal(b.len, 5);
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
}

static void test_steal(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(100);
    char *s = buf_steal(&b); /* an empty string, not NULL */
    assert_string_equal(s, "");
    free(s);
    buf_puts(&b, "mine");
    s = buf_steal(&b);
    assert_string_equal(s, "mine");
    assert_null(b.data);
    free(s);
    while (buf_puts(&b, "too much ") == 0)
        ;
    assert_null(buf_steal(&b));
    buf_done(&b);
    assert_int_equal(b.error, 0);
    assert_int_equal(b.max, 100);
}

static void test_growth(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(1 << 20);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_printf(&b, "%d,", i % 10), 0);
    assert_int_equal(b.len, 200000);
    assert_int_equal(strlen(b.data), 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append), cmocka_unit_test(test_bound),  cmocka_unit_test(test_consume),
        cmocka_unit_test(test_steal),  cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
