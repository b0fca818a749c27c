/* test_exit_cause.c - how a process ended: from the kernel's status to words. */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "core/exit_cause.h"

static void assert_words(const struct exit_cause *c, const char *expected)
{
    char words[100];
    exit_cause_words(c, words, sizeof(words));
    assert_string_equal(words, expected);
}

static void test_from_wait(void **state)
{
    (void)state;
    for (int status = 0; status < 256; status++) {
        struct exit_cause c = exit_cause_from_wait(W_EXITCODE(status, 0));
        assert_int_equal(c.kind, EXIT_STATUS);
        assert_int_equal(c.value, status);
    }
    for (int signal = 1; signal <= 64; signal++) {
        struct exit_cause c = exit_cause_from_wait(W_EXITCODE(0, signal) | (signal % 2 ? WCOREFLAG : 0));
        assert_int_equal(c.kind, EXIT_SIGNAL);
        assert_int_equal(c.value, signal);
        assert_int_equal(c.core, signal % 2);
    }
    assert_int_equal(exit_cause_from_wait(W_STOPCODE(SIGSTOP)).kind, EXIT_UNKNOWN);
}

static void test_words(void **state)
{
    (void)state;
    assert_words(&(struct exit_cause){ .kind = EXIT_STATUS, .value = 3 }, "exit status 3");
    assert_words(&(struct exit_cause){ .kind = EXIT_SIGNAL, .value = SIGKILL }, "terminated by SIGKILL");
    assert_words(&(struct exit_cause){ .kind = EXIT_SIGNAL, .value = SIGSEGV, .core = true },
                 "terminated by SIGSEGV (core dumped)");
    assert_words(&(struct exit_cause){ .kind = EXIT_SIGNAL, .value = 42 }, "terminated by SIG42");
    struct exit_cause failed = exit_cause_from_spawn(SPAWN_STAGE_EXEC, ENOENT);
    assert_words(&failed, "spawn error: exec: ENOENT");
    failed = exit_cause_from_spawn((enum spawn_stage)1000, 4095);
    assert_words(&failed, "spawn error: unknown: ?");
    assert_words(&(struct exit_cause){ .kind = EXIT_NONE }, "has not ended");
    assert_words(&(struct exit_cause){ .kind = EXIT_UNKNOWN }, "ended in a way nobody could read");
}

static void test_stage_names(void **state)
{
    (void)state;
    for (int i = SPAWN_STAGE_NONE; i <= SPAWN_STAGE_EXEC; i++) {
        const char *name = spawn_stage_name((enum spawn_stage)i);
        assert_non_null(name);
        for (int j = SPAWN_STAGE_NONE; j < i; j++)
            assert_string_not_equal(name, spawn_stage_name((enum spawn_stage)j));
    }
    assert_string_equal(spawn_stage_name(SPAWN_STAGE_EXEC), "exec");
    assert_string_equal(spawn_stage_name(SPAWN_STAGE_DIRECTORY), "chdir");
    assert_string_equal(spawn_stage_name((enum spawn_stage) - 1), "unknown");
}

static void test_signal_names(void **state)
{
    (void)state;
    char buf[16];
    assert_string_equal(exit_signal_name(SIGTERM, buf), "SIGTERM");
    assert_string_equal(exit_signal_name(SIGUSR2, buf), "SIGUSR2");
    assert_string_equal(exit_signal_name(0, buf), "SIG0");
    assert_string_equal(exit_signal_name(-2147483647, buf), "SIG-2147483647");
}

static void test_expected(void **state)
{
    (void)state;
    static const struct exit_code codes[] = { { 0, false }, { 2, false }, { SIGTERM, true } };
    struct program p = { .exitcodes = codes, .n_exitcodes = ELEMENTS(codes) };
    static const struct {
        struct exit_cause cause;
        bool expected;
    } cases[] = {
        { { .kind = EXIT_STATUS, .value = 0 }, true },
        { { .kind = EXIT_STATUS, .value = 2 }, true },
        { { .kind = EXIT_STATUS, .value = 1 }, false },
        { { .kind = EXIT_STATUS, .value = SIGTERM }, false }, /* a number is no signal */
        { { .kind = EXIT_SIGNAL, .value = SIGTERM }, true },
        { { .kind = EXIT_SIGNAL, .value = 2 }, false },
        { { .kind = EXIT_SPAWN, .value = 2 }, false },
        { { .kind = EXIT_UNKNOWN }, false },
        { { .kind = EXIT_NONE }, false },
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++)
        assert_int_equal(exit_cause_expected(&cases[i].cause, &p), cases[i].expected);
    p.n_exitcodes = 0;
    assert_false(exit_cause_expected(&cases[0].cause, &p));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_wait),    cmocka_unit_test(test_words),    cmocka_unit_test(test_stage_names),
        cmocka_unit_test(test_signal_names), cmocka_unit_test(test_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
