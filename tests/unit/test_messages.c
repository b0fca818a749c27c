/* test_messages.c - the ring of a process's last messages: whole lines, the oldest go first, counted. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/messages.h"

static char *text_of(const struct messages *m)
{
    struct buf b = BUF_INIT(1 << 20);
    assert_int_equal(messages_copy(m, &b), 0);
    return b.len > 0 ? buf_steal(&b) : strdup("");
}

static void expect(const struct messages *m, const char *text)
{
    char *found = text_of(m);
    assert_string_equal(found, text);
    free(found);
}

static void a_few(void **state)
{
    struct messages m = { 0 };
    (void)state;
    expect(&m, "");
    messages_add(&m, "1", 1);
    messages_add(&m, "{\"a\":2}x", 7);
    expect(&m, "1\n{\"a\":2}\n");
    assert_int_equal(m.missed, 0);
    assert_true(m.size < MESSAGES_KEPT); /* no more memory than is needed */
    messages_done(&m);
    expect(&m, "");
}

/* Against the plain way: all lines in one text, cut in front.  The lengths make every
 * kind of wrap come by. */
static void against_a_model(void **state)
{
    struct messages m = { 0 };
    size_t model_size = 0;
    char *model = calloc(1, 4 << 20), line[20001];
    uint32_t random = 7;
    unsigned added = 0;
    (void)state;
    while (model_size < (3 << 20)) {
        random = random * 1664525 + 1013904223;
        size_t len = added % 50 == 0 ? (random >> 8) % 20000 : (random >> 8) % 200;
        memset(line, 'a' + (int)(added % 26), len);
        messages_add(&m, line, len);
        memcpy(model + model_size, line, len);
        model_size += len;
        model[model_size++] = '\n';
        added++;
        if (added % 100 != 0)
            continue;
        char *found = text_of(&m);
        size_t kept = strlen(found);
        assert_true(kept <= MESSAGES_KEPT && (kept == model_size || kept > MESSAGES_KEPT - 20001));
        assert_memory_equal(found, model + model_size - kept, kept);
        assert_true(kept == model_size || model[model_size - kept - 1] == '\n');
        unsigned lines = 0;
        for (size_t i = 0; i < kept; i++)
            lines += found[i] == '\n';
        assert_int_equal(m.missed + lines, added);
        free(found);
    }
    free(model);
    messages_done(&m);
}

static void too_large(void **state)
{
    struct messages m = { 0 };
    char *large = calloc(1, MESSAGES_KEPT);
    (void)state;
    messages_add(&m, "1", 1);
    memset(large, 'x', MESSAGES_KEPT);
    messages_add(&m, large, MESSAGES_KEPT); /* with its newline it is one byte more than there is */
    expect(&m, "1\n");
    assert_int_equal(m.missed, 1);
    messages_add(&m, large, MESSAGES_KEPT - 1);
    assert_int_equal(m.missed, 2);
    assert_int_equal(m.len, MESSAGES_KEPT);
    messages_add(&m, "2", 1);
    expect(&m, "2\n");
    messages_done(&m);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few),
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
