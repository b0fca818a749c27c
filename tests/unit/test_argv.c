/* test_argv.c - command lines to words and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "cmocka_all.h"

/* Words joined by "|". */
static void expect(const char *command, const char *joined)
{
    _cleanup_free_ char **argv = NULL;
    _cleanup_buf_ struct buf out = BUF_INIT(4096);
    const char *why = NULL;
    size_t n = 0;
    assert_int_equal(argv_split(command, &argv, &n, &why), 0);
    assert_null(argv[n]);
    buf_puts(&out, "");
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%s%s", i > 0 ? "|" : "", argv[i]);
    assert_string_equal(out.data, joined);
}

static void expect_error(const char *command, const char *words)
{
    char **argv = NULL;
    const char *why = NULL;
    size_t n = 0;
    assert_int_equal(argv_split(command, &argv, &n, &why), -EINVAL);
    assert_string_equal(why, words);
    assert_null(argv);
}

static void words(void **state)
{
    (void)state;
    expect("", "");
    expect("  a\tb\nc\r\nd ", "a|b|c|d");
    expect("a 'b c' \"d e\"", "a|b c|d e");
    expect("x'y'\"z\"", "xyz");
    expect("'' \"\"", "|");
    expect("\"a \\\"b\\\" \\c \\\\\"", "a \"b\" \\c \\");
    expect("a\\ b \\'c 'd\\e'", "a b|'c|d\\e");
    expect("a\\\nb", "a\nb");
    expect("\xc3\xa9 ;#&", "\xc3\xa9|;#&");
}

static void errors(void **state)
{
    (void)state;
    expect_error("it's", "No closing quotation");
    expect_error("\"a", "No closing quotation");
    expect_error("a \\", "No escaped character");
    expect_error("\"a\\", "No escaped character");
    expect_error("'a\\", "No closing quotation");
}

static void quoting(void **state)
{
    static const char *const words[] = { "plain", "", "two words", "it's", "\"", "a\\b", "$x;`", "new\nline" };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(words); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT(4096);
        _cleanup_free_ char **argv = NULL;
        const char *why;
        size_t n = 0;
        assert_int_equal(argv_quote(&out, words[i]), 0);
        assert_int_equal(argv_split(out.data, &argv, &n, &why), 0);
        assert_int_equal(n, 1);
        assert_string_equal(argv[0], words[i]);
    }
}

static void long_line(void **state)
{
    size_t len = 1 << 20;
    _cleanup_free_ char *line = malloc(len + 1);
    _cleanup_free_ char **argv = NULL;
    const char *why;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < len; i++)
        line[i] = i % 2 == 0 ? 'x' : ' ';
    line[len] = '\0';
    assert_int_equal(argv_split(line, &argv, &n, &why), 0);
    assert_int_equal(n, len / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(errors),
        cmocka_unit_test(quoting),
        cmocka_unit_test(long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
