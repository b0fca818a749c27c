/* test_process.c - the life of a process: every cell of its table, what a start needs to
 * count, and many random lives under the laws of process_laws.h. */
#include "process_driver.h"

/* Where each event leads; NO: cannot happen and does nothing; OUT: the table allows it
 * in this state, but not here, where the world is another. */
enum { NO = -1, OUT = -2 };
/* clang-format off */
#define STO PROCESS_STOPPED
#define STA PROCESS_STARTING
#define RUN PROCESS_RUNNING
#define BAC PROCESS_BACKOFF
#define END PROCESS_STOPPING
#define EXI PROCESS_EXITED
#define FAT PROCESS_FATAL
#define UNK PROCESS_UNKNOWN
static const int leads_to[PLACES][PROCESS_EVENTS] = {
    /*             START STOP SPAWNED EXECED SPAWN_FAILED POSTPONED EXITED TIMER SIGNAL_FAILED RECOVERED */
    [STOPPED]   = { STA, STO, NO,     NO,    NO,          NO,       NO,    NO,   STO,           STO },
    [ASKED]     = { STA, STO, STA,    OUT,   BAC,         STA,      OUT,   OUT,  OUT,           STA },
    [POSTPONED] = { STA, STO, OUT,    OUT,   OUT,         OUT,      OUT,   STA,  OUT,           STA },
    [BORN]      = { STA, END, OUT,    STA,   OUT,         OUT,      BAC,   OUT,  UNK,           STA },
    [UP]        = { STA, END, OUT,    OUT,   OUT,         OUT,      BAC,   RUN,  UNK,           STA },
    [RUNNING]   = { RUN, END, NO,     NO,    NO,          NO,       EXI,   RUN,  UNK,           RUN },
    [BACKOFF]   = { STA, STO, NO,     NO,    NO,          NO,       NO,    STA,  BAC,           BAC },
    [STOPPING]  = { END, END, NO,     END,   NO,          NO,       STO,   END,  UNK,           END },
    [EXITED]    = { STA, EXI, NO,     NO,    NO,          NO,       NO,    OUT,  EXI,           EXI },
    [WAITING]   = { STA, STO, NO,     NO,    NO,          NO,       NO,    STA,  EXI,           EXI },
    [FATAL]     = { STA, FAT, NO,     NO,    NO,          NO,       NO,    NO,   FAT,           FAT },
    [UNKNOWN]   = { UNK, UNK, NO,     UNK,   NO,          NO,       STO,   NO,   UNK,           UNK },
};
/* clang-format on */

static void test_every_cell(void **state)
{
    (void)state;
    struct watched w;
    for (int place = 0; place < PLACES; place++) {
        for (int event = 0; event < PROCESS_EVENTS; event++) {
            int to = leads_to[place][event];
            go_to(&w, (enum place)place);
            if (process_event_legal(w.p.state, (enum process_event)event) == (to == NO))
                fail_msg("event %d is %slegal in %s", event, to == NO ? "" : "not ", process_state_name(w.p.state));
            if (to == OUT)
                continue;
            enum process_state before = w.p.state;
            if (event == PROCESS_EXITED_EVENT)
                dies(&w, 0);
            else
                give(&w, (enum process_event)event);
            if (w.p.state != (to == NO ? before : (enum process_state)to))
                fail_msg("place %d, event %d: %s", place, event, process_state_name(w.p.state));
        }
    }
    assert_false(process_event_legal(PROCESS_STOPPED, PROCESS_EVENTS));
    assert_false(process_event_legal(PROCESS_STOPPED, (enum process_event)1000));
}

/* As whoever comes after a supervisor that died reads it: another value, the same
 * program, none of the timers. */
static void comes_back(struct watched *w, bool signal_due)
{
    struct process kept = w->p;
    kept.signal_due = signal_due;
    kept.program = NULL;
    process_init(&w->p, &w->program);
    process_restore(&w->p, &kept);
    assert_ptr_equal(w->p.program, &w->program);
    give(w, PROCESS_RECOVERED);
}

static void test_a_signal_that_was_not_sent_is_sent_again(void **state)
{
    (void)state;
    struct watched w;
    born(&w, &plain);
    starts(&w);
    give(&w, PROCESS_STOP);
    usec_t deadline = w.p.deadline;
    comes_back(&w, false);
    assert_null(effect_of(&w, EFFECT_SIGNAL));
    assert_int_equal(w.p.deadline, deadline);
    comes_back(&w, true);
    assert_non_null(effect_of(&w, EFFECT_SIGNAL));
    assert_int_equal(effect_of(&w, EFFECT_SIGNAL)->signal, SIGTERM);
    assert_int_equal(w.p.step, 0);
    w.now = deadline + S; /* it was long away: the next step is due at once */
    comes_back(&w, false);
    assert_int_equal(w.timer, w.now);
    give(&w, PROCESS_TIMER);
    assert_int_equal(effect_of(&w, EFFECT_SIGNAL)->signal, SIGKILL);
    dies(&w, 0);
    assert_false(w.p.signal_due);
}

static void test_a_start_that_was_asked_for_is_asked_again(void **state)
{
    (void)state;
    struct watched w;
    born(&w, &plain);
    give(&w, PROCESS_START);
    comes_back(&w, false);
    assert_non_null(effect_of(&w, EFFECT_SPAWN));
    give(&w, PROCESS_SPAWN_POSTPONED);
    comes_back(&w, false);
    assert_null(effect_of(&w, EFFECT_SPAWN));
    assert_non_null(effect_of(&w, EFFECT_ARM));
    give(&w, PROCESS_TIMER);
    runs(&w);
    comes_back(&w, false);
    assert_null(effect_of(&w, EFFECT_SPAWN));
    give(&w, PROCESS_TIMER);
    assert_int_equal(w.p.state, PROCESS_RUNNING);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        enum process_state state;
        int number;
        const char *name;
    } known[] = { { PROCESS_STOPPED, 0, "STOPPED" },    { PROCESS_STARTING, 10, "STARTING" },
                  { PROCESS_RUNNING, 20, "RUNNING" },   { PROCESS_BACKOFF, 30, "BACKOFF" },
                  { PROCESS_STOPPING, 40, "STOPPING" }, { PROCESS_EXITED, 100, "EXITED" },
                  { PROCESS_FATAL, 200, "FATAL" },      { PROCESS_UNKNOWN, 1000, "UNKNOWN" } };
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        assert_int_equal(known[i].state, known[i].number);
        assert_string_equal(process_state_name(known[i].state), known[i].name);
    }
    assert_string_equal(process_state_name((enum process_state)77), "UNKNOWN");
}

/* -- starting --------------------------------------------------------------- */

static void test_startsecs(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, UP);
    assert_int_equal(w.timer, w.p.started + S);
    w.now = w.p.started + S - 1;
    dies(&w, 0); /* too quickly, although 0 is expected */
    assert_state(&w, PROCESS_BACKOFF);
    assert_int_equal(w.p.tries, 1);

    go_to(&w, UP);
    w.now = w.p.started + S; /* the exit is heard of before the timer */
    dies(&w, 0);
    assert_state(&w, PROCESS_EXITED);
    assert_int_equal(w.last.list[1].to, PROCESS_RUNNING); /* after the DISARM: it has been there */

    struct program at_once = plain;
    at_once.startsecs = 0;
    born(&w, &at_once);
    give(&w, PROCESS_START);
    give(&w, PROCESS_SPAWNED);
    assert_state(&w, PROCESS_STARTING); /* not before its program runs */
    give(&w, PROCESS_EXECED);
    assert_state(&w, PROCESS_RUNNING);
}

static void test_exec_failure_is_never_running(void **state)
{
    (void)state;
    struct program program = plain;
    program.startsecs = 0;
    struct watched w;
    born(&w, &program);
    give(&w, PROCESS_START);
    give(&w, PROCESS_SPAWNED);
    w.now += 60 * S;
    feed(&w, (struct process_input){ .event = PROCESS_EXITED_EVENT,
                                     .cause = exit_cause_from_spawn(SPAWN_STAGE_EXEC, ENOENT) });
    assert_state(&w, PROCESS_BACKOFF);
    assert_int_equal(w.p.cause.kind, EXIT_SPAWN);
    assert_int_equal(w.p.pid, 0);
    give(&w, PROCESS_TIMER);
    give(&w, PROCESS_SPAWNED);
    dies(&w, 0); /* killed on its way to exec, say: no program of that name has run either */
    assert_state(&w, PROCESS_BACKOFF);
}

static void test_startretries(void **state)
{
    (void)state;
    struct watched w;
    born(&w, &plain);
    give(&w, PROCESS_START);
    for (unsigned i = 1; i <= 4; i++) { /* one start, three more */
        give(&w, PROCESS_SPAWN_FAILED);
        assert_int_equal(w.p.tries, i);
        if (i == 4)
            break;
        assert_state(&w, PROCESS_BACKOFF);
        assert_int_equal(w.timer, w.now + i * S); /* 1, 2, 3 seconds */
        give(&w, PROCESS_TIMER);
        assert_state(&w, PROCESS_STARTING);
        assert_non_null(effect_of(&w, EFFECT_SPAWN));
    }
    assert_state(&w, PROCESS_FATAL);
    assert_int_equal(w.p.restarts, 3);
    assert_int_equal(w.last.list[0].to, PROCESS_BACKOFF); /* as supervisord announces it */
    give(&w, PROCESS_START);
    assert_int_equal(w.p.tries, 0); /* an operator's start begins anew */
}

static void test_startretries_extremes(void **state)
{
    (void)state;
    struct program program = plain;
    program.startretries = 0;
    struct watched w;
    born(&w, &program);
    give(&w, PROCESS_START);
    give(&w, PROCESS_SPAWN_FAILED);
    assert_state(&w, PROCESS_FATAL);

    program.startretries = STARTRETRIES_INFINITY;
    program.common = &(struct program_common){ .restart_delay = S, .restart_delay_max = 60 * S };
    born(&w, &program);
    give(&w, PROCESS_START);
    for (unsigned i = 0; i < 10000; i++) {
        give(&w, PROCESS_SPAWN_FAILED);
        assert_true(w.timer <= w.now + 60 * S);
        give(&w, PROCESS_TIMER);
    }
    assert_state(&w, PROCESS_STARTING);
}

static void test_tries_are_forgotten(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, BACKOFF);
    give(&w, PROCESS_TIMER);
    runs(&w);
    assert_int_equal(w.p.tries, 1);
    give(&w, PROCESS_TIMER);
    assert_int_equal(w.p.tries, 0); /* once RUNNING */

    struct program program = plain;
    program.common = &(struct program_common){ .restart_delay = S, .restart_reset = 60 * S };
    born(&w, &program);
    give(&w, PROCESS_START);
    give(&w, PROCESS_SPAWN_FAILED);
    give(&w, PROCESS_TIMER);
    runs(&w);
    give(&w, PROCESS_TIMER);
    assert_int_equal(w.p.tries, 1); /* RUNNING, but not yet for restart_reset */
    w.now = w.p.started + 60 * S - 1;
    dies(&w, 1);
    assert_int_equal(w.p.tries, 1);
    runs(&w);
    give(&w, PROCESS_TIMER);
    w.now = w.p.started + 60 * S;
    dies(&w, 1);
    assert_int_equal(w.p.tries, 0);
}

static void test_postponed(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, ASKED);
    for (int i = 0; i < 100; i++) { /* the program is not charged for it */
        give(&w, PROCESS_SPAWN_POSTPONED);
        assert_state(&w, PROCESS_STARTING);
        assert_true(w.timer > w.now && w.timer <= w.now + S);
        give(&w, PROCESS_TIMER);
        assert_non_null(effect_of(&w, EFFECT_SPAWN));
    }
    assert_int_equal(w.p.tries, 0);
    give(&w, PROCESS_SPAWN_POSTPONED);
    give(&w, PROCESS_STOP);
    assert_state(&w, PROCESS_STOPPED);
    assert_int_equal(w.timer, 0);
    assert_null(effect_of(&w, EFFECT_SIGNAL));
}

static void test_lost_hold(void **state)
{
    (void)state;
    struct watched w;
    go_to(&w, UNKNOWN);
    assert_int_equal(w.p.pid, PID);
    assert_false(process_is_up(&w.p));
    assert_false(process_is_down(&w.p));
    dies(&w, 0); /* it ends by itself, and we hear of it */
    assert_state(&w, PROCESS_STOPPED);
}

/* -- anything --------------------------------------------------------------- */

static void test_random_lives(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252ULL;
    uint8_t bytes[600];
    for (int life = 0; life < 20000; life++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed ^= seed << 13; /* xorshift64: the same lives in every run */
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes[i] = (uint8_t)(seed >> 32);
        }
        struct watched w;
        struct dice dice = { .data = bytes, .left = sizeof(bytes) };
        const char *broken = random_life(&w, &dice);
        if (broken != NULL)
            fail_msg("life %d: %s, in %s", life, broken, process_state_name(w.p.state));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_a_signal_that_was_not_sent_is_sent_again),
        cmocka_unit_test(test_a_start_that_was_asked_for_is_asked_again),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_startsecs),
        cmocka_unit_test(test_exec_failure_is_never_running),
        cmocka_unit_test(test_startretries),
        cmocka_unit_test(test_startretries_extremes),
        cmocka_unit_test(test_tries_are_forgotten),
        cmocka_unit_test(test_postponed),
        cmocka_unit_test(test_lost_hold),
        cmocka_unit_test(test_random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
