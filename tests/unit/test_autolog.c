/* test_autolog.c - only the logs that an earlier daemon of this name made are removed. */
#include "cmocka_all.h"

#include "os/autolog.h"
#include "scratch.h"

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int goes;
    } files[] = {
        { "web-stdout---drover-a1b2c3.log", 1 },
        { "web-stderr---drover-a1b2c3.log", 1 },
        { "web-stdout---drover-a1b2c3.log.1", 1 },
        { "web-stdout---drover-a1b2c3.log.1234", 1 },
        { "web-stdout---drover-a1b2c3.log.12345", 0 },
        { "web-stdout---drover-a1b2c3.log.gz", 0 },
        { "web-stdout---drover-a1b2c3.log.1.gz", 0 },
        { "web-stdout---drover-a1b2c3.txt", 0 },
        { "web-stdout---drover-.log", 0 },
        { "web-stdout---drover.log", 0 },
        { "---drover-a1b2c3.log", 0 },
        { "web-stdout---other-a1b2c3.log", 0 },
        { "web-stdout---drover2-a1b2c3.log", 0 },
        { "web-stdout---drover-a b.log", 0 },
        { "drover.log", 0 },
        { "web.log", 0 },
        { "a---b-stdout---drover-a1b2c3.log", 1 },
        { "web-stdout---drover-a1b2c3", 0 },
    };
    for (size_t i = 0; i < ELEMENTS(files); i++)
        make_file(files[i].name, "x", 0600);
    assert_int_equal(mkdir("d-stdout---drover-a1b2c3.log", 0755), 0);
    assert_int_equal(symlink("web.log", "l-stdout---drover-a1b2c3.log"), 0);
    autolog_clean(scratch, "drover");
    for (size_t i = 0; i < ELEMENTS(files); i++)
        if ((access(files[i].name, F_OK) != 0) != files[i].goes)
            fail_msg("%s %s", files[i].name, files[i].goes ? "is still there" : "is gone");
    assert_int_equal(access("d-stdout---drover-a1b2c3.log", F_OK), 0);
    struct stat st;
    assert_int_equal(lstat("l-stdout---drover-a1b2c3.log", &st), 0);
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    int fds = count_fds();
    char identifier[600];
    memset(identifier, 'i', sizeof(identifier) - 1);
    identifier[sizeof(identifier) - 1] = '\0';
    make_file("web-stdout---a.b-x.log", "", 0600);
    make_file("web-stdout---aXb-x.log", "", 0600);
    autolog_clean("/no/such/directory", "drover");
    autolog_clean(scratch, identifier);
    autolog_clean(scratch, "a.b"); /* a name, not a pattern */
    assert_int_equal(access("web-stdout---aXb-x.log", F_OK), 0);
    assert_int_not_equal(access("web-stdout---a.b-x.log", F_OK), 0);
    assert_int_equal(count_fds(), fds);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_clean), cmocka_unit_test(test_nothing_to_do) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
