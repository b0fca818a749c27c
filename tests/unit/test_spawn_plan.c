/* test_spawn_plan.c - which variables a job gets, and which never. */
#include "cmocka_all.h"

#include "base/cleanup.h"
#include "core/spawn_plan.h"

typedef const char *const *list;

static void assert_list(char **got, list expected)
{
    size_t n = 0;
    for (; expected[n] != NULL; n++) {
        assert_non_null(got[n]);
        assert_string_equal(got[n], expected[n]);
    }
    assert_null(got[n]);
}

static void test_order(void **state)
{
    (void)state;
    const char *const base[] = { "PATH=/bin", "HOME=/root", "A=daemon", NULL };
    const char *const own[] = { "A=program", "SUPERVISOR_ENABLED=mine", "B=", NULL };
    const char *const extra[] = { "SUPERVISOR_ENABLED=1", "HOME=/extra", NULL };
    const char *const expected[] = { "PATH=/bin", "HOME=/extra", "A=program", "SUPERVISOR_ENABLED=mine", "B=", NULL };
    _cleanup_free_ char **envp =
        spawn_environment(&(struct spawn_variables){ .base = base, .own = own, .extra = extra });
    assert_non_null(envp);
    assert_list(envp, expected);
}

static void test_names_are_whole(void **state)
{
    (void)state;
    const char *const base[] = { "PATHS=x", "PATH=/bin", "NOVALUE", NULL };
    const char *const own[] = { "PATH=/own", "P=1", "NOVALUES=2", NULL };
    const char *const expected[] = { "PATHS=x", "PATH=/own", "NOVALUE", "P=1", "NOVALUES=2", NULL };
    _cleanup_free_ char **envp = spawn_environment(&(struct spawn_variables){ .base = base, .own = own });
    assert_list(envp, expected);
    assert_string_equal(spawn_getenv(envp, "PATH"), "/own");
    assert_string_equal(spawn_getenv(envp, "P"), "1");
    assert_null(spawn_getenv(envp, "PAT"));
    assert_null(spawn_getenv(envp, "NOVALUE"));
    assert_null(spawn_getenv(NULL, "PATH"));
}

static void test_withheld(void **state)
{
    (void)state;
    const char *const base[] = {
        "NOTIFY_SOCKET=@x",
        "WATCHDOG_PID=1",
        "WATCHDOG_USEC=1",
        "LISTEN_PID=1",
        "LISTEN_FDS=1",
        "LISTEN_FDNAMES=a",
        "NODE_CHANNEL_FD=3",
        "NODE_CHANNEL_SERIALIZATION_MODE=json",
        "NODE_UNIQUE_ID=1",
        "DROVER_CHANNEL_FD=3",
        "NODE_OPTIONS=--x",
        "LISTEN_FDS_OF_MINE=1",
        NULL,
    };
    const char *const expected[] = { "NODE_OPTIONS=--x", "LISTEN_FDS_OF_MINE=1", NULL };
    _cleanup_free_ char **envp = spawn_environment(&(struct spawn_variables){ .base = base });
    assert_list(envp, expected);
    /* what a program asks for in so many words it gets */
    const char *const own[] = { "NOTIFY_SOCKET=/run/own", NULL };
    _cleanup_free_ char **asked = spawn_environment(&(struct spawn_variables){ .base = base, .own = own });
    assert_string_equal(spawn_getenv(asked, "NOTIFY_SOCKET"), "/run/own");
}

static void test_inherit_and_files(void **state)
{
    (void)state;
    const char *const base[] = { "PATH=/bin", "PATHS=x", "HOME=/root", "NOTIFY_SOCKET=@x", NULL };
    const char *const names[] = { "PATH", "NOTIFY_SOCKET", "MISSING", NULL }, *const none[] = { NULL };
    const char *const own[] = { "A=own", "B=own", NULL }, *const files[] = { "B=file", "C=file", NULL };
    const char *const expected[] = { "PATH=/bin", "A=own", "B=file", "C=file", NULL };
    struct spawn_variables v = { .base = base, .inherit = names, .own = own, .files = files };
    _cleanup_free_ char **envp = spawn_environment(&v);
    assert_list(envp, expected);
    v = (struct spawn_variables){ .base = base, .inherit = none };
    _cleanup_free_ char **empty = spawn_environment(&v);
    assert_null(empty[0]);
}

static void test_empty(void **state)
{
    (void)state;
    _cleanup_free_ char **envp = spawn_environment(&(struct spawn_variables){ 0 });
    assert_non_null(envp);
    assert_null(envp[0]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_names_are_whole),
        cmocka_unit_test(test_withheld), cmocka_unit_test(test_inherit_and_files),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
