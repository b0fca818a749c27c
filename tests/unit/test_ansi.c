/* test_ansi.c - escape sequences out of a stream, wherever it is cut. */
#include "cmocka_all.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/ansi.h"

static const struct {
    const char *in, *out;
} cases[] = {
    { "", "" },
    { "plain\n", "plain\n" },
    { "\033[31mred\033[0m\n", "red\n" },
    { "a\033[2J\033[1;1Hb", "ab" },
    { "\033[38;5;196;48;2;1;2;3mx", "x" },
    { "\033[?25lhidden\033[?25h", "hidden" },
    { "\033[mm", "m" },
    { "[31m is text", "[31m is text" },
    { "tab\tand \xc3\xa9\xff\n", "tab\tand \xc3\xa9\xff\n" },
    { "\033\033[31mred", "red" },
    { "\033[31", "" }, /* waits for its end */
};

/* In pieces of `piece` bytes, each in a block of its own so that a sanitizer sees an
 * access outside. */
static void strip(const char *in, size_t piece, char *out)
{
    enum ansi_state s = ANSI_TEXT;
    size_t len = strlen(in), n = 0;
    for (size_t i = 0; i < len; i += piece) {
        size_t size = len - i < piece ? len - i : piece;
        _cleanup_free_ char *block = malloc(size);
        assert_non_null(block);
        memcpy(block, in + i, size);
        size_t kept = ansi_strip(&s, block, size);
        assert_true(kept <= size);
        memcpy(out + n, block, kept);
        n += kept;
    }
    out[n] = '\0';
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        for (size_t piece = 1; piece <= strlen(cases[i].in) + 1; piece++) {
            char out[100];
            strip(cases[i].in, piece, out);
            assert_string_equal(out, cases[i].out);
        }
    }
}

static void test_nul_bytes(void **state)
{
    (void)state;
    char data[] = "a\0\033[0m\0b";
    enum ansi_state s = ANSI_TEXT;
    assert_int_equal(ansi_strip(&s, data, sizeof(data) - 1), 4);
    assert_memory_equal(data, "a\0\0b", 4);
    assert_int_equal(ansi_strip(&s, NULL, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_nul_bytes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
