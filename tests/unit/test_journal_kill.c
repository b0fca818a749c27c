/* test_journal_kill.c - writers that are killed at any instant, and what they leave. */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#include "os/journal.h"
#include "scratch.h"

#define KILLS 500
#define WORDS (sizeof(struct journal_slot) / sizeof(uint64_t))

static const struct identity_era today = { .boot = { 1, 2, 3 } };
static uint32_t seed;

static int clean(void **state)
{
    (void)state;
    unlink("journal");
    const char *given = getenv("SEED");
    seed = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
    print_message("SEED=%u\n", seed);
    return 0;
}

static struct journal *reopen(void)
{
    struct journal *j = NULL;
    enum journal_origin origin;
    if (journal_open("journal", &today, &j, &origin) < 0 || (origin != JOURNAL_FRESH && origin != JOURNAL_RECOVERED))
        return NULL;
    return j;
}

static uint32_t add(struct journal *j, unsigned n)
{
    char name[16];
    snprintf(name, sizeof(name), "p%u", n);
    return journal_add(j, "g", name);
}

/* Runs `fn` in a child for a moment after it has begun; true if it was killed. */
static bool killed_in(void (*fn)(struct journal *j, int ready))
{
    int fds[2], status;
    char byte;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct journal *j = reopen();
        if (j == NULL)
            _exit(1);
        fn(j, fds[1]);
        _exit(0);
    }
    assert_true(pid > 0);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    seed = seed * 1664525 + 1013904223;
    nanosleep(&(struct timespec){ .tv_nsec = (long)(seed >> 12) % 400000 }, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || status == 0);
    return WIFSIGNALED(status);
}

static void begin(int ready)
{
    if (write(ready, "", 1) != 1)
        _exit(1);
}

/* Every word of a content is the same number: a mixture of two shows. */
static void fill(struct journal_slot *s, uint64_t number)
{
    uint64_t words[WORDS];
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = number;
    memcpy(s, words, sizeof(*s));
}

static uint64_t whole(const struct journal_slot *s)
{
    uint64_t words[WORDS];
    assert_non_null(s);
    memcpy(words, s, sizeof(words));
    for (unsigned i = 1; i < WORDS; i++)
        assert_int_equal(words[i], words[0]);
    return words[0];
}

static void commit_for_ever(struct journal *j, int ready)
{
    struct journal_slot s;
    uint32_t slots[4];
    for (unsigned n = 0; n < 4; n++)
        slots[n] = add(j, n);
    uint64_t number = 0;
    for (unsigned n = 0; n < 4; n++)
        if (journal_get(j, slots[n])->definition > number)
            number = journal_get(j, slots[n])->definition;
    begin(ready);
    for (;;) {
        fill(&s, ++number);
        journal_commit(j, slots[number % 4], &s);
        journal_set_sequence(j, number);
    }
}

static void test_no_torn_slot(void **state)
{
    (void)state;
    uint64_t latest = 0, before;
    for (int n = 0; n < KILLS || (latest <= KILLS && n < 100 * KILLS); n++) {
        assert_true(killed_in(commit_for_ever));
        struct journal *j = reopen();
        assert_non_null(j);
        uint32_t bad = 0;
        assert_false(journal_next_damaged(j, &bad));
        before = latest;
        for (uint32_t i = 0; journal_next(j, &i); i++) {
            uint64_t number = whole(journal_get(j, i));
            assert_true(number + 4 > before || before == 0);
            latest = number > latest ? number : latest;
        }
        assert_true(latest >= before); /* what was committed stays */
        assert_true(journal_sequence(j) == latest || journal_sequence(j) + 1 == latest);
        journal_close(j);
    }
    print_message("%llu commits, %d kills\n", (unsigned long long)latest, KILLS);
    assert_true(latest > KILLS);
}

/* Goes on where the one before it was killed. */
static void grow_for_ever(struct journal *j, int ready)
{
    struct journal_slot s;
    unsigned n = 0;
    for (uint32_t i = 0; journal_next(j, &i); i++)
        n++;
    begin(ready);
    for (n = n > 0 ? n - 1 : 0; n < 10000; n++) {
        fill(&s, n + 1);
        journal_commit(j, add(j, n), &s);
    }
}

static void test_killed_while_it_grows(void **state)
{
    (void)state;
    unsigned kills = 0, growths = 0;
    struct stat st = { .st_size = 0 };
    for (unsigned rounds = 0; kills < KILLS / 2 && rounds < 10000; rounds++) {
        kills += killed_in(grow_for_ever);
        off_t size = st.st_size;
        assert_int_equal(stat("journal", &st), 0);
        growths += st.st_size > size;
        struct journal *j = reopen();
        assert_non_null(j);
        uint32_t bad = 0;
        assert_false(journal_next_damaged(j, &bad));
        unsigned n = 0;
        for (uint32_t i = 0; journal_next(j, &i); i++)
            n++;
        for (unsigned k = 0; k < n; k++) {
            uint64_t number = whole(journal_get(j, add(j, k))); /* which all have been there */
            assert_true(number == k + 1 || (number == 0 && k == n - 1));
        }
        uint32_t i = n;
        assert_false(journal_next(j, &i));
        journal_close(j);
        if (n == 10000)
            unlink("journal");
    }
    print_message("%u kills, %u of them after a growth\n", kills, growths);
    assert_int_equal(kills, KILLS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_torn_slot, clean),
        cmocka_unit_test_setup(test_killed_while_it_grows, clean),
    };
    return cmocka_run_group_tests_name("journal_kill", tests, scratch_enter, scratch_leave);
}
