/* test_jsonw.c - the JSON writer; what it writes is read back by jansson. */
#include "cmocka_all.h"

#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>

#include "wire/jsonw.h"

#define WRITES(expected, call)                                                                                         \
    do {                                                                                                               \
        struct buf b_ = BUF_INIT(1 << 20);                                                                             \
        struct jsonw j = JSONW_INIT(&b_);                                                                              \
        call;                                                                                                          \
        assert_int_equal(b_.error, 0);                                                                                 \
        assert_string_equal(b_.data, expected);                                                                        \
        buf_done(&b_);                                                                                                 \
    } while (0)

static void test_structure(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(4096);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_array(&j, "empty");
    jsonw_array_end(&j);
    jsonw_array(&j, "list");
    jsonw_int(&j, NULL, 1);
    jsonw_object(&j, NULL);
    jsonw_object_end(&j);
    jsonw_object(&j, NULL);
    jsonw_bool(&j, "yes", true);
    jsonw_bool(&j, "no", false);
    jsonw_object_end(&j);
    jsonw_string(&j, NULL, "s");
    jsonw_array_end(&j);
    jsonw_null(&j, "nothing");
    jsonw_raw(&j, "raw", "[1,2]", 5);
    jsonw_object_end(&j);
    assert_string_equal(b.data, "{\"empty\":[],\"list\":[1,{},{\"yes\":true,\"no\":false},\"s\"],"
                                "\"nothing\":null,\"raw\":[1,2]}");
    buf_done(&b);
}

static void test_numbers(void **state)
{
    (void)state;
    WRITES("0", jsonw_int(&j, NULL, 0));
    WRITES("-9223372036854775808", jsonw_int(&j, NULL, INT64_MIN));
    WRITES("9223372036854775807", jsonw_int(&j, NULL, INT64_MAX));
    WRITES("0", jsonw_seconds(&j, NULL, 0));
    WRITES("1.25", jsonw_seconds(&j, NULL, 1250000));
    WRITES("0.000001", jsonw_seconds(&j, NULL, 1));
    WRITES("1763766000.123", jsonw_seconds(&j, NULL, 1763766000123000));
    WRITES("10", jsonw_seconds(&j, NULL, 10000000));
    WRITES("null", jsonw_seconds(&j, NULL, USEC_INFINITY));
}

static void test_numbers_in_any_locale(void **state)
{
    (void)state;
    static const char *const with_comma[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
    for (size_t i = 0; i < sizeof(with_comma) / sizeof(with_comma[0]); i++)
        if (setlocale(LC_ALL, with_comma[i]) != NULL)
            break;
    WRITES("0.5", jsonw_seconds(&j, NULL, 500000));
    setlocale(LC_ALL, "C");
}

static void test_strings(void **state)
{
    (void)state;
    WRITES("\"\"", jsonw_string(&j, NULL, ""));
    WRITES("null", jsonw_string(&j, NULL, NULL));
    WRITES("\"s\":null", jsonw_string(&j, "s", NULL));
    WRITES("\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\x7f\"", jsonw_string(&j, NULL, "a\"b\\c\n\t\r\b\f\001\x7f"));
    WRITES("\"a\\u0000b\"", jsonw_bytes(&j, NULL, "a\0b", 3));
    WRITES("\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84\"",
           jsonw_string(&j, NULL, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84"));
    WRITES("\"n_base64\":\"/w==\"", jsonw_string(&j, "n", "\xff"));
    WRITES("\"n_base64\":\"YWL/\"", jsonw_string(&j, "n", "ab\xff"));
    WRITES("\"n_base64\":\"YWJj/w==\"", jsonw_string(&j, "n", "abc\xff"));
    WRITES("[{\"bytes_base64\":\"gGE=\"},\"x\"]", (jsonw_array(&j, NULL), jsonw_string(&j, NULL, "\x80\x61"),
                                                   jsonw_string(&j, NULL, "x"), jsonw_array_end(&j)));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = { "",
                                        "plain",
                                        "0123456789abcdef",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "01234567\xc3\xa9" };
    static const char *const bad[] = { "\x80",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc2",
                                       "\xe0\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "01234567\xe2\x82",
                                       "\xe2\x82\x41",
                                       "\xf0\x9f\x90\x41" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(jsonw_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(jsonw_is_utf8(bad[i], strlen(bad[i])));
}

static void test_jansson_reads_every_byte(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(65536);
    struct jsonw j = JSONW_INIT(&b);
    char all[127];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(i + 1);
    jsonw_object(&j, NULL);
    jsonw_bytes(&j, "all", all, sizeof(all));
    jsonw_seconds(&j, "d", 12345678901);
    jsonw_object_end(&j);
    json_error_t error;
    json_t *root = json_loadb(b.data, b.len, 0, &error);
    assert_non_null(root);
    assert_int_equal(json_string_length(json_object_get(root, "all")), sizeof(all));
    assert_memory_equal(json_string_value(json_object_get(root, "all")), all, sizeof(all));
    assert_true(fabs(json_real_value(json_object_get(root, "d")) - 12345.678901) < 1e-12);
    json_decref(root);
    buf_done(&b);
}

static void test_bound_sticks(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(16);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_array(&j, NULL);
    for (int i = 0; i < 100; i++)
        jsonw_string(&j, NULL, "four");
    jsonw_array_end(&j);
    assert_int_equal(b.error, -ENOBUFS);
    assert_true(b.len <= 16);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_in_any_locale),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_jansson_reads_every_byte),
        cmocka_unit_test(test_bound_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
