/* test_process_policy.c - when a process starts again, how it is stopped, and what
 * people read about it. */
#include "process_driver.h"

/* -- restarting ------------------------------------------------------------- */

static void test_autorestart(void **state)
{
    (void)state;
    static const struct exit_code codes[] = { { 0, false }, { 3, false }, { SIGTERM, true } };
    enum { ZERO, ONE, THREE, TERM, SEGV, LOST, CAUSES };
    static const struct exit_cause causes[CAUSES] = {
        [ZERO] = { .kind = EXIT_STATUS, .value = 0 },       [ONE] = { .kind = EXIT_STATUS, .value = 1 },
        [THREE] = { .kind = EXIT_STATUS, .value = 3 },      [TERM] = { .kind = EXIT_SIGNAL, .value = SIGTERM },
        [SEGV] = { .kind = EXIT_SIGNAL, .value = SIGSEGV }, [LOST] = { .kind = EXIT_UNKNOWN },
    };
    static const bool again[][CAUSES] = {
        [RESTART_NEVER] = { false, false, false, false, false, false },
        [RESTART_ALWAYS] = { true, true, true, true, true, true },
        [RESTART_UNEXPECTED] = { false, true, false, false, true, true },
        [RESTART_ON_EXIT] = { true, true, true, false, false, false },
        [RESTART_ON_SIGNAL] = { false, false, false, true, true, false },
        [RESTART_ON_FAILURE] = { false, true, false, false, true, true },
    };
    for (unsigned policy = 0; policy < ELEMENTS(again); policy++) {
        for (unsigned cause = 0; cause < CAUSES; cause++) {
            struct program program = plain;
            program.autorestart = (enum restart_policy)policy;
            program.exitcodes = codes;
            program.n_exitcodes = ELEMENTS(codes);
            struct watched w;
            born(&w, &program);
            starts(&w);
            feed(&w, (struct process_input){ .event = PROCESS_EXITED_EVENT, .cause = causes[cause] });
            if (w.p.state != (again[policy][cause] ? PROCESS_STARTING : PROCESS_EXITED))
                fail_msg("policy %u, cause %u: %s", policy, cause, process_state_name(w.p.state));
            assert_int_equal(w.p.stopped_wall, w.now + 1);
            assert_int_equal(w.p.restarts, 0); /* it may yet be called off */
            if (!again[policy][cause])
                continue;
            give(&w, PROCESS_SPAWNED);
            assert_int_equal(w.p.restarts, 1);
        }
    }
}

static void test_restart_interval(void **state)
{
    (void)state;
    struct program program = plain;
    program.startsecs = 0;
    program.common = &(struct program_common){ .restart_delay = S, .restart_interval = 10 * S };
    struct watched w;
    born(&w, &program);
    starts(&w);
    w.now += S;
    dies(&w, 1);
    assert_state(&w, PROCESS_STARTING); /* the first at once */
    runs(&w);
    for (int i = 0; i < 5; i++) { /* the others an interval apart */
        usec_t last = w.p.started;
        w.now += S;
        dies(&w, 1);
        assert_state(&w, PROCESS_EXITED);
        assert_int_equal(w.timer, last + 10 * S);
        assert_true(process_is_up(&w.p));
        give(&w, PROCESS_TIMER);
        assert_state(&w, PROCESS_STARTING);
        runs(&w);
    }
    w.now = w.p.started + 10 * S; /* up long enough: the next two are free again */
    dies(&w, 1);
    assert_state(&w, PROCESS_STARTING);
    runs(&w);
    dies(&w, 1);
    assert_state(&w, PROCESS_STARTING);
    runs(&w);
    dies(&w, 1);
    assert_state(&w, PROCESS_EXITED);
    give(&w, PROCESS_STOP); /* while it waits */
    assert_state(&w, PROCESS_STOPPED);
    assert_int_equal(w.timer, 0);
}

/* -- stopping --------------------------------------------------------------- */

static void assert_signal(const struct watched *w, int signal, bool as_group)
{
    const struct effect *e = effect_of(w, EFFECT_SIGNAL);
    assert_non_null(e);
    assert_int_equal(e->signal, signal);
    assert_int_equal(e->as_group, as_group);
}

static void test_stop_ladder(void **state)
{
    (void)state;
    static const struct stop_step ladder[] = { { SIGQUIT, 5 * S }, { SIGTERM, 2 * S }, { SIGKILL, 0 } };
    for (int groups = 0; groups < 4; groups++) {
        struct program program = plain;
        program.ladder = ladder;
        program.n_ladder = ELEMENTS(ladder);
        program.stopasgroup = (groups & 1) != 0;
        program.killasgroup = (groups & 2) != 0;
        struct watched w;
        born(&w, &program);
        starts(&w);
        give(&w, PROCESS_STOP);
        assert_signal(&w, SIGQUIT, program.stopasgroup);
        assert_int_equal(w.timer, w.now + 5 * S);
        give(&w, PROCESS_TIMER);
        assert_signal(&w, SIGTERM, program.stopasgroup);
        assert_int_equal(w.timer, w.now + 2 * S);
        for (int again = 0; again < 3; again++) { /* and again: it may hang in a system call */
            give(&w, PROCESS_TIMER);
            assert_signal(&w, SIGKILL, program.killasgroup);
            assert_true(w.timer > w.now);
        }
        give(&w, PROCESS_STOP); /* asked twice, it goes on as it was */
        assert_int_equal(w.last.n, 0);
        dies(&w, 9);
        assert_state(&w, PROCESS_STOPPED);
        assert_int_equal(w.p.pid, 0);
    }
}

/* It stays RUNNING: nobody asked for a stop, so what follows is autorestart's business. */
static void test_timeout(void **state)
{
    (void)state;
    struct program program = plain;
    program.common = &(struct program_common){
        .restart_delay = S, .timeout = 60 * S, .timeout_signal = SIGHUP, .stopwaitsecs = 4 * S
    };
    program.autorestart = RESTART_UNEXPECTED;
    struct watched w;
    born(&w, &program);
    starts(&w);
    assert_int_equal(w.timer, w.p.started + 60 * S); /* from its start, not from RUNNING */
    give(&w, PROCESS_TIMER);
    assert_state(&w, PROCESS_RUNNING);
    assert_signal(&w, SIGHUP, false);
    assert_int_equal(w.timer, w.now + 4 * S);
    give(&w, PROCESS_TIMER);
    assert_signal(&w, SIGTERM, false);
    assert_int_equal(w.timer, w.now + 10 * S);
    for (int again = 0; again < 3; again++) {
        give(&w, PROCESS_TIMER);
        assert_signal(&w, SIGKILL, false);
    }
    dies(&w, 0); /* an exit code that is expected, but not at this time */
    assert_true(w.p.cause.timed_out);
    assert_false(exit_cause_expected(&w.p.cause, &program));
    assert_state(&w, PROCESS_STARTING);
    runs(&w);
    give(&w, PROCESS_TIMER);
    assert_state(&w, PROCESS_RUNNING);
    dies(&w, 0); /* the next run in time */
    assert_false(w.p.cause.timed_out);
    assert_state(&w, PROCESS_EXITED);
}

static void test_stop_after_a_timeout(void **state)
{
    (void)state;
    struct program program = plain;
    struct program_common common = plain_common;
    common.timeout = USEC_PER_MSEC; /* past before it counts as RUNNING */
    common.timeout_signal = SIGHUP;
    program.common = &common;
    struct watched w;
    born(&w, &program);
    starts(&w);
    assert_int_equal(w.timer, w.now);
    give(&w, PROCESS_TIMER);
    assert_signal(&w, SIGHUP, false);
    give(&w, PROCESS_STOP);
    assert_state(&w, PROCESS_STOPPING);
    assert_signal(&w, SIGTERM, false);
    dies(&w, 0);
    assert_state(&w, PROCESS_STOPPED);
    assert_true(w.p.cause.timed_out);
    common.timeout = USEC_INFINITY;
    born(&w, &program);
    starts(&w);
    assert_int_equal(w.timer, 0);
}

static void test_start_during_stop(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, STOPPING);
    give(&w, PROCESS_START);
    assert_int_equal(w.last.n, 0); /* not before the old one is gone */
    dies(&w, 0);
    assert_state(&w, PROCESS_STARTING);
    assert_non_null(effect_of(&w, EFFECT_SPAWN));
    assert_int_equal(w.last.list[1].to, PROCESS_STOPPED); /* announced on the way */

    go_to(&w, STOPPING);
    give(&w, PROCESS_START);
    give(&w, PROCESS_STOP); /* changed their mind */
    dies(&w, 0);
    assert_state(&w, PROCESS_STOPPED);
}

/* One that is RUNNING and restarted whenever it exits. */
static void runs_always(struct watched *w)
{
    struct program program = plain;
    program.autorestart = RESTART_ALWAYS;
    born(w, &program);
    starts(w);
}

static void test_stop_is_no_exit(void **state)
{
    (void)state;
    struct watched w;
    runs_always(&w);
    give(&w, PROCESS_STOP);
    dies(&w, 1);
    assert_state(&w, PROCESS_STOPPED);
    assert_int_equal(w.p.restarts, 0);
}

static void test_a_restart_that_is_called_off_is_none(void **state)
{
    (void)state;
    struct watched w;
    runs_always(&w);
    dies(&w, 1);
    assert_state(&w, PROCESS_STARTING); /* it waits for its turn */
    give(&w, PROCESS_STOP);
    assert_state(&w, PROCESS_STOPPED);
    give(&w, PROCESS_START);
    give(&w, PROCESS_SPAWNED);
    assert_int_equal(w.p.restarts, 0);
}

/* -- words ------------------------------------------------------------------ */

static void assert_spawnerr(const struct watched *w, const char *expected)
{
    char words[200];
    process_spawnerr(&w->p, words, sizeof(words));
    assert_string_equal(words, expected);
}

static void test_spawnerr(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        enum spawn_stage stage;
        int error;
        const char *words;
    } cases[] = {
        { "", SPAWN_STAGE_COMMAND, ENODATA, "command is empty" },
        { "a 'b", SPAWN_STAGE_COMMAND, EINVAL, "can't parse command 'a 'b'" },
        { "/no/such -x", SPAWN_STAGE_LOOKUP, ENOENT, "can't find command '/no/such'" },
        { "/etc", SPAWN_STAGE_LOOKUP, EISDIR, "command at '/etc' is a directory" },
        { "/etc/passwd\n-x", SPAWN_STAGE_LOOKUP, ENOEXEC, "command at '/etc/passwd' is not executable" },
        { "/root/x\ty", SPAWN_STAGE_LOOKUP, EACCES, "no permission to run command '/root/x'" },
        { "/bin/x y", SPAWN_STAGE_EXEC, ENOEXEC, "couldn't exec '/bin/x': ENOEXEC" },
        { "/bin/x", SPAWN_STAGE_DIRECTORY, ENOENT, "couldn't run '/bin/x': chdir: ENOENT" },
        { "/bin/x", SPAWN_STAGE_UID, 9999, "couldn't run '/bin/x': setuid: ?" },
        { NULL, SPAWN_STAGE_FORK, EAGAIN, "couldn't run '': fork: EAGAIN" },
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct program program = plain;
        program.command = cases[i].command;
        struct watched w;
        born(&w, &program);
        give(&w, PROCESS_START);
        feed(&w, (struct process_input){ .event = PROCESS_SPAWN_FAILED,
                                         .cause = exit_cause_from_spawn(cases[i].stage, cases[i].error) });
        assert_spawnerr(&w, cases[i].words);
        give(&w, PROCESS_TIMER);
        assert_spawnerr(&w, ""); /* STARTING again: nothing to say */
    }
}

static void test_spawnerr_of_exits(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, UP);
    dies(&w, 0);
    assert_spawnerr(&w, "Exited too quickly (process log may have details)");
    struct program program = plain;
    program.autorestart = RESTART_NEVER;
    born(&w, &program);
    starts(&w);
    dies(&w, 3);
    assert_spawnerr(&w, "Bad exit code 3");
    starts(&w);
    feed(&w, (struct process_input){ .event = PROCESS_EXITED_EVENT, .cause = { .kind = EXIT_SIGNAL, .value = 9 } });
    assert_spawnerr(&w, "Bad exit code -1");
    starts(&w);
    dies(&w, 0);
    assert_spawnerr(&w, "");
    char tiny[4], none = 'x';
    go_to(&w, FATAL);
    process_spawnerr(&w.p, tiny, sizeof(tiny));
    assert_string_equal(tiny, "can");
    process_spawnerr(&w.p, &none, 0);
    assert_int_equal(none, 'x');
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_autorestart),     cmocka_unit_test(test_restart_interval),
        cmocka_unit_test(test_stop_ladder),     cmocka_unit_test(test_start_during_stop),
        cmocka_unit_test(test_timeout),         cmocka_unit_test(test_stop_after_a_timeout),
        cmocka_unit_test(test_stop_is_no_exit), cmocka_unit_test(test_a_restart_that_is_called_off_is_none),
        cmocka_unit_test(test_spawnerr),        cmocka_unit_test(test_spawnerr_of_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
