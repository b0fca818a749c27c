/* test_rotation.c - where a log is cut: chosen cases, then all small ones against a
 * model that looks at one byte after the other. */
#include "cmocka_all.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/rotation.h"

static void test_cases(void **state)
{
    (void)state;
    static const struct {
        uint64_t size, max;
        const char *data;
        size_t before;
        int rotate;
    } cases[] = {
        { 0, 0, "a\nb\n", 4, 0 }, /* never */
        { 1ULL << 60, 0, "a\nb\n", 4, 0 },
        { 0, 100, "a\nb\n", 4, 0 },  /* room */
        { 96, 100, "a\nb\n", 4, 1 }, /* full to the byte, at a line's end */
        { 98, 100, "a\nb\n", 2, 1 },
        { 97, 100, "a\nb\n", 4, 1 }, /* the limit falls inside b's line */
        { 99, 100, "\n\n\n", 1, 1 },
        { 99, 100, "abc", 3, 0 }, /* a line is not cut for that */
        { 100, 100, "rest\nnext\n", 5, 1 },
        { 5000, 100, "rest\nnext\n", 5, 1 },            /* the limit was lowered */
        { 100 + ROTATION_SLACK - 2, 100, "abc", 2, 1 }, /* such a line is */
        { 100 + ROTATION_SLACK, 100, "abc", 0, 1 },
        { 1ULL << 50, 100, "abc", 0, 1 },
        { 1ULL << 50, 100, "", 0, 0 },
        { 1000, UINT64_MAX, "a\nb\n", 4, 0 },
        { 0, 1, "\n", 1, 1 },
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct rotation_verdict v = rotation_decide(cases[i].size, cases[i].max, cases[i].data, strlen(cases[i].data));
        if (v.before != cases[i].before || v.rotate != cases[i].rotate)
            fail_msg("case %zu: %zu bytes, rotate %d", i, v.before, v.rotate);
    }
}

/* Byte for byte: the file is full once it has `max` bytes and its last is a newline;
 * only where no such newline is in the data does the hard limit count. */
static struct rotation_verdict model(uint64_t size, uint64_t max, const char *data, size_t len)
{
    for (size_t i = 0; max > 0 && i < len; i++)
        if (data[i] == '\n' && size + i + 1 >= max)
            return (struct rotation_verdict){ .before = i + 1, .rotate = 1 };
    for (size_t i = 0; max > 0 && i <= len && len > 0; i++)
        if (size + i >= max + ROTATION_SLACK)
            return (struct rotation_verdict){ .before = i, .rotate = 1 };
    return (struct rotation_verdict){ .before = len };
}

static void test_against_the_model(void **state)
{
    (void)state;
    for (unsigned lines = 0; lines < 256; lines++) { /* every pattern of newlines in 8 bytes */
        char data[8];
        for (unsigned i = 0; i < sizeof(data); i++)
            data[i] = (lines >> i & 1) != 0 ? '\n' : 'x';
        for (uint64_t max = 0; max < 12; max++) {
            for (uint64_t at = 0; at < 28; at++) {
                uint64_t size = at < 14 ? at : max + ROTATION_SLACK + at - 22; /* both borders */
                for (size_t len = 0; len <= sizeof(data); len++) {
                    struct rotation_verdict v = rotation_decide(size, max, data, len), m = model(size, max, data, len);
                    if (v.before != m.before || v.rotate != m.rotate)
                        fail_msg("lines %x max %u size %u len %zu: %zu/%d, not %zu/%d", lines, (unsigned)max,
                                 (unsigned)size, len, v.before, v.rotate, m.before, m.rotate);
                }
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_against_the_model) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
