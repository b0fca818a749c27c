/* test_parse.c - words to numbers: what is one, what is none, what is too large. */
#include <errno.h>
#include <signal.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "cmocka_all.h"

static void integers(void **state)
{
    static const struct {
        const char *text;
        int result;
        int64_t value;
    } cases[] = {
        { "0", 0, 0 },
        { " 42 ", 0, 42 },
        { "-7", 0, -7 },
        { "+7", 0, 7 },
        { "1_000", 0, 1000 },
        { "007", 0, 7 },
        { "", -EINVAL, 0 },
        { "1__0", -EINVAL, 0 },
        { "_1", -EINVAL, 0 },
        { "1_", -EINVAL, 0 },
        { "1.0", -EINVAL, 0 },
        { "0x10", -EINVAL, 0 },
        { "1 2", -EINVAL, 0 },
        { "-", -EINVAL, 0 },
        { "- 1", -EINVAL, 0 },
        { "9223372036854775807", 0, INT64_MAX },
        { "-9223372036854775808", 0, INT64_MIN },
        { "9223372036854775808", -ERANGE, 0 },
        { "99999999999999999999999999", -ERANGE, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        int64_t value = 77;
        assert_int_equal(parse_int(cases[i].text, &value), cases[i].result);
        assert_int_equal(value, cases[i].result == 0 ? cases[i].value : 77);
    }
}

static void octal(void **state)
{
    int64_t value;
    (void)state;
    assert_int_equal(parse_octal("022", &value), 0);
    assert_int_equal(value, 022);
    assert_int_equal(parse_octal("0o77", &value), 0);
    assert_int_equal(value, 077);
    assert_int_equal(parse_octal("8", &value), -EINVAL);
    assert_int_equal(parse_octal("0o", &value), -EINVAL);
}

static void sizes(void **state)
{
    int64_t value;
    (void)state;
    assert_int_equal(parse_size("1500 KB", &value), 0);
    assert_int_equal(value, 1500 * 1024);
    assert_int_equal(parse_size("2gb", &value), 0);
    assert_int_equal(value, 2LL << 30);
    assert_int_equal(parse_size("12", &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(parse_size("50M", &value), -EINVAL);
    assert_int_equal(parse_size("1.5MB", &value), -EINVAL);
    assert_int_equal(parse_size("KB", &value), -EINVAL);
    assert_int_equal(parse_size("9223372036854775807GB", &value), -ERANGE);
}

static void booleans(void **state)
{
    bool value = false;
    (void)state;
    assert_int_equal(parse_bool("Yes", &value), 0);
    assert_true(value);
    assert_int_equal(parse_bool("off", &value), 0);
    assert_false(value);
    assert_int_equal(parse_bool("tru", &value), -EINVAL);
    assert_int_equal(parse_bool("", &value), -EINVAL);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int result;
        usec_t value;
    } cases[] = {
        { "10", 0, 10 * USEC_PER_SEC },
        { "500ms", 0, 500000 },
        { "1.5s", 0, 1500000 },
        { "0.25", 0, 250000 },
        { "2m", 0, 120 * USEC_PER_SEC },
        { "1h", 0, 3600 * USEC_PER_SEC },
        { "2 d", 0, 172800 * USEC_PER_SEC },
        { "7us", 0, 7 },
        { "infinity", 0, USEC_INFINITY },
        { "-1", -ERANGE, 0 },
        { "1y", -EINVAL, 0 },
        { "ms", -EINVAL, 0 },
        { "1.", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { "99999999999999999999h", -ERANGE, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        usec_t value = 77;
        assert_int_equal(parse_duration(cases[i].text, &value), cases[i].result);
        assert_true(value == (cases[i].result == 0 ? cases[i].value : 77));
    }
}

static void signals(void **state)
{
    int value;
    (void)state;
    assert_int_equal(parse_signal("SIGterm", &value), 0);
    assert_int_equal(value, SIGTERM);
    assert_int_equal(parse_signal("cld", &value), 0);
    assert_int_equal(value, SIGCHLD);
    assert_int_equal(parse_signal("9", &value), 0);
    assert_int_equal(value, SIGKILL);
    assert_int_equal(parse_signal("0", &value), -ERANGE);
    assert_int_equal(parse_signal("99", &value), -ERANGE);
    assert_int_equal(parse_signal("NOPE", &value), -EINVAL);
    assert_string_equal(parse_signal_name(SIGCHLD), "CHLD");
    assert_null(parse_signal_name(40));
}

static void nearest(void **state)
{
    static const char *const names[] = { "autostart", "autorestart", "command", NULL };
    (void)state;
    assert_string_equal(strtab_nearest(names, "autorstart"), "autostart");
    assert_string_equal(strtab_nearest(names, "comand"), "command");
    assert_string_equal(strtab_nearest(names, "ocmmand"), "command");
    assert_null(strtab_nearest(names, "weather"));
    assert_null(strtab_nearest(names, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),  cmocka_unit_test(octal),   cmocka_unit_test(sizes),   cmocka_unit_test(booleans),
        cmocka_unit_test(durations), cmocka_unit_test(signals), cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
