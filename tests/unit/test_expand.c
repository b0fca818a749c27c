/* test_expand.c - %(name)s as Python's % operator has it, and the lists of
 * `environment`.  What is expected here was tried in Python. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cmocka_all.h"
#include "config/format.h"
#include "config/keyvalue.h"

static bool look_up(void *ctx, const char *name, size_t len, struct format_value *ret)
{
    (void)ctx;
    if (len == 1 && *name == 's')
        *ret = (struct format_value){ .text = "abc" };
    else if (len == 1 && (*name == 'n' || *name == 'm'))
        *ret = (struct format_value){ .is_number = true, .number = *name == 'n' ? 5 : -5 };
    else
        return false;
    return true;
}

static void formats(void **state)
{
    static const struct {
        const char *text, *result;
    } cases[] = {
        { "100%% %(s)s", "100% abc" },
        { "%(n)05d|%(n)-5d|%(n)+d", "00005|5    |+5" },
        { "%(n)05.3d", "00005" },
        { "%(m)#08x", "-0x00005" },
        { "%(n)#o %(n)X %(n)i", "0o5 5 5" },
        { "%(n)f %(n)05.1f %(n)e", "5.000000 005.0 5.000000e+00" },
        { "%(n)g %(n)#g", "5 5.00000" },
        { "%(s)05s|%(s)-5s|%(s).2s", "  abc|abc  |ab" },
        { "%(s)r %(n)r", "'abc' 5" },
        { "%(s)ls", "abc" },
        { "%(n)5c|", "    \x05|" },
        { "date +%s", "date +%s" },
        { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT(4096);
        struct format_result result;
        buf_puts(&out, "");
        assert_int_equal(format_expand(&out, cases[i].text, look_up, NULL, &result), 0);
        assert_string_equal(out.data, cases[i].result);
        assert_int_equal(result.bare, strcmp(cases[i].text, "date +%s") == 0);
    }
}

static void format_errors(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "%", "incomplete format" },
        { "a%(s)", "incomplete format" },
        { "%(s", "incomplete format key" },
        { "%U", "unsupported format character 'U' (0x55) at index 1" },
        { "\xc3\xa9%(n)q", "unsupported format character 'q' (0x71) at index 5" },
        { "%d", "%d format: a real number is required, not dict" },
        { "%(s)d", "%d format: a real number is required, not str" },
        { "%(s)x", "%x format: an integer is required, not str" },
        { "%(s)f", "must be real number, not str" },
        { "%(s)c", "%c requires int or char" },
        { "%*d", "* wants int" },
        { "%(n)*d", "not enough arguments for format string" },
        { "%(n)d%s", "not enough arguments for format string" },
        { "%(n)99999999999999999999d", "width too big" },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT(4096);
        struct format_result result;
        assert_int_equal(format_expand(&out, cases[i].text, look_up, NULL, &result), FORMAT_E_BAD);
        assert_string_equal(result.why, cases[i].why);
    }
}

static void format_names(void **state)
{
    _cleanup_buf_ struct buf out = BUF_INIT(4096);
    struct format_result result;
    (void)state;
    assert_int_equal(format_expand(&out, "x%(a(b)c)s", look_up, NULL, &result), FORMAT_E_NAME);
    assert_int_equal(result.name_len, 5);
    assert_memory_equal(result.name, "a(b)c", 5);
}

static void format_bound(void **state)
{
    _cleanup_buf_ struct buf out = BUF_INIT(100);
    struct format_result result;
    (void)state;
    assert_int_equal(format_expand(&out, "%(n)1000d", look_up, NULL, &result), -ENOBUFS);
}

static void add(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len)
{
    buf_printf(ctx, "<%.*s><%.*s>", (int)name_len, name, (int)value_len, value);
}

static void pairs(void **state)
{
    static const struct {
        const char *text, *result, *why;
        bool comment;
    } cases[] = {
        { "", "", NULL, false },
        { "A=\"one two\",B='3',C=4,", "<A><one two><B><3><C><4>", NULL, false },
        { " A = 1 , B =/x.y+z-(q):8", "<A><1><B></x.y+z-(q):8>", NULL, false },
        { "A=\"a=b,c\",\n B=it's", "<A><a=b,c><B><it's>", NULL, false },
        { "A=x#y", "<A><x>", NULL, true },
        { "A=\"'q'\"", "<A><q>", NULL, false },
        { "A=", "", "Unexpected end of key/value pairs", false },
        { "A=a@b", "<A><a>", "Unexpected end of key/value pairs", false },
        { "A=1 B=2", "<A><1>", "Unexpected end of key/value pairs", false },
        { "A=\"b", "", "No closing quotation", false },
        { "A B \"c", "", "No closing quotation", false },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT(4096);
        const char *why = NULL;
        bool comment = false;
        buf_puts(&out, "");
        int r = keyvalue_parse(cases[i].text, add, &out, &why, &comment);
        assert_int_equal(r, cases[i].why != NULL ? -EINVAL : 0);
        if (r < 0)
            assert_string_equal(why, cases[i].why);
        else
            assert_string_equal(out.data, cases[i].result);
        assert_int_equal(comment, cases[i].comment);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),      cmocka_unit_test(format_errors), cmocka_unit_test(format_names),
        cmocka_unit_test(format_bound), cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
